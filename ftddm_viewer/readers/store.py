"""The file of a reader study: its trials, and every answer, kept as soon as it is given."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from ftddm_core.errors import FormatError
from ftddm_viewer.readers.items import CHOICE, LEVELS, PREFERRED, RATING, SCALES, Blinded, Trial

STUDY, IMAGES = "study.sqlite3", "images"
FORMAT = 1
PATIENCE = 30.0
"""In s: how long an answer waits while another is written."""

LONGEST_NAME = 60
NAME = re.compile(r"\w[\w .'-]*")
TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE trials (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, case_number INTEGER NOT NULL,
    metabolite TEXT NOT NULL, left_image TEXT NOT NULL, right_image TEXT NOT NULL,
    anatomy TEXT NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY, reader TEXT NOT NULL COLLATE NOCASE,
    trial INTEGER NOT NULL REFERENCES trials, scale TEXT NOT NULL, value TEXT NOT NULL,
    answered_at TEXT NOT NULL, seconds REAL NOT NULL, display TEXT NOT NULL, source TEXT NOT NULL,
    UNIQUE (reader, trial, scale, value, answered_at)
);
"""


@dataclass(frozen=True)
class Answer:
    """One answer of a reader.

    Parameters
    ----------
    reader
        Name.
    trial
        Number of the trial.
    scale
        Name of the scale; "preferred" for a choice.
    value
        "1" to "5"; for a choice the code of the preferred image.
    answered_at
        When, in UTC, by the reader's clock.
    seconds
        How long the trial had been on screen.
    display
        How it was shown: sizes and their ratio to the screen's dots.
    source
        "page" or "file".
    """

    reader: str
    trial: int
    scale: str
    value: str
    answered_at: str
    seconds: float
    display: Mapping[str, Any]
    source: str = "page"


def encoded(study: Blinded, about: Mapping[str, str]) -> bytes:
    """Return the file of a new study, without answers and without the key."""
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(TABLES)
        database.executemany(
            "INSERT INTO about VALUES (?, ?)", {"format": str(FORMAT), **about}.items()
        )
        database.executemany(
            "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (t.number, t.kind, t.case, t.metabolite, t.images[0], "".join(t.images[1:]),
                 t.anatomy)
                for t in study.trials
            ],
        )  # fmt: skip
        database.commit()
        return bytes(database.serialize())
    finally:
        database.close()


