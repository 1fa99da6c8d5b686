"""What the self-check found, in one line that is the same everywhere: on screens and in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ftddm_core.sampling.self_check import SelfCheck
from ftddm_core.sampling.weighting import Weighting


def check_line(
    check: SelfCheck | None, weights: Mapping[str, Weighting], done: float | None = None
) -> str:
    """Return what the self-check found, and what is shown.

    Parameters
    ----------
    check
        None where it was not made yet.
    weights
        Metabolite -> what its map is shown with.
    done
        Share of the check that is done, 0..1, while it is being made.
    """
    shown = f"MRI weight {_range(w.mri_weight for w in weights.values())}, "
    shown += f"detail {_range(w.detail for w in weights.values())}"
    if check is None:
        under_way = f", {done:.0%} done" if done else ""
        return f"Self-check: not checked yet{under_way}; {shown}."
    if check.reason:
        return f"Self-check: not possible, {check.reason.rstrip('.')}; {shown}."
    return (
        f"Self-check: {_found(check)}; {shown}; {check.within:.0%} of the voxels within the "
        f"samples' range ({check.expected_within:.0%} expected)."
    )


def _found(check: SelfCheck) -> str:
    """Return the gain in words, as a warning where there is none."""
    mean = _gain(check.mean_gain)
    if not check.warned:
        return f"{mean} over zero-filling"
    maps = ", ".join(f"{name} {_gain(check.gain(name))}" for name in check.worse)
    if check.mean_gain < 0:
        named = f" ({maps})" if maps else ""
        return f"WARNING, the model does worse than zero-filling on this study: {mean}{named}"
    return f"WARNING, the model does worse than zero-filling for {maps}; {mean} over all maps"


def _gain(decibel: float) -> str:
    return f"{decibel:+.1f} dB".replace("-", "\N{MINUS SIGN}")


def _range(values: Iterable[float]) -> str:
    """Return a number, or the least and the largest."""
    found = sorted({f"{round(value, 2):.10g}" for value in values}, key=float)
    if not found:
        return "1"
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def check_record(check: SelfCheck | None, metabolite: str) -> dict[str, object]:
    """Return what a sidecar keeps of the self-check of a map; numbers that JSON can hold."""
    if check is None:
        return {"Reason": "not checked"}
    if check.reason:
        return {"Reason": check.reason}
    return {
        "Gain_dB": _rounded(check.gain(metabolite)),
        "MeanGain_dB": _rounded(check.mean_gain),
        "MriWeight": check.mri_weight,
        "DetailShares": {
            f"{weight:g}": _rounded(found[metabolite])
            for weight, found in check.shares.items()
            if metabolite in found
        },
        "Within": _rounded(check.within),
        "ExpectedWithin": _rounded(check.expected_within),
    }


def _rounded(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
