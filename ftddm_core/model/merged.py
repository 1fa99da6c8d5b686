"""A trained flow for sampling: constant affine layers merged, condition-dependent terms
precomputed.

The inverse of a step of `flow` consists of the coupling, the injector, W^-1 and the inverse
activation norm. The last two are constant: x = exp(-log_scale) (W^-1 y - shift) is one 1x1
convolution. Scale and shift of every injector, and the conditions' contribution inside every
coupling, depend only on the conditions: one convolution per resolution computes all of them, once
for any number of draws and temperatures. The log-determinants are left out, since sampling does not
need them.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ftddm_core.model.bijections import (
    ActNorm,
    ConditionalCoupling,
    Injector,
    InvertibleConv1x1,
    Sequence,
)
from ftddm_core.model.flow import ConditionalGlow

StepTerms = tuple[Tensor, Tensor, Tensor]
"""Terms of one step: exp(-s) and b exp(-s) of its injector, and the term added in its coupling."""


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Precomputed conditions at a level for a `MergedFlow`, for any number of draws.

    Parameters
    ----------
    mean, deviation
        Of the standardisation, (B, 1, H, W), in units of x_t.
    base
        Mean and deviation of each of the three latents.
    steps
        Terms of every step, the last step first, for each resolution, the finest first.
    """

    mean: Tensor
    deviation: Tensor
    base: list[tuple[Tensor, Tensor]]
    steps: list[list[StepTerms]]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in the order of `of`; the first axis of each is the batch."""
        base = (part for pair in self.base for part in pair)
        steps = (part for level in self.steps for step in level for part in step)
        return self.mean, self.deviation, *base, *steps

    @classmethod
    def of(cls, tensors: Several[Tensor], steps: Several[int]) -> Conditioning:
        """Return the conditioning with these tensors, given the number of steps of each
        resolution, the finest first."""
        left = iter(tensors)
        mean, deviation = next(left), next(left)
        base = [(next(left), next(left)) for _ in steps]
        terms = [[(next(left), next(left), next(left)) for _ in range(n)] for n in steps]
        return cls(mean, deviation, base, terms)

    def of_items(self, index: list[int]) -> Conditioning:
        """Return the conditioning of another batch, given the number in this one of every item."""
        if index == list(range(len(self.mean))):
            return self
        return Conditioning.of(
            [part[index] for part in self.tensors], [len(level) for level in self.steps]
        )


class MergedFlow:
    """Draws x_t like a `ConditionalGlow`, up to rounding, with less computation.

    Parameters
    ----------
    flow
        The flow on its final device and in its final type: later changes have no effect here.

    Raises
    ------
    TypeError
        If its steps are laid out differently from those of `ConditionalGlow`.
    """

    def __init__(self, flow: ConditionalGlow) -> None:
        self.flow = flow
        self._levels = [_Level(cast(Sequence, level)) for level in flow.levels]

    @property
    def steps(self) -> list[int]:
        """The number of steps of each resolution, the finest first."""
        return [level.count for level in self._levels]

    def encode(self, condition: Tensor, t: Tensor, upscale: Tensor) -> Conditioning:
        """Read the conditions; parameters as for `ConditionalGlow.encode`."""
        encoded = self.flow.encode(condition, t, upscale)
        return Conditioning(
            encoded.mean,
            encoded.deviation,
            [(mean, log_deviation.exp()) for mean, log_deviation in encoded.base],
            [
                level.terms(feature)
                for level, feature in zip(self._levels, encoded.features, strict=True)
            ],
        )

    def sample(
        self, normal: Tensor, conditioning: Conditioning, tau_flow: float | Tensor
    ) -> Tensor:
        """Return x_t (B, 1, H, W) for z = mu + sqrt(tau_f) sigma n; see `ConditionalGlow.sample`.

        Parameters
        ----------
        normal
            Standard normal noise n of the grid's shape, (B, 1, H, W).
        conditioning
            The conditions.
        tau_flow
            Temperature: a factor on the variance, 0..1; of all slices or of each, (B, 1, 1, 1).
        """
        scale, latents = tau_flow**0.5, []
        for mean, deviation in conditioning.base:
            normal = functional.pixel_unshuffle(normal, 2)
            own, normal = normal.tensor_split([mean.shape[1]], dim=1)
            latents.append(mean + scale * deviation * own)
        rest = latents.pop()
        for level, steps in reversed([*zip(self._levels, conditioning.steps, strict=True)]):
            rest = functional.pixel_shuffle(level.inverse(rest, steps), 2)
            if latents:
                rest = torch.cat([latents.pop(), rest], dim=1)
        return conditioning.mean + conditioning.deviation * rest


class _Level:
    """The inverse steps of one resolution.

    Attributes
    ----------
    count
        Their number.
    """

    def __init__(self, level: Sequence) -> None:
        layers = [*level.bijections]
        steps = [_parts(layers[first : first + 4]) for first in range(0, len(layers), 4)][::-1]
        self._couplings = [coupling for *_, coupling in steps]
        self._constant = [_constant_inverse(norm, mix) for norm, mix, *_ in steps]
        layers = [layer for *_, injector, c in steps for layer in (injector.affine, c.from_cond)]
        self._weight = torch.cat([layer.weight.detach() for layer in layers])
        self._bias = torch.cat([cast(Tensor, layer.bias).detach() for layer in layers])
        self.count = len(steps)
        self._sizes = [n for *_, i, c in steps for n in _sizes(i.affine, c.from_cond)]

    def terms(self, feature: Tensor) -> list[StepTerms]:
        """Return the condition-dependent terms of every step."""
        parts = functional.conv2d(feature, self._weight, self._bias).split(self._sizes, dim=1)
        found = []
        for raw, shift, added in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            factor = torch.exp(-raw.tanh())
            found.append((factor, factor * shift, added))
        return found

    def inverse(self, y: Tensor, steps: list[StepTerms]) -> Tensor:
        """Undo the steps."""
        for coupling, (weight, bias), (factor, offset, added) in zip(
            self._couplings, self._constant, steps, strict=True
        ):
            y_a, y_b = y.tensor_split([coupling.kept], dim=1)
            h = functional.silu(coupling.from_x(y_a) + added)
            raw, shift = coupling.affine(functional.silu(coupling.hidden(h))).chunk(2, dim=1)
            x_b = (y_b - shift) * torch.exp(-coupling.factor * raw.tanh())
            x = torch.cat([y_a, x_b], dim=1) * factor - offset
            y = functional.conv2d(x, weight, bias)
        return y


def _parts(
    layers: Several[nn.Module],
) -> tuple[ActNorm, InvertibleConv1x1, Injector, ConditionalCoupling]:
    """Return the four bijections of a step."""
    match layers:
        case [ActNorm() as norm, InvertibleConv1x1() as mix, Injector() as injector,
              ConditionalCoupling() as coupling]:  # fmt: skip
            return norm, mix, injector, coupling
    names = ", ".join(type(layer).__name__ for layer in layers)
    raise TypeError(f"A step of the flow is laid out as {names}, which cannot be merged.")


def _constant_inverse(norm: ActNorm, mix: InvertibleConv1x1) -> tuple[Tensor, Tensor]:
    """Return kernel and bias of x = exp(-log_scale) (W^-1 y - shift), in the type of W."""
    place = mix.log_s
    with torch.no_grad():  # once, in float64 on the CPU: not every device supports it
        inverse = torch.linalg.inv(mix.weight().double().cpu())
        scale = torch.exp(-norm.log_scale.double().cpu()).flatten()
        kernel = (scale[:, None] * inverse)[:, :, None, None]
        bias = -scale * norm.shift.double().cpu().flatten()
    return kernel.to(place.dtype).to(place.device), bias.to(place.dtype).to(place.device)


def _sizes(affine: nn.Conv2d, from_cond: nn.Conv2d) -> tuple[int, int, int]:
    half = affine.out_channels // 2
    return half, half, from_cond.out_channels
