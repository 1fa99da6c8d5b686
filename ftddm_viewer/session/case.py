"""An open examination: everything known about it before sampling.

A `Case` is what was opened and how it is shown; a `Prepared` case holds the network inputs at one
factor s, in one of two modes:

- enlarge: the maps are the acquired ones and are enlarged by s; there is no truth;
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
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.imaging.degrade import acquired_matrix, degrade, undo_zero_filling
from ftddm_core.imaging.findings import findings
from ftddm_core.imaging.fit_quality import FAILED_CRLB, crlb_on_grid, failed_fit
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.geometry import check_overlap, regrid_nearest
from ftddm_core.imaging.volume import FloatArray, Study, Volume, finite_or_zero
from ftddm_core.sampling.condition import Conditions
from ftddm_core.sampling.guides import Guides, Shape, default_mask, output_grid
from ftddm_core.saving.names import study_label
from ftddm_core.saving.sidecar import fingerprints
from ftddm_viewer.session.first_view import most_varied_slice, upper_limit
from ftddm_viewer.session.frame import Frame

HIGH_RESOLUTION = 5.0
"""In mm: maps with smaller in-plane voxels are treated as high-resolution."""

FAVOURITES = ("tNAA", "NAA", "tCho")
"""Preferred metabolites at the start: the first that the study has."""

HEADROOM = 1.25
"""Upper colour limit of an enlarged map relative to that of the acquired map: detail adds
contrast."""

KEPT_FACTORS = 32
"""Number of recent factors whose degraded study is kept: its self-check is found by it."""

KEPT_VOXELS = 2**21
"""Number of voxels of recent output grids whose masks and MRI are kept, 17 bytes per voxel where
all maps share a mask; enough for every grid that s gives for a degraded 64 x 64 x 39 study."""


class Mode(StrEnum):
    """The role of the factor s."""

    ENLARGE = "enlarge"
    RESTORE = "restore"


MODE_WORDS = {
    Mode.ENLARGE: "Enlarge a low-resolution study by s",
    Mode.RESTORE: "Degrade by s, restore, compare",
}
"""Names of the modes for a menu."""


def known_mode(mode: Mode | str) -> Mode:
    """Return a mode by its name.

    Raises
    ------
    SettingsError
        If there is no such mode.
    """
    if mode not in list(Mode):
        raise SettingsError(f"There is no mode '{mode}': choose enlarge or restore.")
    return Mode(mode)


class RecentlyDegraded:
    """A study degraded by the factors that were used last: always the same object. Thread-safe."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._recent: dict[float, Study] = {}
        self._lock = Lock()

    def by(self, upscale: float) -> Study:
        """Return the study degraded by a factor s; errors as for `degrade`."""
        with self._lock:
            degraded = self._recent.pop(upscale, None) or degrade(self._study, upscale)
            self._recent[upscale] = degraded  # the newest comes last
            if len(self._recent) > KEPT_FACTORS:
                del self._recent[next(iter(self._recent))]
        return degraded


