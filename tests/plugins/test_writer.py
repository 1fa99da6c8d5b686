"""Layers as files: on the study's own grid, with their record, or refused in clear words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari_ftddm._writer import write_layers
from panels import enter, layer
from tiny import Ftddm, files_in, load, sidecar
from windows import finish

from ftddm_core.errors import FormatError
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.saving.pair import check_pair


def write(path: Path, shown: Any) -> list[str]:
    return write_layers(str(path), [shown.as_layer_data_tuple()])


def run_words(study: Path, out: Path, weights: Path) -> list[Any]:
    return ["run", study, "--out", out, "--weights", weights, "--device", "cpu", "--steps", 10]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_saved_output_is_the_file_of_the_shell(
    one_by_one: bool, opened: Any, viewer: Any, study: Path, tmp_path: Path, weights: Path,
    ftddm: Ftddm,
) -> None:  # fmt: skip
    """Computed as a volume or slice by slice: values, affine and record are the same."""
    if one_by_one:
        for k in (0, 1):
            opened.session.choose(slice_index=k)
            finish(opened)
    else:
        opened.panel.volume.click()
        finish(opened)
    assert ftddm(*run_words(study, tmp_path / "shell", weights)).code == 0
    (expected_path,) = (tmp_path / "shell").glob("*_met-tNAA_desc-ftddm_mrsi.nii.gz")
    expected, affine = load(expected_path)
    record = sidecar(tmp_path / "shell", "tNAA")
    for ending in (".nii.gz", ".nii"):
        path = tmp_path / f"mine{ending}"
        saved = layer(viewer, "output").save(str(path), plugin="ftddm-viewer")
        assert [Path(each).name for each in saved] == ["mine.json", path.name]
        found, placed = load(path)
        np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())
        np.testing.assert_allclose(placed, affine, atol=1e-5)
        mine = json.loads((tmp_path / "mine.json").read_text())
        assert mine.pop("KSpaceResidual") == pytest.approx(record["KSpaceResidual"], rel=1e-3)
        rest = {k: v for k, v in record.items() if k not in ("KSpaceResidual", "Map")}
        assert {key: value for key, value in mine.items() if key != "Map"} == rest
        assert check_pair(path)["Metabolite"] == "tNAA"
        assert mine["Settings"]["steps"] == 10
        assert RESEARCH_ONLY in mine["Notice"]


def test_an_output_is_saved_with_the_detail_that_is_shown(
    opened: Any, viewer: Any, tmp_path: Path
) -> None:
    """Of a volume or of slices: moving the detail changes what is written, and computes nothing."""
    for k in (0, 1):
        opened.session.choose(slice_index=k)
        finish(opened)
    found = {}
    for detail in (0.0, 0.7, 1.0):
        opened.session.update(detail=detail)
        finish(opened)
        write(tmp_path / "map.nii.gz", layer(viewer, "output"))
        found[detail], _ = load(tmp_path / "map.nii.gz")
        record = json.loads((tmp_path / "map.json").read_text())
        assert record["Weighting"]["Detail"] == detail
        assert record["Settings"]["detail"] == detail
    both = (found[0.0] > 0) & (found[1.0] > 0)
    expected = 0.3 * found[0.0] + 0.7 * found[1.0]
    np.testing.assert_allclose(found[0.7][both], expected[both], rtol=1e-4)


def test_a_deviation_is_saved_as_one(opened: Any, viewer: Any, tmp_path: Path) -> None:
    enter(opened, "samples", 3)
    finish(opened)
    opened.panel.volume.click()
    finish(opened)
    write(tmp_path / "sd.nii.gz", layer(viewer, "deviation"))
    found, _ = load(tmp_path / "sd.nii.gz")
    assert found.max() > 0
    expected = opened.session.state.finished.result.deviation["tNAA"].data
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert json.loads((tmp_path / "sd.json").read_text())["Statistic"].startswith("standard")


def test_inputs_and_maps_lie_on_the_studys_grid(
    opened: Any, viewer: Any, study: Path, tmp_path: Path
) -> None:
    viewer.open(str(study), plugin="ftddm-viewer")
    finish(opened)
    raw = next(e for e in viewer.layers if e.metadata["ftddm"].get("metabolite") == "tCho")
    write(tmp_path / "raw.nii.gz", raw)
    expected, affine = load(study / "tCho.nii.gz")
    found, placed = load(tmp_path / "raw.nii.gz")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(placed, affine, atol=1e-5)
    write(tmp_path / "input.nii.gz", layer(viewer, "input"))
    fine, placed = load(tmp_path / "input.nii.gz")
    view = opened.session.state.view
    np.testing.assert_allclose(fine, view.prepared.conditions["tNAA"].lowres, rtol=1e-6)
    np.testing.assert_allclose(placed, view.prepared.conditions["tNAA"].affine, atol=1e-5)
    assert json.loads((tmp_path / "input.json").read_text())["Role"] == "input"


def test_slices_that_are_missing_are_named(opened: Any, viewer: Any, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"1 of 2 slices .* 'Whole volume' first"):
        write(tmp_path / "mine.nii.gz", layer(viewer, "output"))
    with pytest.raises(FormatError, match=r"1 of 2 slices"):  # through napari, unchanged
        layer(viewer, "output").save(str(tmp_path / "mine.nii.gz"), plugin="ftddm-viewer")
    assert not list(tmp_path.glob("mine*"))


def test_the_studys_own_files_are_never_replaced(
    opened: Any, viewer: Any, study: Path, tmp_path: Path
) -> None:
    """Napari's dialog offers their folder, and asks no more than whether to replace them."""
    before = files_in(study)
    (tmp_path / "link.nii.gz").symlink_to(study / "T1w.nii.gz")
    for path in (study / "tNAA.nii.gz", tmp_path / "link.nii.gz"):
        with pytest.raises(FormatError, match="one of the files that were read"):
            write(path, layer(viewer, "input"))
    assert files_in(study) == before


