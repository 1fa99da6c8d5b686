r"""Whether the MRI lie on the maps: doubts to tell the user, without any registration.

The maps' signal S, 0 where it is not trusted, is compared with an MRI I that is blurred to their
voxel size, by their correlation over the voxels of the maps,

.. math:: r(d) = \operatorname{corr}(S(x), I(x - d)),

as placed, d = 0, and for an MRI moved by d. Both are bright in the brain and dark outside, so r has
its maximum near the true place, whatever their contrasts; a maximum elsewhere is reported only if
it is high and much higher than r(0) on Fisher's scale, artanh r.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fit_quality import top_of
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import FloatArray, Study, Volume, finite_or_zero

HERE = np.zeros(3)
ROLES = ("t1", "flair")

WORK_MM = 4.0
"""Voxel edge to which an MRI is averaged first, for speed."""
MOST_VOXELS = 2500
"""Largest number of the maps' voxels that are compared."""
REACH_MM, STEP_MM = 32, 16
"""Largest displacement along each axis of the world, and the step of the first search."""

BRIGHT = 0.3
"""A voxel holds signal from this share of the maps' top."""
HEAD = 0.1
"""A point lies in the head from this share of the MRI's top."""
LEAST_INSIDE = 0.75
"""Share of the voxels with signal that has to lie in the head."""
SURELY_INSIDE = 0.97
"""From this share on, no better place is sought: maps of a part of the brain fit in many places."""

LEAST_MOVE_MM = 12.0
"""Smaller displacements are not reported; nor are those below a voxel of the maps."""
LEAST_FIT = 0.5
"""Smallest correlation at a better place."""
LEAST_GAIN = 0.2
"""Smallest gain of artanh r at a better place."""

WORDS = (("to the right", "to the left"), ("forwards", "backwards"), ("up", "down"))
ROUND_MM = 5
"""Displacements are reported in multiples of this."""


def doubts_about_mri(study: Study) -> tuple[str, ...]:
    """Return why T1 or FLAIR may not show what the maps show, at most one sentence each.

    Parameters
    ----------
    study
        Maps, with or without a mask, and MRI; an MRI that lies well is not mentioned.
    """
    images = {role: getattr(study, role) for role in ROLES}
    given = {role: image for role, image in images.items() if image is not None}
    signal = _signal(study) if given else None
    found = (_doubt(role.upper(), image, study.grid, signal) for role, image in given.items())
    return tuple(sentence for sentence in found if sentence)


def _doubt(name: str, image: Volume, grid: Volume, signal: FloatArray | None) -> str:
    finite = image.data[np.isfinite(image.data)]
    if not finite.size or finite.max() == finite.min():
        return f"{name} is constant: it shows nothing."
    if signal is None:
        return ""
    look = _Look(image, grid, signal)
    if (move := look.better_place()) is not None:
        return f"{name} does not fit the maps as placed: it fits better moved by about {move}."
    if (share := look.inside()) < LEAST_INSIDE:
        return (
            f"{name} does not fit the maps: only {100 * share:.0f} % of the voxels with signal lie "
            "in the head."
        )
    return ""


def _signal(study: Study) -> FloatArray | None:
    """Return the mean of the maps (nx, ny, Z), each scaled to 0..1, and 0 where not trusted; None
    if there is no contrast."""
    total = np.zeros(study.grid.shape)
    for name, volume in study.maps.items():
        with np.errstate(invalid="ignore"):
            held = np.isfinite(volume.data) & (volume.data > 0)
        mask = study.mask_of(name)
        if mask is not None:
            try:
                held &= regrid_nearest(mask, volume.shape, volume.affine).data > 0
            except GeometryError:  # the mask lies elsewhere, which is reported where it is used
                return None
        top = top_of(volume.data, held)
        if top > 0:
            total += np.where(held, np.minimum(volume.data / top, 1), 0)
    total /= len(study.maps)
    return total if total.max() > total.min() else None


