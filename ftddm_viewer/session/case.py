"""An examination that is being looked at: what is known of it before anything is sampled.

A `Case` is what was opened and how it is shown; a `Prepared` case is what the networks are given at
one factor s, in one of two modes:

- enlarge: the maps are what was acquired, and are refined by s; there is no truth;
- restore: the maps are high-resolution; they are degraded by s first, restored, and compared with
  themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from math import prod
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.imaging.degrade import acquired_matrix, degrade, undo_zero_filling
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import FloatArray, Study, Volume, finite_or_zero
from ftddm_core.sampling.condition import Conditions
from ftddm_core.sampling.guides import Guides, Shape, default_mask, output_grid
from ftddm_viewer.session.first_view import most_varied_slice, upper_limit
from ftddm_viewer.session.frame import Frame
from ftddm_viewer.session.saving import fingerprints, study_label

HIGH_RESOLUTION = 5.0
"""In mm: maps with smaller voxels in the plane are taken for high-resolution ones."""

FAVOURITES = ("tNAA", "NAA", "tCho")
"""Metabolites to begin with, the first that there is."""

HEADROOM = 1.25
"""Upper colour limit of an enlarged map, relative to the acquired one's: detail adds contrast."""

KEPT_VOXELS = 2**21
"""Voxels of recent output grids whose masks and MRI are kept, 17 bytes of each where all maps share
a mask; every grid that s leads to where the maps of a 64 x 64 x 39 study are degraded."""


class Mode(StrEnum):
    """What s does to a study."""

    ENLARGE = "enlarge"
    RESTORE = "restore"


MODE_WORDS = {
    Mode.ENLARGE: "Enlarge a low-resolution study by s",
    Mode.RESTORE: "Degrade by s, restore, compare",
}
"""For a list to choose from."""


