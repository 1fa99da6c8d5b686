"""Studies from NumPy arrays: both layouts, their world coordinates, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.io import open_study, write_volume
from ftddm_core.imaging.metabolites import shown_name
from ftddm_core.imaging.volume import Volume

SHAPE = (8, 6, 3)
AFFINE = '{"Affine": [[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, %s, 0], [0, 0, 0, %s]]}'


def maps():
    rng = np.random.default_rng(0)
    return {name: rng.random(SHAPE) + 0.1 for name in ("Cr+PCr", "NAA")}


@pytest.fixture
def research(tmp_path):
    """Return a patient as the research code has them: slices first, MRI three times as fine."""
    folder = tmp_path / "Patient7"
    (folder / "Met_filtered").mkdir(parents=True)
    (folder / "MRI_sliced").mkdir()
    for name, data in maps().items():
        np.save(folder / "Met_filtered" / f"{name}.npy", np.moveaxis(data, -1, 0))
    for name in ("T1", "flair"):
        fine = np.moveaxis(maps()["NAA"], -1, 0).repeat(3, 0).repeat(3, 1).repeat(3, 2)
        np.save(folder / "MRI_sliced" / f"{name}_sliced.npy", fine)
    return folder


@pytest.fixture
def plain(tmp_path):
    folder = tmp_path / "patient"
    folder.mkdir()
    for name, data in maps().items():
        np.save(folder / f"{name}.npy", data)
    np.save(folder / "mask.npy", maps()["NAA"] > 0.4)
    np.save(folder / "T1.npy", maps()["NAA"])
    (folder / "study.json").write_text(json.dumps({"VoxelSize": [3, 4, 5], "Unit": "mM"}))
    return folder


def test_the_research_layout_reads_with_the_published_voxel(research):
    study = open_study(research)
    assert list(study.maps) == ["tCr", "NAA"]
    for name, data in maps().items():
        np.testing.assert_array_equal(study.maps[shown_name(name)].data, data.astype(np.float32))
    np.testing.assert_allclose(study.grid.voxel_size, 3.4)
    assert study.mask is None
    assert study.source["t1"].endswith("T1_sliced.npy")
    # Every voxel of a map is 27 of the MRI, in the same place: their mean is the map itself.
    for image in (study.t1, study.flair):
        np.testing.assert_allclose(image.voxel_size, 3.4 / 3)
        back = regrid_mean(image, SHAPE, study.grid.affine)
        np.testing.assert_allclose(back.data, maps()["NAA"], rtol=1e-5)


def test_the_plain_layout_reads_as_it_is_stated(plain):
    study = open_study(plain)
    assert list(study.maps) == ["tCr", "NAA"]
    np.testing.assert_allclose(study.grid.voxel_size, (3, 4, 5))
    assert {v.unit for v in study.maps.values()} == {"mM"}
    np.testing.assert_array_equal(study.mask_of("NAA").data > 0, maps()["NAA"] > 0.4)
    np.testing.assert_array_equal(study.t1.affine, study.grid.affine)
    assert study.flair is None
    affine = np.array([[0, -3, 0, 9], [2, 0, 0, 8], [0, 0, 4, 7], [0, 0, 0, 1.0]])
    (plain / "study.json").write_text(json.dumps({"Affine": affine.tolist()}))
    np.testing.assert_array_equal(open_study(plain).grid.affine, affine)


def test_a_file_that_is_given_takes_its_role(plain, tmp_path):
    other = tmp_path / "other.npy"
    np.save(other, np.full((16, 12, 6), 2.0))
    study = open_study(plain, t1=other)
    assert study.source["t1"] == str(other)
    np.testing.assert_allclose(study.t1.voxel_size, (1.5, 2, 2.5))
    # Edges coincide: the first voxel's centre is a quarter of the coarse voxel from its edge.
    np.testing.assert_allclose(study.t1.affine[:3, 3], (-0.75, -1, -1.25))


def test_arrays_beside_images_are_left_out(plain):
    write_volume(plain / "tNAA.nii.gz", Volume(np.ones(SHAPE), np.eye(4)))
    assert list(open_study(plain).maps) == ["tNAA"]


def test_single_arrays_open_with_the_statement_beside_them(plain):
    study = open_study([plain / "NAA.npy", plain / "mask.npy"])
    assert list(study.maps) == ["NAA"]
    np.testing.assert_allclose(study.grid.voxel_size, (3, 4, 5))
    assert study.t1 is None


def spoil(name, content):
    def change(folder):
        if isinstance(content, bytes | str):
            path = folder / name
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        else:
            np.save(folder / name, content)

    return change


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (spoil("NAA.npy", b"\x93NUMPY broken"), FormatError, "NAA.npy cannot be read"),
        (spoil("NAA.npy", np.array([{}])), FormatError, "NAA.npy holds Python objects"),
        (spoil("NAA.npy", np.ones((2, 2))), FormatError, "expected three dimensions"),
        (spoil("NAA.npy", np.ones(SHAPE, complex)), FormatError, "the magnitude"),
        (spoil("NAA.npy", np.full(SHAPE, 1e300)), FormatError, "is empty"),
        (spoil("NAA.npy", np.zeros(SHAPE)), FormatError, "is empty"),
        (spoil("NAA.npy", np.ones((8, 6, 4))), GeometryError, "share one grid"),
        (spoil("mask.npy", np.ones((8, 6, 4))), GeometryError, "share one grid"),
        (spoil("study.json", "{"), FormatError, "study.json cannot be read"),
        (spoil("study.json", "[3]"), FormatError, "should hold"),
        (spoil("study.json", "{}"), FormatError, "do not state their voxel size"),
        (spoil("study.json", '{"VoxelSize": [3, 3]}'), FormatError, "three lengths in mm"),
        (spoil("study.json", '{"VoxelSize": [3, 0, 3]}'), FormatError, "three lengths in mm"),
        (spoil("study.json", '{"VoxelSize": "big"}'), FormatError, "three lengths in mm"),
        (spoil("study.json", '{"VoxelSize": ["3", "3", "3"]}'), FormatError, "three lengths in mm"),
        (spoil("study.json", '{"VoxelSize": [true, 3, 3]}'), FormatError, "three lengths in mm"),
        (spoil("study.json", '{"VoxelSize": [NaN, 3, 3]}'), FormatError, "three lengths in mm"),
        (spoil("study.json", '{"VoxelSize": [[3], 3, 3]}'), FormatError, "three lengths in mm"),
        (spoil("study.json", f'{{"VoxelSize": [{10**400}, 3, 3]}}'), FormatError, "three lengths"),
        (spoil("study.json", f'{{"VoxelSize": [{"9" * 5000}, 3, 3]}}'), FormatError, "cannot be"),
        (spoil("study.json", '{"VoxelSize": [1e300, 3, 3]}'), GeometryError, "invalid affine"),
        (spoil("study.json", '{"VoxelSize": [1e-11, 3, 3]}'), GeometryError, "without a volume"),
        (spoil("study.json", '{"Affine": [3, 3, 3]}'), FormatError, "four rows of four numbers"),
        (spoil("study.json", AFFINE % ("0", "1")), GeometryError, "without a volume"),
        (spoil("study.json", AFFINE % ("3", "2")), GeometryError, "0, 0, 0, 1 in the last row"),
        (spoil("study.json", AFFINE % ("1e9", "1")), GeometryError, "invalid affine"),
        (spoil("study.json", AFFINE % ('"3"', "1")), FormatError, "four rows of four numbers"),
        (spoil("study.json", AFFINE % ("Infinity", "1")), FormatError, "four rows of four numbers"),
        (spoil("study.json", "[" * 100_000), FormatError, "nested too deeply"),
        (spoil("study.json", '{"a": "' + "b" * 1_000_000 + '"}'), FormatError, "a few lines"),
        (spoil("study.json", b"\xff\x00{"), FormatError, "study.json cannot be read"),
        (lambda f: (f / "study.json").unlink(), FormatError, "do not state their voxel size"),
    ],
)
def test_what_cannot_be_used_is_named(plain, change, error, said):
    change(plain)
    with pytest.raises(error, match=said) as caught:
        open_study(plain)
    assert "\n" not in str(caught.value)


def test_a_folder_without_maps_says_what_is_expected(plain, research):
    for name in maps():
        (plain / f"{name}.npy").unlink()
        (research / "Met_filtered" / f"{name}.npy").unlink()
    for folder in (plain, research):
        with pytest.raises(FormatError, match="holds no metabolite map"):
            open_study(folder)


@pytest.mark.parametrize(
    ("unit", "found"), [(" mM ", "mM"), (5, ""), ([[["mM"]]], ""), (None, ""), ("", "")]
)
def test_a_unit_is_a_text(plain, unit, found):
    (plain / "study.json").write_text(json.dumps({"VoxelSize": [3, 4, 5], "Unit": unit}))
    assert {volume.unit for volume in open_study(plain).maps.values()} == {found}


def test_a_statement_may_start_with_a_byte_order_mark(plain):
    """Notepad writes one."""
    (plain / "study.json").write_text('{"VoxelSize": [3, 4, 5]}', encoding="utf-8-sig")
    np.testing.assert_allclose(open_study(plain).grid.voxel_size, (3, 4, 5))
