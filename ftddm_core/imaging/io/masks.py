"""Which voxels of a map are trusted: what a mask file says, less spikes and failed fits.

A mask is never inverted or guessed: probabilities have a threshold, several labels need a choice,
and a mask that does not fit the signal is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.io.choices import Choices
from ftddm_core.imaging.io.surveyed import ChoiceNeeded, Question
from ftddm_core.imaging.volume import FloatArray, Volume

MOST_LABELS = 50
"""A mask with more whole-number values is no label map."""

LEAST_TRUSTED = 0.05
"""Share of the voxels with signal that a mask should trust."""

LEAST_CUT = 0.2
"""Share of the voxels that are 0 in an image of the brain alone."""

WEAK = 0.1
"""Median signal inside a mask, relative to outside, below which it may be inverted."""

SENTINELS = (-1.0, -9.0, -99.0, -999.0, -9999.0)
"""Values that fitting programs write for a failed fit."""

HIGH_SENTINELS = (999.0, 9999.0, 99999.0)
"""The same, where they are far above the other values."""


def read_mask(mask: Volume, path: Path, choices: Choices) -> tuple[Volume, list[str]]:
    """Return a mask as 0 and 1, and what the user should know about its values.

    Values of 0 and one other number are a mask; values between 0 and 1 are probabilities, trusted
    above the chosen threshold; several whole numbers are labels. An image of the brain alone is a
    mask only if the user says so.

    Raises
    ------
    ChoiceNeeded
        If the mask has several labels and none is chosen, or is an image of the brain alone.
    FormatError
        If the values are neither, or a chosen label does not occur.
    """
    data, labels = _finite(mask), values_of(mask)
    if choices.mask_labels:
        if absent := sorted(set(choices.mask_labels) - {int(v) for v in labels if v == int(v)}):
            raise FormatError(
                f"{path} has no label {absent[0]}; its labels are {_listed(labels[:10])}."
            )
        return _binary(mask, np.isin(data, choices.mask_labels)), []
    if is_plain(labels):
        return _binary(mask, data > 0), []
    if are_probabilities(labels):
        threshold = choices.mask_threshold
        note = f"{path.name} holds probabilities: voxels above {threshold:g} are trusted."
        return _binary(mask, data > threshold), [note]
    if are_labels(labels):
        words = f"{path.name} has the labels {_listed(labels)}: which are trusted?"
        raise ChoiceNeeded(Question("mask_labels", words, tuple(f"{v:g}" for v in labels)))
    words = (
        f"{path} holds values from {data.min():.4g} to {data.max():.4g}, which is neither a mask, "
        "probabilities nor labels"
    )
    if not is_cut_out(data):
        raise FormatError(f"{words}: leave it out, or say what it is.")
    if not choices.role_of(path):
        words += (
            ": it looks like an image of the brain alone. Leave it out, or give it the role of a "
            "mask to trust the voxels in which it is not 0."
        )
        raise ChoiceNeeded(Question("roles", words, (str(path),)))
    note = f"{path.name} is an image: the voxels in which it is not 0 are trusted."
    return _binary(mask, data > 0), [note]


def values_of(mask: Volume) -> FloatArray:
    """Return the values of a mask other than 0, each once, in ascending order."""
    values = np.unique(_finite(mask))
    return np.asarray(values[values != 0])


def is_plain(values: FloatArray) -> bool:
    """Return whether these are the `values_of` a mask of 0 and one other number."""
    return len(values) <= 1


def are_probabilities(values: FloatArray) -> bool:
    """Return whether these are the `values_of` a mask of probabilities, which has a threshold."""
    return not is_plain(values) and bool(((values >= 0) & (values <= 1)).all())


def are_labels(values: FloatArray) -> bool:
    """Return whether these are the `values_of` a mask of labels, of which some are trusted."""
    few_whole = len(values) <= MOST_LABELS and bool((values == np.round(values)).all())
    return few_whole and not is_plain(values)


def is_cut_out(data: NDArray[np.float64]) -> bool:
    """Return whether an image (X, Y, Z) is one from which all but the brain was cut out, such as
    FreeSurfer's brainmask: nowhere negative, and exactly 0 at every corner and in many voxels."""
    corners = data[:: max(1, data.shape[0] - 1), :: max(1, data.shape[1] - 1)]
    return bool(data.min() >= 0 and not corners.any() and np.mean(data == 0) > LEAST_CUT)