class RecentGuides:
    """What guides a study's maps, kept for the output grids that were used last.

    Moving s to and fro leads to the same few of them. Safe from any thread.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._recent: dict[tuple[Shape, bytes], Guides] = {}
        self._lock = Lock()

    def on(self, shape: Shape, affine: FloatArray) -> Guides:
        """Return the guides on an output grid; errors as for `Guides`."""
        key = (shape, affine.tobytes())  # to the bit, so that no result depends on those before
        with self._lock:
            guides = self._recent.pop(key, None) or Guides(self._study, shape, affine)
            self._recent[key] = guides  # the newest is the last
            while len(self._recent) > 1 and sum(prod(s) for s, _ in self._recent) > KEPT_VOXELS:
                del self._recent[next(iter(self._recent))]
        return guides


@dataclass(frozen=True, eq=False)
class Case:
    """An open examination and how it is shown.

    Parameters
    ----------
    study
        As it was opened.
    label
        What it is called.
    frame
        Display space.
    mri
        "T1", "FLAIR" -> the image in display space, as far as it lies in the maps' height.
    trusted
        Metabolite -> trusted voxels of the study's own grid.
    inputs
        Fingerprints of the study's files as they were opened: they may change while it is open.
    zero_filled
        The matrix that the maps' k-space fills, None where it is the whole of it.
    unfilled
        Whether zero-filling done before was undone.
    """

    study: Study
    label: str
    frame: Frame
    mri: Mapping[Literal["T1", "FLAIR"], Volume]
    trusted: Mapping[str, NDArray[np.bool_]]
    inputs: Mapping[str, Mapping[str, str]]
    zero_filled: Matrix | None
    unfilled: bool = False

    @classmethod
    def of(cls, study: Study, label: str = "") -> Case:
        """Look at a study; images that lie elsewhere are left out, `prepare` objects to them."""
        frame = Frame.of(study.grid)
        slab = frame.show(study.grid)
        mri: dict[Literal["T1", "FLAIR"], Volume] = {}
        if study.t1 is not None:
            with suppress(GeometryError):
                mri["T1"] = frame.show_mri(study.t1, slab)
        if study.flair is not None:
            with suppress(GeometryError):
                mri["FLAIR"] = frame.show_mri(study.flair, slab)
        trusted = {}
        for name, volume in study.maps.items():
            trusted[name] = np.zeros(volume.shape, bool)
            with suppress(GeometryError):
                mask = study.mask_of(name) or default_mask(volume)
                on_grid = regrid_nearest(mask, volume.shape, volume.affine).data
                trusted[name] = np.asarray(finite_or_zero(on_grid) > 0)
        matrix, acquired = study.grid.shape[:2], acquired_matrix(study)
        zero_filled = acquired if acquired != matrix else None
        name, inputs = label or study_label(study), fingerprints(study)
        return cls(study, name, frame, mri, trusted, inputs, zero_filled)

    @property
    def usual_mode(self) -> Mode:
        """The mode that fits: restore small voxels that were measured, where there is a mask."""
        x, y, _ = self.study.grid.voxel_size
        masked = all(self.study.mask_of(name) is not None for name in self.study.maps)
        fine = np.sqrt(x * y) < HIGH_RESOLUTION and self.zero_filled is None
        return Mode.RESTORE if masked and fine else Mode.ENLARGE

    @cached_property
    def guides(self) -> RecentGuides:
        """Masks and MRI on the output grids of the factors that were looked at last."""
        return RecentGuides(self.study)

    @cached_property
    def mri_tops(self) -> Mapping[str, float]:
        """The upper grey limit of each MRI."""
        return {name: upper_limit(image.data[image.data > 0]) for name, image in self.mri.items()}

    @cached_property
    def positions(self) -> FloatArray:
        """Where along the display's slice axis, in mm, each of the study's slices (Z,) lies."""
        shown = self.frame.positions(self.frame.show(self.study.grid))
        return shown[::-1] if self.frame.reversed else shown

    def slice_at(self, position: float) -> int:
        """Return the study's slice nearest to a position along the display's slice axis, in mm."""
        return int(np.abs(self.positions - position).argmin())

    def known_metabolite(self, name: str) -> str:
        """Return a metabolite's name.

        Raises
        ------
        SettingsError
            If there is no such map.
        """
        if name not in self.study.maps:
            raise SettingsError(
                f"There is no map of {name}; there are {', '.join(self.study.maps)}."
            )
        return name

    def known_slice(self, k: int) -> int:
        """Return a slice's number, which counts from 0.

        Raises
        ------
        SettingsError
            If there is no such slice.
        """
        n_slices = self.study.grid.shape[2]
        if not 0 <= k < n_slices:
            raise SettingsError(f"There is no slice {k}: choose one from 0 to {n_slices - 1}.")
        return int(k)

    @property
    def first_metabolite(self) -> str:
        """The metabolite to begin with."""
        favourites = (name for name in FAVOURITES if name in self.study.maps)
        return next(favourites, next(iter(self.study.maps)))

    @cached_property
    def first_slice(self) -> int:
        """The slice to begin with: where the maps vary most."""
        study = self.study
        return most_varied_slice([(v.data, self.trusted[name]) for name, v in study.maps.items()])

    def unfill(self) -> Case:
        """Return the case with the maps on their acquired matrix.

        Raises
        ------
        GeometryError
            If the maps do not look zero-filled.
        """
        return replace(Case.of(undo_zero_filling(self.study), self.label), unfilled=True)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case at one factor s.

    Parameters
    ----------
    case, mode, upscale
        What it was prepared from.
    acquired
        The study whose maps are taken as acquired: degraded in the mode "restore".
    conditions
        Metabolite -> what the networks are told, formed when it is first asked for.
    """

    case: Case
    mode: Mode
    upscale: float
    acquired: Study
    conditions: Conditions
    _shown: dict[tuple[str, str], Volume] = field(default_factory=dict, repr=False)

    @property
    def reference(self) -> Study | None:
        """The high-resolution study, where it is known."""
        return self.case.study if self.mode is Mode.RESTORE else None

    @property
    def n_slices(self) -> int:
        """How many slices the maps have, before and after."""
        return self.case.study.grid.shape[2]

    def input(self, metabolite: str) -> Volume:
        """Return a zero-filled map in display space, NaN outside the mask; each time the same."""
        condition = self.conditions[metabolite]
        return self._inside("input", metabolite, Volume(condition.lowres, condition.affine))

    def truth(self, metabolite: str) -> Volume | None:
        """Return the reference likewise; None without one."""
        if self.reference is None:
            return None
        return self._inside("truth", metabolite, self.reference.maps[metabolite])

    def _inside(self, what: str, metabolite: str, volume: Volume) -> Volume:
        key = (what, metabolite)
        if key not in self._shown:
            mask = self.conditions[metabolite].mask
            inside = volume.with_data(np.where(mask, volume.data, np.nan))
            self._shown[key] = self.case.frame.show(inside)
        return self._shown[key]

    def top(self, metabolite: str) -> float:
        """Return the upper colour limit that input, output and reference share.

        It depends on the study alone, so that colours stay comparable while settings change.
        """
        trusted = self.case.trusted[metabolite]
        limit = upper_limit(self.case.study.maps[metabolite].data[trusted])
        return limit if self.mode is Mode.RESTORE else HEADROOM * limit


def prepare(case: Case, mode: Mode, upscale: float) -> Prepared:
    """Make ready what the networks are told about every metabolite at a factor s.

    A metabolite's condition is formed when it is first asked for, so that a picture of one need not
    wait for the others. A map without signal is an error then, and not before.

    Raises
    ------
    GeometryError
        If an image does not overlap the maps, or the output would be too large; or, in the mode
        "restore", if a map has no mask.
    """
    study, grid = case.study, case.study.grid
    if mode is Mode.RESTORE:  # onto the truth's own grid, whatever s
        study, place = degrade(study, upscale), (grid.shape, grid.affine)
    else:
        place = output_grid(grid, upscale)
    return Prepared(case, mode, upscale, study, Conditions(study, case.guides.on(*place)))
