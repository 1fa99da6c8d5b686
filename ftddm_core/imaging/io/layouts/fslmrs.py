"""Results of FSL-MRS (`fsl_mrsi`): one folder each for amplitudes, uncertainties and quality."""

from __future__ import annotations

from collections.abc import Sequence

from ftddm_core.imaging.io.layouts.layout import Found, Layout, Reading, Rule
from ftddm_core.imaging.io.roles import Role

SCALES = ("molarity", "molality", "internal", "raw")
"""Scales of `concs`, the preferred one first."""

RULES = (
    Rule(
        r".*/concs/(?P<choice>[^/]+)/(?P<name>[^/]+)",
        Role.MAP,
        "concs/molarity/NAA+NAAG",
    ),
    Rule(r".*/uncertainties/(?P<name>[^/]+)_sd", Role.CRLB, "uncertainties/NAA+NAAG_sd"),
    Rule(r".*/qc/(?P<name>[^/]+)_snr", Role.SNR, "qc/NAA+NAAG_snr"),
    Rule(r".*/qc/(?P<name>[^/]+)_fwhm", Role.FWHM, "qc/NAA+NAAG_fwhm"),
    Rule(r".*/(?:nuisance|misc)/[^/]+", Role.NUISANCE, "nuisance/p0"),
    Rule(r".*/fit/(?:fit|baseline|residual)", Role.SPECTRA, "fit/baseline"),
    Rule(r".*/summary/[^/]+", Role.UNKNOWN, "summary/NAA"),
)


def _claims(files: Sequence[Found]) -> bool:
    return any(RULES[0].match(file) or RULES[1].match(file) for file in files)


def _rank(file: Found, reading: Reading) -> int:
    if reading.role is not Role.MAP:
        return reading.rank
    scale = reading.choice.casefold()
    return SCALES.index(scale) if scale in SCALES else len(SCALES)


FSLMRS = Layout(
    "FSL-MRS",
    "Folders `concs/<scale>`, `uncertainties`, `qc` and `nuisance`.",
    _claims,
    RULES,
    _rank,
    own_maps=True,
)
