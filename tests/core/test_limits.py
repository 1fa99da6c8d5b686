"""What is too large is refused by its header, before its values are unpacked."""

from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny import write_study

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.imaging.io import Limits, open_study, read_study, read_volume, survey
from ftddm_core.imaging.io.limits import Extent
from ftddm_core.imaging.memory import free_memory, plannable
from ftddm_core.sampling.need import check_memory, memory_of_consistency

PLENTY = Limits(memory=lambda: 1e15)
SERVER = Limits(strict=True, memory=lambda: 4e9)

OPENS = """
import resource, sys
from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Limits, read_study, survey
import nibabel, scipy.ndimage
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
for path in sys.argv[1:]:
    try:
        read_study(survey(path), Limits(strict=True, memory=lambda: 4e9))
    except FormatError as refused:
        print(peak() - before, refused)
    else:
        raise SystemExit(f"{path} opened")
"""


def packed(path: Path, shape: tuple[int, ...], dtype: type = np.uint8) -> Path:
    """Write a file of zeros with a single other voxel; kB stand for GB."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    header.set_xyzt_units("mm")
    header.set_sform(np.diag([3.0, 3.0, 3.0, 1.0]), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    left = int(np.prod(shape)) * np.dtype(dtype).itemsize
    piece = bytes(1 << 22)
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wb", 6) as file:
        file.write(bytes(header.binaryblock) + bytes(4) + b"\1" + bytes(63))
        left -= 64
        while left > 0:
            file.write(piece[: min(left, len(piece))])
            left -= len(piece)
    return path


def test_no_memory_is_taken_for_what_is_refused(tmp_path: Path) -> None:
    """In a process of its own, whose peak is known: four files took 4 to 11 GB."""
    shapes = [(500, 1000, 500), (128, 128, 1000), (64, 64, 32767), (400, 400, 400)]
    folders = [packed(tmp_path / str(i) / "tNAA.nii.gz", s).parent for i, s in enumerate(shapes)]
    odd = tmp_path / "odd"
    packed(odd / "something.nii.gz", (128, 128, 1000))
    paths = [*folders, odd]
    found = subprocess.run(
        [sys.executable, "-c", OPENS, *map(str, paths)], capture_output=True, text=True, check=False
    )
    lines = found.stdout.splitlines()
    assert found.returncode == 0, found.stderr + found.stdout
    assert len(lines) == len(paths)
    assert max(int(line.split()[0]) for line in lines) < 100


@pytest.mark.parametrize("shape", [(500, 1000, 500), (400, 400, 400)])
def test_an_mri_that_is_a_bomb_is_left_out(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    study = write_study(tmp_path / "mri")
    packed(study / "FLAIR.nii.gz", shape)
    opened = read_study(survey(study), SERVER)
    assert opened.flair is None
    assert any("over 500 times as much" in note for note in opened.notes)


def test_a_file_is_judged_wherever_it_is_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "a" / "T1w.nii.gz", (500, 1000, 500))
    with pytest.raises(FormatError, match="hardly a measured image"):
        read_volume(path)


def test_what_is_unusual_is_noted_here_and_refused_by_a_server(tmp_path: Path) -> None:
    path = packed(tmp_path / "a" / "tNAA.nii.gz", (16, 12, 300))
    study = read_study(survey(path.parent), PLENTY)
    assert any("far more than a map of spectroscopic imaging" in note for note in study.notes)
    with pytest.raises(FormatError, match=r"16 x 12 x 300 voxels.*on a computer of your own"):
        read_study(survey(path.parent), SERVER)


def test_what_memory_does_not_hold_is_refused_with_advice(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    narrow = Limits(memory=lambda: 100_000.0)
    with pytest.raises(FormatError, match=r"MB of memory, more than the 0\.1 MB.*T1w.*Crop"):
        read_study(survey(study), narrow)
    assert open_study(study).t1 is not None


@pytest.mark.parametrize(
    ("shape", "refused"),
    [
        ((64, 64, 40, 1), False),
        ((256, 256, 64, 1), False),
        ((64, 64, 40, 30), False),
        ((40, 64, 64, 1), False),  # slices along the first axis
        ((64, 64, 40, 65), True),
        ((640, 64, 4, 1), True),
        ((64, 64, 400, 1), True),
        ((200, 200, 200, 1), True),
    ],
)
def test_maps_of_today_are_far_below(shape: tuple[int, int, int, int], refused: bool) -> None:
    limits = replace(SERVER, memory=lambda: 1e15)
    files = [Extent(Path("tNAA.nii.gz"), shape, 4)]
    if refused:
        with pytest.raises(FormatError, match=r"tNAA\.nii\.gz"):
            limits.judge(files, [])
    else:
        assert limits.judge(files, []) == ()


def test_free_memory_is_that_of_the_machine_or_less(tmp_path: Path) -> None:
    assert free_memory(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2000 kB\n")
    assert free_memory(tmp_path) == 2000 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.current").write_text("400000\n")
    assert free_memory(tmp_path) == 600_000
    (group / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == 2000 * 1024
    assert plannable() > 0


def test_a_slice_that_memory_does_not_hold_is_refused_before_it_is_computed() -> None:
    check_memory((64, 64), 4e9)
    check_memory((12, 10), 0)
    with pytest.raises(SettingsError, match=r"128 x 128 acquired.*11\.8 GB.*4 GB.*97 x 97"):
        check_memory((128, 128), 4e9)
    assert memory_of_consistency((128, 128)) == pytest.approx(11.8e9, rel=0.01)
