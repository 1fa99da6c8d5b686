"""Images in world coordinates: voxels, affine and unit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.arrays import (
    affine_of,
    affine_over,
    check_known,
    check_named,
    check_text,
    image_array,
    real_array,
)
from ftddm_core.imaging.window import Window

FloatArray = NDArray[np.floating[Any]]

SAME_PLACE_MM = 0.01
"""Rounding of the position of a grid, in mm."""
SAME_STEP_MM = 1e-3
"""Rounding of the step from voxel to voxel, in mm."""
NAMES_IN_SHORT = 6
"""Number of metabolites that a description names; others are counted."""


def finite_or_zero(data: FloatArray) -> FloatArray:
    """Return an array of any shape with NaN and infinity replaced by 0.

    `numpy.nan_to_num` would replace infinity by the largest number, which dominates any sum.
    """
    return np.where(np.isfinite(data), data, 0)


def in_short(names: Iterable[str]) -> str:
    """Return names in one short line.

    >>> in_short(["tNAA", "tCr", "tCho", "Ins", "Glu", "Gln", "GSH", "Tau"])
    'tNAA, tCr, tCho, Ins, Glu, Gln and 2 more'
    """
    listed = list(names)
    more = len(listed) - NAMES_IN_SHORT
    return ", ".join(listed[:NAMES_IN_SHORT]) + (f" and {more} more" if more > 0 else "")


class Outside(StrEnum):
    """Content of an acquired map outside its mask; known from its origin, never from the map
    itself."""

    SEEN = "seen"
    """A scan of the whole field of view: signal, but exact zeros are not measurements."""
    EMPTY = "empty"
    """The map was set to 0 there before its k-space was truncated: no signal."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image in world coordinates.

    Parameters
    ----------
    data
        Voxel values of shape (X, Y, Z), in `unit`: an array, or nested lists of numbers.
    affine
        4x4 matrix from voxel indices to world coordinates in mm (right, anterior, superior
        positive, as NIfTI has them); index (0, 0, 0) is the CENTRE of the first voxel.
    unit
        Unit of the values, "" where unknown (institutional units of a fit).
    header
        The original header, kept for writing files.
    stored
        File axis of each array axis: slices are the last axis here, but not in every file.

    Raises
    ------
    FormatError
        If the data are not real numbers.
    GeometryError
        If the data are not 3D or the affine is not an invertible 4x4 matrix.
    """

    data: FloatArray
    affine: FloatArray
    unit: str = ""
    header: Any = field(default=None, repr=False)
    stored: tuple[int, int, int] = (0, 1, 2)

    def __post_init__(self) -> None:
        data = real_array(self.data, "A volume")
        if data.ndim != 3:
            raise GeometryError(f"A volume needs 3 dimensions, found shape {data.shape}.")
        object.__setattr__(self, "data", data)
        affine = affine_of(None, self.affine)
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError(
                f"The affine's voxel axes are not independent (determinant 0): {affine.tolist()}."
            )
        object.__setattr__(self, "affine", affine)

    def __repr__(self) -> str:
        return f"Volume({self.extent}{self.unit and f'; {self.unit}'})"

    @property
    def extent(self) -> str:
        """Matrix and voxel size in words, "14x14x3 voxels of 10x10x12 mm"."""
        matrix = "x".join(str(n) for n in self.shape)
        return f"{matrix} voxels of {'x'.join(f'{edge:.3g}' for edge in self.voxel_size)} mm"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Matrix (X, Y, Z)."""
        x, y, z = self.data.shape
        return x, y, z

    @cached_property
    def voxel_size(self) -> tuple[float, float, float]:
        """Lengths of the voxel edges in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    def with_data(self, data: FloatArray) -> Volume:
        """Return a volume with the same grid and unit and other values."""
        return replace(self, data=data)

    def in_order(self, stored: tuple[int, int, int]) -> Volume:
        """Return the same image with its axes in the order of these file axes."""
        if stored == self.stored:
            return self
        axes = [self.stored.index(axis) for axis in stored]
        affine = self.affine[:, [*axes, 3]]
        return replace(self, data=self.data.transpose(axes), affine=affine, stored=stored)

    def on_grid_of(self, other: Volume) -> bool:
        """Return whether both have the same matrix and, up to rounding, the same affine."""
        turned, moved = np.abs(self.affine - other.affine)[:3, :3], self.affine - other.affine
        return (
            self.shape == other.shape
            and bool((turned <= SAME_STEP_MM).all())
            and bool((np.abs(moved[:3, 3]) <= SAME_PLACE_MM).all())
        )

    def slab(self, start: int, stop: int) -> Volume:
        """Return slices start..stop-1 at their position in the world."""
        affine = self.affine.copy()
        affine[:3, 3] += start * self.affine[:3, 2]
        return replace(self, data=self.data[..., start:stop], affine=affine)


Image: TypeAlias = ArrayLike | Volume
"""An image on a grid of its own, or an array that lies with the maps."""


def _placed(image: Image, what: str, grid: Volume, *, finer: bool = False) -> Volume:
    """Return an image of a study whose maps are on a grid; an MRI may be finer than that."""
    if isinstance(image, Volume):
        return image
    data = image_array(image, what)
    if data.shape != grid.shape and not finer:
        raise GeometryError(
            f"{what} has the shape {data.shape}, the maps have {grid.shape}: give it on their "
            "grid, or as a Volume with an affine of its own."
        )
    return Volume(data, affine_over(grid.affine, grid.shape, data.shape))


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise of one acquired map.

    Parameters
    ----------
    deviation
        Standard deviation of every voxel, shape and unit as the map's; NaN where the fit failed.
    source
        Its origin: "CRLB" or "estimate".
    """

    deviation: FloatArray
    source: str


