r"""The update that holds a map to its measurement, for a batch of slices on a device.

With the measurement y = w (T x + n) of `measurement`, n ~ N(0, Sigma), and a model that says x0
inside the mask m and u outside it, with independent errors of variance C, the mean of what both say
is

.. math::  x_0 + K(C)\, (y - T (m x_0 + u)), \quad
           K(C) = C T^\top (T C T^\top + \Sigma)^{-1}.

A sample is also moved by :math:`K(C_n)\, \sqrt\tau\, n'`, n' ~ N(0, Sigma) a draw of the noise,
without which samples would all agree on what is measured as though there were none. C is all of the
model's error, and most of that its samples share; C_n is the part by which they differ. Were the
two alike, x_0 ~ N(., C) would give the posterior exactly; as samples differ less than the model
errs, K(C) would pass on more noise than they have room for, above all where the mask hardly lets T
tell voxels apart.

The update is applied after every call of the denoiser, before the step, as in DDNM
(Wang et al. 2023), PiGDM (Song et al. 2023) and DDRM (Kawar et al. 2022); there C follows from the
schedule's noise, here it is the model's own error. The matrix in the middle has one row for every
acquired voxel; its Cholesky factor is made once for a slice, whatever the samples and steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ftddm_core.imaging.window import Window
from ftddm_core.sampling.measurement import Measurement, truncation

EXACT_DEVIATION = 3e-4
"""Deviation of the noise, in units of `scale`, where there is to be none: the limit Sigma -> 0 as
far as float32 goes. It leaves out what the mask makes of y that hardly depends on x."""

FACTORED_TOGETHER = 2**23
"""Entries of the matrices that are factored at a time: 64 MB as doubles."""


class Consistency:
    """The update of some slices; float32, on the unpadded output grid.

    Parameters
    ----------
    measurements, slices
        Which slice of which measurement each item of the batch is; all on the same two grids.
    device
        Where the update is to run.
    exact
        Whether the noise is taken to be nothing.

    Attributes
    ----------
    beside
        T of what is inferred outside the mask, (B, nx, ny), as the last `correct` left it.
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
        # Doubles, which Apple's GPU does not have: a factor of float32 fails where noise is low.
        place = torch.device("cpu") if device.type == "mps" else device
        rows, columns = (
            torch.from_numpy(truncation(n, n_out)).to(place)
            for n, n_out in zip(first.acquired, first.mask.shape[:2], strict=True)
        )

        # Several samples of a slice share its factor.
        pairs = list(zip(measurements, slices, strict=True))
        unique = list(dict.fromkeys(pairs))
        index = torch.tensor([unique.index(pair) for pair in pairs], device=device)

        def stacked(name: str) -> Tensor:
            own = [getattr(m, name)[..., k] for m, k in unique]
            return torch.from_numpy(np.stack(own)).to(place, torch.float64)

        def kept(tensor: Tensor) -> Tensor:
            return tensor.to(torch.float32).to(device)

        def each(tensor: Tensor) -> Tensor:
            return kept(tensor) if len(unique) == len(pairs) else kept(tensor)[index]

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
            each(torch.cat(parts) if len(parts) > 1 else parts[0])
            for parts in zip(*factors, strict=True)
        )
        self._rows, self._columns = kept(rows), kept(columns)
        self._window = None if window is None else each(window)
        self._mask, self._w, self._variance = each(m), each(w), each(variance)
        self._y, self._deviation = each(stacked("y")), each(w * deviation)
        self._seen = each(_windowed(rows @ u @ columns.T, window))
        self._spread = each(spread)[:, None, None]
        self._drawn = torch.zeros_like(self._mask)
        self.beside = self._seen

    @property
    def nbytes(self) -> int:
        """Memory of the factors, next to which the rest is small, in bytes."""
        return int(self._factor.nbytes + self._factor_of_spread.nbytes)

    def draw(self, normal: Tensor | None, tau: float) -> None:
        """Move x by K(C_n) sqrt(tau) n' from now on.

        Parameters
        ----------
        normal
            z ~ N(0, I), (B, nx, ny), of which n' is made; None for none.
        tau
            Temperature.
        """
        if normal is None or tau == 0 or self.exact:
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
        """Return T (m x0 + what is inferred outside), (B, nx, ny): the scan that x0 stands for."""
        return self._acquire(self._mask * x0) + self.beside

    def _pulled(self, difference: Tensor, factor: Tensor) -> Tensor:
        """Return C T' w (...)^-1 of a difference (B, nx, ny), the inverse given by its factor."""
        solved = torch.cholesky_solve(difference.flatten(1)[..., None], factor)
        pulled: Tensor = self._variance * self._adjoint(self._w * solved.view_as(difference))
        return pulled

    def _acquire(self, x: Tensor) -> Tensor:
        """Return T x."""
        return _windowed(self._rows @ x @ self._columns.T, self._window)

    def _adjoint(self, v: Tensor) -> Tensor:
        """Return T' v."""
        spread: Tensor = self._rows.T @ _windowed(v, self._window) @ self._columns
        return spread


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

    T is a product of one matrix for each axis, so the sum over an output row is taken for all pairs
    of acquired rows first, then that over the columns.
    """
    nx, ny = len(rows), len(columns)
    of_rows = (rows[:, None] * rows).flatten(0, 1)
    of_columns = (columns[:, None] * columns).flatten(0, 1)
    gram = (of_rows @ variance @ of_columns.T).view(-1, nx, nx, ny, ny).transpose(2, 3)
    if window is not None:
        for _ in range(2):  # from one side and, turned, from the other
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
