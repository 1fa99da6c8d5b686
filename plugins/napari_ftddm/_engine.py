"""What connects session, panel and viewer: commands one way, scenes the other.

It is a plain object, not a widget: Qt can tell it that the panel is gone when the panel itself can
no longer be told anything.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QMessageBox

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.volume import Study
from ftddm_core.saving.names import result_names, stale_names
from ftddm_viewer.session.bundled import BUNDLED, Bundled
from ftddm_viewer.session.messages import error_words
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, Finished, State
from napari_ftddm._canvas import follow
from napari_ftddm._commands import Commands
from napari_ftddm._keeping import Keeping
from napari_ftddm._model_panel import ModelPanel
from napari_ftddm._more_layers import NAME, MoreLayers
from napari_ftddm._panel import Panel
from napari_ftddm._record import known_of, leave_to_user
from napari_ftddm._relay import Pace, Relay
from napari_ftddm._sides import unwrapped
from napari_ftddm._stage import Stage
from napari_ftddm._study_panel import StudyPanel
from napari_ftddm._veil import without

if TYPE_CHECKING:
    from napari import Viewer

    from napari_ftddm._preferences import Preferences

DOCKS = {"explore": "Trade-off explorer", "ratio": "Ratio", "regions": "Regions"}
"""Action -> the dock that it opens, by its name in napari's menu."""

INTERVAL_MS = 40
"""Shortest time between two changes of the settings while a slider is dragged."""

LAYOUT_MS = 150
"""How long a window takes to give the canvas its new size, once a dock has come or gone."""

PATIENCE = 0.2
"""In s: how long a closing panel waits for running work to notice."""

logger = logging.getLogger(__name__)

_running: weakref.WeakSet[Engine] = weakref.WeakSet()


class Panels:
    """Tells docks that a panel was opened or closed, in any viewer."""

    changed = Signal()


panels = Panels()


