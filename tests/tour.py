"""The tour: the window's whole story on one study, stage by stage, as a user tells it.

    python tests/tour.py [STUDY] --out DIR [--theme dark|light]

The test of the tour tells it on a tiny study; `make tour` on the bundled case, and on a study
of your own with STUDY=folder. Every stage acts through the widgets and checks what it did.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from browser import SCREEN
from panels import layer, slide
from windows import settle

PATIENCE = 600.0
"""In s: longest time that a stage may compute."""

THEMES = ("dark", "light")

Shoot = Callable[[str], None]


@dataclass
class Tour:
    """A window with the panel, and the stages to show in it.

    Parameters
    ----------
    viewer, widget
        The window, and its docked panel with a study open.
    folder
        Where the session is kept.
    shoot
        Called with the name of every stage, once it is on the screen.
    values
        Setting -> the values of the sweep, as they are typed.
    samples
        Number of samples.
    """

    viewer: Any
    widget: Any
    folder: Path
    shoot: Shoot
    values: dict[str, str] = field(
        default_factory=lambda: {"tau_flow": "0, 0.5, 1", "tau_diffusion": "0, 0.5, 1"}
    )
    samples: int = 8

    def tell(self) -> None:
        """Show every stage in turn."""
        for stage in (
            self.open, self.look, self.slide, self.sweep, self.click, self.sample, self.read,
            self.pin, self.together, self.keep,
        ):  # fmt: skip
            stage()

    # ---- stages

    def open(self) -> None:
        """The study is open, its image computed and its self-check made."""
        self.finish()
        state = self.session.state
        assert state.case is not None
        assert state.up_to_date
        self.session.choose(metabolite=self.metabolite)
        self.finish()
        self.shoot("1-open")

    def look(self) -> None:
        """The input in place of the output, in coronal slices, and back."""
        self.widget.panel.look_at["input"].click()
        self.press("coronal")
        self.finish()
        assert layer(self.viewer, "input").visible
        assert not layer(self.viewer, "output").visible
        self.shoot("2-look")
        self.press("axial")
        self.widget.panel.look_at["output"].click()
        settle()

    def slide(self) -> None:
        """The diffusion temperature is raised, and the image follows."""
        before = self.image()
        slide(self.widget, "tau_diffusion", 1.0)
        self.finish()
        assert self.session.state.settings.tau_diffusion == 1
        assert not np.array_equal(before, self.image(), equal_nan=True)
        self.shoot("3-slide")

    def sweep(self) -> None:
        """The trade-off explorer sweeps the temperatures on this slice."""
        self.explorer = self.dock("Trade-off explorer")
        for name, (box, words) in self.explorer.rows.items():
            box.setChecked(name in self.values)
            words.setText(self.values.get(name, words.text()))
        self.explorer.start.click()
        self.finish()
        found = self.session.state.exploration
        assert found is not None
        assert not found.missing
        assert found.problem == ""
        self.shoot("4-sweep")

    def click(self) -> None:
        """A click on the point with the best fidelity sets the sliders to it."""
        from ftddm_viewer.drawing.trade_off import position

        found = self.session.state.exploration
        measure = found.sweep.measures[0]
        known = [each for each in found.points if np.isfinite(each.figures[measure])]
        if known:
            best = max(known, key=lambda each: each.figures[measure])
            x, y = self.explorer._axes.transData.transform(position(best, measure))
            self.explorer._clicked(SimpleNamespace(inaxes=self.explorer._axes, x=x, y=y))
            self.finish()
            assert self.session.state.settings in [
                each.settings
                for each in known
                if position(each, measure) == position(best, measure)
            ]
        self.shoot("5-click")
        self.undock(self.explorer)

    def sample(self) -> None:
        """Several samples at the higher temperatures, and their deviation."""
        for name in ("tau_flow", "tau_diffusion"):
            slide(self.widget, name, 1.0)
        self.session.update(samples=self.samples)
        self.finish()
        self.widget.engine.show_more_layers()
        self.widget.engine.more.wanted.emit("deviation")
        self.finish()
        assert layer(self.viewer, "deviation").visible
        self.shoot("6-sample")
        self.undock(self.widget.engine.more)
        self.widget.panel.look_at["output"].click()
        settle()

    def read(self) -> None:
        """A region is drawn and read, with its mirror image."""
        regions = self.dock("Regions")
        regions.draw.click()
        self.viewer.layers["Region"].add(self.ellipse(), shape_type="ellipse")
        settle(lambda: regions.reading is not None)
        reading = regions.reading
        assert reading.lines
        self.shoot("7-region")
        self.undock(regions)
        self.viewer.layers.remove(self.viewer.layers["Region"])
        for each in [e for e in self.viewer.layers if e.metadata.get("ftddm_mirror")]:
            self.viewer.layers.remove(each)

    def pin(self) -> None:
        """The result is pinned, compared with a more faithful one, and shown in turn with it."""
        self.press("pin")
        for name in ("tau_flow", "tau_diffusion"):
            slide(self.widget, name, 0.0)
        self.finish()
        self.press("side_by_side")
        self.finish()
        self.shoot("8-side-by-side")
        self.press("side_by_side")
        self.press("swipe")
        self.finish()
        self.shoot("9-swipe")
        self.press("swipe")
        self.press("flicker")
        assert not layer(self.viewer, "output").visible
        self.press("flicker")
        assert layer(self.viewer, "output").visible

    def together(self) -> None:
        """The three views together, with a cross-hair, and one view again."""
        self.press("three")
        self.finish()
        self.shoot("10-three-views")
        self.press("three")
        settle()

    def keep(self) -> None:
        """The session is kept, another image is made, and the session is reopened."""
        before = self.image()
        path = self.folder / "tour.ftddm.json"
        self.widget.engine._do(lambda: self.widget.engine.keeping._keep_in(path))
        assert path.is_file(), self.widget.panel.error.text()
        slide(self.widget, "tau_flow", 1.0)
        self.finish()
        self.widget.engine.keeping.open(path)
        self.finish()
        assert self.session.state.error == ""
        np.testing.assert_array_equal(before, self.image())
        self.shoot("11-reopened")

    # ---- hands

    @property
    def session(self) -> Any:
        return self.widget.session

    @property
    def metabolite(self) -> str:
        names = list(self.session.state.case.study.maps)
        return "tCho" if "tCho" in names else names[0]

    def finish(self) -> None:
        """Wait until nothing is left to compute, and all is shown."""
        engine = self.widget.engine
        deadline = time.monotonic() + PATIENCE
        while engine._pace.waiting or not self.session.wait(0):
            assert time.monotonic() < deadline, "a stage took too long"
            settle()
            time.sleep(0.005)  # leaves the core to the computation
        settle()
        assert self.session.state.error == ""

    def press(self, name: str) -> None:
        """Press the button or the key of an action."""
        self.widget.panel.toolbar.wanted.emit(name)
        settle()

    def image(self) -> np.ndarray:
        """Return the output's values in the slice that is shown."""
        view = self.session.state.view
        found = view.images[self.session.state.metabolite, self.session.state.slice_index]
        return np.array(found.shown(view.detail(self.session.state.metabolite)))

    def dock(self, title: str) -> Any:
        _, made = self.viewer.window.add_plugin_dock_widget("ftddm-viewer", title)
        settle()
        return made

    def undock(self, widget: Any) -> None:
        self.viewer.window.remove_dock_widget(widget)
        settle()

    def ellipse(self) -> np.ndarray:
        """Return the corners of an ellipse over the highest values on the patient's one side."""
        output = layer(self.viewer, "output")
        k = round(float(output.world_to_data(self.viewer.dims.point)[0]))
        image = np.nan_to_num(output.data[k])
        half = image.shape[1] // 2
        j, i = np.unravel_index(np.argmax(image[:, :half]), image[:, :half].shape)
        size = max(1.0, image.shape[1] / 16)
        corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * size + (j, i)
        return np.column_stack([np.full(4, float(k)), corners])


def draw(study: Path | None, out: Path, theme: str) -> None:
    """Tell the tour in a window of 1280 x 800, and draw every stage."""
    os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(), "settings.yaml"))
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()
    from napari.settings import get_settings
    from napari_ftddm import show_window

    get_settings().appearance.theme = theme
    viewer, widget = show_window([study] if study else [], block=False)
    window = viewer.window._qt_window  # napari has no public way to set a window's size
    window.resize(SCREEN["width"], SCREEN["height"])
    out.mkdir(parents=True, exist_ok=True)
    label = study.name if study else "bundled"

    def shoot(stage: str) -> None:
        for _ in range(20):
            settle()
            time.sleep(0.01)
        viewer.status = ""
        path = out / f"{label}-{theme}-{stage}.png"
        viewer.window.screenshot(str(path), canvas_only=False, flash=False)
        print(path, file=sys.stderr)

    Tour(viewer, widget, Path(tempfile.mkdtemp()), shoot).tell()
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", help="a study's folder; the bundled case")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--theme", choices=THEMES, default=THEMES[0])
    options = parser.parse_args()
    draw(options.study, options.out, options.theme)


if __name__ == "__main__":
    main()
