r"""Data consistency: the update that holds a map to its measurement, for a batch of slices.

With the measurement y = w (T x + n) of `measurement`, n ~ N(0, Sigma), and a model with estimates
x0 inside the mask m and u outside, whose independent errors have variance C, the combined mean is

.. math::  x_0 + K(C)\, (y - T (m x_0 + u)), \quad
           K(C) = C T^\top (T C T^\top + \Sigma)^{-1}.

A sample is also shifted by :math:`K(C_n)\, \sqrt\tau\, n'` with n' ~ N(0, Sigma), a draw of the
noise; without it, all samples would agree on the measurement as if it had no noise. C is the total
error of the model, most of which its samples share; C_n is the part by which they differ. If the
two were equal, x_0 ~ N(., C) would give the exact posterior; since samples differ less than the
model's error, K(C) would add too much noise, above all where the mask makes voxels nearly
indistinguishable to T.

The update is applied after every call of the denoiser, before the step, as in DDNM (Wang et al.
2023), PiGDM (Song et al. 2023) and DDRM (Kawar et al. 2022); there C follows from the schedule's
noise, here it is the model's own error. The matrix to invert has one row per acquired voxel; its
Cholesky factor is computed once per slice, for any number of samples, settings and steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from torch import Tensor

from ftddm_core.imaging.window import Window
from ftddm_core.sampling.measurement import Measurement, truncation

EXACT_DEVIATION = 3e-4
"""Standard deviation of the noise, in units of `scale`, for exact consistency: the limit Sigma -> 0
in float32. It leaves out components of y that hardly depend on x because of the mask."""

FACTORED_TOGETHER = 2**23
"""Number of matrix entries that are factored at a time: 64 MB as doubles."""


class Consistency:
    """The update of some slices; float32, on the unpadded output grid.

    Parameters
    ----------
    measurements, slices
        Measurement and slice of each item of the batch; all on the same two grids.
    device
        Device of the update.
    exact
        Whether to assume zero noise.

    Attributes
    ----------
    beside
        T of the inferred signal outside the mask, (B, nx, ny), from the last `correct`.
    """

    def __init__(
        self,
        measurements: Sequence[Measurement],
        slices: Sequence[int],
        device: torch.device,
        *,
        exact: bool = False,
    ) -> None:
        self.exact = exact
        first = measurements[0]
        # Doubles, which Apple's GPU does not support: a float32 factorisation fails at low noise.
        place = torch.device("cpu") if device.type == "mps" else device
        rows, columns = (
            torch.from_numpy(truncation(n, n_out)).to(place)
            for n, n_out in zip(first.acquired, first.mask.shape[:2], strict=True)
        )

        pairs = list(zip(measurements, slices, strict=True))
        unique = list(dict.fromkeys(pairs))

        def stacked(name: str) -> Tensor:
            own = [getattr(m, name)[..., k] for m, k in unique]
            return torch.from_numpy(np.stack(own)).to(place, torch.float64)

        def kept(tensor: Tensor) -> Tensor:
            return tensor.to(torch.float32).to(device)

        window = None
        if any(m.window is not None for m, _ in unique):
            weights = [(m.window or Window()).weights(m.acquired) for m, _ in unique]
            window = torch.from_numpy(np.stack(weights)).to(place, torch.float64)
        m, w, deviation, u = (stacked(name) for name in ("mask", "w", "deviation", "outside"))
        if exact:
            deviation = torch.full_like(deviation, EXACT_DEVIATION)
        inside, beside = (
            torch.tensor([getattr(item, name) for item, _ in unique], dtype=torch.float64).to(place)
            for name in ("model_variance", "outside_variance")
        )
        variance = torch.where(m > 0, inside[:, None, None], beside[:, None, None])
        spread = torch.tensor([m.spread for m, _ in unique], dtype=torch.float64).to(place)
        together = max(1, FACTORED_TOGETHER // (w[0].numel() ** 2))
        each_window = [None] * len(unique) if window is None else window.split(together)
        split = zip(*(x.split(together) for x in (variance, w, deviation, spread)), strict=True)
        factors = [
            [kept(factor) for factor in _factors(rows, columns, own, *part)]
            for own, part in zip(each_window, split, strict=False)
        ]
        self._factor, self._factor_of_spread = (
            torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*factors, strict=True)
        )
        self._rows, self._columns = kept(rows), kept(columns)
        self._window = None if window is None else kept(window)
        self._mask, self._w, self._variance = kept(m), kept(w), kept(variance)
        self._y, self._deviation = kept(stacked("y")), kept(w * deviation)
        self._seen = kept(_windowed(rows @ u @ columns.T, window))
        self._spread = kept(spread)[:, None, None]
        self._drawn = torch.zeros_like(self._mask)
        self.beside = self._seen
        self._of_slice = torch.arange(len(unique), device=device)[:, None]
        if len(unique) < len(pairs):
            self._repeat([unique.index(pair) for pair in pairs])

    def of_items(self, index: Sequence[int]) -> Consistency:
        """Return the update of another batch of these slices, which shares their factors.

        Parameters
        ----------
        index
            The slice of every item of that batch, as its number in this one.
        """
        other = copy(self)
        if list(index) != list(range(len(self._mask))):
            other._repeat(index)
        return other

    def _repeat(self, index: Sequence[int]) -> None:
        chosen = torch.tensor(index, device=self._mask.device)
        if self._window is not None:
            self._window = self._window[chosen]
        for name in ("_mask", "_w", "_variance", "_y", "_deviation", "_seen", "_spread", "_drawn"):
            setattr(self, name, getattr(self, name)[chosen])
        self.beside = self._seen
        self._of_slice = _items_of(chosen, len(self._factor))

    @property
    def nbytes(self) -> int:
        """Memory of the factors in bytes; the rest is small."""
        return int(self._factor.nbytes + self._factor_of_spread.nbytes)

    def draw(self, normal: Tensor | None, tau: float | Tensor) -> None:
        """Shift x by K(C_n) sqrt(tau) n' from now on.

        Parameters
        ----------
        normal
            z ~ N(0, I), (B, nx, ny), the source of n'; None for no shift.
        tau
            Temperature, of all items or of each, (B, 1, 1).
        """
        if normal is None or self.exact:
            self._drawn = torch.zeros_like(self._mask)
            return
        noise = tau**0.5 * self._deviation * normal
        self._drawn = self._spread * self._pulled(noise, self._factor_of_spread)

    def correct(self, x0: Tensor, *, keep: bool = False) -> Tensor:
        """Return m x0 after the update, shape (B, Nx, Ny); with `keep` only `beside` is updated."""
        x0 = self._mask * x0
        difference = self._w * (self._y - self._seen - self._acquire(x0))
        pulled = self._pulled(difference, self._factor) + self._drawn
        inside = self._mask * pulled
        self.beside = self._seen + self._acquire(pulled - inside)
        corrected: Tensor = x0 if keep else x0 + inside
        return corrected

    def explained(self, x0: Tensor) -> Tensor:
        """Return T (m x0 + inferred signal outside), (B, nx, ny): the scan predicted by x0."""
        return self._acquire(self._mask * x0) + self.beside

    def _pulled(self, difference: Tensor, factor: Tensor) -> Tensor:
        """Return C T' w (...)^-1 of a difference (B, nx, ny), with the inverse given by its
        factor."""
        values, items = difference.flatten(1), self._of_slice
        solved = torch.empty_like(values)
        solved[items] = torch.cholesky_solve(values[items].mT, factor).mT
        pulled: Tensor = self._variance * self._adjoint(self._w * solved.view_as(difference))
        return pulled

    def _acquire(self, x: Tensor) -> Tensor:
        """Return T x."""
        return _windowed(self._rows @ x @ self._columns.T, self._window)

    def _adjoint(self, v: Tensor) -> Tensor:
        """Return T' v."""
        spread: Tensor = self._rows.T @ _windowed(v, self._window) @ self._columns
        return spread


