"""What the files of an examination are taken for, and why, before any is read.

    paths -> find_files -> layout_of -> read_name -> Survey -> read_study -> Study

A `Survey` lists every file with its role. Of several files for one role, the layout's preferred one
is taken and the others are offered; where nothing decides, the survey asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io.belonging import (
    in_the_maps_space,
    of_several_folders,
    of_several_starts,
    of_the_maps_patient,
    of_the_maps_run,
)
from ftddm_core.imaging.io.choices import Choices, names
from ftddm_core.imaging.io.found import PathLike, find_files, is_array, packed_in, raw_data_in
from ftddm_core.imaging.io.image_file import extent_of, is_image, stem_of
from ftddm_core.imaging.io.layouts import Found, Layout, Reading, entity, layout_of, read_name
from ftddm_core.imaging.io.limits import MOST_MAP_VOXELS
from ftddm_core.imaging.io.nifti import read_maps
from ftddm_core.imaging.io.roles import MASKS, OF_ONE_METABOLITE, Role
from ftddm_core.imaging.io.sidecars import metabolites_of
from ftddm_core.imaging.io.surveyed import (
    CHOSEN,
    MISSING,
    NO_MAP_OF,
    RESULT,
    RIVALS,
    Entry,
    Question,
    State,
    Survey,
)
from ftddm_core.imaging.metabolites import known_metabolite, metabolite_in, shown_name

FIRST = -1
"""Rank of what the user chose."""

ONE_EACH = (Role.MAP, Role.CRLB, Role.SNR, Role.FWHM, Role.T1, Role.FLAIR)
"""Roles that one file has for each name."""

NOT_NEEDED = {
    Role.RATIO: "maps are enlarged first, ratios formed afterwards",
    Role.NUISANCE: "part of the fit, not a metabolite",
    Role.SEGMENTATION: "not used",
    Role.OTHER_MRI: "only T1 without contrast agent and FLAIR guide the maps",
    Role.SPECTRA: "not fitted yet",
    Role.DERIVED: "a result of this program is opened by naming it",
    Role.UNKNOWN: "say what it is to use it",
}
"""Role -> why its files are left out."""


def survey(paths: PathLike | Sequence[PathLike], choices: Choices | None = None) -> Survey:
    """Return what the files of an examination are taken for.

    Parameters
    ----------
    paths
        A folder, or a list of files and folders.
    choices
        The user's decisions.

    Raises
    ------
    FormatError
        If a path does not exist, or a choice names a file that is not there.
    """
    choices = choices or Choices()
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    files = find_files(listed)
    layout = layout_of(files)
    entries = [
        _entry(file, reading, choices) for file in files for reading in _readings(file, layout)
    ]
    _check_known(choices, entries)
    entries = _of_one_kind(entries)
    entries, questions = _of_one_session(entries, choices)
    entries = of_the_maps_patient(of_the_maps_run(_left_out(entries, choices)))
    entries = in_the_maps_space(_settled(entries))
    questions = questions or _of_maps(listed, entries)
    if not questions:
        entries, questions = _without_rivals(entries)
        questions = questions or of_several_folders(entries) or of_several_starts(entries)
    return Survey(layout.name, tuple(entries), choices, questions, _label(listed, files, choices))


def _label(paths: Sequence[PathLike], files: Sequence[Found], choices: Choices) -> str:
    """Return the chosen label, else the opened folder's name if its maps lie in subfolders that do
    not name a subject."""
    nested = any(file.folder for file in files)
    if choices.label or not nested or any(_entity(file, "sub") for file in files):
        return choices.label
    return Path(paths[0]).absolute().name


def _readings(file: Found, layout: Layout) -> list[Reading]:
    """Return what a file is, and what else it holds."""
    reading = read_name(file, layout)
    also = layout.also if reading.role is Role.MAP else ()
    return [reading, *(replace(reading, role=role) for role in also)]


def _entry(file: Found, reading: Reading, choices: Choices) -> Entry:
    role, own, why, rank = reading.role, reading.name, reading.why, reading.rank
    if role is Role.UNKNOWN and metabolites_of(file.path):
        role, own, why = Role.MAP, file.stem, "its sidecar names metabolites"
    elif role is not Role.MAP:
        own = metabolite_in(own) or own
    if chosen := choices.role_of(file.path):
        (role, own), why, rank = chosen, CHOSEN, FIRST
    subject, session = (_entity(file, kind) for kind in ("sub", "ses"))
    entry = Entry(
        file.path,
        role,
        shown_name(own),
        own,
        why,
        choice=reading.choice,
        subject=subject,
        session=session,
        rank=rank,
        listed=file.listed,
    )
    if choices.excludes(file.path):
        return replace(entry, state=State.LEFT_OUT, reason="left out by choice")
    if file.missing:
        return replace(entry, state=State.LEFT_OUT, reason=MISSING)
    if choices.scale and role is Role.MAP and choices.scale.casefold() in reading.choice.casefold():
        return replace(entry, rank=FIRST)
    return entry


def _entity(file: Found, kind: str) -> str:
    """Return the value of "sub" or "ses" in a file's name, else in its folders."""
    where = (file.stem, *reversed(file.folder.split("/")))
    return next(filter(None, (entity(part, kind) for part in where)), "")


