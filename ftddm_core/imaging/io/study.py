"""A study from a survey: the files that were taken are read, checked and put together.

A file that is not needed, such as a damaged CRLB, never keeps a study from opening: it is left out
with a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.findings import findings
from ftddm_core.imaging.fit_quality import failed_fit, in_percent, looks_like_fraction
from ftddm_core.imaging.io import masks
from ftddm_core.imaging.io.choices import FRACTION, Choices
from ftddm_core.imaging.io.judging import judge
from ftddm_core.imaging.io.limits import OWN, Limits
from ftddm_core.imaging.io.roles import MASKS, Role
from ftddm_core.imaging.io.sidecars import damaged, field_of, outside_of, unit_of
from ftddm_core.imaging.io.source import Source, source_of
from ftddm_core.imaging.io.surveyed import (
    CHOSEN,
    UNREADABLE,
    ChoiceNeeded,
    Entry,
    State,
    Survey,
)
from ftddm_core.imaging.metabolites import shown_name
from ftddm_core.imaging.space import notes_of
from ftddm_core.imaging.volume import Study, Volume, finite_or_zero

T = TypeVar("T")

LEAST_KEPT = 0.5
"""Share of the trusted voxels below which what takes the others away is told."""

DOUBTFUL_CRLB = 50.0
"""Median in per cent beyond which CRLB may be no relative ones."""


def read_study(survey: Survey, limits: Limits = OWN) -> Study:
    """Return the study of `read_surveyed`, which also says what is returned and raised."""
    return read_surveyed(survey, limits)[0]


def read_surveyed(survey: Survey, limits: Limits = OWN) -> tuple[Study, Survey]:
    """Read the files of a survey.

    Parameters
    ----------
    survey
        What the files are taken for.
    limits
        What the study may be, judged by the files' headers before their values are unpacked.

    Returns
    -------
    Study
        Maps in the unit stated by their sidecar or the study's, which also states the content
        outside the mask; CRLB in per cent; masks of 0 and 1. The keys of `source` are "t1",
        "flair", "mask", a map's name, and that name followed by "_crlb" or "_mask"; files that mark
        voxels as not trusted are added as "spikes", "failed", "snr" and "fwhm". Notes name files
        without their folders.
    Survey
        As given, with the files left out that turned out to be unreadable and are not needed.

    Raises
    ------
    ChoiceNeeded
        If the user has to decide something first.
    FormatError
        If a map, a mask or a file given by the user cannot be read, or sidecars disagree; if a
        file is too large for the limits.
    GeometryError
        If the maps do not share one grid, or an affine is singular.
    """
    if survey.questions:
        raise ChoiceNeeded(survey.questions[0])
    unusual = judge(survey, limits)
    # Damaged values overflow or are no numbers; they are judged where they matter.
    with np.errstate(all="ignore"):
        reading = _Reading(survey, source_of(survey), [*unusual])
        study = reading.study()
    entries = (
        replace(entry, state=State.LEFT_OUT, reason=UNREADABLE)
        if entry in reading.unreadable
        else entry
        for entry in survey.entries
    )
    return study, replace(survey, entries=tuple(entries))


@dataclass
class _Reading:
    """The files of one survey as they are read; collects notes and sources."""

    survey: Survey
    files: Source
    notes: list[str] = field(default_factory=list)
    source: dict[str, str] = field(default_factory=dict)
    unreadable: list[Entry] = field(default_factory=list)

    @property
    def choices(self) -> Choices:
        return self.survey.choices

    def study(self) -> Study:
        maps, paths = self._maps()
        crlb = self._crlb(maps)
        removed = {name: self._removed(name, crlb.get(name)) for name in maps}
        maps, removed = self._without_failed_values(maps, removed)
        mask = self._mask(maps, removed)
        guides = {role: self._guide(role) for role in (Role.T1, Role.FLAIR)}
        study = Study(
            maps=maps,
            mask=mask,
            t1=guides[Role.T1],
            flair=guides[Role.FLAIR],
            crlb=crlb,
            outside=outside_of(paths),
            source=self.source,
            label=self.survey.label,
            field_t=field_of(paths),
            choices=self.choices.without_places().to_dict(),
        )
        found = (*self.notes, *self.files.notes, *self.survey.notes)
        return replace(study, notes=(*found, *findings(study)))

    # ---- maps

    def _maps(self) -> tuple[dict[str, Volume], list[Path]]:
        maps: dict[str, Volume] = {}
        owner: dict[str, Path] = {}
        for entry in self.survey.of(Role.MAP):
            for own, volume in self.files.maps(entry).items():
                name = shown_name(own)
                if name.casefold() in owner:
                    raise FormatError(
                        f"{owner[name.casefold()]} and {entry.path} both claim to be the "
                        f"metabolite map of {name}: two maps would have one name. Keep or list "
                        "only one of them."
                    )
                owner[name.casefold()] = entry.path
                maps[name] = replace(volume, unit=volume.unit or unit_of(entry.path))
                self.source[name] = str(entry.path)
        self._note_space("maps", maps.values())
        self.notes += damaged(owner.values())
        return maps, list(owner.values())

    def _note_space(self, what: str, volumes: Iterable[Volume]) -> None:
        """Note the doubts about where images lie, each once."""
        found = dict.fromkeys(note for v in volumes for note in notes_of(v.header))
        self.notes += [f"{what}: {note}." for note in found]

    def _without_failed_values(
        self, maps: Mapping[str, Volume], removed: Mapping[str, list[Volume]]
    ) -> tuple[dict[str, Volume], dict[str, list[Volume]]]:
        """Return maps in which values that stand for failed fits are NaN, and trusted no more."""
        cleaned, more = dict(maps), dict(removed)
        for name, volume in maps.items():
            if values := masks.failed_values(volume.data):
                failed = np.isin(volume.data, values)
                listed = " and ".join(f"{value:g}" for value in values)
                if not np.any(finite_or_zero(volume.data[~failed])):
                    raise FormatError(
                        f"{self.source[name]} holds nothing but {listed}, a sign of failed fits. "
                        "Leave it out, or check the fit or export that made it."
                    )
                corners = volume.data[
                    :: max(1, volume.shape[0] - 1), :: max(1, volume.shape[1] - 1)
                ]
                background = bool(np.isin(corners, values).all())
                sign = "no signal outside the head or" if background else "a sign of"
                self.notes.append(
                    f"{name}: {failed.sum()} voxels hold {listed}, {sign} failed fits: they were "
                    "taken out."
                )
                cleaned[name] = volume.with_data(np.where(failed, np.nan, volume.data))
                more[name] = [*removed[name], volume.with_data(failed.astype(np.float32))]
        return cleaned, more

    # ---- quality of the fit

    def _crlb(self, maps: Mapping[str, Volume]) -> dict[str, Volume]:
        found: dict[str, Volume] = {}
        for entry in self.survey.of(Role.CRLB):
            name = next((n for n in maps if n.casefold() == entry.name.casefold()), None)
            volumes = self._optional(entry, partial(self.files.maps, entry, allow_empty=True))
            for own, volume in (volumes or {}).items():
                of = name or next((n for n in maps if n == shown_name(own)), None)
                if of is not None:
                    found[of] = self._in_percent(of, volume)
                    self.source[f"{of}_crlb"] = str(entry.path)
        return found

    def _in_percent(self, name: str, bound: Volume) -> Volume:
        chosen = self.choices.crlb_unit
        fraction = chosen == FRACTION or (not chosen and looks_like_fraction(bound.data))
        if fraction and not chosen:
            self.notes.append(
                f"{name}'s CRLB looks like a fraction: it was multiplied by 100 to per cent."
            )
        data = in_percent(bound.data) if fraction else bound.data
        valid = data[~failed_fit(data)]
        if valid.size and (middle := float(np.median(valid))) > DOUBTFUL_CRLB:
            self.notes.append(
                f"{name}'s CRLB have a median of {middle:.3g} %: if they are standard deviations "
                "in the unit of the map, leave them out."
            )
        return replace(bound, data=data, unit="%")

    def _removed(self, name: str, crlb: Volume | None) -> list[Volume]:
        """Return images that are not 0 where a map is not trusted."""
        found = []
        for role, key in ((Role.SPIKES, "spikes"), (Role.FAILED, "failed")):
            for entry in self._about(role, name):
                image = self._optional(entry, partial(self.files.image, entry, allow_empty=True))
                if image is not None and np.nan_to_num(image.data).any():
                    found.append(image)
                    self.source[f"{entry.name}_{key}".strip("_")] = str(entry.path)
        limits = (
            (Role.SNR, "snr", self.choices.min_snr, True),
            (Role.FWHM, "fwhm", self.choices.max_fwhm, False),
        )
        for role, key, limit, below in limits:
            if limit is None:
                continue
            entries = self._about(role, name)
            if not entries:
                raise FormatError(
                    f"A limit is set for the {role}, but there is no map of it for {name}: remove "
                    "the limit, or say which file it is."
                )
            for entry in entries:
                quality = self.files.image(entry, allow_empty=True)
                found.append(masks.beyond(limit, quality, below=below))
                self.source[f"{entry.name}_{key}".strip("_")] = str(entry.path)
        if self.choices.max_crlb is not None:
            if crlb is None:
                raise FormatError(
                    f"A limit is set for the CRLB, but {name} has none: remove the limit, or say "
                    "which file it is."
                )
            bad = masks.beyond(self.choices.max_crlb, crlb, below=False).data > 0
            found.append(crlb.with_data((bad | failed_fit(crlb.data)).astype(np.float32)))
        return found

    def _about(self, role: Role, name: str) -> list[Entry]:
        """Return the files of a role about one metabolite, else about all."""
        entries = self.survey.of(role)
        own = [entry for entry in entries if entry.name.casefold() == name.casefold()]
        if role in (Role.SPIKES, Role.FAILED):
            return own + [entry for entry in entries if not entry.name]
        return own or [entry for entry in entries if not entry.name]

    # ---- masks

    def _mask(
        self, maps: Mapping[str, Volume], removed: Mapping[str, list[Volume]]
    ) -> Volume | dict[str, Volume] | None:
        stated: dict[str, Volume] = {}
        for entry in self.survey.of(*MASKS):
            key = next((n for n in maps if n.casefold() == entry.name.casefold()), "")
            image, notes = masks.read_mask(self.files.image(entry), entry.path, self.choices)
            stated[key] = image
            self.notes += notes
            self.source[f"{key}_mask".strip("_")] = str(entry.path)
        self._note_space("mask", stated.values())
        of = {name: stated.get(name, stated.get("")) for name in maps}
        for mask in dict.fromkeys(m for m in of.values() if m is not None):
            self._judge(mask, [maps[name] for name in maps if of[name] is mask])
        for name, volume in maps.items():
            if removed[name]:
                base = of[name] or volume.with_data(
                    (np.isfinite(volume.data) & (volume.data != 0)).astype(np.float32)
                )
                of[name] = kept = masks.without(base, removed[name])
                before, after = int((base.data > 0).sum()), int((kept.data > 0).sum())
                if before and after < before * LEAST_KEPT:
                    self.notes.append(
                        f"{name}: spikes, failed fits and limits leave {after} of {before} trusted "
                        "voxels; is one of these files inverted, or a limit too strict?"
                    )
        found = {name: mask for name, mask in of.items() if mask is not None}
        if not found:
            return None
        first = next(iter(found.values()))
        shared = len(found) == len(maps) and all(mask is first for mask in found.values())
        return first if shared else found

    def _judge(self, mask: Volume, maps: Iterable[Volume]) -> None:
        maps = list(maps)
        if len({volume.shape for volume in maps}) > 1:
            return  # refused with its own words when the study is put together
        levels = np.abs(np.stack([volume.data for volume in maps]).astype(np.float64))
        levels = np.where(np.isfinite(levels), levels, 0)
        tops = levels.max(axis=(1, 2, 3), keepdims=True)
        signal = np.asarray((levels > 0).any(axis=0))
        level = (levels / np.where(tops > 0, tops, 1)).mean(axis=0)
        self.notes += masks.judge(mask, signal, level, maps[0])

    # ---- MRI, and files that are not needed

    def _guide(self, role: Role) -> Volume | None:
        entries = self.survey.of(role)
        if not entries:
            return None
        image = self._optional(entries[0], lambda: self.files.image(entries[0]))
        if image is not None:
            self.source[role.name.lower()] = str(entries[0].path)
            self._note_space(str(role), [image])
        return image

    def _optional(self, entry: Entry, read: Callable[[], T]) -> T | None:
        """Read a file that is not needed: a damaged one is left out with a note, unless the user
        chose its role."""
        try:
            return read()
        except FtddmError as error:
            if entry.why == CHOSEN:
                raise
            self.unreadable.append(entry)
            stem, why = entry.path.name.split(".")[0], str(error)
            why = why.replace(str(entry.path), entry.path.name)
            self.notes.append(f"{stem} is {UNREADABLE} and was left out: {why}")
            return None
