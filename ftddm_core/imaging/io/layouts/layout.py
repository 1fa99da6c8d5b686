"""What a layout is: rules from the names of files and folders to their roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ftddm_core.imaging.io.roles import Role


def entity(name: str, kind: str) -> str:
    """Return the value of a BIDS entity in a name, "" without it; case does not count.

    >>> entity("sub-01_ses-V1_T1w", "ses")
    'V1'
    """
    found = re.search(rf"(?:^|_){kind}-([^_]+)", name, re.IGNORECASE)
    return found[1] if found else ""


@dataclass(frozen=True)
class Found:
    """A file of an examination.

    Parameters
    ----------
    path
        As the user gave it, or the opened folder followed by the way to the file.
    stem
        Its name without the ending of its format.
    folder
        Its folders below the opened one, joined by "/"; "" at the top.
    listed
        Whether the user named it, instead of its folder.
    missing
        Whether it is a link to content that is not here.
    """

    path: Path
    stem: str
    folder: str = ""
    listed: bool = False
    missing: bool = False

    @cached_property
    def place(self) -> str:
        """Its folders and its stem, joined by "/", as rules read them."""
        return "/".join([*self.path.absolute().parent.parts[1:], self.stem])


@dataclass(frozen=True)
class Rule:
    """A name that tells a role.

    Parameters
    ----------
    pattern
        Regular expression that must match all of the stem, or of `Found.place` if it has a "/",
        ignoring case; its group `name` is the metabolite, `choice` tells a file from its rivals.
    role
        The role.
    example
        A name that it matches, for the documentation.
    rank
        Of several files in one role, those of the lowest rank are taken.
    choice
        What tells the file from its rivals, where the pattern has no such group.
    """

    pattern: str
    role: Role
    example: str
    rank: int = 0
    choice: str = ""

    def match(self, file: Found) -> re.Match[str] | None:
        """Return the match of a file, None if the rule says nothing about it."""
        where = file.place if "/" in self.pattern else file.stem
        return re.fullmatch(self.pattern, where, re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """What a name tells about a file; the fields as in `Rule`, `name` as the file has it."""

    role: Role
    name: str = ""
    why: str = ""
    rank: int = 0
    choice: str = ""


@dataclass(frozen=True)
class Layout:
    """How one producer arranges an examination.

    Parameters
    ----------
    name
        Of the producer or convention.
    about
        One sentence for the documentation.
    claims
        Whether files are arranged in this way; judged by their names alone.
    rules
        Its own rules, before those of the plain layout.
    rank
        Function of a file and its reading that returns its final rank, or None.
    also
        What a file of maps holds besides them.
    own_maps
        Whether only files named by its rules are maps, and no plain names beside them.
    """

    name: str
    about: str
    claims: Callable[[Sequence[Found]], bool]
    rules: tuple[Rule, ...] = ()
    rank: Callable[[Found, Reading], int] | None = None
    also: tuple[Role, ...] = ()
    own_maps: bool = False

    def read(self, file: Found) -> Reading | None:
        """Return what the first matching rule tells about a file, None without one."""
        for rule in self.rules:
            if match := rule.match(file):
                groups = match.groupdict()
                reading = Reading(
                    rule.role,
                    groups.get("name") or "",
                    f"named like {rule.example}",
                    rule.rank,
                    groups.get("choice") or rule.choice,
                )
                if self.rank is None:
                    return reading
                return Reading(
                    reading.role,
                    reading.name,
                    reading.why,
                    self.rank(file, reading),
                    reading.choice,
                )
        return None
