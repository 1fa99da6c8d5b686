"""Output of LCModel: one `.table` a voxel, or a spreadsheet a slice, beside a reference image."""

from __future__ import annotations

from collections.abc import Sequence

from ftddm_core.imaging.io.layouts.layout import Found, Layout, Rule
from ftddm_core.imaging.io.roles import Role

ENDINGS = (".table", ".csv")

RULES = (
    Rule(r".*\.table", Role.MAP, "csi_sl1_4-7.table"),
    Rule(r".*\.csv", Role.MAP, "slice1.csv"),
)


def is_table(file: Found) -> bool:
    """Return whether a file stands for the tables of its folder."""
    return file.path.suffix.lower() in ENDINGS


def _claims(files: Sequence[Found]) -> bool:
    return any(map(is_table, files))


LCMODEL = Layout(
    "LCModel",
    "One `.table` a voxel or one `.csv` a slice, beside an image of the same matrix that places "
    "them, or `study.json`.",
    _claims,
    RULES,
    also=(Role.CRLB, Role.SNR, Role.FWHM),
)