def test_a_layer_of_someone_else_is_refused(viewer: Any, tmp_path: Path) -> None:
    other = viewer.add_image(np.zeros((3, 4, 5)), name="cells")
    with pytest.raises(FormatError, match=r"'cells' is not one of FTDDM Viewer's"):
        write(tmp_path / "cells.nii.gz", other)


def test_a_layer_changed_by_hand_is_refused(opened: Any, viewer: Any, tmp_path: Path) -> None:
    opened.panel.volume.click()
    finish(opened)
    output = layer(viewer, "output")
    output.translate = (0, 3, 0)
    with pytest.raises(FormatError, match="moved by hand"):
        write(tmp_path / "a.nii.gz", output)
    output.translate = (0, 0, 0)
    write(tmp_path / "a.nii.gz", output)
    output.data = output.data * 2
    with pytest.raises(FormatError, match="changed"):
        write(tmp_path / "b.nii.gz", output)


@pytest.mark.parametrize("role", ["input", "output"])
def test_values_edited_in_place_are_found(
    role: str, opened: Any, viewer: Any, tmp_path: Path
) -> None:
    opened.panel.volume.click()
    finish(opened)
    shown = layer(viewer, role)
    assert not np.shares_memory(shown.data, shown.metadata["ftddm"]["volume"].data)
    shown.data[...] *= 2
    with pytest.raises(FormatError, match="changed"):
        write(tmp_path / "c.nii.gz", shown)


def test_a_name_must_be_a_nifti_name(opened: Any, viewer: Any, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"end it in \.nii\.gz or \.nii"):
        write(tmp_path / "a.tif", layer(viewer, "input"))


@pytest.mark.parametrize("name", ["p1.nii.gz", "p1"])
def test_several_layers_are_written_as_one_is(
    name: str, opened: Any, viewer: Any, study: Path, tmp_path: Path
) -> None:
    """Under a name that all begin with, or into a folder; each with affine and record."""
    viewer.open(str(study), plugin="ftddm-viewer")
    finish(opened)
    opened.panel.volume.click()
    finish(opened)
    names = {
        "Output tNAA 3×": "Output_tNAA_3",
        "Input tNAA (zero-filled)": "Input_tNAA_zero-filled",
        "mask": "mask",
    }
    ordered = [each for each in viewer.layers if each.name in names]
    viewer.layers.selection = set(ordered)
    saved = viewer.layers.save(str(tmp_path / name), selected=True, plugin="ftddm-viewer")
    begin = f"{tmp_path}/p1" + ("_" if "." in name else "/")
    assert len(set(saved)) == 2 * len(ordered) == 6
    for each in ordered:
        stem = begin + names[each.name]
        found, placed = load(Path(f"{stem}.nii.gz"))
        write(tmp_path / "one.nii.gz", each)
        expected, affine = load(tmp_path / "one.nii.gz")
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(placed, affine)
        record = Path(f"{stem}.json").read_text()
        assert record == (tmp_path / "one.json").read_text()
        assert RESEARCH_ONLY in record


def test_several_layers_are_written_all_or_none(opened: Any, viewer: Any, tmp_path: Path) -> None:
    other = viewer.add_image(np.zeros((3, 4, 5)), name="cells")
    both = [each.as_layer_data_tuple() for each in (layer(viewer, "input"), other)]
    with pytest.raises(FormatError, match="'cells' is not one of FTDDM Viewer's"):
        write_layers(str(tmp_path / "p1.nii.gz"), both)
    assert not list(tmp_path.glob("p1*"))


def test_a_mask_edited_by_hand_is_saved_as_it_is(
    opened: Any, viewer: Any, study: Path, tmp_path: Path
) -> None:
    viewer.open(str(study), plugin="ftddm-viewer")
    finish(opened)
    mask = next(each for each in viewer.layers if each.name == "mask")
    write(tmp_path / "a.nii.gz", mask)
    before, _ = load(tmp_path / "a.nii.gz")
    assert json.loads((tmp_path / "a.json").read_text())["EditedByHand"] is False
    mask.data = 1 - mask.data
    write(tmp_path / "a.nii.gz", mask)
    after, _ = load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(after, 1 - before)
    assert json.loads((tmp_path / "a.json").read_text())["EditedByHand"] is True
