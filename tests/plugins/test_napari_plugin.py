"""The napari plugin without napari: its manifest, and where every voxel lies."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import warnings
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import napari_ftddm
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from layouts import metabolite, two_sessions, with_labels
from napari_ftddm._bridge import from_layer, to_layer
from napari_ftddm._layers import study_layers
from napari_ftddm._reader import get_reader, read_layers
from napari_ftddm._sample_data import simulated_case, simulated_volunteer
from properties import grids, head, linear, oblique_affine, save_nifti

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.io.image_file import SUFFIXES
from ftddm_core.imaging.volume import Study, Volume

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # npe2's own, from pydantic
    npe2 = pytest.importorskip("npe2")

MANIFEST = Path(napari_ftddm.__file__).with_name("napari.yaml")
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
SHAPE = (12, 10, 5)
AFFINE = oblique_affine(SHAPE, (10.0, 9.0, 12.0), angles=(12, -20, 35), flip=(-1, 1, 1))
T1_AFFINE = oblique_affine((20, 24, 18), (6.0, 5.0, 4.0), angles=(-8, 14, 70))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a study of heads that no flip or exchange of axes maps onto themselves."""
    study = tmp_path / "patient"
    study.mkdir()
    data = head(SHAPE, AFFINE).data.astype(np.float32) + 1
    save_nifti(study / "tNAA.nii.gz", data, AFFINE)
    save_nifti(study / "tCho.nii.gz", data + 1, AFFINE)
    save_nifti(study / "tCho_crlb.nii.gz", data + 2, AFFINE)
    save_nifti(study / "mask.nii.gz", np.where(data > 1.3, 1, np.nan).astype(np.float32), AFFINE)
    t1 = head((20, 24, 18), T1_AFFINE).data.astype(np.float32)
    save_nifti(study / "T1w.nii.gz", t1, T1_AFFINE)
    save_nifti(study / "FLAIR.nii.gz", t1, T1_AFFINE)
    return study


def layer_world(layer: tuple[Any, dict[str, Any], str]) -> np.ndarray:
    """Return the world positions (n, 3) as (x, y, z) that napari gives to a layer's voxels."""
    data, arguments, _ = layer
    index = np.indices(data.shape).reshape(3, -1)
    affine = arguments["affine"]
    return np.asarray((affine[:3, :3] @ index + affine[:3, 3:])[::-1].T)


# ---------------------------------------------------------------- the bridge


@given(grids())
def test_no_voxel_moves(grid: Any) -> None:
    """Every value of a layer is the world's at the place where napari shows it."""
    shape, affine = grid
    volume = linear(shape, affine)
    data, turned = to_layer(volume)
    found = layer_world((data, {"affine": turned}, "image"))
    expected = 100 + found @ (1.0, -2.0, 3.0)
    np.testing.assert_allclose(data.ravel(), expected, atol=1e-6)


def test_axes_are_named_from_slices_to_columns() -> None:
    """Of an upright grid: planes are axial, rows grow to the front, columns to the right."""
    volume = linear((3, 4, 5), np.diag([2.0, 3.0, 7.0, 1.0]))
    data, affine = to_layer(volume)
    assert data.shape == (5, 4, 3)
    np.testing.assert_array_equal(affine, np.diag([7.0, 3.0, 2.0, 1.0]))
    _, arguments, _ = study_layers(Study({"tNAA": volume}))[0]
    assert arguments["axis_labels"] == ("S", "A", "R")
    assert arguments["units"] == ("mm", "mm", "mm")


@given(grids())
def test_there_and_back(grid: Any) -> None:
    shape, affine = grid
    volume = Volume(linear(shape, affine).data, affine, "mM")
    back = from_layer(*to_layer(volume), "mM")
    np.testing.assert_array_equal(back.data, volume.data)
    np.testing.assert_array_equal(back.affine, volume.affine)
    assert back.unit == "mM"


# ---------------------------------------------------------------- layers


def test_the_layers_of_a_study(folder: Path) -> None:
    reader = get_reader(str(folder))
    assert reader is not None
    layers = reader(str(folder))
    assert [(arguments["name"], kind) for _, arguments, kind in layers] == [
        ("T1", "image"),
        ("FLAIR", "image"),
        ("tCho", "image"),
        ("tNAA", "image"),
        ("mask", "labels"),
    ]
    assert [arguments["visible"] for _, arguments, _ in layers] == [True, False, False, True, False]
    for data, arguments, kind in layers:
        assert data.ndim == 3
        assert arguments["units"] == ("mm", "mm", "mm")
        assert arguments["axis_labels"] == ("S", "A", "R")
        assert Path(arguments["metadata"]["ftddm"]["path"]).parent == folder
        if kind == "labels":
            assert data.dtype == np.uint8
            assert set(np.unique(data)) == {0, 1}
        else:
            low, high = arguments["contrast_limits"]
            assert low <= 0 < high


