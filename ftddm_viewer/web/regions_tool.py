"""The tab "Regions": drawn on its images, read in every map, with their mirror images.

The drawing itself happens in the browser, see `scripts/regions.js`; a region is sent once it is
finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from ftddm_core.errors import FtddmError
from ftddm_viewer.session.region_table import COLUMNS, about, csv_of, rows
from ftddm_viewer.session.regions import SOURCES, Reading
from ftddm_viewer.session.scene import Role, Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.controls import typed
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.regions import SHAPES, Region
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.taking_tool import SAVE_JS, file_stem
from ftddm_viewer.web.tools import Events

TITLE = "Regions"
SHOWN: tuple[Role, ...] = ("input", "output", "reference")

FORMS = (
    '<fieldset id="region-shapes"><legend>Draw</legend>'
    + "".join(
        f'<label><input type="radio" name="region-shape" value="{shape}"'
        f"{' checked' * (shape == SHAPES[0])}>{shape.capitalize()}</label>"
        for shape in SHAPES
    )
    + "</fieldset>"
)
HINT = (
    '<p class="about"><span>Drag over an image; dashed: mirror image. Keys: Enter begins a box, '
    "arrows move it, Shift+arrows resize it, Enter keeps it, Escape drops it.</span>"
    '<span id="region-said" role="status"></span></p>'
)
NOT_COMPUTED = '<p class="about">What was not computed is empty: Whole volume computes it.</p>'
EMPTY = "no voxel of the maps: draw it larger, or over them."


class RegionsTool:
    """The tab, created in the current gradio tabs: see `Tool` and `Steered`."""

    def __init__(self) -> None:
        with gr.Tab(TITLE, elem_id="view-regions"):
            with gr.Row(elem_classes="ways"):
                gr.HTML(FORMS, padding=False, min_height=0)
                self._compared = gr.Dropdown(
                    [(source.capitalize(), source) for source in SOURCES], value="output",
                    label="Mirror of", filterable=False, min_width=120, scale=0,
                    elem_id="compared",
                )  # fmt: skip
                self._plane = gr.Number(
                    0, label="at x, mm", precision=1, min_width=90, scale=0, elem_id="plane"
                )
                self._save = _button("Save CSV", "regions-csv")
                self._clear = _button("Clear", "regions-clear")
            gr.HTML(HINT, padding=False, min_height=0)
            drawn = gr.HTML(
                elem_id="drawn-regions", elem_classes="derived", padding=False, min_height=0
            )
            table = gr.HTML(elem_id="regions-read", padding=False, min_height=0)
            self._file = gr.File(visible="hidden", elem_id="regions-file")
        self.shown: dict[str, Any] = {
            "compared": self._compared,
            "plane": self._plane,
            "regions-csv": self._save,
            "regions-clear": self._clear,
            "drawn-regions": drawn,
            "regions-read": table,
        }

    def listen(self) -> None:
        """Create what holds the outlines and tells what was drawn, outside the tabs."""
        self._hands = gr.HTML(
            elem_id="outlines", padding=False, min_height=0, js_on_load=script("regions")
        )
        self.shown["outlines"] = self._hands

    def wire(self, events: Events) -> None:
        """Connect drawing, choices and buttons."""
        events.answers(self._hands.input, _told, None, data="told")
        events.moves(self._compared, "compared", lambda tab, value: tab.regions.compare(value))
        events.moves(
            self._plane,
            "plane",
            lambda tab, value: tab.regions.move_plane(tab.session.state, value),
            typed("plane"),
        )
        events.commands(self._clear.click, lambda tab: tab.do(tab.regions.clear))
        events.answers(self._save.click, _csv, self._file)
        self._file.change(None, self._file, None, js=SAVE_JS, show_progress="hidden")

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the outlines and what was read, and the drawings while the tab is open."""
        drawn = tab.painter.row(SHOWN, state, scene) if tab.opened == TITLE else ""
        if drawn:
            number, k = tab.regions.number(state), state.slice_index
            drawn = f'<div data-study="{number}" data-slice="{k}">{drawn}</div>'
        read = tab.regions.readings(state)
        some = {"interactive": bool(read)}
        return {
            "outlines": {"value": tab.regions.outlines(state, scene)},
            "drawn-regions": {"value": drawn},
            "regions-read": {"value": "".join(_tables(tab, state, read))},
            "regions-csv": some,
            "regions-clear": some,
        }

    def steered(self, tab: Tab, state: State) -> Mapping[str, dict[str, Any]]:
        """Return which maps are compared, and where the mirror is."""
        return {
            "compared": {"value": tab.regions.compared},
            "plane": {
                "value": round(tab.regions.plane(state), 1),
                "interactive": state.case is not None,
            },
        }


def _button(words: str, name: str) -> Any:
    return gr.Button(words, size="sm", elem_id=name, min_width=60, scale=0, interactive=False)


def _told(tab: Tab, told: Any) -> None:
    """Take up what the browser tells: a region that was drawn, or one to remove."""
    found = told if isinstance(told, dict) else {}
    if "drawn" in found:
        tab.do(lambda: tab.regions.add(tab.session.state, found["drawn"]))
    else:
        tab.do(lambda: tab.regions.remove(found.get("remove")))


def _tables(tab: Tab, state: State, read: Mapping[Region, Reading | None]) -> Iterator[str]:
    """Yield a table for every region, below what it is."""
    for region, reading in read.items():
        words = EMPTY if reading is None else about(reading, state.metabolite)
        head = (
            f'<button type="button" data-remove="{region.letter}" '
            f'aria-label="Remove region {region.letter}">Remove</button> '
            f"<b>{region.name}</b>: {escape(tab.named(words))}"
        )
        cells = [] if reading is None else rows(reading, tab.regions.compared)
        lines = [_row("th", COLUMNS), *(_row("td", line) for line in cells)] if cells else []
        yield f'<table class="read"><caption>{head}</caption>{"".join(lines)}</table>'
    if read:
        yield NOT_COMPUTED


def _row(kind: str, cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(plain(cell))}</{kind}>' for cell in cells)}</tr>"


def _csv(tab: Tab, _: Any) -> Any:
    state = tab.session.state
    try:
        read = tab.regions.readings(state)
        named = {region.name: reading for region, reading in read.items() if reading is not None}
        words = tab.named(csv_of(named, state))
    except FtddmError as error:
        tab.say(str(error))
        return gr.skip()
    label = "" if state.case is None else state.case.label
    return str(tab.give(f"{file_stem(f'{label}-regions')}.csv", words.encode("utf-8-sig")))


def tips() -> dict[str, str]:
    """Return element -> what it does."""
    return {
        "compared": "Of which maps the mirror image and lesion/normal are shown.",
        "plane": "The sagittal plane across which regions are mirrored; at first the middle of the "
        "trusted voxels.",
        "regions-csv": "Save the tables with every statistic and unit as CSV.",
        "regions-clear": "Remove all regions.",
    }
