"""Numbers and names that settings, networks and sampling agree on; importing them loads nothing."""

from __future__ import annotations

N_TRAIN_STEPS = 1000
"""T: number of noise levels of the full diffusion model."""

UPSCALE_BOUNDS = (2, 8)
"""Of s: what the networks are trained for."""

CHANNELS = ("lowres", "mask", "t1", "flair", "inside")
"""Order of the condition's channels; an absent MRI is a channel of zeros. `inside` is 0 outside the
mask. Of a map that was masked before it was truncated it is the one that explains it best
(`imaging.support`): the mask tells far more than zero-filling shows. A scan's signal outside the
mask cannot be told apart so; there it is the zero-filled map."""


def channel(name: str) -> int:
    """Return a channel's position.

    >>> channel("mask")
    1
    """
    return CHANNELS.index(name)


def channel_slice(name: str) -> slice:
    """Return a channel's position as a range of one, which keeps the axis."""
    first = channel(name)
    return slice(first, first + 1)
