"""One browser tab: its session, its files, and the content of its page."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.io import Choices, Limits
from ftddm_viewer.session.bundled import BUNDLED, LABELS, bundled, bundled_at
from ftddm_viewer.session.history import History
from ftddm_viewer.session.inspection import Inspection
from ftddm_viewer.session.messages import error_words
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.pace import in_words
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, Finished, State
from ftddm_viewer.web import study_panel
from ftddm_viewer.web.appearance import USUAL
from ftddm_viewer.web.followed import Followed, Properties
from ftddm_viewer.web.limits import LONGEST_UNASKED, READ_FOR, STORED_EACH, of_studies
from ftddm_viewer.web.painter import Painter
from ftddm_viewer.web.permalink import UPLOADED, Wishes, is_uploaded, query_of, slice_problem
from ftddm_viewer.web.pinning import Pinning
from ftddm_viewer.web.plain import plain, shortened
from ftddm_viewer.web.regions import Regions
from ftddm_viewer.web.status import message
from ftddm_viewer.web.study_draft import Draft
from ftddm_viewer.web.uploads import as_uploaded, size_below, take

OWNED = "tab-"
"""Prefix of the folders of results; everything else that is served was uploaded."""

STILL = 0.7
"""In s: how long the detail must stay unchanged before the files of a volume are rewritten."""

AWAITED = (
    "This link was made with an uploaded study: upload it to see the same view with these settings."
)

LONG = "With these settings an image takes {} here: press Update to compute it."

NOT_HERE = (
    "This link was made with an uploaded study, but uploads are disabled here: its settings "
    "apply to the simulated patient."
)


class Tab(Followed):
    """Server side of one page.

    Parameters
    ----------
    model
        The networks, shared.
    private
        A folder that is never served; uploads go into a subfolder.
    served
        A folder whose files can be downloaded; results go into a subfolder.
    limits
        How large a study may be; shared by the tabs of a server.

    Attributes
    ----------
    session
        This tab's own.
    painter
        Draws its images.
    problem
        Error message of the last command, "" if none.
    showing
        Lock for computing the content of the page: one thread at a time uses painter and files.
    draft
        The choices being made in the study panel.
    token
        Known to the browser of its page only, which takes the tab up again with it.
    notice
        What the page says until the next command, unless there is an error.
    former
        Setting -> the number that was in force when "automatic" or its like replaced it.
    history
        What can be undone.
    pinning
        Its pinned outputs.
    copies
        How many texts were handed out to be copied.
    appearance
        How its browser shows the images.
    regions
        What was drawn on the study.
    kept
        What tools remember.
    """

    def __init__(
        self, model: Model, private: Path, served: Path, limits: Limits | None = None
    ) -> None:
        super().__init__()
        self.session = Session(
            model, limits=limits or of_studies(), longest_unasked=LONGEST_UNASKED
        )
        self.painter = Painter()
        self.problem = self.notice = ""
        self._noticed = 0.0
        self.token = secrets.token_urlsafe(24)
        self._private = Path(tempfile.mkdtemp(dir=private))
        self._served = Path(tempfile.mkdtemp(dir=served, prefix=OWNED))
        self.showing = Lock()
        self.draft = Draft()
        self.former: dict[str, Any] = {}
        self.history = History(self.session)
        self.pinning = Pinning(self.session)
        self.copies = 0
        self.appearance = USUAL
        self.regions = Regions()
        self.kept: dict[str, Any] = {}
        self._placed: Inspection | None = None
        self._placement = ""
        self._wishes: Wishes | None = None
        self._awaited = ""
        self._finished: Finished | None = None
        self._written: Finished | None = None
        self._due = 0.0
        self._results: list[str] = []
        self._deaf = self.session.hear(self._grant)
        self.pinning.changed.connect(self.renew)

    # ---- commands

    def do(self, command: Callable[[], object], said: str = "") -> None:
        """Run a command; `problem` becomes its error, or else `said`."""
        with self._lock:
            self.problem = said
            if monotonic() - self._noticed > READ_FOR:
                self.notice = ""
            if problem := self._tried(command):
                self.problem = problem

    def say(self, problem: str) -> None:
        """Tell the user of a problem, until the next command."""
        with self._lock:
            self.problem = self.named(problem)

    def give(self, name: str, content: bytes) -> Path:
        """Write a file that the page may hand out; return its path."""
        path = Path(tempfile.mkdtemp(dir=self._served)) / name
        path.write_bytes(content)
        return path

    def _tried(self, command: Callable[[], object]) -> str:
        """Run a command; return its error message, "" if there was none."""
        try:
            command()
        except (FtddmError, OSError) as error:
            return self.named(error_words(error) or "")
        return ""

    def move(
        self, part: str, key: str, stamp: float, value: Any, command: Callable[[], object]
    ) -> None:
        """Run the command of a component that the user changed, unless it was changed again since;
        the other parameters as for `moved`."""
        with self._lock:
            if self.moved(part, key, stamp, value):
                self.do(command)

    def begin(self, wishes: Wishes, *, uploads: bool = True) -> None:
        """Open a bundled case as a link requests; a request for an upload waits for the
        upload."""
        self.do(lambda: self.session.update(**wishes.settings))
        self.do(lambda: self.session.display(**wishes.display))
        self.pinning.offered = wishes.pins
        self.appearance = wishes.appearance
        said = [f"In the link: {problem}" for problem in wishes.problems]
        study = BUNDLED[0].name if wishes.uploaded else wishes.study
        if not wishes.uploaded:
            self._wishes = wishes
        elif uploads:
            self._wishes, self._awaited = wishes, AWAITED
        else:
            said.insert(0, NOT_HERE)
        self.open_bundled(study, " ".join(said))

    def open_bundled(self, name: str = BUNDLED[0].name, said: str = "") -> None:
        """Open a simulated case."""
        case = bundled(name)
        self.do(lambda: self.session.open(case.folder, label=case.label), said)

    def open_uploads(self, paths: Sequence[str]) -> None:
        """Copy uploaded files out of the served folder and open them."""
        self.do(lambda: self._open_uploads([Path(path) for path in paths]))

    def _open_uploads(self, paths: Sequence[Path]) -> None:
        place = Path(tempfile.mkdtemp(dir=self._private))
        try:
            self.session.open(take(paths, place, self._room), label=UPLOADED)
        except (FtddmError, OSError):
            shutil.rmtree(place, ignore_errors=True)
            raise

    def expand(self, *, expanded: bool) -> None:
        """Take up that the user opened or closed the study panel."""
        with self._lock:
            self.draft.expanded = expanded
            self.shows("study", "open", expanded)

    def placement(self) -> str:
        """Return where the MRI of the study panel lies on the maps, as HTML; "" while the panel is
        closed. It is drawn once for each study, which takes a moment."""
        with self._lock:
            found = self.session.state.inspection
            self.draft.take_up(found, self.named)
            if not self.draft.expanded:
                return ""
        if found is not self._placed:
            study = None if found is None else found.study
            self._placed, self._placement = found, study_panel.placement(study)
        return self._placement

    def open_chosen(self, values: Iterable[tuple[Callable[[Draft, Any], object], Any]]) -> None:
        """Open the study of the panel with the choices made there.

        Parameters
        ----------
        values
            The newest values of the panel, as functions that apply them and what to apply.
        """

        def command() -> None:
            self.draft.take_up(self.session.state.inspection, self.named)
            for set_to, value in values:
                set_to(self.draft, value)
            self._reopen(self.draft.choices())

        self.do(command)

    def start_over(self) -> None:
        """Open the study of the panel as if no choice had been made."""
        self.do(lambda: self._reopen(Choices()))

    def _reopen(self, choices: Choices) -> None:
        found = self.session.state.inspection
        if found is not None:
            case = bundled_at(*(path.absolute() for path in found.paths))
            label = choices.label or (UPLOADED if case is None else case.label)
            if case is None and label in LABELS:  # a measured study is never called simulated
                label = UPLOADED
            self.session.open(found.paths, label=label, choices=choices)

    def _grant(self, old: State, new: State) -> None:
        """Apply the view that the link requested once the study is open."""
        wishes = self._wishes
        if wishes is None or new.case is None or wishes.uploaded > is_uploaded(new.case):
            return
        self._wishes, self._awaited = None, ""
        k, problems = wishes.slice_index, []
        if k is not None and (wrong := slice_problem(k, new.case.study.grid.shape[2])):
            k = None
            problems.append(f"In the link: {wrong}")
        for wish in (
            {"mode": wishes.mode},
            {"metabolite": wishes.metabolite},
            {"slice_index": k},
        ):
            if None not in wish.values():
                try:
                    self.session.choose(**wish)
                except FtddmError as error:
                    problems.append(f"In the link: {error}")
        if wishes.ratio is not None:
            try:
                self.session.choose_ratio(*wishes.ratio)
            except FtddmError as error:
                problems.append(f"In the link: {error}")
        self.problem = " ".join(filter(None, [self.problem, *problems]))

    def named(self, words: str) -> str:
        """Return a text with files under the names that the user knows, without folders."""
        for case in BUNDLED:
            folder = str(case.folder)
            words = words.replace(f"{folder}{os.sep}", "").replace(folder, case.label.lower())
        return plain(as_uploaded(words, self._private))

    # ---- what the page shows

    @property
    def words(self) -> str:
        """The error to show, else what the page is waiting for; "" if there is nothing to say."""
        error = self.named(self.session.state.error)
        long = self.session.long_wait
        asks = LONG.format(in_words(long)) if long else ""
        said = self.problem or error or asks or self._awaited or self.notice
        return shortened(plain(said))

    def notify(self, words: str) -> None:
        """Say something until the next command, but long enough to be read."""
        with self._lock:
            self.notice, self._noticed = words, monotonic()

    def told(self) -> str:
        """Return `words`, which the page now shows."""
        with self._lock:
            words = self.words
            self.shows("message", "value", message(words))
            return words

    @property
    def folder(self) -> str:
        """The name of the folder of its results."""
        return self._served.name

    @property
    def _room(self) -> int:
        """How many bytes of uploads may still be stored for it."""
        return max(0, STORED_EACH - size_below(self._private))

    def query(self, state: State) -> str:
        """Return the link to a state; while an upload is awaited, the link to the requested
        view."""
        awaited = self._wishes if self._awaited else None
        return query_of(state, awaited, self.pinning.linked, self.appearance)

    @property
    def opened(self) -> str:
        """The name of the tab of images that is open."""
        return self.appearance.tab

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the link to what it shows."""
        return dict(parse_qsl(self.query(self.session.state)[1:], keep_blank_values=True))

    def leave(self, state: State, turn: int = 0) -> bool:
        """Stop following if nothing has changed since a state; return whether it stopped."""
        return self.leave_unless(lambda: self._differs(state), turn)

    def _differs(self, state: State) -> bool:
        now = self.session.state
        busy = now.activity is not Activity.IDLE or now.checking is not None
        return now is not state or busy or self.unsettled

    @property
    def unsettled(self) -> bool:
        """Whether its page changes without a new state: by what is explored, or by files."""
        return self.session.exploring or self._written is not self.session.state.finished

    def changes(
        self, turn: int, slow: Properties, quick: Callable[[State], Properties]
    ) -> dict[str, dict[str, Any]]:
        """Return the properties in which the page differs from its proper content.

        Parameters
        ----------
        turn
            See `differences`.
        slow
            Properties that the user cannot change and that took time to compute.
        quick
            Returns the properties of the newest state.
        """
        return self.differences(turn, lambda: {**slow, **quick(self.session.state)})

    # ---- files

    def results(self, state: State) -> list[str]:
        """Return the paths of the newest whole volume's files, preceded by an archive of all.

        After a change of the detail they are absent until it has been unchanged for a moment.
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
                self.problem = problem  # without a new problem, an existing one stays
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
        """Remove uploads that are no longer in use; not while any are being moved or read.

        In use are the files of the open study, and of the one that was inspected last: it may be
        opened again with other choices.
        """
        with self._lock:
            state = self.session.state
            if state.activity is not Activity.IDLE:
                return
            sources = [] if state.case is None else [*state.case.study.source.values()]
            sources += [] if state.inspection is None else map(str, state.inspection.paths)
            for folder in _inside(self._private):
                if not any(Path(source).is_relative_to(folder) for source in sources):
                    shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Stop all work and remove every file."""
        self._deaf()
        self.session.close()
        for folder in (self._private, self._served):
            shutil.rmtree(folder, ignore_errors=True)


def _inside(folder: Path) -> list[Path]:
    """Return the content of a tab's folder; empty once the tab is closed, which removes the
    folder."""
    try:
        return [*folder.iterdir()]
    except FileNotFoundError:
        return []
