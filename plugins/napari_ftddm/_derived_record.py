"""What is written of a derived layer: its values on the study's grid, and what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import Volume
from ftddm_core.saving.notice import NOTICE, RESEARCH_ONLY
from ftddm_core.saving.results import Output
from ftddm_viewer.session.derived import compared
from ftddm_viewer.session.reliability import LEAST, judged_by
from ftddm_viewer.session.state import View

OF_THE_OUTPUT = ("difference", "detail")
"""Roles of the layers that need the whole output."""

DERIVED = (*OF_THE_OUTPUT, "flow", "estimate", "veil")

OF_THE_MAP = ("Statistic", "KSpaceResidual")
"""Entries of an output's record that are not those of a layer made from it."""


def derived_output(known: dict[str, Any], output: Output | None) -> Output:
    """Return the image of a derived layer and its record.

    It is 0 outside the mask, as maps are, and NaN in slices that were not computed.

    Parameters
    ----------
    known
        The layer's metadata.
    output
        The whole output, of the roles that need it.

    Raises
    ------
    FormatError
        If no slice was computed.
    """
    role, view = str(known["role"]), known["view"]
    record: dict[str, Any] = {
        "Notice": f"{RESEARCH_ONLY}." if role == "veil" else NOTICE,
        "Role": role,
        "Definition": _definition(known, view),
    }
    if role == "veil":
        record |= {"Metabolite": known["metabolite"], "Unit": "none"}
        record["Limit_percent"] = known["display"].limit
        return Output(replace(_values(known, range(view.prepared.n_slices)), unit=""), record)
    if output is not None:
        record |= {key: each for key, each in output.record.items() if key not in OF_THE_MAP}
        values = _values(known, range(view.prepared.n_slices))
        return Output(output.volume.with_data(values.data), record)
    name, n_slices = known["metabolite"], view.prepared.n_slices
    images = [view.images.get((name, k)) for k in range(n_slices)]
    computed = [k for k, image in enumerate(images) if image is not None and image.start]
    if not computed:
        raise FormatError(
            "No slice of this layer was computed with the current settings: show it, then save it."
        )
    weights = known["model"].load().weights
    record |= {
        "Metabolite": name,
        "Unit": known["unit"] or "as the input",
        "EffectiveUpscale": view.prepared.conditions[name].upscale,
        "Settings": view.settings.to_dict(),
        "MriWeight": view.mri_weight,
        "Sample": 0,
        "SlicesComputed": computed,
        "Weights": {"Name": weights.name, "SHA256": weights.digest},
        "Inputs": dict(view.prepared.case.inputs),
    }
    return Output(_values(known, computed), record)


def _definition(known: dict[str, Any], view: View) -> str:
    judge = judged_by(view, known["metabolite"], known["display"])
    return {
        "difference": compared(view).replace("−", "-"),
        "detail": "output - estimate from the measurement alone",
        "flow": "x at T_trunc, where the denoising starts: noisy, not a map",
        "estimate": "first estimate of x0 from x at T_trunc",
        "veil": f"1 - reliability by {judge}: 1 up to the limit, else max({LEAST:g}, limit / (2 "
        f"error)); {LEAST:g} for failed fits",
    }[str(known["role"])]


def _values(known: dict[str, Any], computed: Any) -> Volume:
    """Return what was given to a layer on the study's grid, with its unit."""
    restored: Volume = known["frame"].restore(known["volume"])
    condition = known["view"].prepared.conditions[known["metabolite"]]
    data = restored.data.astype(np.float32)
    for k in computed:
        data[..., k] = np.where(condition.mask[..., k], data[..., k], 0)
    made: Volume = condition.volume(data)
    return made