def _check_known(choices: Choices, entries: Iterable[Entry]) -> None:
    paths = [entry.path for entry in entries]
    for file in (*choices.roles, *choices.exclude):
        if not any(names(file, path) for path in paths):
            listed = ", ".join(path.name for path in paths[:8]) or "none"
            raise FormatError(f"There is no file {file} in this study; files are {listed}.")


def _of_one_kind(entries: list[Entry]) -> list[Entry]:
    """Return the entries, without arrays where the maps are images."""
    maps = {is_array(e.path) for e in entries if e.taken and e.role is Role.MAP}
    if maps != {True, False}:
        return entries
    reason = "an array beside images does not state where it lies"
    return [
        replace(e, state=State.LEFT_OUT, reason=reason) if is_array(e.path) else e for e in entries
    ]


def _of_one_session(
    entries: list[Entry], choices: Choices
) -> tuple[list[Entry], tuple[Question, ...]]:
    """Return the entries of the chosen subject and session, and what has to be chosen."""
    questions: list[Question] = []
    for kind in ("subject", "session"):
        maps = [e for e in entries if e.role is Role.MAP and e.state is State.TAKEN]
        there = sorted({getattr(entry, kind) for entry in maps} - {""})
        asked = getattr(choices, kind)
        if asked and asked not in there:
            raise FormatError(
                f"There is no {kind} {asked} here; there {'is' if len(there) == 1 else 'are'} "
                f"{', '.join(there) or 'none stated'}."
            )
        if not asked and len(there) > 1:
            listed = f"{', '.join(there[:-1])} or {there[-1]}"
            words = f"There are several {kind}s: choose {kind} {listed}."
            questions.append(Question(kind, words, tuple(there)))
            break
        if not there:
            continue
        keep = asked or there[0]
        entries = [
            entry
            if getattr(entry, kind) in ("", keep)
            else replace(entry, state=State.LEFT_OUT, reason=f"of another {kind}")
            for entry in entries
        ]
    return entries, tuple(questions)


def _left_out(entries: Sequence[Entry], choices: Choices) -> list[Entry]:
    """Return the entries, with the files that are not needed left out."""
    limits = {Role.SNR: choices.min_snr, Role.FWHM: choices.max_fwhm}
    maps = {e.name.casefold() for e in entries if e.role is Role.MAP and e.taken}
    found = []
    for entry in entries:
        if entry.role not in OF_ONE_METABOLITE and entry.name.casefold() not in maps:
            named = entry.role is Role.DERIVED or known_metabolite(entry.own)
            entry = entry if named else replace(entry, name="", own="")
        derived = entry.role is Role.DERIVED and entry.listed and entry.name.casefold() not in maps
        if entry.taken and derived:
            found.append(replace(entry, role=Role.MAP, why=RESULT))
        elif entry.taken and entry.role in NOT_NEEDED:
            found.append(replace(entry, state=State.LEFT_OUT, reason=NOT_NEEDED[entry.role]))
        elif entry.taken and entry.role in limits and limits[entry.role] is None:
            reason = "used where a limit is set for it"
            found.append(replace(entry, state=State.LEFT_OUT, reason=reason))
        else:
            found.append(entry)
    return found


def _settled(entries: list[Entry]) -> list[Entry]:
    """Return the entries with one file for each role, as far as ranks decide."""
    maps = {e.name.casefold() for e in entries if e.role is Role.MAP and e.taken}
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.taken:
            groups[_place(entry, maps)].append(entry)
    best = {key: min(entry.rank for entry in group) for key, group in groups.items()}
    mask_chosen = best.get(("mask", "")) == FIRST
    settled = []
    for entry in entries:
        key = role, name = _place(entry, maps)
        if role == "mask" and not name:
            entry = replace(entry, name="")
        if not entry.taken or not role:
            settled.append(entry)
        elif entry.role is Role.CRLB and name not in maps and "" not in maps:
            reason = f"{NO_MAP_OF} {entry.name}" if name else "of which map is not stated"
            settled.append(replace(entry, state=State.LEFT_OUT, reason=reason))
        elif _mask_of_no_map(entry, maps):
            reason = f"{NO_MAP_OF} {entry.own}"
            settled.append(replace(entry, state=State.LEFT_OUT, reason=reason))
        elif entry.rank > best[key] or (role == "mask" and name and mask_chosen):
            reason = "another one is preferred"
            settled.append(replace(entry, state=State.OFFERED, reason=reason))
        else:
            settled.append(entry)
    return settled


