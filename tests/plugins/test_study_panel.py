"""The study panel of the window: questions answered, files and roles changed, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import BRAIN, LABELS, metabolite, of_vienna, put, two_sessions, with_labels
from panels import inputs
from windows import finish, settle

pytestmark = pytest.mark.usefixtures("unchecked")


def opened(panel: Any, path: Path) -> Any:
    """Open a study by hand, without computing images; return its study panel."""
    panel.session.choose(live=False)
    panel.session.open(path)
    finish(panel)
    return panel.engine._study


def apply(panel: Any) -> None:
    button = panel.engine._study.apply
    assert button.isEnabled()
    button.click()
    settle()
    finish(panel)


def study(panel: Any) -> Any:
    assert panel.session.state.error == ""
    return panel.session.state.case.study


def trusted(panel: Any) -> Any:
    return study(panel).mask_of("tNAA").data > 0


def cells(table: Any, file: str) -> list[str]:
    """Return the words of a file's row as they are shown."""
    rows = [
        [table.item(row, column).text().replace("\u200b", "") for column in range(6)]
        for row in range(table.rowCount())
    ]
    (found,) = (row for row in rows if row[0] == file)
    return found


def check(panel: Any, label: str) -> None:
    from qtpy.QtWidgets import QCheckBox

    (box,) = (
        b for b in inputs(panel, "ftddm_mask_labels").findChildren(QCheckBox) if b.text() == label
    )
    box.toggle()


# ---------------------------------------------------------------- questions


def test_a_question_brings_the_panel_and_its_answer_the_study(panel: Any, tmp_path: Path) -> None:
    assert panel.panel.files.isHidden()
    window = opened(panel, two_sessions(tmp_path))
    question = "There are several sessions: choose session V1 or V2."
    assert panel.panel.error.text() == question
    assert window.problem.text() == question
    assert window.isVisible()
    assert not panel.panel.files.isHidden()
    box = inputs(panel, "ftddm_session")
    assert [box.itemText(i) for i in range(box.count())] == ["choose one", "V1", "V2"]
    box.setCurrentText("V2")
    apply(panel)
    assert study(panel).maps["tNAA"].data[BRAIN].mean() == pytest.approx(6, rel=0.05)
    assert window.problem.isHidden()
    assert panel.panel.error.isHidden()
    assert inputs(panel, "ftddm_session").currentText() == "V2"
    assert "12 x 14 x 4" in window.about.text()
    assert not window.apply.isEnabled()


def test_labels_are_checked(panel: Any, tmp_path: Path) -> None:
    window = opened(panel, with_labels(tmp_path))
    assert window.problem.text() == "mask.nii.gz has the labels 1 and 2: which are trusted?"
    check(panel, "1")
    apply(panel)
    np.testing.assert_array_equal(trusted(panel), LABELS == 1)
    check(panel, "2")
    apply(panel)
    np.testing.assert_array_equal(trusted(panel), BRAIN)


def test_a_study_that_opens_by_itself_does_not_bring_the_panel(panel: Any, study: Path) -> None:
    window = opened(panel, study)
    assert not window.isVisible()
    panel.panel.files.click()
    assert window.isVisible()
    assert window.problem.isHidden()
    window.close_it.click()
    assert not window.isVisible()


# ---------------------------------------------------------------- files


def test_a_file_is_left_out_a_map_renamed_and_a_role_changed(panel: Any, tmp_path: Path) -> None:
    window = opened(panel, of_vienna(tmp_path))
    assert set(study(panel).maps) == {"tNAA", "tCr"}
    assert cells(window.files, "cho2naa.nii") == [
        *("cho2naa.nii", "ratio", "named like tNAA_over_tCr"),
        *("left out: maps are enlarged first, ratios formed afterwards", "automatic ▾", ""),
    ]
    window.files.edit_row("Cr+PCr_amp_map.nii", role="leave out")
    window.files.edit_row("NAA+NAAG_amp_map.nii", name="NAA")
    window.files.edit_row("NAA+NAAG_sd_map.nii", name="NAA")
    window.files.edit_row("magnitude.nii", role="t1")
    apply(panel)
    assert set(study(panel).maps) == {"NAA"}
    assert set(study(panel).crlb) == {"NAA"}
    assert study(panel).t1.data.max() > 900
    assert cells(window.files, "magnitude.nii")[1:5] == ["T1", "chosen", "used", "T1 ▾"]
    assert cells(window.files, "Cr+PCr_amp_map.nii")[3] == "left out: left out by choice"
    window.start_over.click()
    finish(panel)
    assert set(study(panel).maps) == {"tNAA", "tCr"}
    assert study(panel).t1 is None


