"""One browser tab: its session, its files, and what its page shows."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock, RLock
from time import monotonic
from typing import Any

from ftddm_core.assets import asset_folder
from ftddm_core.errors import FormatError, FtddmError
from ftddm_viewer import CASE_LABEL
from ftddm_viewer.session.messages import error_words
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, Finished, State
from ftddm_viewer.web.painter import Painter
from ftddm_viewer.web.permalink import UPLOADED, Wishes, query_of

Properties = Mapping[str, Mapping[str, Any]]
"""Component -> its properties."""

STUDY = "study"
"""Folder of an upload: names its results, where the files' own names do not."""

OWNED = "tab-"
"""How the folders of results begin; whatever else is served came by an upload."""

STILL = 0.7
"""In s: how long the detail must not have moved before the files of a volume are written anew."""

AWAITED = (
    "This link was made with an uploaded study: upload it, then these settings apply, and what "
    "was looked at is shown."
)

NOT_HERE = (
    "This link was made with an uploaded study, and nothing can be uploaded here: its settings "
    "apply to the simulated patient."
)


class Tab:
    """What one page needs on the server.

    Parameters
    ----------
    model
        The networks, shared.
    private
        A folder that the server never gives away; uploads lie in one below it.
    served
        A folder whose files can be downloaded; results lie in one below it.

    Attributes
    ----------
    session
        This tab's own.
    painter
        Draws its pictures.
    problem
        What was wrong with the last command, in words; "" if nothing.
    showing
        Held by whoever works out what the page shows: one at a time has painter and files.
    """

    def __init__(self, model: Model, private: Path, served: Path) -> None:
        self.session = Session(model)
        self.painter = Painter()
        self.problem = ""
        self._private = Path(tempfile.mkdtemp(dir=private))
        self._served = Path(tempfile.mkdtemp(dir=served, prefix=OWNED))
        self.showing = Lock()
        self._lock = RLock()
        self._turn = 0
        self._stamps: dict[str, float] = {}
        self._shown: dict[str, dict[str, Any]] = {}
        self._wishes: Wishes | None = None
        self._awaited = ""
        self._followed = False
        self._finished: Finished | None = None
        self._written: Finished | None = None
        self._due = 0.0
        self._results: list[str] = []
        self.session.changed.connect(self._grant)

    # ---- commands

    def do(self, command: Callable[[], object], said: str = "") -> None:
        """Give a command; an error becomes `problem`, which is what was `said` else."""
        with self._lock:
            self.problem = said
            if problem := self._tried(command):
                self.problem = problem

    def _tried(self, command: Callable[[], object]) -> str:
        """Give a command; return its error in words, "" if there was none."""
        try:
            command()
        except (FtddmError, OSError) as error:
            return self._named(error_words(error) or "")
        return ""

    def move(
        self, part: str, key: str, stamp: float, value: Any, command: Callable[[], object]
    ) -> None:
        """Give the command of a component that the user moved, unless it was moved again since.

        Parameters
        ----------
        part
            Component.
        key
            What it sets; moves of the same are told apart by their time.
        stamp
            When it was moved, in ms.
        value
            What it shows now.
        command
            What that means.
        """
        with self._lock:
            if stamp < self._stamps.get(key, 0):
                return
            self._stamps[key] = stamp
            self._shown.setdefault(part, {})["value"] = value
            self.do(command)

    def restore(self, part: str) -> None:
        """Bring back what a component should show, as after the user emptied it."""
        with self._lock:
            self._shown.setdefault(part, {})["value"] = None

    def begin(self, wishes: Wishes, *, uploads: bool = True) -> None:
        """Open the bundled case as a link asks for; what it asks of an upload waits for that."""
        self.do(lambda: self.session.update(**wishes.settings))
        said = [f"In the link: {problem}" for problem in wishes.problems]
        if not wishes.uploaded:
            self._wishes = wishes
        elif uploads:
            self._wishes, self._awaited = wishes, AWAITED
        else:
            said.insert(0, NOT_HERE)
        self.open_bundled(" ".join(said))

    def open_bundled(self, said: str = "") -> None:
        """Open the simulated case."""
        self.do(lambda: self.session.open(asset_folder("case"), label=CASE_LABEL), said)

    def open_uploads(self, paths: Sequence[str]) -> None:
        """Take files over, out of the folder that the server gives away, and open them."""
        self.do(lambda: self._open_uploads([Path(path) for path in paths]))

    def _open_uploads(self, paths: Sequence[Path]) -> None:
        folder = Path(tempfile.mkdtemp(dir=self._private)) / STUDY
        folder.mkdir()
        try:
            for path in paths:
                if (folder / path.name).exists():
                    raise FormatError(f"Two of the files are called {path.name}: rename one.")
                shutil.move(path, folder / path.name)
            self.session.open(sorted(folder.iterdir()), label=UPLOADED)
        except (FtddmError, OSError):
            shutil.rmtree(folder.parent, ignore_errors=True)
            raise
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _grant(self, old: State, new: State) -> None:
        """Choose what the link asked for as soon as the study is there."""
        wishes = self._wishes
        if wishes is None or new.case is None or wishes.uploaded > (new.case.label == UPLOADED):
            return
        self._wishes, self._awaited = None, ""
        problems = []
        for wish in (
            {"mode": wishes.mode},
            {"metabolite": wishes.metabolite},
            {"slice_index": wishes.slice_index},
        ):
            if None not in wish.values():
                try:
                    self.session.choose(**wish)
                except FtddmError as error:
                    problems.append(f"In the link: {error}")
        self.problem = " ".join(filter(None, [self.problem, *problems]))

    def _named(self, words: str) -> str:
        """Return an error's words with uploads called as the user knows them."""
        slash = r"[/\\]"
        folder = re.escape(str(self._private))
        return re.sub(rf"{folder}{slash}[^/\\ ]+{slash}{STUDY}{slash}", "", words)

    # ---- what the page shows

    @property
    def words(self) -> str:
        """The error to show, else what the page waits for; "" where there is nothing to say."""
        return self.problem or self._named(self.session.state.error) or self._awaited

    def query(self, state: State) -> str:
        """Return the link to a state; until the upload is there that it needs, to that one."""
        return query_of(state, self._wishes if self._awaited else None)

    @property
    def followed(self) -> bool:
        """Whether its page is being shown what happens."""
        return self._followed

    def follow(self) -> int:
        """Return the caller's turn to show the page what happens; 0 while another one does."""
        with self._lock:
            if self._followed:
                return 0
            self._followed, self._turn = True, self._turn + 1
            return self._turn

    def leave(self, state: State) -> bool:
        """Stop following, if there is nothing to be seen after a state; return whether so."""
        with self._lock:
            now = self.session.state
            busy = now.activity is not Activity.IDLE or now.checking is not None
            if now is not state or busy or self._written is not now.finished:
                return False
            self._followed = False
            return True

    def abandon(self) -> None:
        """Stop following before the end: whoever comes next may follow, and shows all anew.

        What was worked out last may never have reached the page.
        """
        with self._lock:
            self._followed, self._turn = False, self._turn + 1
            self._shown.clear()

    def is_on(self, turn: int) -> bool:
        """Return whether a follower's turn has not been abandoned."""
        return turn == self._turn

    def changes(
        self, turn: int, slow: Properties, quick: Callable[[State], Properties]
    ) -> dict[str, dict[str, Any]]:
        """Return the properties in which the page differs from what it should show.

        Parameters
        ----------
        turn
            The follower's, see `follow`; one that is over gets nothing, and changes nothing.
        slow
            Properties that no user can change, and that took time to work out.
        quick
            Returns those that follow the newest state; asked for while nothing moves.
        """
        with self._lock:
            found: dict[str, dict[str, Any]] = {}
            if not self.is_on(turn):
                return found
            for part, wanted in {**slow, **quick(self.session.state)}.items():
                known = self._shown.setdefault(part, {})
                new = {k: v for k, v in wanted.items() if k not in known or known[k] != v}
                if new:
                    found[part] = new
                    known.update(new)
            return found

    # ---- files

    def results(self, state: State) -> list[str]:
        """Return the paths of the newest whole volume's files, all of them in an archive first.

        Where only the detail changed they are gone until it has stood still for a moment.
        """
        finished, before, now = state.finished, self._finished, monotonic()
        if finished is not before:
            known = finished is not None and before is not None and finished.drawn is before.drawn
            self._due = now + STILL if known else now
            self._finished, self._results = finished, []
            for folder in _inside(self._served):
                shutil.rmtree(folder, ignore_errors=True)
        if finished is not self._written and now >= self._due:
            self._written = finished
            if problem := self._tried(lambda: self._write(finished)):
                self.problem = problem  # another one stays where there is none
        return self._results

    def _write(self, finished: Finished | None) -> None:
        if finished is None:
            return
        folder = Path(tempfile.mkdtemp(dir=self._served))
        files = finished.files()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        label = next(iter(files)).partition("_met-")[0]
        archive = folder / f"{label}_ftddm.zip"
        with zipfile.ZipFile(archive, "w") as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        self._results = [str(archive), *(str(folder / name) for name in files)]

    def tidy(self) -> None:
        """Remove uploads that are no longer looked at; not while any are taken over or read."""
        with self._lock:
            state = self.session.state
            if state.activity is not Activity.IDLE:
                return
            sources = [] if state.case is None else [*state.case.study.source.values()]
            for folder in _inside(self._private):
                if not any(Path(source).is_relative_to(folder) for source in sources):
                    shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Stop all work and remove every file."""
        self.session.changed.disconnect(self._grant)
        self.session.close()
        for folder in (self._private, self._served):
            shutil.rmtree(folder, ignore_errors=True)


def _inside(folder: Path) -> list[Path]:
    """Return what a tab's folder holds: nothing once the tab is closed, which removes it."""
    try:
        return [*folder.iterdir()]
    except FileNotFoundError:
        return []
