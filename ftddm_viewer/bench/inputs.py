"""Inputs of the timing: the bundled case, and larger or smaller ones made from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ftddm_core.assets import asset_folder
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.geometry import refined_affine, regrid_nearest
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_viewer import CASE_LABEL, CASE_UPSCALE
from ftddm_viewer.session.case import Case, Mode, Prepared, prepare


def bundled_study() -> Study:
    """Return the bundled case: simulated, so its truth is known."""
    return open_study(asset_folder("case"))


class Inputs:
    """A high-resolution study, degraded, and the network inputs formed from it.

    Parameters
    ----------
    study
        With a mask.

    Attributes
    ----------
    case, prepared
        The study as a session has it, degraded by `CASE_UPSCALE` and to be restored.
    metabolite, k
        The map and the slice used where only one is sampled: those that a session starts with.
    """

    def __init__(self, study: Study) -> None:
        self.case = Case.of(study, CASE_LABEL)
        self.prepared: Prepared = prepare(self.case, Mode.RESTORE, CASE_UPSCALE)
        self.metabolite, self.k = self.case.first_metabolite, self.case.first_slice

    @property
    def condition(self) -> Condition:
        """The network input of that map."""
        return self.prepared.conditions[self.metabolite]

    def middle(self, count: int) -> list[int]:
        """Return `count` slices around the middle one, or all if there are fewer."""
        n_slices = self.prepared.n_slices
        first = max(0, n_slices // 2 - count // 2)
        return list(range(first, min(first + count, n_slices)))

    def volume(self, n_slices: int, n_metabolites: int) -> list[Condition]:
        """Return a volume of any size: slices and metabolites are left out or repeated."""
        known = [*self.prepared.conditions.values()]
        wanted = [known[i % len(known)] for i in range(n_metabolites)]
        return [
            replace(_of_slices(condition, n_slices), metabolite=f"{condition.metabolite}-{i}")
            for i, condition in enumerate(wanted)
        ]

    def slab(self, n_slices: int) -> Condition:
        """Return one map with `n_slices` slices."""
        return _of_slices(self.condition, n_slices)

    def at_matrix(self, n: int) -> Condition:
        """Return one slice of one map on n x n voxels of the same field of view."""
        study = self.case.study.slab(self.k, self.k + 1)
        volume = study.maps[self.metabolite]
        nx, ny, nz = volume.shape
        affine = refined_affine(volume.affine, (nx, ny), (n, n))
        maps = {self.metabolite: regrid_nearest(volume, (n, n, nz), affine)}
        low = degrade(replace(study, maps=maps, crlb={}), CASE_UPSCALE)
        return next(iter(form_conditions(low, CASE_UPSCALE, (n, n))))


def _of_slices(condition: Condition, n_slices: int) -> Condition:
    """Return a condition with `n_slices` slices, repeating the existing ones."""
    nx, ny, n_known = condition.shape
    indices = np.arange(n_slices) % n_known
    return replace(
        condition,
        channels=condition.channels[..., indices],
        cleaned=condition.cleaned[..., indices],
        measurement=condition.measurement.of_slices(indices),
        shape=(nx, ny, n_slices),
    )
