"""What a user can decide about a study's files, and the `Choices` that follow from it.

    Inspection -> rows_of, fields_of -> edited by the user -> choices_of -> Choices

Every front end shows the same rows (one a file) and fields (one a decision about the study); what
cannot act on this study says why, so that it can be shown disabled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices
from ftddm_core.imaging.io.choices import FRACTION, PERCENT, ROLE_OF_KEY, names, role_key
from ftddm_core.imaging.io.image_file import stem_of
from ftddm_core.imaging.io.masks import are_labels, are_probabilities
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.io.surveyed import Entry, State
from ftddm_core.imaging.space import forms_differ
from ftddm_core.saving.names import study_label
from ftddm_viewer.session.inspection import Inspection, title_of, use_of

AUTOMATIC, LEAVE_OUT = "automatic", "leave out"

ROLES: Mapping[str, str] = {
    AUTOMATIC: AUTOMATIC,
    LEAVE_OUT: LEAVE_OUT,
    **{key: str(role) for key, role in ROLE_OF_KEY.items()},
}
"""Choice of a row -> its words."""

UNNAMED = (LEAVE_OUT, role_key(Role.T1), role_key(Role.FLAIR))
"""Choices of a row to which no metabolite belongs."""

Kind = Literal["text", "number", "one", "several"]


@dataclass(frozen=True)
class Row:
    """A file, what it was taken for, and what the user wants it to be.

    Parameters
    ----------
    path, file
        Where it is, and how it is shown.
    taken_for, because, use
        Its role, what showed it, and what happens to it.
    role
        The user's choice, a key of `ROLES`.
    name
        Its metabolite, "" for none.
    found_as
        Key of the role that it was taken for, "" for one that cannot be chosen.
    asked
        Whether the open question is about it.
    """

    path: Path
    file: str
    taken_for: str
    because: str
    use: str
    role: str = AUTOMATIC
    name: str = ""
    found_as: str = ""
    asked: bool = False

    @property
    def takes_name(self) -> bool:
        """Whether a metabolite's name can act on it."""
        return (self.found_as if self.role == AUTOMATIC else self.role) not in (*UNNAMED, "")


@dataclass(frozen=True)
class Field:
    """A decision about the study.

    Parameters
    ----------
    key
        Field of `Choices`.
    label
        What it is called.
    kind
        A text, a number, one of the options, or several of them.
    value
        What is chosen: a text, a number, or several texts.
    empty
        What an empty value stands for; "" where there is no empty value.
    options
        What can be chosen.
    unit
        Of a number.
    disabled
        Why it cannot act on this study; "" where it can.
    asked
        Whether it answers the open question.
    """

    key: str
    label: str
    kind: Kind
    value: Any
    empty: str = ""
    options: tuple[str, ...] = ()
    unit: str = ""
    disabled: str = ""
    asked: bool = False


def rows_of(found: Inspection) -> tuple[Row, ...]:
    """Return one row for every file."""
    asked = found.question
    about = asked.options if asked is not None and asked.key == "roles" else ()
    return tuple(_row(found, entry, about) for entry in found.survey.entries)


def _row(found: Inspection, entry: Entry, about: Sequence[str]) -> Row:
    role = AUTOMATIC
    if found.choices.excludes(entry.path):
        role = LEAVE_OUT
    elif chosen := found.choices.role_of(entry.path):
        role = role_key(chosen[0])
    return Row(
        path=entry.path,
        file=found.shown(entry.path),
        taken_for=title_of(entry),
        because=entry.why,
        use=use_of(entry),
        role=role,
        name=entry.name,
        found_as=role_key(entry.role) if role_key(entry.role) in ROLE_OF_KEY else "",
        asked=any(names(file, entry.path) for file in about),
    )


def fields_of(found: Inspection) -> dict[str, Field]:
    """Return field of `Choices` -> the decision, with what can be chosen in this study."""
    choices = found.choices
    labels, probabilities = mask_labels(found), _has_probabilities(found)
    crlb, snr, width = (_has(found, role) for role in (Role.CRLB, Role.SNR, Role.FWHM))
    fields = (
        Field("label", "Name", "text", choices.label, empty=_usual_label(found)),
        _one_of(found, "subject", "Subject", _values(found, "subject")),
        _one_of(found, "session", "Session", _values(found, "session", choices.subject)),
        _variants(found),
        Field(
            "mask_threshold",
            "Mask: trusted above",
            "number",
            choices.mask_threshold,
            disabled="" if probabilities else "No mask of this study holds probabilities.",
        ),
        Field(
            "mask_labels",
            "Mask: trusted labels",
            "several",
            tuple(map(str, choices.mask_labels)),
            empty="not chosen",
            options=labels,
            disabled="" if labels else "No mask of this study has several labels.",
        ),
        Field(
            "crlb_unit",
            "Unit of the CRLB",
            "one",
            choices.crlb_unit,
            empty="by its values",
            options=(PERCENT, FRACTION),
            disabled="" if crlb else "This study has no CRLB.",
        ),
        _limit("max_crlb", "CRLB at most", choices.max_crlb, crlb, "CRLB", "%"),
        _limit("min_snr", "SNR at least", choices.min_snr, snr, "map of the SNR"),
        _limit("max_fwhm", "Line width at most", choices.max_fwhm, width, "map of the line width"),
        _orientation(found),
    )
    asked = "" if found.question is None else found.question.key
    acting = (replace(f, disabled="") if f.value != getattr(DEFAULT, f.key) else f for f in fields)
    return {field.key: replace(field, asked=field.key == asked) for field in acting}