def _finite(mask: Volume) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(mask.data, np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _listed(values: Sequence[float] | FloatArray) -> str:
    words = [f"{value:g}" for value in values]
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _binary(mask: Volume, trusted: NDArray[np.bool_]) -> Volume:
    return mask.with_data(trusted.astype(np.float32))


def without(trusted: Volume, removed: Sequence[Volume]) -> Volume:
    """Return a mask without the voxels in which one of the images is not 0; each on its own grid.

    An image that does not overlap the mask removes nothing.
    """
    data = trusted.data > 0
    for image in removed:
        try:
            there = regrid_nearest(image, trusted.shape, trusted.affine).data
        except GeometryError:
            continue
        data &= ~(np.nan_to_num(there) != 0)
    return trusted.with_data(data.astype(np.float32))


def beyond(limit: float, quality: Volume, *, below: bool) -> Volume:
    """Return, as 1, the voxels of a quality map beyond a limit, or without a value."""
    data = quality.data
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(data) | ((data < limit) if below else (data > limit))
    return quality.with_data(bad.astype(np.float32))


def failed_values(data: FloatArray) -> list[float]:
    """Return the values of a map (X, Y, Z) that stand for failed fits, most negative first.

    Negative whole numbers that occur at least twice, or that programs are known to write; 999 and
    its like where they exceed three times the 95th percentile of the rest; and a whole number that
    is the largest value, occurs at least twice, and exceeds that ten times.
    """
    values, counts = np.unique(data[np.isfinite(data)], return_counts=True)
    found = [
        float(value)
        for value, count in zip(values, counts, strict=True)
        if value < 0 and value == round(value) and (count > 1 or value in SENTINELS)
    ]
    rest = values[(values != 0) & ~np.isin(values, found)]
    repeated = values.size and counts[-1] > 1 and values[-1] == np.round(values[-1])
    top = {float(values[-1])} - set(HIGH_SENTINELS) if repeated else set[float]()
    for value, far in (*((v, 3) for v in HIGH_SENTINELS), *((v, 10) for v in top)):
        others = rest[rest != value]
        if value in rest and others.size and value > far * np.percentile(np.abs(others), 95):
            found.append(value)
    return found


def judge(trusted: Volume, signal: NDArray[np.bool_], level: FloatArray, grid: Volume) -> list[str]:
    """Return what is odd about a mask, in view of the signal that it should cover.

    Parameters
    ----------
    trusted
        The mask, on its own grid.
    signal, level
        Voxels of the maps with a value, and their magnitude, both (X, Y, Z).
    grid
        Any of the maps.
    """
    try:
        inside = regrid_nearest(trusted, grid.shape, grid.affine).data > 0
    except GeometryError:
        return []  # refused with its own words when the maps are prepared
    if not inside.any():
        return ["mask trusts no voxel of the maps."]
    share = float(signal[inside].mean())
    words = "mask trusts voxels without signal:"
    if share < 0.5:
        return [f"{words} only {share:.0%} of them have a value; is it inverted?"]
    within, beside = level[inside & signal], level[~inside & signal]
    if beside.size >= 10 and np.median(within) < WEAK * np.median(beside):
        return [f"{words} they hold less than {WEAK:.0%} of that of the others; is it inverted?"]
    covered = float(inside[signal].mean())
    if covered < LEAST_TRUSTED:
        return [f"mask trusts only {covered:.1%} of the voxels with signal."]
    return []
