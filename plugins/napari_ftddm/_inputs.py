"""One magicgui widget for one control, with the manners that all inputs of the panel have."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSlider, Slider, SpinBox
from magicgui.widgets.bases import BaseValueWidget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QSlider, QWidget

from ftddm_core.settings import Control
from napari_ftddm._number import WIDE, NumberEdit
from napari_ftddm._parts import EitherSign, ignore_stray_wheel

QT_INT_MAX = 2**31 - 1
BEYOND = 2**62
"""What a box for large numbers takes: more than is allowed, so that the settings refuse it."""


def widget_of(control: Control) -> BaseValueWidget[Any]:
    """Return the magicgui widget that fits a control's type, bounds and choices."""
    made = _made(control)
    _name_parts(made.native, control)
    return made


def tooltip(control: Control, reason: str = "") -> str:
    """Return a control's symbol, unit and help, after the reason why it cannot act, if any."""
    unit = f" in {control.unit}" if control.unit not in ("", "×") else ""
    words = f"<b>{control.symbol}</b>{unit}. {control.help}"
    return f"<p><b>{reason}</b> {words}</p>" if reason else f"<p>{words}</p>"


def _made(control: Control) -> BaseValueWidget[Any]:
    about: dict[str, Any] = {
        "name": control.name, "label": control.label, "tooltip": tooltip(control)
    }  # fmt: skip
    if control.choices:
        choices = [(choice.replace("_", " "), choice) for choice in control.choices]
        return ComboBox(choices=choices, **about)
    if control.type is bool:
        return CheckBox(**about)
    low, high = control.bounds or (0, 1)
    step, whole = control.step or 1, control.type is int
    if high > QT_INT_MAX:
        return SpinBox(min=int(low), max=BEYOND, **about)
    if control.optional or (whole and high - low >= WIDE):
        value = None if control.optional else low
        about |= {"whole": whole, "empty": control.empty}
        return NumberEdit(value, min=low, max=high, step=step, **about)
    slider = Slider if whole else FloatSlider
    return slider(min=low, max=high, step=step, **about)


def _name_parts(native: QWidget, control: Control) -> None:
    """Name the Qt widgets that a control consists of, and finish each as its kind needs."""
    kinds: dict[type, str] = {
        QSlider: "",
        QComboBox: "",
        QCheckBox: "_empty",
        QAbstractSpinBox: "_box",
    }
    for kind, suffix in kinds.items():
        if isinstance(native, kind):
            parts, suffix = [native], ""
        else:
            parts = list(native.findChildren(kind))
        for part in parts:
            if part.isHidden() and part is not native:
                continue  # a slider beside a box of its own hides the one that it brings
            part.setObjectName(control.name + suffix)
            part.setAccessibleName(control.label)
            _finish(part, control, beside_slider=part is not native)


def _finish(part: Any, control: Control, *, beside_slider: bool) -> None:
    if not isinstance(part, QCheckBox):
        ignore_stray_wheel(part)
    if isinstance(part, QSlider):
        part.setPageStep(max(1, (part.maximum() - part.minimum()) // 20))
        part.setMinimumWidth(80)
        row: Any = part.parentWidget()
        row.layout().setContentsMargins(0, 0, 0, 0)
    elif isinstance(part, QComboBox):  # may be narrower than its longest entry
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        part.setSizeAdjustPolicy(policy)
        part.setMinimumContentsLength(8)
    elif isinstance(part, QAbstractSpinBox):
        _finish_box(part, control, beside_slider=beside_slider)


def _finish_box(box: Any, control: Control, *, beside_slider: bool) -> None:
    box.setKeyboardTracking(False)
    box.lineEdit().setValidator(EitherSign(box))
    if control.unit in ("×", "%"):
        box.setSuffix(control.unit if control.unit == "×" else " %")
    if beside_slider:
        box.setStyleSheet("")
        box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        box.setAlignment(Qt.AlignmentFlag.AlignRight)
        # magicgui hears of arrow keys in a slider's own box only once the box is left.
        box.valueChanged.connect(lambda _: box.editingFinished.emit() if box.hasFocus() else None)