def test_noise_outside_the_mask_decides_no_colours(folder: Path) -> None:
    study = open_study(folder)
    name, volume = "tNAA", study.maps["tNAA"]
    assert isinstance(study.mask, Volume)
    trusted = study.mask.data > 0
    loud = volume.with_data(np.where(trusted, volume.data, 1e4))
    layers = study_layers(replace(study, maps=study.maps | {name: loud}))
    limits = {a["name"]: a["contrast_limits"] for _, a, kind in layers if kind == "image"}
    assert limits[name] == pytest.approx((0, np.percentile(volume.data[trusted], 99.5)))


def test_layers_lie_where_the_files_say(folder: Path) -> None:
    """The heads on two oblique grids, read from files, are one head, turned upright."""
    layers = {arguments["name"]: (data, arguments, kind)
              for data, arguments, kind in read_layers(folder)}  # fmt: skip
    frame = layers["tNAA"][1]["metadata"]["ftddm"]["frame"]
    back = np.linalg.inv(frame.turn)
    for name, offset, tolerance in (("tNAA", 1, 1e-4), ("tCho", 2, 1e-4), ("T1", 0, 0.15)):
        data, arguments, _ = layers[name]
        assert np.allclose(arguments["affine"][:3, :3], np.diag(np.diag(arguments["affine"])[:3]))
        shown = layer_world(layers[name])
        world = shown @ back[:3, :3].T + back[:3, 3]
        expected = head_at(world) + offset
        inside = np.linalg.norm(world - (3.0, -12.0, 25.0), axis=1) < 30
        assert inside.sum() > 50
        np.testing.assert_allclose(data.ravel()[inside], expected[inside], atol=tolerance)
        # And so the bright spot on the right is seen there, whichever way the voxels run.
        brightest = world[np.argmax(data)] - (3.0, -12.0, 25.0)
        assert brightest[0] > 10


def head_at(points: np.ndarray) -> np.ndarray:
    """Return the values of `properties.head` at world points (n, 3)."""
    return np.concatenate([
        head((1, 1, 1), nib.affines.from_matvec(np.eye(3), point)).data.ravel() for point in points
    ])  # fmt: skip


def test_masks_of_single_metabolites() -> None:
    maps = {name: linear(SHAPE, AFFINE) for name in ("tNAA", "tCho")}
    masks = {name: volume.with_data((volume.data > 90) * 1.0) for name, volume in maps.items()}
    layers = study_layers(Study(maps, mask=masks), " (simulated)")
    assert [arguments["name"] for _, arguments, _ in layers] == [
        "tNAA (simulated)",
        "tCho (simulated)",
        "mask of tNAA (simulated)",
        "mask of tCho (simulated)",
    ]


@pytest.mark.parametrize(
    ("sample", "label"),
    [(simulated_case, "Simulated patient"), (simulated_volunteer, "Simulated volunteer")],
)
def test_a_sample_says_that_it_is_simulated(sample: Any, label: str) -> None:
    layers = sample()
    names = [arguments["name"] for _, arguments, _ in layers]
    assert len(names) == 10
    assert all(name.endswith(" (simulated)") for name in names)
    assert {"T1 (simulated)", "FLAIR (simulated)", "tNAA (simulated)"} < set(names)
    worlds = [layer_world(layer) for layer in layers]
    centres = [(world.min(0) + world.max(0)) / 2 for world in worlds]
    for centre in centres:  # map and MRI show one head
        np.testing.assert_allclose(centre, centres[0], atol=4)
    for _, arguments, _ in layers:
        assert arguments["metadata"]["ftddm"]["label"] == label


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "name",
    [
        "nothing.nii.gz",
        "T1w.nii.gz",
        "mask.nii.gz",
        "tCho_crlb.nii.gz",
        "notes.txt",
        "notes.json",
        "empty",
        "x" * 5000,
        "null\0byte.nii",
        "",
    ],
)
def test_what_holds_no_map_is_left_to_others(name: str, folder: Path) -> None:
    (folder / "notes.txt").write_text("hello")
    (folder / "notes.json").write_text("{}")
    (folder / "empty").mkdir()
    if name != "":
        assert get_reader(str(folder / name)) is None
        assert get_reader([str(folder / name)]) is None
    assert get_reader([]) is None


@pytest.mark.parametrize("path", [None, 7, [None], b"bytes", ["a.nii", 3], object()])
def test_probing_never_raises(path: Any) -> None:
    assert get_reader(path) is None