def _mask_of_no_map(entry: Entry, maps: Iterable[str]) -> bool:
    """Return whether a mask was made for one metabolite, of which there is no map."""
    if entry.role not in MASKS or entry.why == CHOSEN or "" in maps:
        return False
    return bool(known_metabolite(entry.own)) and shown_name(entry.own).casefold() not in maps


def _place(entry: Entry, maps: Iterable[str]) -> tuple[str, str]:
    """Return what only one file can be, ("", "") where there may be several."""
    name = entry.name.casefold()
    if entry.role in (*MASKS, Role.SPIKES, Role.FAILED):
        if entry.role in MASKS:
            return "mask", name if name in maps else ""
        return "", ""
    if entry.role in (Role.T1, Role.FLAIR):
        return entry.role.name, ""
    return (entry.role.name, name) if entry.role in ONE_EACH else ("", "")


def _without_rivals(entries: list[Entry]) -> tuple[list[Entry], tuple[Question, ...]]:
    """Return the entries without optional files that claim one role; a question about others."""
    maps = {e.name.casefold() for e in entries if e.role is Role.MAP and e.taken}
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.taken and _place(entry, maps)[0]:
            groups[_place(entry, maps)].append(entry)
    rivals: set[Path] = set()
    questions = []
    for group in groups.values():
        if len(group) < 2:
            continue
        if group[0].role in (Role.CRLB, Role.SNR, Role.FWHM):
            rivals |= {entry.path for entry in group}
        else:
            questions.append(_which(group))
    reason = RIVALS
    entries = [
        replace(e, state=State.OFFERED, reason=reason) if e.taken and e.path in rivals else e
        for e in entries
    ]
    return entries, tuple(questions)


def _which(group: Sequence[Entry]) -> Question:
    """Return the question which of several files has a role."""
    first, second = group[:2]
    claim = f"{first.path} and {second.path} both claim to be the {first.role} of "
    if first.role is Role.MAP:
        words = f"{claim}{first.name}: two maps would have one name. Keep or list only one of them."
    else:
        words = (
            f"{claim}{first.name or 'the study'}. Keep only one of them, or name it as "
            f"{first.role.name.lower()}."
        )
    return Question("roles", words, tuple(str(entry.path) for entry in group))


def _of_maps(paths: Sequence[PathLike], entries: Sequence[Entry]) -> tuple[Question, ...]:
    """Return a question if there is no map, which says what there is instead."""
    if any(entry.role is Role.MAP and entry.taken for entry in entries):
        return ()
    if missing := [entry.path for entry in entries if entry.reason == MISSING]:
        return (Question("", f"{missing[0]} cannot be read: {MISSING}. Fetch it first."),)
    ratios = [entry.path.name for entry in entries if entry.role is Role.RATIO]
    if ratios:
        words = (
            f"{ratios[0]} is a ratio: maps wanted, not ratios. Open the two maps, and form their "
            "ratio afterwards; or say that it is a map."
        )
        return (Question("roles", words, tuple(ratios)),)
    where = ", ".join(str(path) for path in paths) or "The list of files"
    if raw := raw_data_in(paths):
        kind, converter = raw
        words = (
            f"{where} holds {kind}, not fitted metabolite maps: convert it with {converter}, fit "
            "the spectra (LCModel, FSL-MRS, Osprey), and open the maps."
        )
        return (Question("", words),)
    if packed := packed_in(paths):
        words = (
            f"{packed} lies inside what was opened, and packed files there are not looked into: "
            "unpack it, and open the folder with its files."
        )
        return (Question("", words),)
    if reason := _why_no_map(entries):
        return (Question("", reason),)
    inner = any(e.path.parent == Path(path) for path in paths for e in entries) and any(
        child.is_dir() and child.name[0] != "." for path in paths for child in _children(path)
    )
    if inner:
        where = f"Apart from its subfolders, which were not looked into, {where}"
    found = ", ".join(f"{entry.path.name} ({entry.title})" for entry in entries[:8])
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    words = (
        f"{where} holds no metabolite map; found {found or 'no image file'}{more}. "
        "Name maps <metabolite>.nii.gz or ..._met-<metabolite>_desc-signal_mrsi.nii.gz, say "
        "which files are maps, or list the metabolites of a 4D file in its sidecar."
    )
    return (Question("roles", words, tuple(str(entry.path) for entry in entries)),)


def _children(path: PathLike) -> list[Path]:
    try:
        return list(Path(path).iterdir()) if Path(path).is_dir() else []
    except OSError:
        return []


def _why_no_map(entries: Sequence[Entry]) -> str:
    """Return why the first files that were not recognised cannot be maps, "" if they may be."""
    unknown = [e.path for e in entries if e.role is Role.UNKNOWN and is_image(e.path)]
    for path in unknown[:3]:
        try:
            if extent_of(path).voxels <= MOST_MAP_VOXELS:  # else its header has to do
                read_maps(path, stem_of(path))
        except FtddmError as error:
            return str(error)
    return ""