@dataclass(frozen=True, eq=False)
class Study:
    """One examination: metabolite maps on one grid, with mask and MRI.

    Parameters
    ----------
    maps
        Metabolite name -> map; all maps share matrix and affine.
    mask
        Trusted voxels (non-zero), one mask for the study or one per metabolite, on any grid; None
        without a mask.
    t1, flair
        MRI on their own grids; None if absent.
    crlb
        Metabolite name -> Cramer-Rao lower bound of the fit in per cent; may be empty.
    noise
        Metabolite name -> noise known from a source other than `crlb`; see `fit_quality.noise_of`.
    outside
        Content of the maps outside the mask.
    window
        Weighting of k-space by the scan; None if unknown, treated as uniform.
    source
        Role ("t1", "tNAA", ...) -> path of the file it came from; empty for a simulation.
    label
        Name of the examination, "" to take it from the names of the files.
    notes
        Findings on opening that the user should know, one sentence each.
    field_t
        Field strength of the scan in T; None if unknown.
    choices
        What was decided about its files when they were opened, as `Choices.to_dict` has it but
        with names in place of paths.

    Raises
    ------
    FormatError
        If there is no map, a map's name is not a string, an image is not a `Volume`, or a mask is
        for an unknown map.
    GeometryError
        If the maps do not share one grid.

    Examples
    --------
    >>> import numpy as np
    >>> maps = {"tNAA": np.ones((14, 14, 3)), "tCr": np.ones((14, 14, 3))}
    >>> Study.from_arrays(maps, voxel_size=(10, 10, 12), t1=np.ones((56, 56, 9)))
    Study(tNAA, tCr; 14x14x3 voxels of 10x10x12 mm; T1)
    """

    maps: Mapping[str, Volume]
    mask: Volume | Mapping[str, Volume] | None = None
    t1: Volume | None = None
    flair: Volume | None = None
    crlb: Mapping[str, Volume] = field(default_factory=dict)
    noise: Mapping[str, Noise] = field(default_factory=dict)
    outside: Outside = Outside.SEEN
    window: Window | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    notes: tuple[str, ...] = ()
    field_t: float | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.maps:
            raise FormatError("The study holds no metabolite map.")
        check_named(self.maps, "The maps of a study")
        images = {**self.maps, "t1": self.t1, "flair": self.flair}
        if isinstance(self.mask, Mapping):
            check_known(self.mask, self.maps, "A mask")
            images |= {f"the mask of {name}": mask for name, mask in self.mask.items()}
        else:
            images["mask"] = self.mask
        for role, image in images.items():
            if not isinstance(image, Volume | None) or (image is None and role in self.maps):
                raise FormatError(
                    f"{role} must be a Volume, found {type(image).__name__}: "
                    "Study.from_arrays takes arrays."
                )
        first_name, first = next(iter(self.maps.items()))
        # A file may state its slice axis where another of the same grid does not.
        if any(volume.stored != first.stored for volume in self.maps.values()):
            ordered = {name: volume.in_order(first.stored) for name, volume in self.maps.items()}
            object.__setattr__(self, "maps", ordered)
        for name, volume in self.maps.items():
            if not volume.on_grid_of(first):
                raise GeometryError(
                    f"The maps must share one grid: {first_name} has matrix {first.shape}, "
                    f"{name} has matrix {volume.shape} or another affine. "
                    "Resample them, or open them one at a time."
                )

    @classmethod
    def from_arrays(
        cls,
        maps: Mapping[str, ArrayLike],
        *,
        voxel_size: ArrayLike | None = None,
        affine: ArrayLike | None = None,
        mask: Image | Mapping[str, Image] | None = None,
        t1: Image | None = None,
        flair: Image | None = None,
        crlb: Mapping[str, Image] | None = None,
        unit: str = "",
        outside: Outside | str = Outside.SEEN,
        label: str = "",
    ) -> Study:
        """Return a study of arrays, which are copied; nested lists of numbers count as arrays.

        Parameters
        ----------
        maps
            Metabolite name -> map (X, Y, Z), all of one shape; slices are the last axis.
        voxel_size, affine
            Edges of the maps' voxels in mm, with the array's axes as world axes; or the 4x4 matrix
            from voxel indices to world coordinates in mm. One of the two.
        mask
            Trusted voxels (non-zero), of the maps' shape; one for all maps or one per metabolite.
        t1, flair
            MRI that fill the maps' field of view, with any matrix: edges coincide.
        crlb
            Metabolite name -> Cramer-Rao lower bound of the fit in per cent, of the maps' shape.
        unit
            Unit of the maps.
        outside
            Content of the maps outside the mask: "seen" in a scan, "empty" if set to 0.
        label
            Name of the examination, with which its results' file names begin.

        In place of an array, mask, MRI and CRLB may be a `Volume` on a grid of its own.

        Raises
        ------
        FormatError
            If there is no map, an array is not of real numbers, or a name is not a string or, for
            mask and CRLB, not that of a map.
        GeometryError
            If the voxels' size or place is not stated, an array is not 3D, or shapes differ.
        """
        check_named(maps, "maps")
        check_text(unit, "unit")
        check_text(label, "label")
        world = affine_of(voxel_size, affine)
        found = {name: Volume(image_array(m, name), world, unit) for name, m in maps.items()}
        if not found:
            raise FormatError("The study holds no metabolite map.")
        grid = next(iter(found.values()))
        for name, volume in found.items():
            if volume.shape != grid.shape:
                raise GeometryError(
                    f"The maps must share one shape: {next(iter(found))} has {grid.shape}, {name} "
                    f"has {volume.shape}."
                )
        if crlb is not None:
            check_named(crlb, "crlb")
            check_known(crlb, found, "A CRLB")
        masks: Volume | dict[str, Volume] | None = None
        if isinstance(mask, Mapping):
            check_named(mask, "mask")
            masks = {n: _placed(m, f"The mask of {n}", grid) for n, m in mask.items()}
        elif mask is not None:
            masks = _placed(mask, "mask", grid)
        try:
            content = Outside(outside)
        except ValueError:
            raise FormatError(
                f"outside cannot be {outside!r:.80}: give {' or '.join(Outside)}."
            ) from None
        return cls(
            maps=found,
            mask=masks,
            t1=None if t1 is None else _placed(t1, "t1", grid, finer=True),
            flair=None if flair is None else _placed(flair, "flair", grid, finer=True),
            crlb={n: _placed(c, f"The CRLB of {n}", grid) for n, c in (crlb or {}).items()},
            outside=content,
            label=label,
        )

    def __repr__(self) -> str:
        roles = {
            "masks" if isinstance(self.mask, Mapping) else "mask": self.mask,
            "T1": self.t1,
            "FLAIR": self.flair,
            "CRLB": self.crlb or None,
        }
        beside = ", ".join(role for role, image in roles.items() if image is not None)
        return f"Study({in_short(self.maps)}; {self.grid.extent}{beside and f'; {beside}'})"

    @property
    def grid(self) -> Volume:
        """Any of the maps, for its matrix and affine."""
        return next(iter(self.maps.values()))

    def with_notes(self, notes: Iterable[str]) -> Study:
        """Return the study with more notes, each once; itself if it has them."""
        together = tuple(dict.fromkeys((*self.notes, *notes)))
        return self if together == self.notes else replace(self, notes=together)

    def mask_of(self, metabolite: str) -> Volume | None:
        """Return the mask of one metabolite, None if there is none."""
        if isinstance(self.mask, Mapping):
            return self.mask.get(metabolite)
        return self.mask

    def slab(self, start: int, stop: int) -> Study:
        """Return a study with the maps' slices start..stop-1; mask and MRI are unchanged."""
        return replace(
            self,
            maps={name: volume.slab(start, stop) for name, volume in self.maps.items()},
            crlb={name: volume.slab(start, stop) for name, volume in self.crlb.items()},
            noise={
                name: replace(found, deviation=found.deviation[..., start:stop])
                for name, found in self.noise.items()
            },
        )