class _Look:
    """The signal of the maps, and the MRI at the same voxels for any displacement."""

    def __init__(self, image: Volume, grid: Volume, signal: FloatArray) -> None:
        self._data, affine = _averaged(image, grid)
        self._inverse = np.linalg.inv(affine)
        chosen = np.arange(signal.size)
        if signal.size > MOST_VOXELS:
            chosen = np.random.default_rng(0).choice(signal.size, MOST_VOXELS, replace=False)
        index = np.stack(np.unravel_index(chosen, signal.shape), axis=-1)
        self._world = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        self._signal = signal.reshape(-1)[chosen]
        self._least = max(LEAST_MOVE_MM, *grid.voxel_size[:2])

    def at(self, move: NDArray[np.float64]) -> FloatArray:
        """Return the MRI, 0..1, moved by a vector in mm."""
        from scipy.ndimage import map_coordinates

        points = (self._world - move) @ self._inverse[:3, :3].T + self._inverse[:3, 3]
        return np.asarray(map_coordinates(self._data, points.T, order=1, mode="grid-constant"))

    def inside(self, move: NDArray[np.float64] = HERE) -> float:
        """Return the share of the voxels with signal that lie in the head; 1 without signal."""
        bright = self._signal > BRIGHT * self._signal.max()
        return float((self.at(move)[bright] > HEAD).mean()) if bright.any() else 1.0

    def fit(self, move: NDArray[np.float64]) -> float:
        """Return the correlation of MRI and maps, 0 where one of them is constant."""
        values, signal = self.at(move), self._signal
        a, b = values - values.mean(), signal - signal.mean()
        size = float(np.sqrt((a @ a) * (b @ b)))
        return float(a @ b) / size if size > 0 else 0.0

    def better_place(self) -> str | None:
        """Return in words how far away the MRI fits clearly better, None if it does not."""
        if self.inside() > SURELY_INSIDE:
            return None
        best = self._best(HERE, REACH_MM, STEP_MM)
        best = self._best(best, STEP_MM // 2, STEP_MM // 2)
        if self.inside(best) < self.inside():
            return None
        before, after = self.fit(HERE), self.fit(best)
        gain = np.arctanh(min(after, 0.999)) - np.arctanh(min(before, 0.999))
        if np.linalg.norm(best) < self._least or after < LEAST_FIT or gain < LEAST_GAIN:
            return None
        rounded = np.round(best / ROUND_MM).astype(int) * ROUND_MM
        moves = sorted(zip(-np.abs(rounded), rounded, WORDS, strict=True))
        largest = np.abs(rounded).max()
        told = [
            f"{abs(mm)} mm {words[int(mm < 0)]}"
            for _, mm, words in moves
            if 2 * abs(mm) >= largest  # smaller components are not reliable
        ]
        return " and ".join(told)

    def _best(self, about: FloatArray, reach: int, step: int) -> NDArray[np.float64]:
        steps = range(-reach, reach + 1, step)
        moves = [about + np.array(move, float) for move in product(steps, steps, steps)]
        return max(moves, key=self.fit)


def _averaged(image: Volume, grid: Volume) -> tuple[FloatArray, FloatArray]:
    """Return an MRI, scaled to 0..1 and blurred to the maps' voxels, on larger voxels."""
    from scipy.ndimage import gaussian_filter

    count = [max(1, min(n, int(WORK_MM / size + 0.01))) for n, size in zip(
        image.shape, image.voxel_size, strict=True
    )]  # fmt: skip
    kept = tuple(slice(n // c * c) for n, c in zip(image.shape, count, strict=True))
    finite = finite_or_zero(image.data[kept])
    largest = float(np.abs(finite).max(initial=0)) or 1.0
    data: FloatArray = (finite / largest).astype(np.float32)  # sums of damaged ones may overflow
    for axis, c in enumerate(count):
        starts = np.arange(0, data.shape[axis], c)
        data = np.add.reduceat(data, starts, axis=axis, dtype=np.float32) / np.float32(c)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((np.array(count) - 1) / 2)
    affine[:3, :3] *= count
    width = np.prod(grid.voxel_size[:2]) ** 0.5 / 2.355 / np.linalg.norm(affine[:3, :3], axis=0)
    data = gaussian_filter(data.astype(np.float32), width, mode="nearest")
    top = float(np.percentile(data[data > 0], 95)) if (data > 0).any() else 1.0
    return np.clip(data / top, 0, 1).astype(np.float32), affine
