"""Gliomas: necrosis, cellular core, infiltration beyond the visible edge, and oedema."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftddm_core.phantom.fields import RandomField

FloatArray = NDArray[np.float32]

ACTIVITY = (0.3, 0.85)
REACH = (6.0, 20.0)
"""Smallest and largest `Glioma.activity` and `Glioma.reach`, set so that the ratios of hot spot and
surroundings are close to those of high-grade glioma at 7 T; see `phantom.report`."""


@dataclass(frozen=True, eq=False)
class LesionMap:
    """A lesion's parts on a grid, each in 0..1 and of shape (X, Y, Z).

    Parameters
    ----------
    necrosis
        Share of dead tissue: no metabolites.
    cells
        Density of tumour cells, from the core to beyond the visible edge.
    solid
        Share of tissue visible as tumour in MRI.
    oedema
        Share of tissue visible as oedema in MRI.
    """

    necrosis: FloatArray
    cells: FloatArray
    solid: FloatArray
    oedema: FloatArray


@dataclass(frozen=True, eq=False)
class Glioma:
    """A glioma as a function of world coordinates.

    Parameters
    ----------
    centre
        Position in mm, shape (3,).
    axes
        3x3 matrix that turns an offset in mm into the ellipsoid's own units of mm.
    radius
        Mean radius of the solid tumour in mm.
    necrotic_radius
        Mean radius of the necrosis in mm; 0 for none.
    reach
        Distance in mm over which the cell density decays beyond the solid edge.
    oedema_width
        Width of the oedema around the solid tumour in mm.
    activity
        Density of tumour cells in the core, before heterogeneity: treated or infiltrating tumour
        that is visible in MRI may contain few.
    rim
        Excess of cells at the solid tumour's edge, relative to the core.
    shape
        Three fields: the outline of tumour, necrosis and oedema.
    texture
        One field: heterogeneity of the cell density.
    """

    centre: FloatArray
    axes: FloatArray
    radius: float
    necrotic_radius: float
    reach: float
    oedema_width: float
    activity: float
    rim: float
    shape: RandomField
    texture: RandomField

    @classmethod
    def draw(cls, rng: np.random.Generator, centre: FloatArray) -> Glioma:
        """Draw a glioma around a point in mm."""
        radius = rng.uniform(7, 20)
        rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        return cls(
            centre=centre.astype(np.float32),
            axes=(np.diag(np.exp(rng.normal(0, 0.15, 3))) @ rotation).astype(np.float32),
            radius=radius,
            necrotic_radius=radius * rng.uniform(0.3, 0.65) if rng.random() < 0.5 else 0.0,
            reach=rng.uniform(*REACH),
            oedema_width=rng.uniform(0, 14),
            activity=rng.uniform(*ACTIVITY),
            rim=rng.uniform(0, 0.4),
            shape=RandomField.draw(rng, rng.uniform(7, 12), 3),
            texture=RandomField.draw(rng, rng.uniform(4, 9), 1),
        )

    def __call__(self, points: FloatArray) -> LesionMap:
        """Return the lesion's parts at world points (X, Y, Z, 3) in mm."""
        distance = np.linalg.norm((points - self.centre) @ self.axes.T, axis=-1)
        outline = self.shape(points) * (0.18 * self.radius)
        beyond = distance - self.radius + outline[..., 0]
        inside_necrosis = self.necrotic_radius - distance + outline[..., 1]
        has_necrosis = np.float32(self.necrotic_radius > 0)
        solid = soft_step(-beyond)
        necrosis = has_necrosis * soft_step(inside_necrosis) * solid
        fading = np.exp(-np.maximum(beyond, 0) / self.reach)
        ring = 1 + self.rim * np.exp(-((beyond / 3) ** 2))
        density = self.activity * ring * (1 + 0.25 * self.texture(points)[..., 0])
        cells = np.clip(fading * density, 0, 1.15).astype(np.float32)
        oedema = soft_step(self.oedema_width - beyond + outline[..., 2]) * (1 - solid)
        oedema *= np.float32(self.oedema_width > 0)
        return LesionMap(necrosis, cells * (1 - necrosis), solid - necrosis, oedema)


def soft_step(depth: FloatArray, width: float = 0.8) -> FloatArray:
    """Return a smooth 0..1 step over `width` mm at depth 0 (positive inside)."""
    step: FloatArray = 0.5 * (1 + np.tanh(depth / np.float32(width)))
    return step