class Engine:
    """Runs one panel.

    Attributes
    ----------
    session
        The state and the commands behind it.
    panel
        The widgets.
    """

    def __init__(self, viewer: Viewer, panel: Panel, session: Session, wanted: Preferences) -> None:
        self.session = session
        self._viewer, self.panel = viewer, panel
        self._stage = Stage(viewer, session.model)
        self._words = follow(viewer)
        self._study = StudyPanel(panel)
        self.more = MoreLayers()
        self._relay = Relay(self._apply)
        self._pace = Pace(INTERVAL_MS, self._update)
        self._framer = QTimer()
        self._framer.setSingleShot(True)
        self._framer.setInterval(LAYOUT_MS)
        self._framer.timeout.connect(self._stage.frame)
        self._seen: list[weakref.ref[Study]] = []
        self._arriving: list[weakref.ref[Study]] = []
        self._declined: list[weakref.ref[Study]] = []
        self._said = ""
        self._refused = ""
        self._stopped = False
        _running.add(self)
        self._commands = Commands(viewer, panel, session, self._stage, self._do, self._relay.post)
        self.keeping = Keeping(viewer, panel, session, self._do, self._commands.hands)
        self.networks = ModelPanel(panel, session, self.use, self._do)
        self._commands.hands.on("model", self.networks.appear)
        self._commands.hands.on("layers", self.show_more_layers)
        for name, title in DOCKS.items():
            self._commands.hands.on(name, partial(self._open_dock, title))
        self._commands.hands.on("three", self._switch_three)
        self._connect()
        self._relay.follow(session)
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.dims.events.point.connect(self._scrolled)
        viewer.layers.events.connect(self._looked)
        session.display(fade=True, limit=wanted.crlb_limit)
        session.choose(live=wanted.live)
        if wanted.smooth:
            self._commands.views.switch_interpolation()
        self._apply()
        self._look_for_studies()
        panels.changed.emit()

    def runs_in(self, viewer: Viewer) -> bool:
        """Return whether this is a viewer's engine; napari hands out viewers in wrappers."""
        return unwrapped(self._viewer) is unwrapped(viewer)

    def _connect(self) -> None:
        panel = self.panel
        panel.form.moved.connect(self._pace.submit)
        panel.open.clicked.connect(lambda *_: self._open())
        panel.files.clicked.connect(lambda *_: self._study.appear())
        self._study.wanted.connect(lambda choices: self._do(lambda: self.session.reopen(choices)))
        panel.sample.clicked.connect(lambda *_: self.open_sample())
        for case, chosen in panel.samples.items():
            chosen.triggered.connect(lambda *_, case=case: self.open_sample(case))
        panel.mode.activated.connect(
            lambda index: self._do(lambda: self.session.choose(mode=panel.mode.itemData(index)))
        )
        panel.metabolite.textActivated.connect(
            lambda name: self._do(lambda: self.session.choose(metabolite=name))
        )
        panel.live.toggled.connect(lambda on: self._do(lambda: self.session.choose(live=on)))
        panel.update_now.clicked.connect(lambda *_: self._do(self.session.refresh))
        panel.volume.clicked.connect(lambda *_: self._do(self.session.compute_volume))
        panel.cancel.clicked.connect(lambda *_: self._do(self.session.cancel))
        panel.unfill.clicked.connect(lambda *_: self._do(self.session.unfill))
        panel.save.clicked.connect(lambda *_: self._save())
        panel.show_all.clicked.connect(lambda *_: self._do(self.session.toggle_detail))
        panel.link.toggled.connect(lambda on: self._stage.link(on))
        panel.more.clicked.connect(lambda *_: self.show_more_layers())
        self.more.wanted.connect(self._show_derived)
        self.more.changed.connect(lambda changes: self._do(lambda: self.session.display(**changes)))
        for role, button in panel.look_at.items():
            button.clicked.connect(lambda *_, role=role: self.show_only(role))

    def use(self, model: Any) -> None:
        """Sample with other networks from now on."""
        self.session.use(model)
        self._stage.use(model)

    # ---- from the session to the screen

    def _apply(self) -> None:
        """Show the newest state, on the main thread; a fault is reported and goes no further."""
        if self._stopped:
            return
        try:
            self._show(self.session.state)
        except Exception as fault:  # raised through Qt, it could end the process
            logger.exception("A state could not be shown.")
            self.panel.show_fault(
                f"Unexpected {type(fault).__name__}: {fault}. The images may not match the "
                "settings shown here. Please report it."
            )

    def _show(self, state: State) -> None:
        """Show a state, in the panel first: that must not fall silent where a layer fails."""
        scene = resolve(state)
        self.panel.show_state(
            state,
            scene,
            place=self.session.model.place,
            waiting=tuple(self._pace.waiting),
            said=self._said,
            refused=self._refused,
            takes=self.session.volume_takes,
        )
        self.more.show_state(state)
        if self._study.show_state(state):
            self._study.appear()
        self._commands.pinned.before(state)
        self._stage.apply(state, scene)
        if state.activity is not Activity.OPENING:
            self._settle_arrivals(state)
        self._commands.show_state(state)
        self.keeping.shown(state)
        self.networks.show_state(state)
        self._words.refresh()

    def show_only(self, role: str) -> None:
        """Show one layer of the maps and hide the others, making it again if it was removed."""
        self._commands.pinned.hide()
        self._stage.bring_back(role)
        self._apply()
        self._stage.look_at(role)

    def _show_derived(self, role: str) -> None:
        """Show a layer that is made on demand, from now on for every metabolite."""
        if role != "deviation":
            asked = self.session.state.display.layers | {role}
            self.session.display(layers=asked)
        self.show_only(role)

    def show_more_layers(self) -> None:
        """Open the dock of derived layers and reliability, below the list of layers."""
        if self.more.parent() is None:
            window = self._viewer.window
            window.add_dock_widget(self.more, name=NAME, area="left", add_vertical_stretch=False)
        self._apply()

    def _open_dock(self, title: str) -> None:
        """Open one of the plugin's docks, by its name in the manifest."""
        self._viewer.window.add_plugin_dock_widget("ftddm-viewer", title)

    def _switch_three(self) -> None:
        """Open the dock of three views, or close it."""
        window = self._viewer.window
        docks = window.dock_widgets.values()
        found = next((e for e in docks if e.objectName() == "ftddm_three"), None)
        if found is None:
            self._open_dock("Three views")
        else:
            window.remove_dock_widget(found)
        self._framer.start()

    # ---- from the user to the session

    def _do(self, command: Callable[[], Any]) -> None:
        """Run a command; its words or those of an error are shown, and the widgets put back."""
        self._said = self._refused = ""
        try:
            self._pace.flush()
            outcome = command()
            self._said = outcome if isinstance(outcome, str) else self._said
        except (FtddmError, OSError) as error:
            self._refused = error_words(error) or ""
        finally:
            self._relay.post()

    def _update(self, changes: Mapping[str, Any]) -> None:
        self._do(lambda: self.session.update(**changes))

    def _open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self.panel, "Open the folder of a study")
        if folder:
            self._do(lambda: self.session.open(Path(folder)))

    def open_sample(self, case: Bundled = BUNDLED[0]) -> None:
        """Open a bundled case."""
        self._do(lambda: self.session.open(case.folder, label=case.label))

    def _save(self) -> None:
        finished = self.session.state.finished
        if finished is None:
            return
        folder = QFileDialog.getExistingDirectory(self.panel, "Save the whole volume in")
        if folder:
            self._do(lambda: self._save_in(Path(folder), finished))

    def _save_in(self, folder: Path, finished: Finished) -> None:
        names = result_names(finished.prepared.acquired, finished.result.settings.samples)
        existing = [n for n in (*names, *stale_names(names)) if (folder / n).exists()]
        if existing and not self._may_replace(folder, existing):
            return
        paths = self.session.save(folder, overwrite=bool(existing), finished=finished)
        self._said = f"{len(paths)} files written to {folder}."

    def _may_replace(self, folder: Path, existing: list[str]) -> bool:
        answer = QMessageBox.question(
            self.panel,
            "Replace files?",
            f"Files of an earlier result are in {folder} already, {len(existing)} in all. "
            "Replace them?",
        )
        return answer == QMessageBox.StandardButton.Yes

    # ---- from the viewer to the session

    def _inserted(self, event: Any) -> None:
        if not self._stage.busy:
            leave_to_user(event.value)
            self._look_at(event.value)
            self._words.refresh()

    def _look_for_studies(self) -> None:
        """Open the newest study among the layers that are there already."""
        for layer in list(self._viewer.layers):
            if known_of(layer).get("role") in ("map", "mask"):
                layer.visible = False
        newest = next((e for e in reversed(self._viewer.layers) if known_of(e).get("study")), None)
        if newest is not None:
            self._look_at(newest)

    def _look_at(self, layer: Any) -> None:
        """Open a layer's study, if it is a new one; the reader's map and mask make way."""
        known = known_of(layer)
        study = known.get("study")
        if study is None:
            return
        if known.get("role") in ("map", "mask"):
            layer.visible = False
        if not _among(study, self._seen):
            self._seen.append(weakref.ref(study))
            case = self.session.state.case
            if case is None or case.study is not study:
                self._arriving.append(weakref.ref(study))
                self._do(lambda: self.session.show(study, known.get("label", "")))
        if _among(study, self._declined):
            layer.visible = False

    def _settle_arrivals(self, state: State) -> None:
        """Hide the layers of studies that did not open; the user may show them again.

        Their MRI must not lie below another's maps.
        """
        arrived, self._arriving = self._arriving, []
        for study in arrived:
            if state.case is None or state.case.study is study():
                continue
            self._declined.append(study)
            for layer in list(self._viewer.layers):
                if known_of(layer).get("study") is study():
                    layer.visible = False

    def _scrolled(self, event: Any = None) -> None:
        state = self.session.state
        k = self._stage.slice_shown(state)
        if k is not None and k != state.slice_index:
            self._do(lambda: self.session.choose(slice_index=k))

    def _looked(self, event: Any) -> None:
        """Follow what the user shows, hides and removes."""
        display = self.session.state.display
        if event.type == "visible":
            changes = self._stage.looked(display)
        elif event.type == "removed" and not self._stage.busy:
            changes = without(known_of(event.value).get("role"), display)
        else:
            return
        if changes:
            self.session.display(**changes)

    # ---- the end

    def _close_more_layers(self) -> None:
        if self.more.parent() is not None:
            with suppress(AttributeError, LookupError):  # napari, where its window is gone
                self._viewer.window.remove_dock_widget(self.more)

    def stop(self, *_: object) -> None:
        """End all work and let go of the viewer; widgets and canvas may be gone already."""
        if self._stopped:
            return
        self._stopped = True
        _running.discard(self)
        self._relay.close()
        self._pace.close()
        if isalive(self._framer):  # type: ignore[no-untyped-call]
            self._framer.stop()
        self._viewer.layers.events.inserted.disconnect(self._inserted)
        self._viewer.dims.events.point.disconnect(self._scrolled)
        self._viewer.layers.events.disconnect(self._looked)
        self._commands.close()
        self._stage.close()
        with suppress(RuntimeError):  # Qt, where it is gone already
            self._study.hide()
            self.networks.hide()
            self._close_more_layers()
        self.session.close(PATIENCE)
        panels.changed.emit()


def _among(study: Study, known: Iterable[weakref.ref[Study]]) -> bool:
    return any(each() is study for each in known)


def engine_in(viewer: Viewer) -> Engine | None:
    """Return the engine that runs in a viewer, None where there is none."""
    return next((engine for engine in _running if engine.runs_in(viewer)), None)
