"""Arrays of the research code of Dong et al. 2025: `Met_filtered/NAA.npy`, `MRI_sliced`."""

from __future__ import annotations

from collections.abc import Sequence

from ftddm_core.imaging.io.layouts.layout import Found, Layout, Rule
from ftddm_core.imaging.io.layouts.plain import BOUND_RULES, MASK_RULES
from ftddm_core.imaging.io.roles import Role

MAPS, MRI = "Met_filtered", "MRI_sliced"

RULES = (
    Rule(rf".*/{MRI}/t1(?:_sliced)?", Role.T1, f"{MRI}/T1_sliced"),
    Rule(rf".*/{MRI}/flair(?:_sliced)?", Role.FLAIR, f"{MRI}/flair_sliced"),
    Rule(rf".*/{MRI}/[^/]+", Role.OTHER_MRI, f"{MRI}/T2_sliced"),
    *MASK_RULES,
    *BOUND_RULES,
    Rule(rf".*/{MAPS}/(?P<name>[^/]+)", Role.MAP, f"{MAPS}/Cr+PCr"),
)


def _claims(files: Sequence[Found]) -> bool:
    return any(f.path.suffix == ".npy" and f.path.parent.name == MAPS for f in files)


RESEARCH = Layout(
    "research code of Dong et al. 2025",
    f"Arrays (Z, X, Y) in folders `{MAPS}` and `{MRI}`.",
    _claims,
    RULES,
)
