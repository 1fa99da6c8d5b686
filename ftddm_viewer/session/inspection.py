"""What a study's files are, in words: the study panel of every front end.

`inspect` never fails because of what the files hold: what keeps a study from opening is its
`question` or its `problem`, beside the list of the files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.findings import missing
from ftddm_core.imaging.fit_quality import FAILED_CRLB
from ftddm_core.imaging.io import (
    ChoiceNeeded,
    Choices,
    Question,
    Survey,
    masks,
    read_surveyed,
    survey_study,
)
from ftddm_core.imaging.io.choices import PERCENT
from ftddm_core.imaging.io.found import PathLike
from ftddm_core.imaging.io.judging import judge
from ftddm_core.imaging.io.limits import OWN, Limits
from ftddm_core.imaging.io.roles import MASKS
from ftddm_core.imaging.io.source import source_of
from ftddm_core.imaging.io.surveyed import Entry
from ftddm_core.imaging.volume import FloatArray, Study, Volume

SPACES = {
    0: "not stated",
    1: "the scanner's",
    2: "aligned to another image",
    3: "Talairach",
    4: "MNI",
    5: "a template",
}
"""Code of a NIfTI header -> its world coordinates."""

PLANES = {0: "sagittal", 1: "coronal", 2: "axial"}


@dataclass(frozen=True, eq=False)
class Inspection:
    """A survey of files, and the study that they make.

    Parameters
    ----------
    paths
        What was opened, and the files given with a role.
    survey
        The files and their roles.
    study
        The study; None if it does not open.
    question
        What has to be decided first, if that is the reason.
    problem
        Why the study does not open, in one sentence; "" if it does. A study that was read but that
        the model cannot be applied to has both.
    remembered
        Whether the decisions are those of an earlier session.
    limits
        What the study may be.
    read_notes
        The notes of a study that was read but is not kept.
    """

    paths: tuple[Path, ...]
    survey: Survey
    study: Study | None = None
    question: Question | None = None
    problem: str = ""
    remembered: bool = False
    limits: Limits = OWN
    read_notes: tuple[str, ...] = ()

    @property
    def choices(self) -> Choices:
        """The decisions that were applied."""
        return self.survey.choices

    def files(self) -> list[dict[str, str]]:
        """Return one row a file: its name, what it was taken for, why, and what happens to it."""
        return [
            {
                "file": self.shown(entry.path),
                "taken for": title_of(entry),
                "because": entry.why,
                "use": use_of(entry),
            }
            for entry in self.survey.entries
        ]

    def shown(self, path: Path) -> str:
        """Return a file's name, below the opened folder with the folders that lead to it."""
        inside = next((f for f in self._folders if path.is_relative_to(f)), None)
        return path.name if inside is None else path.relative_to(inside).as_posix()

    @cached_property
    def _folders(self) -> tuple[Path, ...]:
        return tuple(path for path in self.paths if path.is_dir())

    @cached_property
    def mask_values(self) -> tuple[FloatArray, ...]:
        """The values other than 0 of every mask that can be read."""
        found = []
        for entry in self.survey.of(*MASKS):
            with suppress(FtddmError):
                judge(dataclasses.replace(self.survey, entries=(entry,)), self.limits)
                image = source_of(self.survey).image(entry, allow_empty=True)
                found.append(masks.values_of(image))
        return tuple(found)

    @cached_property
    def facts(self) -> Mapping[str, str]:
        """What the study is: "Matrix" -> "14 x 14 x 3", and so on; empty if it does not open."""
        study = self.study
        if study is None:
            return {}
        grid = study.grid
        units = {volume.unit for volume in study.maps.values()}
        found = {
            "Layout": self.survey.layout,
            "Maps": ", ".join(_as_named(self.survey, name) for name in study.maps),
            "Matrix": " x ".join(map(str, grid.shape)),
            "Voxel": f"{_sizes(grid.voxel_size)} mm",
            "Field of view": f"{_sizes(np.multiply(grid.shape, grid.voxel_size))} mm",
            "Slices": f"{grid.shape[2]}, {_plane(grid)}",
            "Unit": ", ".join(sorted(units - {""})) or "not stated (institutional units)",
            "Field strength": "not stated" if study.field_t is None else f"{study.field_t:g} T",
            "World coordinates": _world(grid),
            "Mask": self._mask(study),
            "CRLB": self._crlb(study),
        }
        for name, image in (("T1", study.t1), ("FLAIR", study.flair)):
            if image is not None:
                matrix = " x ".join(map(str, image.shape))
                found[name] = f"{matrix} voxels of {_sizes(image.voxel_size)} mm"
        return found

    def _mask(self, study: Study) -> str:
        if study.mask is None:
            return "none: every voxel with a value is trusted"
        trusted = {name: int((_mask_of(study, name).data > 0).sum()) for name in study.maps}
        counts = sorted(set(trusted.values()))
        words = f"{counts[0]} voxels trusted"
        if len(counts) > 1:
            words = f"{counts[0]} to {counts[-1]} voxels trusted, by the metabolite"
        limits = {
            "CRLB at most": self.choices.max_crlb,
            "signal-to-noise ratio at least": self.choices.min_snr,
            "line width at most": self.choices.max_fwhm,
        }
        said = [f"{what} {limit:g}" for what, limit in limits.items() if limit is not None]
        return f"{words}; {', '.join(said)}" if said else words

    def _crlb(self, study: Study) -> str:
        if not study.crlb:
            return "none: the noise is estimated from the maps"
        failed = sum(int((v.data >= FAILED_CRLB).sum()) for v in study.crlb.values())
        names = "every map" if len(study.crlb) == len(study.maps) else ", ".join(study.crlb)
        return f"of {names}, in {PERCENT}; {failed} failed fits"

    @property
    def missing(self) -> tuple[str, ...]:
        """What the study lacks, and what that means."""
        return () if self.study is None else missing(self.study)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the files and the study."""
        if self.study is not None:
            return self.study.notes
        return self.read_notes or self.survey.notes


def inspect(
    paths: PathLike | Sequence[PathLike],
    *,
    t1: PathLike | None = None,
    flair: PathLike | None = None,
    mask: PathLike | None = None,
    choices: Choices | None = None,
    limits: Limits = OWN,
) -> Inspection:
    """Survey the files of a study and read it, as far as it can be read and within limits.

    Raises
    ------
    FormatError
        If a path does not exist, or a choice names a file that is not there.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    found = survey_study(listed, t1=t1, flair=flair, mask=mask, choices=choices)
    given = [path for path in (t1, flair, mask) if path is not None]
    seen = Inspection(tuple(Path(path) for path in (*listed, *given)), found, limits=limits)
    try:
        study, read = read_surveyed(found, limits)
    except ChoiceNeeded as asked:
        return dataclasses.replace(seen, question=asked.question, problem=str(asked))
    except FtddmError as problem:
        return dataclasses.replace(seen, problem=str(problem))
    return dataclasses.replace(seen, survey=read, study=study)


