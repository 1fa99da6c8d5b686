"""What a user can decide about a study's files, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from layouts import AFFINE, BRAIN, LABELS, metabolite, of_vienna, put, two_sessions, with_labels

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices
from ftddm_viewer.session.inspection import Inspection, inspect
from ftddm_viewer.session.study_choices import (
    AUTOMATIC,
    LEAVE_OUT,
    Row,
    choices_of,
    fields_of,
    rows_of,
)


def row(found: Inspection, file: str, **changes: str) -> Row:
    (one,) = (row for row in rows_of(found) if row.file == file)
    return replace(one, **changes)  # type: ignore[arg-type]


def again(found: Inspection, *rows: Row, **values: Any) -> Inspection:
    return inspect(found.paths, choices=choices_of(found, rows, values))


def acting(found: Inspection) -> set[str]:
    return {field.key for field in fields_of(found).values() if not field.disabled}


def trusted(found: Inspection, name: str = "tNAA") -> Any:
    assert found.study is not None
    mask = found.study.mask_of(name)
    assert mask is not None
    return mask.data > 0


def test_a_session_is_chosen_and_can_be_changed(tmp_path: Path) -> None:
    found = inspect(two_sessions(tmp_path))
    field = fields_of(found)["session"]
    assert (field.options, field.value, field.asked) == (("V1", "V2"), "", True)
    assert acting(found) == {"label", "session"}
    for session, level in (("V2", 6), ("V1", 9)):
        found = again(found, session=session)
        assert found.study is not None
        assert found.study.maps["tNAA"].data[BRAIN].mean() == pytest.approx(level, rel=0.05)
        field = fields_of(found)["session"]
        assert (field.options, field.value, field.asked) == (("V1", "V2"), session, False)
    assert again(found, session="").question is not None


def test_another_subject_forgets_a_session_that_it_lacks(tmp_path: Path) -> None:
    two_sessions(tmp_path)
    for session in ("V3", "V4"):
        put(tmp_path / f"sub-04/sub-04_ses-{session}_met-NAA_desc-signal_mrsi.nii", metabolite(3))
    found = inspect(tmp_path, choices=Choices(subject="03", session="V2"))
    assert fields_of(found)["subject"].options == ("03", "04")
    assert fields_of(found)["session"].options == ("V1", "V2")
    other = choices_of(found, values={"subject": "04", "session": "V2"})
    assert (other.subject, other.session) == ("04", "")
    assert fields_of(inspect(tmp_path, choices=other))["session"].options == ("V3", "V4")


def test_labels_of_a_mask_stay_on_offer_once_chosen(tmp_path: Path) -> None:
    found = inspect(with_labels(tmp_path))
    assert fields_of(found)["mask_labels"].asked
    for chosen in (("1",), ("2",), ("1", "2")):
        found = again(found, mask_labels=chosen)
        np.testing.assert_array_equal(trusted(found), np.isin(LABELS, [int(c) for c in chosen]))
        field = fields_of(found)["mask_labels"]
        assert (field.options, field.value, field.disabled) == (("1", "2"), chosen, "")
    assert "mask_threshold" not in acting(found)


def test_a_threshold_acts_on_probabilities_only(tmp_path: Path) -> None:
    put(tmp_path / "tNAA.nii", metabolite(9))
    put(tmp_path / "mask.nii", BRAIN * np.where(LABELS == 1, 0.3, 0.9))
    found = inspect(tmp_path)
    assert {"mask_threshold"} <= acting(found)
    assert "mask_labels" not in acting(found)
    np.testing.assert_array_equal(trusted(found), LABELS == 2)
    np.testing.assert_array_equal(trusted(again(found, mask_threshold="0,2")), BRAIN)
    assert again(again(found, mask_threshold=0.2), mask_threshold="").choices == Choices()


def test_files_are_left_out_renamed_and_given_other_roles(tmp_path: Path) -> None:
    found = inspect(of_vienna(tmp_path))
    assert row(found, "NAA+NAAG_amp_map.nii").name == "tNAA"
    assert {r.file for r in rows_of(found) if r.takes_name} == {
        "NAA+NAAG_amp_map.nii", "NAA+NAAG_sd_map.nii", "Cr+PCr_amp_map.nii", "Cr+PCr_sd_map.nii",
        "mask.nii",
    }  # fmt: skip
    found = again(
        found,
        row(found, "Cr+PCr_amp_map.nii", role=LEAVE_OUT),
        row(found, "NAA+NAAG_amp_map.nii", name="NAA"),
        row(found, "NAA+NAAG_sd_map.nii", name="NAA"),
        row(found, "magnitude.nii", role="t1"),
        row(found, "cho2naa.nii", role="map"),
    )
    assert found.study is not None
    assert set(found.study.maps) == {"NAA", "cho2naa"}
    assert set(found.study.crlb) == {"NAA"}
    assert found.study.t1 is not None
    assert found.study.t1.data.max() > 900
    assert row(found, "NAA+NAAG_amp_map.nii").role == "map"
    assert row(found, "Cr+PCr_amp_map.nii").role == LEAVE_OUT
    back = [replace(r, role=AUTOMATIC) for r in rows_of(found)]
    assert choices_of(found, back) == Choices()


def test_what_is_not_edited_stays_as_it_was_chosen(tmp_path: Path) -> None:
    choices = Choices(roles={"magnitude.nii": "map:Lac"}, exclude=("mask.nii",), max_crlb=20)
    found = inspect(of_vienna(tmp_path), choices=choices)
    once = choices_of(found)
    assert inspect(tmp_path, choices=once).files() == found.files()
    assert once.max_crlb == 20
    assert choices_of(found, values={"max_crlb": ""}).max_crlb is None
    assert choices_of(found, values={"label": " P7 "}).label == "P7"


def test_the_question_which_file_has_a_role_marks_its_rows(tmp_path: Path) -> None:
    put(tmp_path / "Glu+Gln.nii", metabolite(10))
    put(tmp_path / "GluGln.nii", metabolite(11))
    put(tmp_path / "tNAA.nii", metabolite(9))
    found = inspect(tmp_path)
    assert [r.file for r in rows_of(found) if r.asked] == ["Glu+Gln.nii", "GluGln.nii"]
    found = again(found, row(found, "GluGln.nii", role=LEAVE_OUT))
    assert found.study is not None
    assert found.study.maps["Glx"].data[BRAIN].mean() == pytest.approx(10, rel=0.05)


def test_limits_and_the_unit_act_where_there_are_maps_of_the_fit(tmp_path: Path) -> None:
    found = inspect(of_vienna(tmp_path))
    assert acting(found) == {"label", "crlb_unit", "max_crlb"}
    assert not trusted(again(found, max_crlb="6.9")).any()
    assert trusted(again(found, max_crlb="7")).sum() == BRAIN.sum()
    put(tmp_path / "SNR_map.nii", np.where(LABELS == 2, 20.0, 3.0))
    found = inspect(tmp_path)
    assert "min_snr" in acting(found)
    np.testing.assert_array_equal(trusted(again(found, min_snr=10)), LABELS == 2)


def test_a_limit_that_keeps_the_study_from_opening_can_be_removed(tmp_path: Path) -> None:
    put(tmp_path / "tNAA.nii", metabolite(9))
    found = inspect(tmp_path, choices=Choices(max_crlb=20))
    assert "limit is set for the CRLB" in found.problem
    assert "max_crlb" in acting(found)
    assert again(found, max_crlb="").study is not None


def test_another_variant_of_the_maps_is_offered(tmp_path: Path) -> None:
    for kind, level in (("molarity", 9), ("internal", 1.5)):
        put(tmp_path / "fit" / "concs" / kind / "NAA+NAAG.nii", metabolite(level))
    found = inspect(tmp_path)
    assert fields_of(found)["scale"].options == ("internal", "molarity")
    found = again(found, scale="internal")
    assert found.study is not None
    assert found.study.maps["tNAA"].data[BRAIN].mean() == pytest.approx(1.5, rel=0.05)
    assert fields_of(found)["scale"].options == ("internal", "molarity")


@pytest.mark.parametrize("apart", [0, 50])
def test_the_orientation_is_chosen_where_a_header_has_two(tmp_path: Path, apart: float) -> None:
    path = of_two_orientations(tmp_path / "tNAA.nii", apart)
    found = inspect(path)
    assert ("space" in acting(found)) is bool(apart)
    if apart:
        found = again(found, space="qform")
        assert found.study is not None
        assert found.study.grid.affine[0, 3] == pytest.approx(AFFINE[0, 3] + apart)
        assert "space" in acting(found)


def of_two_orientations(path: Path, apart: float) -> Path:
    """Write a map whose qform lies some mm to the right of its sform."""
    image = nib.Nifti1Image(metabolite(9).astype(np.float32), AFFINE)
    image.set_sform(AFFINE, 1)
    qform = AFFINE.copy()
    qform[0, 3] += apart
    image.set_qform(qform, 1)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_crlb": "many"}, "'CRLB at most' is 'many'; give a number, or leave it empty"),
        ({"mask_threshold": "2"}, "threshold of a mask is 2"),
        ({"max_crlb": "-1"}, "not negative"),
    ],
)
def test_a_value_that_is_not_possible_says_so(
    tmp_path: Path, values: dict[str, Any], words: str
) -> None:
    found = inspect(of_vienna(tmp_path))
    with pytest.raises(FormatError, match=words):
        choices_of(found, values=values)
    with pytest.raises(FormatError, match="needs a metabolite"):
        choices_of(found, [row(found, "magnitude.nii", role="crlb", name="")])
