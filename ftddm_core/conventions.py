"""Constants and names shared by settings, networks and sampling; no heavy imports."""

from __future__ import annotations

N_TRAIN_STEPS = 1000
"""T: number of noise levels of the full diffusion model."""

UPSCALE_BOUNDS = (2, 8)
"""Range of s that the networks are trained for."""

TRAINED_METABOLITES = ("tNAA", "tCr", "tCho", "Glu", "Gln", "Ins", "Gly")
TRAINED_VOXELS_MM = (2.5, 10.0)
"""In-plane voxels of the maps that the networks learned to make."""
TRAINED_MATRICES = (14, 80)
"""Their smallest and largest matrix, in voxels per axis."""
TRAINED_SLICES_MM = (3.0, 12.0)
"""Their slice thickness."""
TRAINED_FIELD_T = (6.5, 7.5)
"""Field strength in T at which the levels, contrasts and noise of the simulated maps were
published."""

CHANNELS = ("lowres", "mask", "t1", "flair", "inside")
"""Order of the condition's channels; an absent MRI is a channel of zeros. `inside` is 0 outside the
mask. For a map that was masked before truncation, it is the least-squares map inside the mask
(`imaging.support`), which is far closer to the truth than the zero-filled map. For a scan, whose
signal outside the mask cannot be separated, it is the zero-filled map."""


def channel(name: str) -> int:
    """Return a channel's position.

    >>> channel("mask")
    1
    """
    return CHANNELS.index(name)


def channel_slice(name: str) -> slice:
    """Return a channel's position as a slice of length one, which keeps the axis."""
    first = channel(name)
    return slice(first, first + 1)