def test_a_role_is_chosen_by_mouse_and_by_keyboard(panel: Any, tmp_path: Path) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QComboBox

    window = opened(panel, of_vienna(tmp_path))
    window.appear()
    settle()
    table = window.files
    number = [row.file for row in table.rows()].index("magnitude.nii")
    place = table.visualItemRect(table.item(number, 4)).center()
    left = Qt.MouseButton.LeftButton
    QTest.mouseClick(table.viewport(), left, Qt.KeyboardModifier.NoModifier, place)
    settle()
    (box,) = table.viewport().findChildren(QComboBox)
    assert box.view().isVisible()
    row = box.model().index(box.findText("FLAIR"), 0)
    place = box.view().visualRect(row).center()
    QTest.mouseMove(box.view().viewport(), place)
    QTest.mouseClick(box.view().viewport(), left, Qt.KeyboardModifier.NoModifier, place)
    settle()
    assert table.rows()[number].role == "flair"
    table.setFocus()
    table.setCurrentCell(number, 4)
    QTest.keyClick(table, Qt.Key.Key_Return)
    settle()
    (box,) = (box for box in table.viewport().findChildren(QComboBox) if box.isVisible())
    QTest.keyClick(box, Qt.Key.Key_Up)
    QTest.keyClick(box, Qt.Key.Key_Return)
    settle()
    assert table.rows()[number].role == "t1"
    assert window.apply.isEnabled()


def test_a_name_is_edited_only_where_it_acts(panel: Any, tmp_path: Path) -> None:
    from qtpy.QtCore import Qt

    table = opened(panel, of_vienna(tmp_path)).files
    files = [row.file for row in table.rows()]

    def editable(file: str) -> bool:
        return bool(table.item(files.index(file), 5).flags() & Qt.ItemFlag.ItemIsEditable)

    assert editable("mask.nii")
    assert not editable("magnitude.nii")
    table.edit_row("magnitude.nii", role="map")
    assert editable("magnitude.nii")
    table.edit_row("magnitude.nii", role="flair")
    assert not editable("magnitude.nii")


# ---------------------------------------------------------------- what cannot be


def test_the_open_study_stays_on_an_error(panel: Any, viewer: Any, tmp_path: Path) -> None:
    window = opened(panel, of_vienna(tmp_path / "P7"))
    case, layers = panel.session.state.case, [layer.name for layer in viewer.layers]
    for name in ("Cr+PCr", "NAA+NAAG"):
        window.files.edit_row(f"{name}_amp_map.nii", name="Lac")
    apply(panel)
    assert "both claim to be the metabolite map of Lac" in window.problem.text()
    assert "both claim to be the metabolite map of Lac" in panel.panel.error.text()
    assert panel.session.state.case is case
    assert [layer.name for layer in viewer.layers] == layers
    assert [row.file for row in window.files.rows() if row.asked] == [
        "Cr+PCr_amp_map.nii",
        "NAA+NAAG_amp_map.nii",
    ]
    window.files.edit_row("Cr+PCr_amp_map.nii", name="tCr")
    apply(panel)
    assert window.problem.isHidden()
    assert set(study(panel).maps) == {"Lac", "tCr"}