class Store:
    """A reader study in a folder.

    Parameters
    ----------
    folder
        As written by `ftddm readers new`.

    Raises
    ------
    FormatError
        If it holds no reader study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / STUDY
        if not self.path.is_file():
            raise FormatError(
                f"{folder} holds no reader study: there is no {STUDY} in it. Make one with ftddm "
                "readers new."
            )
        try:
            with self._open() as database:
                self.about: dict[str, str] = dict(database.execute("SELECT * FROM about"))
                rows = database.execute("SELECT * FROM trials ORDER BY number").fetchall()
        except sqlite3.DatabaseError as error:
            raise FormatError(f"{self.path} is damaged ({error}). Restore it.") from None
        if self.about.get("format") != str(FORMAT):
            raise FormatError(
                f"{self.path} is of another version of this program: use that version."
            )
        self.trials = {
            number: Trial(
                number, kind, case, metabolite, (left, right) if right else (left,), anatomy
            )
            for number, kind, case, metabolite, left, right, anatomy in rows
        }

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the file, within a transaction: all that is written there is kept, or nothing."""
        database = sqlite3.connect(self.path, timeout=PATIENCE)
        try:
            with database:
                yield database
        finally:
            database.close()

    def add(self, answers: Iterable[Answer]) -> int:
        """Keep some answers, and return how many are new; one that is known stays as it is.

        Raises
        ------
        FormatError
            If one is not an answer to this study, or the file cannot be written; none is kept then.
        """
        rows = [self._row(answer) for answer in answers]
        try:
            with self._open() as database:
                before = database.total_changes
                database.executemany(
                    "INSERT OR IGNORE INTO answers (reader, trial, scale, value, answered_at, "
                    "seconds, display, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
                return database.total_changes - before
        except sqlite3.Error as error:
            raise FormatError(f"Cannot write to {self.path}: {error}.") from None

    def _row(self, answer: Answer) -> tuple[Any, ...]:
        trial = self.trials.get(answer.trial)
        if trial is None:
            raise FormatError(f"There is no trial {answer.trial!r:.40} in this study.")
        scales = [scale.name for scale in SCALES] if trial.kind == RATING else [PREFERRED]
        values = list(map(str, LEVELS)) if trial.kind == RATING else list(trial.images)
        if answer.scale not in scales or answer.value not in values:
            raise FormatError(
                f"{answer.value!r:.40} for {answer.scale!r:.40} does not answer trial "
                f"{answer.trial}, a {trial.kind}."
            )
        return (
            checked_reader(answer.reader), answer.trial, answer.scale, answer.value,
            checked_time(answer.answered_at), max(0.0, float(answer.seconds)),
            json.dumps(dict(answer.display), sort_keys=True), answer.source,
        )  # fmt: skip

    def answers(self, only: str | None = None) -> list[Answer]:
        """Return all answers, or only those of a reader, from the oldest to the newest.

        Names that differ in capitals alone are one reader's, as spelt first.
        """
        with self._open() as database:
            found = database.execute(
                "SELECT reader, trial, scale, value, answered_at, seconds, display, source "
                "FROM answers WHERE ? IS NULL OR reader = ? ORDER BY answered_at, id",
                (only, only),
            ).fetchall()
        spelt: dict[str, str] = {}
        return [
            Answer(
                spelt.setdefault(reader.casefold(), reader), trial, scale, value, answered_at,
                seconds, json.loads(display), source,
            )
            for reader, trial, scale, value, answered_at, seconds, display, source in found
        ]  # fmt: skip

    def image(self, code: str) -> bytes:
        """Return an image by its code, as a PNG file.

        Raises
        ------
        FormatError
            If there is none.
        """
        known = {c for trial in self.trials.values() for c in (*trial.images, trial.anatomy) if c}
        try:
            if code in known:
                return (self.folder / IMAGES / f"{code}.png").read_bytes()
        except OSError:
            pass
        raise FormatError(f"There is no image {code!r:.40} in this study.")


def newest(answers: Iterable[Answer]) -> dict[tuple[str, int, str], Answer]:
    """Return (reader, trial, scale) -> the answer that counts, the newest; `answers` in order."""
    return {(answer.reader, answer.trial, answer.scale): answer for answer in answers}


def missing(store: Store, answers: Iterable[Answer]) -> int:
    """Return how many trials a reader has not answered completely; `answers` are that reader's."""
    given = {(trial, scale) for _, trial, scale in newest(answers)}
    return sum(
        any((number, scale) not in given for scale in _scales(trial))
        for number, trial in store.trials.items()
    )


def _scales(trial: Trial) -> list[str]:
    return [PREFERRED] if trial.kind == CHOICE else [scale.name for scale in SCALES]


def checked_reader(name: object) -> str:
    """Return a reader's name, with single spaces.

    Raises
    ------
    FormatError
        If it is empty or too long, or has a character that no name has.
    """
    plain = " ".join(name.split()) if isinstance(name, str) else ""
    if not NAME.fullmatch(plain) or len(plain) > LONGEST_NAME:
        raise FormatError(
            f"{plain!r:.40} is not a reader's name: give 1 to {LONGEST_NAME} letters, digits, "
            "spaces, dots or hyphens, the first a letter or digit."
        )
    return plain


def checked_time(text: object) -> str:
    """Return a time in UTC, in a form that sorts.

    Raises
    ------
    FormatError
        If it is not one.
    """
    try:
        found = datetime.fromisoformat(cast(str, text))
        stated = found if found.tzinfo else found.replace(tzinfo=UTC)
        return stated.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, TypeError, OverflowError):
        raise FormatError(f"{text!r:.40} is not a time.") from None
