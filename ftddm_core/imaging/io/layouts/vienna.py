"""Maps of the Vienna MRSI pipeline: `*_amp_map`, `*_sd_map` (CRLB in per cent), `*_ratio_map`."""

from __future__ import annotations

from collections.abc import Sequence

from ftddm_core.imaging.io.layouts.layout import Found, Layout, Rule
from ftddm_core.imaging.io.roles import Role

RULES = (
    Rule(r"(?P<name>.+)_amp(?:_map)?", Role.MAP, "NAA+NAAG_amp_map"),
    Rule(r"(?P<name>.+)_(?:sd|crlb)(?:_map)?", Role.CRLB, "NAA+NAAG_sd_map"),
    Rule(r"(?P<name>.+)_ratio(?:_map)?", Role.RATIO, "NAA+NAAG_ratio_map"),
    Rule(r"(?:0_)?pha(?:se)?(?:_.*)?|shift(?:_.*)?", Role.NUISANCE, "0_pha_map"),
)


def _claims(files: Sequence[Found]) -> bool:
    return any(RULES[0].match(file) for file in files)


VIENNA = Layout(
    "Vienna pipeline",
    "Endings `_amp_map`, `_sd_map` and `_ratio_map` after the metabolite.",
    _claims,
    RULES,
    own_maps=True,
)