def test_a_value_that_is_not_possible_is_said_and_nothing_opens(panel: Any, tmp_path: Path) -> None:
    window = opened(panel, of_vienna(tmp_path))
    case = panel.session.state.case
    inputs(panel, "ftddm_max_crlb").setText("many")
    apply(panel)
    assert "give a number, or leave it empty for no limit" in window.problem.text()
    assert panel.session.state.case is case
    inputs(panel, "ftddm_max_crlb").setText("6")  # every voxel has 7
    assert window.problem.isHidden()
    apply(panel)
    assert "no signal inside the mask" in window.problem.text()
    assert panel.session.state.case is case
    inputs(panel, "ftddm_max_crlb").setText("7,5")
    apply(panel)
    assert panel.session.state.inspection.choices.max_crlb == 7.5
    assert window.problem.isHidden()


def test_what_cannot_act_is_disabled_and_says_why(panel: Any, tmp_path: Path) -> None:
    window = opened(panel, put(tmp_path / "tNAA.nii", metabolite(9)))
    assert inputs(panel, "ftddm_label").isEnabled()
    for name in ("subject", "session", "scale", "mask_threshold", "mask_labels", "crlb_unit",
                 "max_crlb", "min_snr", "max_fwhm", "space"):  # fmt: skip
        found = inputs(panel, f"ftddm_{name}")
        assert not found.isEnabled(), name
        assert found.toolTip(), name
    assert not window.apply.isEnabled()
    assert not window.start_over.isEnabled()
    inputs(panel, "ftddm_label").setText("P7")
    apply(panel)
    assert panel.panel.label.text() == "P7"
    assert window.windowTitle() == "Study: P7"


# ---------------------------------------------------------------- remembered, and the end


def test_choices_of_last_time_are_said_and_can_be_forgotten(panel: Any, tmp_path: Path) -> None:
    window = opened(panel, with_labels(tmp_path))
    check(panel, "2")
    apply(panel)
    assert window.remembered.isHidden()
    panel.session.open(tmp_path)
    finish(panel)
    np.testing.assert_array_equal(trusted(panel), LABELS == 2)
    assert not window.remembered.isHidden()
    window.start_over.click()
    finish(panel)
    assert "which are trusted?" in window.problem.text()
    assert window.remembered.isHidden()


def test_the_panel_closes_with_the_window(panel: Any, viewer: Any, tmp_path: Path) -> None:
    from qtpy.QtWidgets import QApplication

    window = opened(panel, two_sessions(tmp_path))
    assert window.isVisible()
    del window
    viewer.close()
    settle()
    names = [each.objectName() for each in QApplication.topLevelWidgets() if each.isVisible()]
    assert "ftddm_study_panel" not in names


def test_nothing_is_cut_off_in_the_study_panel(panel: Any, tmp_path: Path) -> None:
    window = opened(panel, two_sessions(tmp_path))
    settle()
    table = window.files
    for row in range(table.rowCount()):
        assert table.rowHeight(row) >= table.sizeHintForRow(row)
    assert table.horizontalScrollBar().maximum() == 0
    for button in (window.apply, window.start_over, window.close_it):
        assert button.width() >= button.minimumSizeHint().width()
        assert window.rect().contains(button.geometry())


def test_the_panel_on_a_real_study(panel: Any, shared_data: Path) -> None:
    window = opened(panel, shared_data / "real-mrsi-oryx-K01")
    assert cells(window.files, "tNAA_crlb.nii.gz")[1:4] == [
        "CRLB of tNAA",
        "named like tNAA_crlb",
        "used",
    ]
    assert "14 x 14 x 3" in window.about.text()
    assert "No FLAIR provided: the model can run without it" in window.about.text()


# ---------------------------------------------------------------- where the MRI lies


def test_the_placement_of_the_mri_is_drawn_in_sight_only(panel: Any, tmp_path: Path) -> None:
    put(tmp_path / "tNAA.nii.gz", metabolite(9))
    without = opened(panel, tmp_path)
    without.appear()
    assert without.placement.pixmap().isNull()
    without.hide()
    put(tmp_path / "T1w.nii.gz", metabolite(500))
    window = opened(panel, tmp_path)
    assert window.placement.pixmap().isNull()
    window.appear()
    assert window.placement.pixmap().width() == 600
