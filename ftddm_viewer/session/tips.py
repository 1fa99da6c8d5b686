"""Tooltips of what is neither a setting nor an action, in words for clinicians."""

from __future__ import annotations

from collections.abc import Mapping

from ftddm_viewer.session.figures_explained import explained
from ftddm_viewer.session.pace import in_words

TIPS: Mapping[str, str] = {
    "open": "Open the folder of a study: metabolite maps, and mask, T1 and FLAIR if there are any. "
    "Nothing is written there.",
    "files": "Every file of the study, what it was taken for, and why.",
    "reopen": "Open a kept session: the same study, image and display, and what has changed since.",
    "sample": "Open a simulated patient whose true maps are known, to try things out.",
    "mode": "Enlarge: make the maps sharper than they were measured; nobody knows the truth. "
    "Degrade and restore: make them coarser on purpose, so that the result can be compared with "
    "the original.",
    "metabolite": "Which metabolite's map is shown.",
    "live": "Recompute the image whenever a control moves.",
    "update_now": "Compute the image with the settings as they are now.",
    "input": "Show what was measured, zero-filled to the output's matrix: nothing is added.",
    "output": "Show the model's map.",
    "reference": "Show the original, which the input was degraded from.",
    "volume": "Compute all slices of all metabolites with these settings, as is needed for saving.",
    "cancel": "Stop computing; images that are done stay.",
    "save": "Write the whole volume as NIfTI, each map with a record of how it was made.",
    "unfill": "The maps were enlarged before they came here; start from what was acquired.",
    "link": "Input, output and reference share limits, colours and gamma, so that equal colours "
    "are equal values.",
    "show_all": "Switch between all detail that the model drew and the share that the self-check "
    "supports. Detail beyond that share may be wrong.",
    "metrics": explained("PSNR", "SSIM", "k-space residual"),
    "check": explained("Self-check gain"),
}
"""Name of a part -> its tooltip."""

TELLING = 30.0
"""In s: work that takes longer says how long."""


def volume_tip(seconds: float) -> str:
    """Return the tooltip of what computes a whole volume, which takes so long."""
    told = f" Takes {in_words(seconds)} here." if seconds > TELLING else ""
    return f"{TIPS['volume']}{told}"
