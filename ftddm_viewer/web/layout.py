"""Layout of the page; its behaviour is in `page`."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ftddm_viewer.session.bundled import BUNDLED
from ftddm_viewer.session.case import MODE_WORDS
from ftddm_viewer.session.messages import SHOW_ALL
from ftddm_viewer.web import controls, status
from ftddm_viewer.web.appearance_tool import AppearanceTool
from ftddm_viewer.web.contrast_tool import ContrastTool
from ftddm_viewer.web.explorer_tool import ExplorerTool
from ftddm_viewer.web.fading_tool import FadingTool
from ftddm_viewer.web.offered_tool import OfferedTool
from ftddm_viewer.web.pins_tool import PinsTool
from ftddm_viewer.web.planes_tool import PlanesTool
from ftddm_viewer.web.pointing_tool import PointingTool
from ftddm_viewer.web.ratio_tool import RatioTool
from ftddm_viewer.web.regions_tool import RegionsTool
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.settings_tool import SettingsTool
from ftddm_viewer.web.study_form import StudyForm
from ftddm_viewer.web.taking_tool import TakingTool
from ftddm_viewer.web.tools import Tool
from ftddm_viewer.web.views_tool import ViewsTool

FILE_TYPES = [".nii", ".gz", ".hdr", ".img", ".mgz", ".mgh", ".mnc", ".npy", ".json", ".zip"]

MODES = [(words, mode.value) for mode, words in MODE_WORDS.items()]

BACKDROPS = ["T1", "FLAIR", "None"]
"""Choices before a study is open; then only those it has."""

SWIPE_JS = """
const set = (v) => element.style.setProperty('--cut', v + '%');
element.addEventListener('input', (e) => set(e.target.value));
watch('value', () => {
  const range = element.querySelector('input');
  if (range) range.value = parseFloat(element.style.getPropertyValue('--cut') || '50');
});
"""
"""Moves the edge in the browser only; it keeps its position when the images change."""

ONE = (
    "<fieldset><legend>Image</legend>"
    + "".join(
        f'<label><input type="radio" name="one" value="{role}"{" checked" * (role == "output")}>'
        f"{role.capitalize()}</label>"
        for role in ("input", "output", "reference")
    )
    + "</fieldset>"
)
"""On a narrow screen, which image is shown."""

ONE_JS = """
const show = (name) => { document.getElementById('images').dataset.one = name; };
element.addEventListener('change', (e) => show(e.target.value));
show('output');
"""

LINK = (
    '<label for="link-field">Link to this view</label>'
    '<input id="link-field" type="url" readonly>'
    '<button type="button" id="link-copy">Copy link</button>'
)


class Layout:
    """The components, created in the current gradio blocks.

    Parameters
    ----------
    uploads
        Whether files may be uploaded; otherwise `upload` is None.

    Attributes
    ----------
    controls
        Components of the method's controls.
    form
        Components of the study panel.
    shown
        Name -> component, for all components set by the server.
    """

    def __init__(self, *, uploads: bool) -> None:
        self.controls: list[controls.Part] = []
        self.shown: dict[str, Any] = {}
        self.upload: Any = None
        self.tools: list[Tool] = [PointingTool()]
        self.stamp = gr.Number(0, visible=False)
        _html("banner", status.BANNER, js_on_load=script("typing"))
        self._show("message", _html("message"))
        self._show("said", _html("said", js_on_load=script("reading")))
        self.poke = _html("poke", elem_classes="unseen", js_on_load=script("waking"))
        with gr.Row(equal_height=False, elem_id="page"):
            with gr.Column(scale=0, min_width=352, elem_id="controls"):
                _html("h-study", "<h2>Study and settings</h2>", elem_classes="unseen")
                self._study(uploads)
                self._controls()
                self._actions()
            with gr.Column(scale=1, min_width=520, elem_id="images"):
                self._images()
                self._weights()
                self._below()
        for part in self.controls:
            self._show(part.key, part.component)
        for tool in self.tools:
            self.shown |= tool.shown

    def _show(self, name: str, component: Any) -> Any:
        self.shown[name] = component
        return component

    def _study(self, uploads: bool) -> None:
        with gr.Row(elem_classes="study"):
            self.bundled = {
                case.name: self._show(
                    name := f"bundled-{case.name}", _button(case.label, name, interactive=True)
                )
                for case in BUNDLED
            }
            unfill = _button("Undo zero-filling", "unfill", interactive=True, visible=False)
            self.unfill = self._show("unfill", unfill)
        if uploads:
            upload = gr.File(
                show_label=False,
                file_count="multiple",
                file_types=FILE_TYPES,
                height=40,
                elem_id="upload",
            )
            self.upload = self._show("upload", upload)
            _html("hint", status.UPLOAD_HINT)
        self.form = StudyForm()
        self.shown |= self.form.shown
        mode = gr.Radio(MODES, show_label=False, container=False, elem_id="mode")
        self.mode = self._show("mode", mode)
        with gr.Row(elem_classes="pair"):
            metabolite = gr.Dropdown(
                label="Metabolite", filterable=False, min_width=110, scale=2, elem_id="metabolite"
            )
            self.metabolite = self._show("metabolite", metabolite)
            slices = _slider("Slice", "slice", (1, 2, 1), min_width=150, scale=3)
            self.slice = self._show("slice", slices)

    def _controls(self) -> None:
        self.tools += [SettingsTool(), OfferedTool()]
        self.controls += controls.build("upscale")
        self.controls += controls.build("tau_flow", "tau_diffusion", "t_trunc")
        self.controls += controls.build("steps")
        self.controls += controls.build("samples")
        self.controls += controls.build("noise")
        with gr.Row(elem_classes="pair"):
            self.controls += controls.build("seed", "sampler")
        with gr.Row(elem_classes="ticks"):
            self.controls += controls.build("consistency")
            live = gr.Checkbox(True, label="Live", container=False, min_width=60, elem_id="live")
            self.live = self._show("live", live)
        self._show("little", _html("little"))

    def _actions(self) -> None:
        """Create what starts and stops the work, and its files; it is always in reach."""
        with gr.Column(elem_id="actions"):
            results = gr.File(
                label="Whole volume: NIfTI maps with JSON sidecars",
                interactive=False,
                visible=False,
                file_count="multiple",
                height=90,
                elem_id="files",
            )
            self._show("files", results)
            with gr.Row(elem_classes="commands"):
                self.update = self._show("update", _button("Update", "update"))
                self.volume = self._show("volume", _button("Whole volume", "volume", "primary"))
                self.cancel = self._show("cancel", _button("Cancel", "cancel"))

    def _images(self) -> None:
        with gr.Row(elem_id="top"):
            self._show("heading", _html("heading"))
            pins = PinsTool()
        for name in ("backdrop", "maps"):
            self._show(name, _html(name))
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Side by side"):
                _html("one", ONE, js_on_load=ONE_JS)
                self._show("pair", _html("pair"))
            with gr.Tab("Swipe"):
                self._show("swipe", _html("swipe", js_on_load=SWIPE_JS))
            pins.add_tab()
            with gr.Tab("Deviation", visible=False) as tab:
                self._show("spread", _html("spread"))
            self._show("spread_tab", tab)
            views = ViewsTool()
            self.tools += [PlanesTool(), RatioTool(), FadingTool(), ExplorerTool()]
            regions = RegionsTool()
        views.listen()
        self.tools.append(AppearanceTool())
        regions.listen()
        pins.listen()
        self.tools += [views, regions, pins]
        with gr.Row(elem_classes="looks"):
            self._show("bar", _html("bar"))
            self.tools.append(ContrastTool())
            backdrop = gr.Radio(
                BACKDROPS,
                value="T1",
                label="Background",
                min_width=200,
                scale=0,
                elem_id="background",
            )
            self.backdrop = self._show("background", backdrop)
            self.overlay = _slider("Maps over it, %", "overlay", (0, 100, 100), scale=0)

    def _weights(self) -> None:
        with gr.Row(elem_classes=["looks", "weights"]):
            self.controls += controls.build("mri_weight", "detail")
            button = _button(SHOW_ALL, "all", interactive=True, min_width=190, scale=0)
            self.show_all = self._show("all", button)
        self._show("check", _html("check"))
        self._show("tips", _html("tips", js_on_load=controls.TIPS_JS))

    def _below(self) -> None:
        self._show("progress", _html("progress"))
        self._show("remarks", _html("remarks"))
        with gr.Row(elem_classes="link"):
            self.link = gr.Textbox(visible="hidden", elem_id="query")
            _html("link", LINK, js_on_load=script("copying"))
            self.tools.append(TakingTool())
        self._show("link", self.link)


def _html(name: str, value: str = "", **options: Any) -> gr.HTML:
    return gr.HTML(value, elem_id=name, padding=False, min_height=0, **options)


def _button(text: str, name: str, variant: Any = "secondary", **options: Any) -> gr.Button:
    known = {"interactive": False, "min_width": 70, **options}
    return gr.Button(text, size="sm", variant=variant, elem_id=name, **known)


def _slider(
    label: str, name: str, values: tuple[float, float, float], *, min_width: int = 190, scale: int
) -> gr.Slider:
    """Return a slider of integers: first, last, and initial value."""
    low, high, value = values
    return gr.Slider(
        low, high, value, step=1, label=label, buttons=[], min_width=min_width, scale=scale,
        elem_id=name,
    )  # fmt: skip
