"""A map and its sidecar belong together, and a pair that was mixed up is found."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from resolving import QUICK, phantom
from tiny import files_in

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import read_volume
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Result
from ftddm_core.saving.pair import check_pair, encode_pair
from ftddm_core.saving.results import result_files, save_result

STUDY = replace(phantom(names=("tNAA",)), label="sub-1", notes=("The affine is a guess.",))
STEM = "sub-1_met-tNAA_desc-ftddm_mrsi"


@pytest.fixture
def result(resolver: SuperResolver) -> Result:
    return resolver.run(STUDY, QUICK.replace(steps=1, t_trunc=10))


@pytest.fixture
def path(result: Result, tmp_path: Path) -> Path:
    """Return a map that was saved."""
    save_result(result, STUDY, tmp_path)
    return tmp_path / f"{STEM}.nii.gz"


def test_a_sidecar_precedes_its_map_and_both_are_what_was_computed(
    result: Result, tmp_path: Path
) -> None:
    paths = save_result(result, STUDY, str(tmp_path / "out"), record={"Unfilled": True})
    assert [each.name for each in paths] == [f"{STEM}.json", f"{STEM}.nii.gz"]
    record = check_pair(paths[1])
    assert record["Notice"] == "AI-generated. Research use only, not for clinical use."
    assert record["Notes"] == ["The affine is a guess."]
    assert record["Settings"]["steps"] == 1
    assert record["Unfilled"] is True
    np.testing.assert_array_equal(read_volume(paths[1]).data, result.maps["tNAA"].data)
    assert files_in(tmp_path / "out") == result_files(result, STUDY, {"Unfilled": True})


def test_other_readers_find_the_same_values(path: Path, result: Result) -> None:
    """The comment is an extension of the header, between it and the values."""
    image = nib.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj), result.maps["tNAA"].data)
    np.testing.assert_allclose(image.affine, result.maps["tNAA"].affine, atol=1e-4)
    content = gzip.decompress(path.read_bytes())
    offset = int(np.frombuffer(content, "<f4", 1, offset=108)[0])  # the header's vox_offset
    assert offset % 16 == 0
    values = np.frombuffer(content[offset:], "<f4").reshape(image.shape, order="F")
    np.testing.assert_array_equal(values, result.maps["tNAA"].data)


def test_a_map_beside_another_record_is_found(path: Path, result: Result) -> None:
    other = replace(result, settings=result.settings.replace(seed=1))
    save_result(other, STUDY, path.parent / "other")
    shutil.copy(path.parent / "other" / f"{STEM}.json", path.parent)
    with pytest.raises(FormatError, match=rf"{STEM}\.json do not belong together: .* of one run"):
        check_pair(path)


def test_another_map_of_the_same_settings_is_found(path: Path, result: Result) -> None:
    """As from another machine, whose arithmetic differs."""
    moved = result.maps["tNAA"].with_data(result.maps["tNAA"].data + np.float32(1e-3))
    save_result(replace(result, maps={"tNAA": moved}), STUDY, path.parent / "other")
    shutil.copy(path.parent / "other" / path.name, path)
    with pytest.raises(FormatError, match=r"mrsi\.nii\.gz was changed after it was written"):
        check_pair(path)


def test_an_edited_record_is_found(path: Path) -> None:
    sidecar = path.with_name(f"{STEM}.json")
    record = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(record, indent=None, sort_keys=True))
    check_pair(path)  # another layout says the same
    record["Settings"]["seed"] = 8
    sidecar.write_text(json.dumps(record))
    with pytest.raises(FormatError, match="do not belong together"):
        check_pair(path)


def test_a_map_that_another_program_wrote_states_no_record(path: Path) -> None:
    nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)).to_filename(path)
    with pytest.raises(FormatError, match="the map states the record of no run"):
        check_pair(path)


@pytest.mark.parametrize("content", ["{", "[]", '{"Notice": ""}', '{"Map": 3}', '{"Map": {}}'])
def test_a_sidecar_of_something_else(path: Path, content: str) -> None:
    path.with_name(f"{STEM}.json").write_text(content)
    with pytest.raises(FormatError, match=r"does not state its map: it was not written together"):
        check_pair(path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b damaged", b"no NIfTI" * 60])
def test_a_damaged_map(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"mrsi\.nii\.gz is damaged \(.*Restore it"):
        check_pair(path)


def test_a_map_alone(path: Path) -> None:
    path.with_name(f"{STEM}.json").unlink()
    with pytest.raises(FormatError, match=r"mrsi\.json could not be read: No such file"):
        check_pair(path)


def test_an_uncompressed_pair(tmp_path: Path) -> None:
    sidecar, content = encode_pair(STUDY.grid, {"Seed": 3}, compress=False)
    (tmp_path / "a.json").write_bytes(sidecar)
    (tmp_path / "a.nii").write_bytes(content)
    assert check_pair(tmp_path / "a.nii") == {"Seed": 3}
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").data, STUDY.grid.data)


def test_a_note_names_files_without_their_folders(result: Result, tmp_path: Path) -> None:
    """A record is the same wherever the study is."""
    source = tmp_path / "patient" / "tNAA.nii"
    source.parent.mkdir()
    source.write_bytes(b"map")
    noted = replace(STUDY, source={"tNAA": str(source)}, notes=(f"{source} has no unit.",))
    files = result_files(result, noted)
    record = json.loads(files[f"{STEM}.json"])
    assert record["Notes"] == ["tNAA.nii has no unit."]


def test_what_an_earlier_result_left_goes_with_it(
    resolver: SuperResolver, result: Result, tmp_path: Path
) -> None:
    """Standard deviation and error of several samples are not those of one."""
    several = resolver.run(STUDY, QUICK.replace(steps=1, t_trunc=10, samples=2))
    assert len(save_result(several, STUDY, tmp_path)) == 6
    (tmp_path / "sub-1_met-tCho_desc-ftddmSd_mrsi.json").write_bytes(b"another metabolite's")
    for name in (f"{STEM}.json", f"{STEM}.nii.gz"):
        (tmp_path / name).unlink()
    with pytest.raises(FormatError, match=r"desc-ftddmSd_mrsi\.json exists already; choose"):
        save_result(result, STUDY, tmp_path)
    save_result(result, STUDY, tmp_path, overwrite=True)
    assert set(files_in(tmp_path)) == {
        f"{STEM}.json",
        f"{STEM}.nii.gz",
        "sub-1_met-tCho_desc-ftddmSd_mrsi.json",
    }


def test_a_result_is_saved_with_its_own_study(result: Result, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="The study has no map of tNAA; it has tCho: save"):
        save_result(result, phantom(names=("tCho",)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
