"""From the files that a user names to a study, with the decisions given or remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices, Limits
from ftddm_core.imaging.io.limits import OWN
from ftddm_viewer.session import remembered
from ftddm_viewer.session.bundled import BUNDLED, bundled_at
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.inspection import Inspection, inspect


@dataclass(frozen=True)
class Files:
    """What a user opens.

    Parameters
    ----------
    paths
        A folder, or files and folders.
    roles
        "t1", "flair" or "mask" -> the file that takes this role.
    label
        Name shown, unless another one is chosen.
    """

    paths: tuple[Path, ...]
    roles: Mapping[str, Path] = field(default_factory=dict)
    label: str = ""

    @classmethod
    def of(
        cls, paths: Path | str | Sequence[Path | str], label: str = "", **roles: Path | None
    ) -> Files:
        """Return the files of `Session.open`."""
        listed = [paths] if isinstance(paths, str | Path) else paths
        given = {role: Path(path) for role, path in roles.items() if path is not None}
        return cls(tuple(map(Path, listed)), given, label)

    @property
    def every_path(self) -> tuple[Path, ...]:
        """The paths, and those of the files with a role."""
        return (*self.paths, *self.roles.values())

    def inspected(
        self, choices: Choices | None, *, remembers: bool, limits: Limits = OWN
    ) -> Inspection:
        """Return the inspection with the choices, else with those that are remembered.

        Remembered ones are used only if the study opens with them: they must never block it.

        Raises
        ------
        FormatError
            If a path does not exist, or a choice names a file that is not there.
        """
        known = remembered.recall(self.every_path) if remembers and choices is None else None
        if known is not None:
            try:
                found = self._inspect(known, limits)
            except FormatError:
                found = None
            if found is not None and found.study is not None:
                return replace(found, remembered=True)
        return self._inspect(choices, limits)

    def _inspect(self, choices: Choices | None, limits: Limits) -> Inspection:
        with limits.turn:
            if choices in (None, Choices()) and (shared := self._shared(limits)) is not None:
                return shared[0]
            found = inspect(self.paths, choices=choices, limits=limits, **self.roles)
            _ = found.mask_values  # read here, in the background, before a front end asks for them
        return found

    def _shared(self, limits: Limits) -> tuple[Inspection, Case] | None:
        """Return a bundled case as all sessions share it; None if it is not one, or not to be
        opened."""
        if self.roles or bundled_at(*(path.absolute() for path in self.paths)) is None:
            return None
        with suppress(FormatError):  # the usual way says why
            return _opened_once(self.paths, self.label, limits)
        return None

    def case(self, found: Inspection) -> Case:
        """Return the case of an inspected study.

        Raises
        ------
        FormatError
            If it does not open.
        """
        if found.study is None:
            raise FormatError(found.problem)
        shared = self._shared(found.limits)
        if shared is not None and shared[0] is found:
            return shared[1]
        return Case.of(found.study, found.choices.label or self.label)


@lru_cache(maxsize=len(BUNDLED))
def _opened_once(paths: tuple[Path, ...], label: str, limits: Limits) -> tuple[Inspection, Case]:
    """Return a bundled case, read once: what is known of it is known to every session.

    Raises
    ------
    FormatError
        If it does not open now; it is tried again.
    """
    found = inspect(paths, limits=limits)
    if found.study is None:
        raise FormatError(found.problem)
    _ = found.mask_values
    return found, Case.of(found.study, label)
