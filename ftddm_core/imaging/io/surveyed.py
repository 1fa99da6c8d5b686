"""A survey: every file of an examination with its role, what is not used, and what is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.choices import Choices
from ftddm_core.imaging.io.roles import MASKS, Role

CHOSEN = "chosen"
"""Why a file has the role that the user gave it."""


RESULT = "a result of this program, named by the user"
"""Why a result is read as a map."""


ELSEWHERE = "in another space than the maps"
"""Why a file that was resampled is not used."""

ANOTHERS = "its name is that of another patient or date than the maps'; choose its role to use it"
"""Why a file about the scan is not used."""

DOUBTED = "its name is that of another patient, date or series than the maps'"
"""What is said of an MRI that is used all the same."""

MISSING = "it is a link, and its content is not here (git annex get, datalad get)"
"""Why a file of a data set whose content was not fetched is not used."""


NO_MAP_OF = "there is no map of"
"""Why a file about one metabolite is not used; its name follows."""

UNREADABLE = "damaged or not readable"
"""Why a file that is not needed is not used, once it was read."""

RIVALS = "several claim this role: choose one"
"""Why none of several files is used."""


class State(StrEnum):
    """What happens to a file."""

    TAKEN = "used"
    OFFERED = "offered instead"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Entry:
    """A file, and what it was taken for.

    Parameters
    ----------
    path
        Of the file.
    role
        Its role.
    name
        Its metabolite as shown; "" without one.
    own
        Its metabolite as the file has it.
    why
        What showed the role.
    state
        What happens to the file.
    reason
        Why it is not used.
    choice
        What tells it from its rivals.
    subject, session
        Whose it is, "" if not stated.
    rank
        Of several in one role, those of the lowest rank are taken.
    listed
        Whether the user named the file.
    """

    path: Path
    role: Role
    name: str = ""
    own: str = ""
    why: str = ""
    state: State = State.TAKEN
    reason: str = ""
    choice: str = ""
    subject: str = ""
    session: str = ""
    rank: int = 0
    listed: bool = False

    @property
    def taken(self) -> bool:
        """Whether the file is read."""
        return self.state is State.TAKEN

    @property
    def title(self) -> str:
        """Its role, with the metabolite where it has one."""
        return f"{self.role} of {self.name}" if self.name else str(self.role)


@dataclass(frozen=True)
class Question:
    """What the user has to decide before a study opens.

    Parameters
    ----------
    key
        Field of `Choices` that answers it.
    words
        The question, in one sentence.
    options
        Possible answers; empty where there is no list of them.
    """

    key: str
    words: str
    options: tuple[str, ...] = ()


class ChoiceNeeded(FormatError):  # noqa: N818 - a question, no error
    """A study that does not open by itself; `question` says what to decide."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.words)
        self.question = question


@dataclass(frozen=True)
class Survey:
    """The files of an examination and their roles.

    Parameters
    ----------
    layout
        Name of the layout.
    entries
        One for every image and array, in the order of their paths.
    choices
        The decisions that were applied.
    questions
        What has to be decided before the study opens.
    label
        Name of the examination; "" to take it from the names of the maps.
    """

    layout: str
    entries: tuple[Entry, ...]
    choices: Choices
    questions: tuple[Question, ...] = ()
    label: str = ""

    def of(self, *roles: Role) -> tuple[Entry, ...]:
        """Return the files that are used in these roles."""
        return tuple(entry for entry in self.entries if entry.taken and entry.role in roles)

    @property
    def offered(self) -> tuple[Entry, ...]:
        """The files that could be used instead of others."""
        return tuple(entry for entry in self.entries if entry.state is State.OFFERED)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about files that are not used."""
        found = []
        for entry in self.entries:
            stem = entry.path.name.split(".")[0]
            if entry.state is State.LEFT_OUT and entry.role is Role.RATIO:
                found.append(f"{stem} is a ratio and was left out: {entry.reason}.")
            elif entry.state is State.LEFT_OUT and entry.role is Role.UNKNOWN:
                found.append(f"{stem} left out: {entry.why}; {entry.reason}.")
            elif entry.reason in (ANOTHERS, ELSEWHERE, MISSING) or (
                entry.state is State.LEFT_OUT and entry.role in (Role.CRLB, *MASKS)
            ):
                found.append(f"{stem} ({entry.role}) left out: {entry.reason}.")
            elif entry.reason == DOUBTED:
                found.append(f"{stem} ({entry.role}) used: {entry.reason}.")
            elif entry.reason == RIVALS:
                found.append(f"{stem} ({entry.role}) not used: {entry.reason}.")
        found += [
            f"{entry.name} is a result of this program: what was drawn in it counts as measured."
            for entry in self.of(Role.MAP)
            if entry.why == RESULT
        ]
        return (*found, *self._alternatives)

    @property
    def _alternatives(self) -> list[str]:
        """What is offered instead of the files that are used."""
        found = []
        used = {entry.choice for entry in self.of(Role.MAP)} - {""}
        others = sorted({e.choice for e in self.offered if e.role is Role.MAP} - {""})
        if others and used:
            found.append(f"scale: {', '.join(sorted(used))} (taken) or {', '.join(others)}.")
        elif others:
            kind = "filtered ones" if all("filt" in other for other in others) else "others"
            found.append(f"The maps as measured are taken; {kind} are offered: {others[0]}.")
        for entry in self.offered:
            same = MASKS if entry.role in MASKS else (entry.role,)
            taken = [e.path.name for e in self.of(*same) if e.name == entry.name]
            if taken and entry.role is not Role.MAP:
                found.append(f"{entry.role}: {taken[0]} is taken; {entry.path.name} is offered.")
        return found
