"""Keyed noise: z = N(0, I) from Philox(blake2b(seed, metabolite, slice, sample, tag)).

A counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) is
keyed by what the noise is for. A slice computed alone, in another batch, in another order or on
another device therefore gets the same noise, and a temperature only scales it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Tag = int | str
"""Purpose of the noise: a timestep t, or ``"flow"``."""


def keyed_normal(
    seed: int, metabolite: str, slice_index: int, sample: int, tag: Tag, shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Draw z ~ N(0, I) from Philox4x64 under a 128-bit key; Salmon et al. 2011.

    Parameters
    ----------
    seed, metabolite, slice_index, sample, tag
        The key: changing any part gives independent noise. ``1`` and ``"1"`` are different tags.
    shape
        Usually (H, W), filled row by row.

    Returns
    -------
    z
        float32, dimensionless, drawn on the CPU.
    """
    # JSON distinguishes numbers from text and escapes separators, so the encoding is unique.
    words = [int(seed), metabolite, int(slice_index), int(sample)]
    text = json.dumps([*words, tag if isinstance(tag, str) else int(tag)])
    digest = hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    return generator.standard_normal(shape, dtype=np.float32)


@dataclass(frozen=True)
class NoiseKey:
    """One slice of one metabolite in one sample: the key without the tag."""

    seed: int
    metabolite: str
    slice_index: int
    sample: int

    def normal(self, tag: Tag, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Draw z ~ N(0, I) for ``tag``: see `keyed_normal`."""
        return keyed_normal(self.seed, self.metabolite, self.slice_index, self.sample, tag, shape)


def batch_normal(
    keys: Sequence[NoiseKey], tag: Tag, shape: tuple[int, int], device: torch.device | str = "cpu"
) -> Tensor:
    """Draw z ~ N(0, I) of shape (B, 1, H, W), one key per item: see `keyed_normal`.

    Raises
    ------
    ValueError
        For an empty batch, which has no noise to draw.
    """
    if not keys:
        raise ValueError("batch_normal needs at least one NoiseKey, found none")
    return torch.from_numpy(np.stack([key.normal(tag, shape) for key in keys])[:, None]).to(device)
