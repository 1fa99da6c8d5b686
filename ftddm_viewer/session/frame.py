"""Display space: the world, rotated until the maps' axes are parallel to its axes.

Viewers show slices of arrays whose axes are parallel to the screen. With c the centre of the maps
and Q the directions of their axes, in the order and sense nearest to right, anterior and superior,

    p' = Q^T (p - c) + c.

Maps are only transposed and flipped, never interpolated; `Frame.restore` undoes this exactly. If
the maps' axes are parallel to the world's, Q = 1 and display space is the world.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from threading import Lock
from weakref import WeakKeyDictionary

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from ftddm_core.imaging.geometry import regrid_linear, regrid_mean
from ftddm_core.imaging.volume import FloatArray, Volume

ALIGNED = 1e-3
"""Tolerance of the alignment of an axis with the display, as a cosine: one voxel in a thousand."""

NOT_AVERAGED = 1.25
"""In voxels of an oblique MRI: a voxel on the screen that spans fewer is a single point of it."""

CANONICAL = nib.orientations.axcodes2ornt("RAS")

_shown: WeakKeyDictionary[Volume, tuple[FloatArray, Volume]] = WeakKeyDictionary()
_lock = Lock()
"""MRI -> turn, and what the MRI looks like after it: of an oblique one, that takes a second."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Transformation between world and display space.

    Parameters
    ----------
    turn
        4x4 rigid matrix from the world to display space, in mm.
    orientation
        The maps' axes in display space, in nibabel's form.
    """

    turn: FloatArray
    orientation: FloatArray

    @classmethod
    def of(cls, grid: Volume) -> Frame:
        """Return the frame in which a grid's axes are parallel to x, y, z."""
        orientation = io_orientation(grid.affine)
        canonical = grid.affine @ inv_ornt_aff(orientation, grid.shape)
        directions = canonical[:3, :3] / np.linalg.norm(canonical[:3, :3], axis=0)
        left, _, right = np.linalg.svd(directions)  # the nearest rotation, in case of shear
        rotation = (left @ right).T
        turn = np.eye(4)
        if not np.allclose(rotation, np.eye(3), atol=1e-6):
            middle = grid.affine @ [*((n - 1) / 2 for n in grid.shape), 1]
            turn[:3, :3] = rotation
            turn[:3, 3] = middle[:3] - rotation @ middle[:3]
        return cls(turn, orientation)

    @property
    def axis(self) -> int:
        """The display axis (0, 1, 2: x, y, z) along which the maps' slices are stacked."""
        return int(self.orientation[2, 0])

    @property
    def reversed(self) -> bool:
        """Whether the maps' first slice is the last in display space."""
        return bool(self.orientation[2, 1] < 0)

    def aligned(self, volume: Volume) -> bool:
        """Return whether a volume's axes are parallel to the display's, in any order and sense."""
        axes = (self.turn @ volume.affine)[:3, :3]
        cosines = np.abs(axes / np.linalg.norm(axes, axis=0))
        return bool((np.minimum(cosines, 1 - cosines) < ALIGNED).all())

    def show(self, volume: Volume) -> Volume:
        """Return an aligned volume in display space: axes x, y, z, all increasing, none oblique."""
        turned = self.turn @ volume.affine
        orientation = io_orientation(turned)
        affine = turned @ inv_ornt_aff(orientation, volume.shape)
        affine[:3, :3] = np.diag(np.linalg.norm(affine[:3, :3], axis=0))
        return replace(volume, data=apply_orientation(volume.data, orientation), affine=affine)

    def restore(self, shown: Volume) -> Volume:
        """Return the volume of a map in display space: the inverse of `show`."""
        back = ornt_transform(CANONICAL, self.orientation)
        affine = np.linalg.inv(self.turn) @ shown.affine @ inv_ornt_aff(back, shown.shape)
        return replace(shown, data=apply_orientation(shown.data, back), affine=affine)

    def show_mri(self, image: Volume) -> Volume:
        """Return an MRI in display space, on its own extent; the same object every time.

        An oblique MRI is interpolated, onto voxels of its own size.

        Parameters
        ----------
        image
            T1 or FLAIR on its own grid.
        """
        with _lock:
            turn, shown = _shown.get(image, (None, image))
        if turn is not None and np.array_equal(turn, self.turn):
            return shown
        shown = self.show(image) if self.aligned(image) else self._interpolated(image)
        with _lock:
            _shown[image] = (self.turn, shown)
        return shown

    def _interpolated(self, image: Volume) -> Volume:
        turned = self.turn @ image.affine
        order = io_orientation(turned)[:, 0].astype(int)  # display axis of each voxel axis
        size = np.empty(3)
        size[order] = image.voxel_size
        corners = np.array(list(product(*((0, n - 1) for n in image.shape), [1])))
        box = corners @ turned[:3].T
        low, high = box.min(axis=0), box.max(axis=0)
        x, y, z = (int(n) for n in np.ceil((high - low) / size) + 1)
        affine = np.diag([*size, 1.0])
        affine[:3, 3] = low
        place = np.linalg.inv(self.turn) @ affine
        steps = np.linalg.norm((np.linalg.inv(image.affine) @ place)[:3, :3], axis=0)
        fine = bool((steps < NOT_AVERAGED).all())
        placed = (regrid_linear if fine else regrid_mean)(image, (x, y, z), place)
        return replace(placed, affine=affine)

    def positions(self, shown: Volume) -> FloatArray:
        """Return the positions along `axis`, in mm, of the slice centres of a shown volume."""
        start, step = shown.affine[self.axis, 3], shown.affine[self.axis, self.axis]
        return np.asarray(start + step * np.arange(shown.shape[self.axis]))
