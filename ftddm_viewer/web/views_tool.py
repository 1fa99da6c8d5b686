"""Tabs of what is derived from the images: difference, drawn detail, images at T_trunc.

Such an image is computed and sent only while its tab is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ftddm_viewer.session.derived import BUTTONS, HELP
from ftddm_viewer.session.display import DerivedRole
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

ROLES: tuple[DerivedRole, ...] = ("difference", "detail", "flow", "estimate")
AT_START = ("flow", "estimate")
"""Roles of images at T_trunc, which are computed apart."""

OPENED_JS = """
document.addEventListener('click', (e) => {
  const tab = e.target instanceof Element
    && e.target.closest('#views [role=tab], #views .overflow-dropdown button');
  if (tab) trigger('input', { name: tab.innerText.trim() });
});
"""


class ViewsTool:
    """The tabs, created in the current gradio tabs: see `Tool`."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        for role in ROLES:
            with gr.Tab(BUTTONS[role]):
                self.shown[f"drawn-{role}"] = gr.HTML(
                    elem_id=f"drawn-{role}", elem_classes="derived", padding=False, min_height=0
                )
                gr.HTML(f'<p class="about">{HELP[role]}</p>', padding=False, min_height=0)

    def listen(self) -> None:
        """Create what tells that a tab was opened: gradio's own event comes unasked, too."""
        self._opened = gr.HTML(
            elem_classes="unseen", padding=False, min_height=0, js_on_load=OPENED_JS
        )

    def wire(self, events: Events) -> None:
        """Ask for an image when its tab is opened, and for none when another is."""
        events.answers(self._opened.input, _show, None, data="name")

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the drawings of the tab that is open."""
        return {
            f"drawn-{role}": {"value": tab.painter.beside_output(role, state, scene)}
            for role in ROLES
        }


def _show(tab: Tab, name: Any) -> None:
    tab.appearance = tab.appearance.told({"tab": name})
    role = next((role for role in ROLES if BUTTONS[role] == name), None)
    layers = frozenset(() if role is None else (role,))
    tab.session.display(layers=layers, start=role in AT_START)