def test_single_files_and_stacks(folder: Path) -> None:
    for paths in (folder / "tNAA.nii.gz", [folder / "tNAA.nii.gz", folder / "T1w.nii.gz"]):
        reader = get_reader(paths)
        assert reader is not None
        layers = reader(paths)
        assert layers[-1][1]["name"] == "tNAA"
        assert len(layers) == (2 if isinstance(paths, list) else 1)


def test_every_format_opens_in_napari_as_in_the_shell(tmp_path: Path) -> None:
    (tmp_path / "patient").mkdir()
    values = np.random.default_rng(0).uniform(1, 2, (8, 9, 4)).astype(np.float32)
    np.save(tmp_path / "patient" / "tNAA.npy", values)
    (tmp_path / "patient" / "study.json").write_text('{"VoxelSize": [5, 5, 6]}')
    reader = get_reader(str(tmp_path / "patient"))
    assert reader is not None
    assert [arguments["name"] for _, arguments, _ in reader(str(tmp_path / "patient"))] == ["tNAA"]


def test_a_study_with_a_question_says_it(tmp_path: Path) -> None:
    """Where napari's File > Open cannot ask."""
    for study, words in (
        (two_sessions(tmp_path / "tree"), "There are several sessions: choose session V1 or V2. "),
        (with_labels(tmp_path / "P7"), "mask.nii.gz has the labels 1 and 2: which are trusted? "),
    ):
        reader = get_reader(str(study))
        assert reader is not None
        with pytest.raises(FormatError, match=re.escape(words) + "To decide, open the study in"):
            reader(str(study))


def test_the_files_of_every_format_are_offered_to_the_reader(tmp_path: Path) -> None:
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    (reader,) = manifest.contributions.readers
    assert {f"*{suffix}" for suffix in (*SUFFIXES, ".npy")} == set(reader.filename_patterns)
    header, data = (tmp_path / f"tNAA{ending}" for ending in (".hdr", ".img"))
    nib.save(nib.Nifti1Pair(metabolite(9).astype(np.float32), np.eye(4)), header)
    for path in (header, data):
        read = get_reader(str(path))
        assert read is not None
        ((values, arguments, _),) = read(str(path))
        assert arguments["name"] == "tNAA"
        np.testing.assert_allclose(values.T, metabolite(9), rtol=1e-6)


def test_a_damaged_file_is_probed_and_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "tNAA.nii.gz"
    path.write_bytes(b"\x1f\x8b damaged")
    reader = get_reader(path)
    assert reader is not None
    with pytest.raises(FormatError, match="truncated or damaged"):
        reader(path)


# ---------------------------------------------------------------- the manifest


def test_the_manifest_is_valid() -> None:
    pytest.importorskip("napari")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the panel brings napari, and its pydantic's warnings
        manifest.validate_imports()
    offered = manifest.contributions
    docks = {"FTDDM", "Ratio", "Regions", "Three views", "Trade-off explorer"}
    assert {widget.display_name for widget in offered.widgets} == docks
    assert [writer.layer_types for writer in offered.writers] == 2 * [["image*", "labels*"]]


def test_the_manifest_has_the_name_of_the_distribution() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert npe2.PluginManifest.from_file(MANIFEST).name == project["name"]
    assert project["entry-points"]["napari.manifest"] == {
        project["name"]: "napari_ftddm:napari.yaml"
    }


def test_the_installed_plugin_is_found() -> None:
    (point,) = entry_points(group="napari.manifest", name="ftddm-viewer")
    assert point.value == "napari_ftddm:napari.yaml"
    manifest = npe2.PluginManifest.from_distribution("ftddm-viewer")
    assert manifest.display_name == "FTDDM Viewer"


def test_napari_would_choose_this_reader(folder: Path) -> None:
    """Through npe2 itself: by name a folder and a map are ours, and layers come back."""
    manager = npe2.PluginManager()
    manager.register(npe2.PluginManifest.from_file(MANIFEST))
    manager.activate("ftddm-viewer")
    for path in (folder, folder / "tNAA.nii.gz"):
        (contribution,) = manager.iter_compatible_readers([str(path)])
        words = {"path": [str(path)], "stack": False}
        reader = contribution.exec(kwargs=words, _registry=manager.commands)
        assert "tNAA" in [arguments["name"] for _, arguments, _ in reader([str(path)], stack=False)]
    assert list(manager.iter_compatible_readers([str(folder / "x.tif")])) == []
    samples = [sample for _, found in manager.iter_sample_data() for sample in found]
    assert len(samples) == 2
    assert all("imulated" in sample.display_name for sample in samples)


def test_neither_napari_nor_torch_is_imported() -> None:
    code = (
        "import sys\n"
        "from napari_ftddm import _bridge, _layers, _reader, _sample_data, _writer\n"
        "_sample_data.simulated_case()\n"
        "heavy = {'napari', 'qtpy', 'PyQt6', 'PySide6', 'magicgui', 'torch', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
