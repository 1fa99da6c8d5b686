"""Literature values of the quantities in `ftddm_core.phantom.report`.

Ratios are group medians or means; single patients differ. Ranges are given where sources disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

POUWELS = "Pouwels & Frahm 1998, doi 10.1002/mrm.1910390110"
POUWELS_AND_7T = f"{POUWELS}; the lower value: 7 T"
GLYCINE = "doi 10.1002/mrm.24368; the lower value: 7 T patients' white matter"
SEVEN_TESLA = "7 T, 3.4 mm, PMC10246065"
GLIOMA = "high-grade glioma at 7 T, medians, doi 10.3390/cancers16050943"
QUALITY = "published maps at 7 T, typical; SNR = 100 / CRLB in %"
TEXTBOOK = "textbook"


@dataclass(frozen=True)
class Reference:
    """A value or range from the literature; an end of None is open.

    Parameters
    ----------
    low, high
        Ends of the range, equal for a single value.
    source
        Source.
    """

    low: float | None
    high: float | None
    source: str

    def __str__(self) -> str:
        """Return the value as a table shows it.

        >>> print(Reference(0.2, 0.2, ""), Reference(3, 8, ""), Reference(None, 1, ""), sep=", ")
        0.2, 3–8, below 1
        """
        if self.low == self.high:
            return f"{self.low:g}"
        if self.low is None:
            return f"below {self.high:g}"
        return f"above {self.low:g}" if self.high is None else f"{self.low:g}–{self.high:g}"


def _ratios(place: str, source: str, **values: float) -> dict[str, Reference]:
    return {f"{place} {name}/tNAA": Reference(v, v, source) for name, v in values.items()}


LITERATURE: dict[str, Reference] = {
    "grey/white tNAA": Reference(1.12, 1.12, SEVEN_TESLA),
    "grey/white tCr": Reference(1.20, 1.20, SEVEN_TESLA),
    "grey/white tCho": Reference(0.96, 0.96, SEVEN_TESLA),
    "grey/white Ins": Reference(0.99, 0.99, SEVEN_TESLA),
    "grey/white Glu": Reference(1.29, 1.29, POUWELS),
    "grey/white Gln": Reference(1.86, 2.36, POUWELS_AND_7T),
    "grey/white Gly": Reference(1.8, 11, GLYCINE),
    **_ratios("hotspot", GLIOMA, Gln=0.61, Gly=0.28, Ins=1.15, tCho=0.48),
    **_ratios("peritumoral", GLIOMA, Gln=0.38, Gly=0.20, Ins=1.06, tCho=0.38),
    **_ratios("white", GLIOMA, Gln=0.16, Gly=0.07, Ins=0.54, tCho=0.20),
    **{f"SNR {n}": Reference(12, 33, QUALITY)
       for n in ("tNAA", "tCr", "tCho", "Glu", "Gln", "Ins", "Gly")},
    "failing voxels (%)": Reference(25, 25, "published maps at 7 T, a quarter"),
    "T1w grey/white": Reference(None, 1, TEXTBOOK),
    "T1w grey brighter (% of patients)": Reference(0, 0, TEXTBOOK),
    "FLAIR grey/white": Reference(1, None, TEXTBOOK),
}  # fmt: skip
"""Quantity of the report -> its reference; other quantities have none."""