class RecentGuides:
    """Masks and MRI of a study on the output grids that were used last.

    Moving s back and forth uses the same few grids. Thread-safe.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._recent: dict[tuple[Shape, bytes], Guides] = {}
        self._lock = Lock()

    def on(self, shape: Shape, affine: FloatArray) -> Guides:
        """Return the guides on an output grid; errors as for `Guides`."""
        key = (shape, affine.tobytes())  # exact, so that no result depends on earlier ones
        with self._lock:
            guides = self._recent.pop(key, None) or Guides(self._study, shape, affine)
            self._recent[key] = guides  # the newest comes last
            while len(self._recent) > 1 and sum(prod(s) for s, _ in self._recent) > KEPT_VOXELS:
                del self._recent[next(iter(self._recent))]
        return guides


@dataclass(frozen=True, eq=False)
class Case:
    """An open examination and how it is shown.

    Parameters
    ----------
    study
        The study as opened.
    label
        Name of the case.
    frame
        Display space.
    mri
        "T1", "FLAIR" -> the image in display space, on its own extent.
    trusted
        Metabolite -> trusted voxels on the study's own grid.
    inputs
        Fingerprints of the study's files at the time of opening: the files may change later.
    zero_filled
        The matrix that the maps' k-space fills, None if it fills the whole matrix.
    unfilled
        Whether earlier zero-filling was undone.
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
    def in_memory(cls, study: Study, label: str = "") -> Case:
        """Make a case of a study that does not come from files, with the findings about it."""
        return cls.of(study.with_notes(findings(study)), label)

    @classmethod
    def of(cls, study: Study, label: str = "") -> Case:
        """Make a case of a study; MRI that do not overlap the maps are left out here, and refused
        by `prepare`."""
        frame = Frame.of(study.grid)
        mri: dict[Literal["T1", "FLAIR"], Volume] = {}
        if study.t1 is not None:
            with suppress(GeometryError):
                check_overlap(study.t1, study.grid.shape, study.grid.affine)
                mri["T1"] = frame.show_mri(study.t1)
        if study.flair is not None:
            with suppress(GeometryError):
                check_overlap(study.flair, study.grid.shape, study.grid.affine)
                mri["FLAIR"] = frame.show_mri(study.flair)
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
        """The default mode: restore if the voxels are small and measured and there is a mask."""
        x, y, _ = self.study.grid.voxel_size
        masked = all(self.study.mask_of(name) is not None for name in self.study.maps)
        fine = np.sqrt(x * y) < HIGH_RESOLUTION and self.zero_filled is None
        return Mode.RESTORE if masked and fine else Mode.ENLARGE

    @cached_property
    def guides(self) -> RecentGuides:
        """Masks and MRI on the output grids of the most recent factors."""
        return RecentGuides(self.study)

    @cached_property
    def prepared(self) -> WeakValueDictionary[tuple[Mode, float], Prepared]:
        """The case at the factors that are in use; see `prepare`."""
        return WeakValueDictionary()

    @cached_property
    def preparing(self) -> Lock:
        """To be held while `prepared` is looked up."""
        return Lock()

    @cached_property
    def degraded(self) -> RecentlyDegraded:
        """The study degraded by the most recent factors."""
        return RecentlyDegraded(self.study)

    @cached_property
    def mri_tops(self) -> Mapping[str, float]:
        """The upper grey limit of each MRI."""
        return {name: upper_limit(image.data[image.data > 0]) for name, image in self.mri.items()}

    @cached_property
    def positions(self) -> FloatArray:
        """Position of each of the study's slices (Z,) along the display's slice axis, in mm."""
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
        """The metabolite shown first."""
        favourites = (name for name in FAVOURITES if name in self.study.maps)
        return next(favourites, next(iter(self.study.maps)))

    @cached_property
    def first_slice(self) -> int:
        """The slice shown first: the one with the largest variation."""
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
        Case, mode and factor it was prepared from.
    acquired
        The study whose maps count as acquired: the degraded one in the mode "restore".
    conditions
        Metabolite -> network input, formed on first access.
    """

    case: Case
    mode: Mode
    upscale: float
    acquired: Study
    conditions: Conditions
    _shown: dict[tuple[str, str], Volume] = field(default_factory=dict, repr=False)
    _tops: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def reference(self) -> Study | None:
        """The high-resolution study, where it is known."""
        return self.case.study if self.mode is Mode.RESTORE else None

    @property
    def n_slices(self) -> int:
        """Number of slices of the maps, unchanged by the model."""
        return self.case.study.grid.shape[2]

    def input(self, metabolite: str) -> Volume:
        """Return a zero-filled map in display space, NaN outside the mask; always the same
        object."""
        condition = self.conditions[metabolite]
        return self._inside("input", metabolite, Volume(condition.lowres, condition.affine))

    def truth(self, metabolite: str) -> Volume | None:
        """Return the reference map in the same way; None without one."""
        if self.reference is None:
            return None
        return self._inside("truth", metabolite, self.reference.maps[metabolite])

    def crlb(self, metabolite: str) -> Volume | None:
        """Return a map's CRLB in per cent in the same way, failed fits as 999; None without
        one."""
        bound = crlb_on_grid(self.case.study, metabolite)
        if bound is None or ("crlb", metabolite) in self._shown:
            return self._shown.get(("crlb", metabolite))
        condition = self.conditions[metabolite]
        known = np.where(failed_fit(bound), FAILED_CRLB, bound)
        fitted = replace(self.case.study.maps[metabolite], data=known, unit="%")
        return self._inside(
            "crlb", metabolite, regrid_nearest(fitted, condition.shape, condition.affine)
        )

    def _inside(self, what: str, metabolite: str, volume: Volume) -> Volume:
        key = (what, metabolite)
        if key not in self._shown:
            mask = self.conditions[metabolite].mask
            inside = volume.with_data(np.where(mask, volume.data, np.nan))
            self._shown[key] = self.case.frame.show(inside)
        return self._shown[key]

    def top(self, metabolite: str) -> float:
        """Return the upper colour limit that input, output and reference share.

        It depends only on the study, so that colours stay comparable when settings change.
        """
        if metabolite not in self._tops:
            trusted = self.case.trusted[metabolite]
            self._tops[metabolite] = upper_limit(self.case.study.maps[metabolite].data[trusted])
        limit = self._tops[metabolite]
        return limit if self.mode is Mode.RESTORE else HEADROOM * limit


def prepare(case: Case, mode: Mode, upscale: float) -> Prepared:
    """Prepare the network inputs of every metabolite at a factor s.

    A metabolite's condition is formed on first access, so that an image of one metabolite does not
    wait for the others. A map without signal raises its error only then. What is still in use is
    shared: by the sessions that show the same case, and by their sweeps.

    Raises
    ------
    GeometryError
        If an image does not overlap the maps, or the output would be too large; or, in the mode
        "restore", if a map has no mask.
    """
    with case.preparing:
        known = case.prepared.get((mode, upscale))
        if known is None:
            known = case.prepared[mode, upscale] = _prepared(case, mode, upscale)
        return known


def _prepared(case: Case, mode: Mode, upscale: float) -> Prepared:
    study, grid = case.study, case.study.grid
    if mode is Mode.RESTORE:  # onto the truth's own grid for any s
        study, place = case.degraded.by(upscale), (grid.shape, grid.affine)
    else:
        place = output_grid(grid, upscale)
    return Prepared(case, mode, upscale, study, Conditions(study, case.guides.on(*place)))