DEFAULT = Choices()


def choices_of(
    found: Inspection, rows: Iterable[Row] = (), values: Mapping[str, Any] | None = None
) -> Choices:
    """Return the decisions after the user edited rows and fields; what is not given stays.

    Parameters
    ----------
    found
        What the rows and fields were made from.
    rows
        With other roles and names.
    values
        Field -> value; a number may be a text, "" for no limit.

    Raises
    ------
    FormatError
        If a value is not possible, or a role lacks its metabolite.
    """
    fields = fields_of(found)
    values = values or {}
    changes = {key: _read(fields[key], value) for key, value in values.items()}
    if changes.get("subject", found.choices.subject) != found.choices.subject:
        there = _values(found, "session", changes["subject"])
        if changes.get("session", found.choices.session) not in there:
            changes["session"] = ""
    before = {row.path: row for row in rows_of(found)}
    after = before | {row.path: row for row in rows}
    roles, exclude = {}, []
    for path, row in after.items():
        file = str(path.absolute())
        if row.role == LEAVE_OUT:
            exclude.append(file)
        elif role := _role_text(row, before[path]):
            roles[file] = role
    return replace(found.choices, roles=roles, exclude=tuple(exclude), **changes)


def _role_text(row: Row, before: Row) -> str:
    """Return the role of a row as `Choices` has it, "" for the automatic one."""
    renamed = row.name.strip() != before.name
    role = row.role
    if role == AUTOMATIC:
        if not renamed or not row.takes_name:
            return ""
        role = row.found_as
    name = row.name.strip()
    if role in UNNAMED:
        name = ""
    elif not name and role == role_key(Role.MAP):
        name = stem_of(row.path)
    return f"{role}:{name}" if name else role


def _read(field: Field, value: Any) -> Any:
    """Return the value of a field as `Choices` has it."""
    if field.kind == "number":
        return _number(field, value)
    if field.kind == "several":
        return tuple(int(float(each)) for each in value)
    return (value or "").strip()


def _number(field: Field, value: Any) -> float | None:
    text = str("" if value is None else value).strip().replace(",", ".")
    if not text:
        default: float | None = getattr(DEFAULT, field.key)
        return default
    try:
        return float(text)
    except ValueError:
        raise FormatError(
            f"'{field.label}' is '{value}'; give a number, or leave it empty for "
            f"{field.empty or 'none'}."
        ) from None


# ---- what a study offers


def mask_labels(found: Inspection) -> tuple[str, ...]:
    """Return the labels of masks that have several."""
    question = found.question
    if question is not None and question.key == "mask_labels":
        return question.options
    labels = {float(v) for values in found.mask_values if are_labels(values) for v in values}
    return tuple(f"{label:g}" for label in sorted(labels))


def _has_probabilities(found: Inspection) -> bool:
    return any(are_probabilities(values) for values in found.mask_values)


def _has(found: Inspection, role: Role) -> bool:
    return any(entry.role is role for entry in found.survey.entries)


def _usual_label(found: Inspection) -> str:
    study = found.study
    return "by its maps" if study is None else study.label or study_label(study)


def _values(found: Inspection, kind: str, subject: str = "") -> tuple[str, ...]:
    """Return the subjects or sessions of the maps, of one subject if it is given."""
    of = {
        getattr(entry, kind)
        for entry in found.survey.entries
        if entry.role is Role.MAP and entry.subject in ("", subject or entry.subject)
    }
    return tuple(sorted(of - {""}))


def _one_of(found: Inspection, key: str, label: str, options: tuple[str, ...]) -> Field:
    disabled = "" if len(options) > 1 else f"There is no choice of {key}s here."
    empty = "choose one" if len(options) > 1 else (options or ("not stated",))[0]
    value = getattr(found.choices, key)
    return Field(key, label, "one", value, empty=empty, options=options, disabled=disabled)


def _variants(found: Inspection) -> Field:
    """Return the choice between several maps of one metabolite."""
    of: dict[str, set[str]] = defaultdict(set)
    for entry in found.survey.entries:
        if entry.role is Role.MAP and entry.state is not State.LEFT_OUT:
            of[entry.name.casefold()].add(entry.choice)
    several = [choices for choices in of.values() if len(choices) > 1]
    options = tuple(sorted({choice for choices in several for choice in choices} - {""}))
    return Field(
        "scale",
        "Variant of the maps",
        "one",
        found.choices.scale,
        empty="the usual one",
        options=options,
        disabled="" if options else "There is only one variant of the maps.",
    )


def _limit(
    key: str, label: str, value: float | None, there: bool, what: str, unit: str = ""
) -> Field:
    disabled = "" if there else f"This study has no {what}."
    return Field(key, label, "number", value, empty="no limit", unit=unit, disabled=disabled)


def _orientation(found: Inspection) -> Field:
    study = found.study
    volumes = () if study is None else (*study.maps.values(), study.t1, study.flair)
    differ = any(volume is not None and forms_differ(volume.header) for volume in volumes)
    return Field(
        "space",
        "Orientation by",
        "one",
        found.choices.space,
        empty="sform, as usual",
        options=("sform", "qform"),
        disabled="" if differ else "The orientations in the headers do not contradict each other.",
    )
