"""A new reader study: every study restored by every method, drawn, blinded and written."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import Study
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.pair import encode_json
from ftddm_viewer.drawing.reader_image import anatomy_image, reader_image
from ftddm_viewer.readers.items import Blinded, Case, blinded
from ftddm_viewer.readers.key import key_path
from ftddm_viewer.readers.methods import Compared, Plan, compared
from ftddm_viewer.readers.page import document
from ftddm_viewer.readers.store import IMAGES, STUDY, encoded
from ftddm_viewer.session.first_view import upper_limit
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.restoring import Bar

PAGE = "study.html"
EDGE = 3
"""Voxels around the trusted ones that are shown."""


def check_new(folder: Path) -> None:
    """Refuse a folder that a new study cannot be written to; errors as for `check_writable`.

    A study that is there is never replaced: it may hold answers.
    """
    check_writable(folder, [STUDY, PAGE])
    if (folder / IMAGES).exists():
        raise FormatError(f"{folder / IMAGES} exists already: choose another folder.")
    key = key_path(folder)
    check_writable(key.parent, [key.name])


def make(
    plan: Plan, studies: Mapping[str, Study], model: Model, bar: Bar, seed: int
) -> tuple[Blinded, dict[str, Any], list[str]]:
    """Return a new study, its key, and what a careful user would want to know.

    Parameters
    ----------
    plan
        What to compute.
    studies
        Name -> study.
    model, bar
        The networks, and progress.
    seed
        Of the order.
    """
    cases: list[Case] = []
    notes: list[str] = []
    for name, study in studies.items():
        found = compared(plan, study, name, model, bar)
        notes += found.notes
        cases += _cases(name, found)
    study_of = blinded(cases, seed)
    key = {
        "StudyId": secrets.token_hex(8),
        "Note": "This tells which image is of which method: keep it from the readers.",
        "Seed": seed,
        "Degraded": plan.degraded,
        "Methods": [method.record(plan.settings) for method in plan.methods],
        "Weights": {"Name": model.name, "SHA256": model.digest},
        "Software": {"Name": "ftddm-viewer", "Version": version("ftddm-viewer")},
        "Cases": [
            {"Number": number, "Study": case.study, "Metabolite": case.metabolite,
             "Slice": case.slice_index}
            for number, case in enumerate(cases, start=1)
        ],
        "Images": {
            code: {"Case": number, "Method": method}
            for code, (number, method) in study_of.shown.items()
        },
    }  # fmt: skip
    return study_of, key, notes


def _cases(name: str, found: Compared) -> Iterator[Case]:
    box = _box(list(found.masks.values()))
    anatomy = {}
    if found.anatomy is not None:
        inside_box = found.anatomy.with_data(found.anatomy.data[box])
        anatomy = {k: anatomy_image(inside_box, k) for k in found.slices}
    for metabolite in next(iter(found.maps.values())):
        mask = found.masks[metabolite][box]
        inside = {
            method: maps[metabolite].with_data(np.where(mask, maps[metabolite].data[box], np.nan))
            for method, maps in found.maps.items()
        }
        for k in found.slices:
            seen = np.concatenate([v.data[..., k][mask[..., k]] for v in inside.values()])
            limits = (0.0, upper_limit(seen))
            yield Case(
                name,
                metabolite,
                k,
                {m: reader_image(v, k, metabolite, limits) for m, v in inside.items()},
                anatomy.get(k),
            )


def _box(masks: Sequence[NDArray[np.bool_]]) -> tuple[slice, slice]:
    """Return the part of a plane that some masks fill, with an edge: the same for every image."""
    plane = np.logical_or.reduce([mask.any(axis=2) for mask in masks])
    spans = []
    for axis in (0, 1):
        filled = np.flatnonzero(plane.any(axis=1 - axis))
        spans.append(slice(max(0, int(filled[0]) - EDGE), int(filled[-1]) + 1 + EDGE))
    return spans[0], spans[1]


def write(study: Blinded, key: Mapping[str, Any], folder: Path, *, page: bool) -> Path:
    """Write a study, with a page that needs no server if wanted, and its key beside it.

    Returns
    -------
    Path
        The key.

    Raises
    ------
    FormatError
        If one cannot be written; nothing is left then.
    """
    check_new(folder)
    about = {"study": key["StudyId"], "place": secrets.token_urlsafe(12)}
    files = {f"{IMAGES}/{code}.png": content for code, content in study.images.items()}
    if page:
        files[PAGE] = document(about["study"], study.trials, study.images)
    files[STUDY] = encoded(study, about)
    place = key_path(folder)
    save_files({place.name: encode_json(key)}, place.parent)
    try:
        save_files(files, folder)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return place


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each of some studies, by which the key and folders of saved maps know it.

    >>> names_of([Path("a/one"), Path("b/one"), Path("two.zip")])
    ['one', 'one-2', 'two']
    """
    found: list[str] = []
    for path in paths:
        own = path.absolute().name.split(".")[0] or "study"
        number, name = 1, own
        while name in found:
            number += 1
            name = f"{own}-{number}"
        found.append(name)
    return found
