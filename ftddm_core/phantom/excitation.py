"""The excited box of a sequence that does not excite the whole head.

PRESS and semi-LASER excite a box. Its sides fade over some millimetres and are displaced for each
metabolite in proportion to its chemical shift. Outside, fits find almost nothing; masks often
extend further than the signal, so a network must learn to detect this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.phantom.fields import RandomField

FloatArray = NDArray[np.float32]

SHIFT = (2.0, 3.0, 3.2, 2.35, 2.45, 3.55, 3.55)
"""Chemical shift in ppm (Govindaraju et al. 2000, NMR Biomed. 13:129) of each metabolite's main
resonance, in the order of `metabolites.METABOLITES`."""
CENTRE_SHIFT = 2.7
"""Chemical shift in ppm without displacement of the box."""


@dataclass(frozen=True, eq=False)
class Excitation:
    """Share of a voxel's metabolites that gives signal.

    Parameters
    ----------
    centre, half
        Centre and half-width of the box in mm, left to right and back to front, each of shape (2,).
    turn
        2x2 rotation from the patient's axes to the box's.
    edge
        Distance in mm over which the sides fade.
    displacement
        Shift of the box in mm per ppm, of shape (2,).
    unevenness
        A field, and the standard deviation of the log sensitivity inside the box.
    seen
        Smallest share that passes quality control; 0 if the mask ignores the box.
    """

    centre: FloatArray
    half: FloatArray
    turn: FloatArray
    edge: float
    displacement: FloatArray
    unevenness: tuple[RandomField, float]
    seen: float

    @classmethod
    def draw(cls, rng: np.random.Generator, about: tuple[float, float] | None = None) -> Excitation:
        """Draw a box about the middle of the brain.

        Parameters
        ----------
        rng
            Of the box.
        about
            Point in mm, left to right and back to front, that the box must contain.
        """
        half = rng.uniform((24, 30), (60, 75))
        centre = rng.normal(0, 8, 2)
        if about is not None:
            low, high = np.array(about) - 0.7 * half, np.array(about) + 0.7 * half
            centre = np.clip(centre, low, high)
        angle = np.deg2rad(rng.normal(0, 5))
        turn = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        return cls(
            centre=centre.astype(np.float32),
            half=half.astype(np.float32),
            turn=np.array(turn, np.float32),
            edge=rng.uniform(2, 8),
            displacement=rng.uniform(-4, 4, 2).astype(np.float32),
            unevenness=(RandomField.draw(rng, 45.0), rng.uniform(0, 0.2)),
            seen=rng.choice((0.0, rng.uniform(0.1, 0.5))),
        )

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return the share (metabolites, X, Y, Z) at world points (X, Y, Z, 3) in mm."""
        shares = [self._box(points, self.displacement * (ppm - CENTRE_SHIFT)) for ppm in SHIFT]
        field, deviation = self.unevenness
        sensitivity = np.exp(deviation * field(points)[..., 0])
        return np.asarray(np.stack(shares) * sensitivity, np.float32)

    def passes(self, points: FloatArray) -> NDArray[np.bool_]:
        """Return the voxels (X, Y, Z) with enough signal for quality control."""
        return np.asarray(self._box(points, np.zeros(2, np.float32)) >= self.seen)

    def _box(self, points: FloatArray, moved: FloatArray) -> NDArray[Any]:
        offset = (points[..., :2] - self.centre - moved) @ self.turn.T
        depth = (self.half - np.abs(offset)) / self.edge
        # All but 1 % of the step lies within `edge` of the side.
        sides = 0.5 * (1 + np.tanh(2.65 * depth))
        return np.asarray(sides.prod(-1))
