"""Saved maps as a method of a reader study: results of this program, or of any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ftddm_core.errors import FormatError
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.io import open_study, read_volume
from ftddm_core.imaging.volume import Volume
from ftddm_core.sampling.condition import Condition
from ftddm_core.saving.names import MAP_ENDING, result_stem

OTHER_UNIT = 3.0
"""Ratio of two methods' largest values above which a saved map is probably in another unit."""


def saved_maps(
    name: str, folder: Path, conditions: Sequence[Condition], key: str
) -> dict[str, Volume]:
    """Return maps from a folder, on the grid of the others.

    Parameters
    ----------
    name
        Of the method, for messages.
    folder
        Of the maps, or of folders of them, each named as its study.
    conditions
        Of the maps to read.
    key
        Name of the study.

    Raises
    ------
    FormatError
        If a map is missing, or cannot be read.
    GeometryError
        If one does not overlap with the study.
    """
    own = folder / key if (folder / key).is_dir() else folder
    wanted = [condition.metabolite for condition in conditions]
    found = _results(name, own, wanted) or open_study(own).maps
    maps = {}
    for condition in conditions:
        if condition.metabolite not in found:
            raise FormatError(
                f"{name}: there is no map of {condition.metabolite} in {own}; there are "
                f"{', '.join(found)}."
            )
        volume = found[condition.metabolite]
        if not volume.on_grid_of(condition.volume(condition.lowres)):
            volume = regrid_mean(volume, condition.shape, condition.affine)
        maps[condition.metabolite] = volume
    return maps


def _results(name: str, folder: Path, wanted: Sequence[str]) -> dict[str, Volume]:
    """Return the maps that this program wrote into a folder: studies do not open with those."""
    maps = {}
    for metabolite in wanted:
        files = sorted(folder.glob(f"*{result_stem('', metabolite)}{MAP_ENDING}"))
        if len(files) > 1:
            raise FormatError(
                f"{name}: {folder} has results of several studies, such as {files[0].name} and "
                f"{files[1].name}. Give a folder that has one for each study, named as the study."
            )
        if files:
            maps[metabolite] = read_volume(files[0])
    return maps


def odd_units(
    name: str, maps: Mapping[str, Volume], conditions: Sequence[Condition], key: str
) -> list[str]:
    """Return what a careful user would want to know of maps: those in another unit."""
    notes = []
    for condition in conditions:
        inside = condition.mask
        own, other = (
            float(np.nanpercentile(data[inside], 95)) if inside.any() else 0.0
            for data in (maps[condition.metabolite].data, condition.lowres)
        )
        if other > 0 and not 1 / OTHER_UNIT < own / other < OTHER_UNIT:
            notes.append(
                f"{key}: {condition.metabolite} of {name} is {own / other:.3g} times the acquired "
                "map. All images of a map share their colours: give it in the same unit."
            )
    return notes
