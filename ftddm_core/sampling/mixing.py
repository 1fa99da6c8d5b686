"""What the networks draw with the MRI and without it, mixed by the MRI weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ftddm_core.conventions import channel


class Mixing:
    """The conditions with and without MRI, and the mixing of their results.

    Attributes
    ----------
    weights
        MRI weight of each slice; 1 if no slice has MRI anyway.
    stacked
        The conditions (B or 2B, 5, H, W) that the denoiser needs: with MRI, without, or both.
    count
        How many of them there are for a slice: 1 or 2.
    """

    def __init__(self, channels: Tensor, weights: Sequence[float]) -> None:
        bare = channels.clone()
        bare[:, [channel("t1"), channel("flair")]] = 0
        if torch.equal(bare, channels):
            weights = [1.0] * len(channels)
        self.weights = tuple(weights)
        self._both = {True: channels, False: bare}
        self._weight = torch.tensor(weights, device=channels.device)[:, None, None, None]
        self._needed = [guided for guided in (True, False) if self._needs(guided)]
        needed = [self._both[guided] for guided in self._needed]
        self.stacked = needed[0] if len(needed) == 1 else torch.cat(needed)
        self.count = len(needed)

    def of(self, items: Sequence[int]) -> Mixing:
        """Return the conditions of some slices."""
        if len(items) == len(self.weights):
            return self
        return Mixing(self._both[True][items], [self.weights[item] for item in items])

    def _needs(self, guided: bool) -> bool:
        return any(weight > 0 if guided else weight < 1 for weight in self.weights)

    def channels(self, guided: bool) -> Tensor:
        """Return the conditions (B, 5, H, W) with or without MRI."""
        return self._both[guided]

    def mixed(self, make: Callable[[bool], Tensor]) -> Tensor:
        """Return the results of `make(guided)` with and without MRI, mixed by the weights."""
        made = [make(guided) for guided in self._needed]
        return made[0] if len(made) == 1 else self.mix(*made)

    def mix(self, guided: Tensor, bare: Tensor) -> Tensor:
        """Return bare + weight (guided - bare)."""
        return bare + self._weight * (guided - bare)