def without_study(found: Inspection | None, problem: str) -> Inspection | None:
    """Return the inspection of a study that was read but does not open, without its images."""
    if found is None or found.study is None:
        return found
    return dataclasses.replace(
        found, study=None, problem=problem, read_notes=tuple(found.study.notes)
    )


def title_of(entry: Entry) -> str:
    """Return what a file was taken for, with the metabolite as the file has it."""
    other = entry.own and entry.own.casefold() != entry.name.casefold()
    return f"{entry.title} ({entry.own})" if other else entry.title


def use_of(entry: Entry) -> str:
    """Return what happens to a file, and why."""
    return f"{entry.state}: {entry.reason}" if entry.reason else str(entry.state)


def _as_named(survey: Survey, name: str) -> str:
    own = next((e.own for e in survey.entries if e.taken and e.name == name and e.own), name)
    return name if own == name else f"{name} ({own})"


def _mask_of(study: Study, name: str) -> Volume:
    mask = study.mask_of(name)
    return study.maps[name].with_data(study.grid.data * 0) if mask is None else mask


def _sizes(edges: Any) -> str:
    return " x ".join(f"{edge:.3g}" if edge < 1000 else f"{edge:.0f}" for edge in edges)


def _plane(grid: Volume) -> str:
    """Return the plane of the slices, and how far it is turned from the world's axes."""
    normal = abs(grid.affine[:3, 2]) / grid.voxel_size[2]
    plane = PLANES[int(normal.argmax())]
    return plane if normal.max() > 0.999 else f"oblique, nearest to {plane}"


def _world(grid: Volume) -> str:
    header = grid.header
    if not isinstance(header, nib.Nifti1Header):
        return "not stated: left and right are unknown"
    code = int(header["sform_code"]) or int(header["qform_code"])
    return SPACES.get(code, f"code {code}") + (": left and right are unknown" if not code else "")
