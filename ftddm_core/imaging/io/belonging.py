"""Which files of an examination belong to its maps: by their space, their run, and their folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ftddm_core.imaging.io.image_file import stem_of
from ftddm_core.imaging.io.layouts import entity
from ftddm_core.imaging.io.roles import MASKS, Role
from ftddm_core.imaging.io.surveyed import (
    ANOTHERS,
    CHOSEN,
    DOUBTED,
    ELSEWHERE,
    Entry,
    Question,
    State,
)
from ftddm_core.imaging.metabolites import metabolite_in

OF_THE_SCAN = (Role.CRLB, *MASKS, Role.SPIKES, Role.FAILED, Role.SNR, Role.FWHM)
"""Roles of files that were computed from the spectra of one run."""

PLACED = (Role.MAP, Role.T1, Role.FLAIR, *OF_THE_SCAN)
"""Roles of files that have to lie where the maps lie."""

_STANDARD = re.compile(r"mni|icbm|talairach|fsaverage|template|standard", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_BETWEEN = re.compile(r"[_\-. ]+")


def of_the_maps_run(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries, without bounds and masks of another run than that of all maps.

    What the user chose stays.
    """
    return _matching(entries, OF_THE_SCAN, _run, "of another run")


def of_the_maps_patient(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries, without bounds and masks whose name is that of another patient or date.

    The part of the maps' names that stands before or after the metabolite tells whose they are
    ("patA_tNAA"); a name that has another number or last letter there ("patB_mask") is not theirs.
    MRI are only doubted, since series of one examination may be numbered. What the user chose
    stays.
    """
    maps = [entry for entry in entries if entry.taken and entry.role is Role.MAP]
    whose = {_whose(entry) for entry in maps}
    wanted = next(iter(whose)) if len(whose) == 1 else ()
    if not wanted or (len(wanted) == 1 and re.fullmatch(r"\d{0,2}", wanted[0])):
        return list(entries)
    found = []
    for entry in entries:
        if entry.taken and entry.why != CHOSEN and _is_anothers(entry, wanted):
            if entry.role in OF_THE_SCAN:
                entry = replace(entry, state=State.LEFT_OUT, reason=ANOTHERS)
            elif entry.role in (Role.T1, Role.FLAIR):
                entry = replace(entry, reason=DOUBTED)
        found.append(entry)
    return found


def _whose(entry: Entry) -> tuple[str, ...]:
    """Return the parts of a map's name before the metabolite, else those after it."""
    before, own, after = stem_of(entry.path).partition(entry.own or "\0")
    return (_parts(before) or _parts(after)) if own else ()


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in _BETWEEN.split(text.casefold()) if part)


def _is_anothers(entry: Entry, wanted: tuple[str, ...]) -> bool:
    """Return whether a name has parts that are like the wanted ones, but not them."""
    parts, count = _parts(stem_of(entry.path)), len(wanted)
    runs = [parts[at : at + count] for at in range(len(parts) - count + 1)]
    return wanted not in runs and any(
        all(_alike(one, other) for one, other in zip(run, wanted, strict=True)) for run in runs
    )


def _alike(one: str, other: str) -> bool:
    """Return whether two parts of names are equal, or differ in a number or their last letter."""
    numbered = _NUMBER.sub("#", one) == _NUMBER.sub("#", other)
    lettered = len(one) == len(other) and one[:-1] == other[:-1] and (one + other).isalpha()
    return one == other or numbered or (lettered and len(one) > 1)


def in_the_maps_space(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries, without those in a space of a standard brain where the maps are in the
    scan's own, or the other way round.

    What the user chose stays.
    """
    return _matching(entries, PLACED, _in_standard_space, ELSEWHERE)


def _matching(
    entries: Sequence[Entry],
    roles: Sequence[Role],
    of: Callable[[Entry], str | bool],
    reason: str,
) -> list[Entry]:
    """Return the entries without those of some roles for which `of` differs from the maps'."""
    maps = [entry for entry in entries if entry.taken and entry.role is Role.MAP]
    if not maps:
        return list(entries)
    best = min(entry.rank for entry in maps)
    wanted = {of(entry) for entry in maps if entry.rank == best}
    return [
        replace(entry, state=State.LEFT_OUT, reason=reason)
        if entry.taken
        and entry.role in roles
        and entry.why != CHOSEN
        and len(wanted) == 1
        and of(entry) not in ("", *wanted)
        else entry
        for entry in entries
    ]


def _run(entry: Entry) -> str:
    return entity(stem_of(entry.path), "run")


def _in_standard_space(entry: Entry) -> bool:
    return bool(_STANDARD.search(entity(stem_of(entry.path), "space")))


def of_several_starts(entries: Sequence[Entry]) -> tuple[Question, ...]:
    """Return a question if the names of maps start differently, as those of two patients or dates.

    Numbers of up to two digits may count the metabolites; maps that the user listed or chose may
    have any names.
    """
    maps = [e for e in entries if e.taken and e.role is Role.MAP and not e.listed]
    starts = {_start(entry): entry for entry in maps if entry.why != CHOSEN}
    if len(starts) < 2 or any(re.fullmatch(r"\d{0,2}", start) for start in starts):
        return ()
    first, second = list(starts.values())[:2]
    words = (
        f"{first.path.name} and {second.path.name} start differently: are they of one examination? "
        "List the files of one."
    )
    return (Question("", words),)


def _start(entry: Entry) -> str:
    """Return what stands before the metabolite in a file's name."""
    if not entry.own:
        return ""
    before, own, _ = stem_of(entry.path).partition(entry.own)
    return before.strip("_-. ").casefold() if own else ""


def of_several_folders(entries: Sequence[Entry]) -> tuple[Question, ...]:
    """Return a question if maps of different folders would make one study.

    Maps that the user listed or chose may lie anywhere, and every metabolite may have a folder that
    is named after it.
    """
    places: dict[Path, Entry] = {}
    for entry in entries:
        free = entry.listed or entry.why == CHOSEN or metabolite_in(entry.path.parent.name)
        if entry.taken and entry.role is Role.MAP and not free:
            places.setdefault(entry.path.parent, entry)
    if len(places) < 2:
        return ()
    first, second = list(places.values())[:2]
    words = (
        f"Maps lie in several folders, {first.path.name} in {first.path.parent} and "
        f"{second.path.name} in {second.path.parent}: are they of one examination? Open one of the "
        "folders, or list the files."
    )
    return (Question("", words),)