def _items_of(index: Tensor, count: int) -> Tensor:
    """Return the items of every slice, (slices, most items of one); repeated where there are fewer.

    Parameters
    ----------
    index
        The slice of every item, (B,).
    count
        Number of slices.
    """
    own = [torch.nonzero(index == one)[:, 0] for one in range(count)]
    most = max(map(len, own))
    return torch.stack([torch.cat([items, items[:1].expand(most - len(items))]) for items in own])


def _factors(
    rows: Tensor,
    columns: Tensor,
    window: Tensor | None,
    variance: Tensor,
    w: Tensor,
    sd: Tensor,
    spread: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the Cholesky factors (B, n, n), n = nx ny, of w T C T' w + Sigma, for C and for C_n.

    The diagonal is 1 where w is 0. C_n is C times `spread`, (B,).
    """
    held = w.flatten(1)
    gram = held[:, :, None] * _gram(rows, columns, variance, window) * held[:, None, :]
    diagonal = torch.diag_embed(
        torch.where(held > 0, sd.flatten(1).square(), torch.ones_like(held))
    )
    factor: Tensor = torch.linalg.cholesky(gram + diagonal)
    of_spread: Tensor = torch.linalg.cholesky(spread[:, None, None] * gram + diagonal)
    return factor, of_spread


def _gram(rows: Tensor, columns: Tensor, variance: Tensor, window: Tensor | None) -> Tensor:
    """Return T C T' (B, n, n) for variances (B, Nx, Ny).

    T is a product of one matrix per axis, so the sum over output rows is taken first, for all pairs
    of acquired rows, then that over the columns.
    """
    nx, ny = len(rows), len(columns)
    of_rows = (rows[:, None] * rows).flatten(0, 1)
    of_columns = (columns[:, None] * columns).flatten(0, 1)
    gram = (of_rows @ variance @ of_columns.T).view(-1, nx, nx, ny, ny).transpose(2, 3)
    if window is not None:
        for _ in range(2):  # along one axis, then, transposed, along the other
            gram = _windowed(gram.flatten(1, 2), window).reshape(-1, nx, ny, nx * ny)
            gram = gram.permute(0, 3, 1, 2).unflatten(1, (nx, ny))
    return gram.reshape(-1, nx * ny, nx * ny)


def _windowed(image: Tensor, window: Tensor | None) -> Tensor:
    """Return real maps (B, ..., nx, ny), their k-space weighted by (B, nx, ny): symmetric."""
    if window is None:
        return image
    weights = window if image.ndim == 3 else window[:, None]
    weighted: Tensor = torch.fft.ifft2(torch.fft.fft2(image) * weights).real
    return weighted
