"""Behaviour of the page's components. No state is kept in a component.

When the user changes a component, its value is posted at once by itself; then a follower shows the
session's newest state repeatedly until there is nothing new. Everything shown comes from one state,
so that nothing is stale; a component that the user did not change is set only where it differs from
the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import gradio as gr

from ftddm_core.errors import FtddmError
from ftddm_viewer.session import tips
from ftddm_viewer.session.messages import detail_button
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.state import Activity, State
from ftddm_viewer.web import (
    controls,
    explorer_tool,
    fading_tool,
    limits,
    offered_tool,
    pins_tool,
    planes_tool,
    ratio_tool,
    regions_tool,
    settings_tool,
    status,
    study_form,
    taking_tool,
)
from ftddm_viewer.web.followed import Properties
from ftddm_viewer.web.layout import Layout
from ftddm_viewer.web.lean_blocks import LeanBlocks
from ftddm_viewer.web.permalink import Wishes, wishes_of
from ftddm_viewer.web.plain import LONGEST, plain
from ftddm_viewer.web.study_draft import Draft
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tabs import Tabs
from ftddm_viewer.web.tools import Steered

TITLE = "FTDDM Viewer – research use only"

FRAME = 1 / 12
"""Polling interval of a session in seconds, at least: a page gets no more than half the time."""

AT_A_TIME = 2
"""Number of pages whose content is computed at a time: more only wait for each other, and keep the
networks waiting."""

FOLLOWERS = 256
"""Largest number of pages updated at the same time; none of them blocks a thread."""

LOST = "The connection to this page was lost, and its study was closed: reload the page."

IMAGES = "document.getElementById('images')"

LINK_JS = """(query) => {
  if (!query.startsWith('?')) return;
  const link = query === '?' ? location.origin + location.pathname
                             : new URL(query, location.href).href;
  history.replaceState(null, '', link);
  const field = document.getElementById('link-field');
  if (field) field.value = link;
}"""
"""Keeps the address and the field of the link up to date."""

KEEP_JS = "(token) => { if (token) sessionStorage.setItem('ftddm' + location.pathname, token) }"
"""Keeps in the browser's tab what takes its study up again after a reload."""

KEPT_JS = "() => sessionStorage.getItem('ftddm' + location.pathname) ?? ''"

GLANCE = 0.05
"""In s: how often it is looked whether a browser holds its page open."""

RELOADS = 60
"""How often it is looked whether the page before a reload is gone."""

PARTS = {
    **{name: name for name in ("mode", "metabolite", "live", "cancel", "unfill", "check")},
    "update": "update_now",
    "all": "show_all",
}
"""Element -> its name among the parts that have a tooltip in both front ends."""

TIPS = {element: tips.TIPS[name] for element, name in PARTS.items()} | {
    name: words
    for tool in (
        settings_tool,
        pins_tool,
        taking_tool,
        fading_tool,
        ratio_tool,
        regions_tool,
        explorer_tool,
        planes_tool,
    )
    for name, words in tool.tips().items()
}
"""Element -> its help."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}

Setter = Callable[[Tab, Any], object]
"""Applies the value of a component."""


class Page:
    """The components and their event handlers.

    Parameters
    ----------
    model
        The networks, shared by all tabs.
    tabs
        The open ones.
    uploads
        Whether files may be uploaded.
    """

    def __init__(self, model: Model, tabs: Tabs, *, uploads: bool) -> None:
        self.model = model
        self.tabs = tabs
        self.uploads = uploads
        self._drawing = ThreadPoolExecutor(AT_A_TIME, "ftddm-page")
        self.blocks = LeanBlocks(title=TITLE, analytics_enabled=False, fill_width=True)
        with self.blocks:
            self.layout = Layout(uploads=uploads)
            self.kept = gr.Textbox(visible="hidden", elem_id="kept")
            self.layout.shown["kept"] = self.kept
            self.pulse = gr.Timer(limits.PULSE)
            self._wire()
            self._wire_components()
            self._wire_study()
            self._wire_looks()
            for tool in self.layout.tools:
                tool.wire(self)

    def close(self) -> None:
        """End all events."""
        self.blocks.close(verbose=False)
        self._drawing.shutdown(wait=False)

    # ---- events

    def _wire(self) -> None:
        layout = self.layout
        self._follow(self.blocks.load(self._begin, self.kept, None, js=KEPT_JS, **AT_ONCE))
        self.kept.change(None, self.kept, None, js=KEEP_JS, **QUIET)
        self.blocks.unload(self._end)
        self.pulse.tick(self._beat, None, layout.shown["message"], **AT_ONCE)
        for button, command in (
            (layout.update, lambda tab: tab.do(tab.session.refresh)),
            (layout.volume, lambda tab: tab.do(tab.session.compute_volume)),
            (layout.cancel, lambda tab: tab.do(tab.session.cancel)),
            (layout.unfill, lambda tab: tab.do(tab.session.unfill)),
            (layout.show_all, lambda tab: tab.do(tab.session.toggle_detail)),
        ):
            self._follow(button.click(self._commands(command), None, None, **AT_ONCE))
        for name, button in layout.bundled.items():
            opened = self._commands(partial(Tab.open_bundled, name=name))
            self._follow(button.click(opened, None, None, **AT_ONCE))
        if (upload := layout.upload) is not None:
            self._follow(upload.upload(self._take, upload, upload, **AT_ONCE))

    def _wire_components(self) -> None:
        layout = self.layout
        for part in layout.controls:
            self._moves(part.component, part.key, part.control.name, _of_part(part), part.js)
        looks: dict[str, tuple[Any, Setter]] = {
            "metabolite": (layout.metabolite, lambda t, value: t.session.choose(metabolite=value)),
            "slice": (
                layout.slice,
                lambda t, value: t.session.choose(slice_index=int(value) - 1),
            ),
            "mode": (layout.mode, lambda t, value: t.session.choose(mode=value)),
            "live": (layout.live, lambda t, value: t.session.choose(live=value)),
        }
        for name, (component, set_to) in looks.items():
            js = controls.typed(name) if name == "slice" else controls.AS_IT_IS
            self._moves(component, name, name, set_to, js)

    def _wire_study(self) -> None:
        form = self.layout.form
        moves = [*form.moves()]
        for move in moves:
            self._moves(move.component, move.name, move.name, _of_draft(move.set_to), move.js)
        for event, expanded in ((form.panel.expand, True), (form.panel.collapse, False)):
            self._follow(event(self._commands(partial(Tab.expand, expanded=expanded)), **AT_ONCE))
        self._follow(form.again.click(self._commands(Tab.start_over), None, None, **AT_ONCE))

        def open_chosen(values: dict[Any, Any], request: gr.Request) -> None:
            if (tab := self._tab(request)) is not None:
                tab.open_chosen([(move.set_to, values[move.component]) for move in moves])

        # A set: the values come as a dictionary. They are sent once more, since what was typed
        # last may still be on its way.
        inputs = {move.component for move in moves}
        self._follow(form.open.click(open_chosen, inputs, None, **AT_ONCE))

    def _wire_looks(self) -> None:
        """Handle in the browser what needs no server: background, opacity, link."""
        layout = self.layout
        self.answers(layout.poke.input, _asked_again, None, data="lost")
        for component, js in (
            (layout.backdrop, f"(v) => {{{IMAGES}.dataset.backdrop = v}}"),
            (layout.overlay, f"(v) => {{{IMAGES}.style.setProperty('--overlay', v / 100)}}"),
        ):
            component.change(None, component, None, js=js, **QUIET)
        layout.link.change(None, layout.link, None, js=LINK_JS, **QUIET)

    def _follow(self, after: Any) -> None:
        """Start a follower after an event."""
        after.then(
            self._frames,
            None,
            [*self.layout.shown.values()],
            trigger_mode="always_last",
            concurrency_id="follow",
            concurrency_limit=FOLLOWERS,
            **QUIET,
        )

    def _moves(
        self,
        component: Any,
        part: str,
        key: str,
        set_to: Setter,
        js: str,
    ) -> None:
        """Send a component's value as soon as the user changes it, with the time."""

        def post(value: Any, stamp: float, request: gr.Request) -> None:
            if (tab := self._tab(request)) is not None:
                if stamp == controls.EMPTY:
                    tab.restore(part)
                else:
                    tab.move(part, key, stamp, value, lambda: set_to(tab, value))

        inputs = [component, self.layout.stamp]
        moved = component.input(post, inputs, None, js=js, trigger_mode="multiple", **AT_ONCE)
        self._follow(moved)

    def _commands(self, command: Callable[[Tab], object]) -> Callable[[gr.Request], None]:
        def run(request: gr.Request) -> None:
            if (tab := self._tab(request)) is not None:
                command(tab)

        # Gradio inspects the types of its handlers, and this module's annotations are not
        # evaluated.
        run.__annotations__ = {"request": gr.Request, "return": None}
        return run

    def _tab(self, request: gr.Request) -> Tab | None:
        """Return the tab of a request, if its visitor has one."""
        return self.tabs.get(request.session_hash, request.username or "")

    def commands(self, event: Any, command: Callable[[Tab], object]) -> None:
        """See `tools.Events`."""
        run = self._commands(command)
        self._follow(event(run, None, None, trigger_mode="multiple", **AT_ONCE))

    def answers(
        self,
        event: Any,
        answer: Callable[[Tab, Any], Any],
        to: Any,
        data: str = "",
        *,
        follows: bool = True,
    ) -> None:
        """See `tools.Events`."""

        def run(told: gr.EventData, request: gr.Request) -> Any:
            tab = self._tab(request)
            held = told._data if isinstance(told._data, dict) else {}
            return gr.skip() if tab is None else answer(tab, held.get(data))

        run.__annotations__ = {"told": gr.EventData, "request": gr.Request}
        after = event(run, None, to, **AT_ONCE)
        if follows:
            self._follow(after)

    def moves(self, component: Any, name: str, set_to: Setter, js: str = controls.AS_IT_IS) -> None:
        """See `tools.Events`."""
        self._moves(component, name, name, set_to, js)

    def _take(self, paths: Sequence[str] | None, request: gr.Request) -> None:
        tab = self._tab(request)
        if tab is not None and paths:
            tab.open_uploads(paths)

    async def _begin(self, token: str, request: gr.Request) -> None:
        """Open a tab for a browser that holds its page open, or take up that of before."""
        key, user, address = whose(request)
        for _ in range(round(limits.SEEN_WITHIN / GLANCE)):
            if self.tabs.is_held(key):
                break
            await asyncio.sleep(GLANCE)
        else:
            return  # no browser; `_frames` informs it
        wishes = wishes_of(dict(request.query_params))
        tab = await self._resumed(token, wishes, request)
        if tab is None:
            with suppress(FtddmError):  # `_frames` informs the page
                tab = self.tabs.open(key, user, address)
                await asyncio.to_thread(tab.begin, wishes, uploads=self.uploads)

    async def _resumed(self, token: str, wishes: Wishes, request: gr.Request) -> Tab | None:
        """Return the tab of a page that was reloaded, if it shows what the link asks for."""
        key, user, _ = whose(request)
        for _ in range(RELOADS):  # the connection of the page before may not have ended yet
            if (tab := self.tabs.resume(token or "", key, user)) is not None:
                if wishes == wishes_of(tab.parameters) or wishes.uploaded:
                    return tab
                self.tabs.close(key)
                return None
            if not self.tabs.knows(token or ""):
                return None
            await asyncio.sleep(GLANCE)
        return None

    def _beat(self, request: gr.Request) -> Any:
        """Take up that a page is still open, whose connection may have been lost meanwhile."""
        key, user, _ = whose(request)
        tab = self.tabs.get(key, user, active=False)
        return gr.update(value=status.message(LOST if tab is None else tab.told()))

    def _end(self, request: gr.Request) -> None:
        self.tabs.lose(request.session_hash)

    def fits(self, body: dict[str, Any]) -> bool:
        """Return whether the body of a call is one that a component of this page sends."""
        index, data = body.get("fn_index"), body.get("data")
        function = self.blocks.fns.get(index) if isinstance(index, int) else None
        return function is not None and isinstance(data, list) and len(data) == len(function.inputs)

    # ---- showing

    async def _frames(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Yield the differences for the page as long as there are changes to show."""
        tab = self._tab(request)
        if tab is None:
            words = self.tabs.refusal(*whose(request)[1:]) or LOST
            yield self._updates({"message": {"value": status.message(words)}})
        elif turn := tab.follow():
            ended, seen, run = False, None, asyncio.get_running_loop().run_in_executor
            try:
                while not ended:
                    news, state, start = tab.take_news(), tab.session.state, monotonic()
                    if news or state is not seen or tab.unsettled:
                        yield self._updates(
                            await run(self._drawing, self._changes, tab, state, turn)
                        )
                    seen, ended = state, tab.leave(state, turn)
                    await asyncio.sleep(0 if ended else max(FRAME, monotonic() - start))
            finally:
                self._tab(request)  # the tab was active until now
                if not ended and tab.is_on(turn):  # the page was closed in the meantime
                    tab.abandon()
        # Gradio resends the last value when a follower ends: by then it may be out of date.
        yield self._updates({})

    def _updates(self, changes: Properties) -> list[Any]:
        names = self.layout.shown
        return [gr.update(**changes[name]) if name in changes else gr.skip() for name in names]

    def _changes(self, tab: Tab, state: State, turn: int) -> Properties:
        """Return the properties to send to the page, none once a turn is over.

        A closed page loses its follower, whose last work may still be running.
        """
        with tab.showing:
            return self._worked_out(tab, state, turn) if tab.is_on(turn) else {}

    def _worked_out(self, tab: Tab, state: State, turn: int) -> Properties:
        scene = resolve(state)
        drawings = tab.painter.paint(state, scene)
        files = tab.results(state)
        tab.tidy()
        slow: dict[str, dict[str, Any]] = {
            name: {"value": text} for name, text in drawings._asdict().items()
        }
        slow["kept"] = {"value": tab.token}
        for tool in self.layout.tools:
            slow |= tool.properties(tab, state, scene)
        slow["spread_tab"] = {"visible": bool(drawings.spread)}
        slow["files"] = {"value": files or None, "visible": bool(files)}
        slow["heading"] = {"value": status.heading(state, scene)}
        slow["progress"] = {"value": status.progress(state, scene, self.model.place)}
        slow["said"] = {"value": status.said(state, scene)}
        slow["check"] = {"value": status.check(state, tab.named)}
        slow["study-placement"] = {"value": tab.placement()}
        slow["remarks"] = {"value": status.remarks(state, tab.named)}
        found = tab.changes(turn, slow, lambda newest: self._quick(tab, newest))
        study_form.whole(found, self.layout.form.properties(tab.draft, free=True))
        study_form.whole(found, self._steered(tab, tab.session.state))
        if choices := found.get("background", {}).get("choices"):
            found["background"]["value"] = choices[0]  # the chosen one may no longer exist
        return found

    def _quick(self, tab: Tab, state: State) -> Properties:
        """Return the properties of the components that the user changes or that respond at once."""
        case, busy = state.case, state.activity is not Activity.IDLE
        free = {"interactive": state.activity is not Activity.VOLUME}
        previews = state.activity in (Activity.IDLE, Activity.SAMPLING)
        found: dict[str, dict[str, Any]] = {
            "message": {"value": status.message(tab.words)},
            "live": {"value": state.live},
            "update": {"interactive": case is not None and not busy and not state.up_to_date},
            "volume": {"interactive": case is not None and previews},
            "cancel": {"interactive": busy},
            "link": {"value": tab.query(state)},
            **{f"bundled-{name}": free for name in self.layout.bundled},
            "all": {"value": detail_button(state), "interactive": case is not None},
            "little": {"value": status.little(state)},
            "tips": {"value": controls.tooltips(state, TIPS | self._tips(tab))},
        }
        if self.uploads:
            found["upload"] = free
        tab.draft.take_up(state.inspection, tab.named)
        found |= self.layout.form.properties(tab.draft, free=free["interactive"])
        found |= self._steered(tab, state)
        for part in self.layout.controls:
            found[part.key] = part.shown(state)
            if not free["interactive"] and part.control.name != "detail":
                found[part.key] |= free
        if case is not None:
            n_slices = case.study.grid.shape[2]
            found["mode"] = {"value": state.mode.value, **free}
            names = [(plain(name, LONGEST), name) for name in case.study.maps]
            found["metabolite"] = {"choices": names, "value": state.metabolite}
            found["slice"] = {
                "value": state.slice_index + 1,
                "maximum": max(2, n_slices),
                "interactive": n_slices > 1,
            }
            found["unfill"] = {"visible": case.zero_filled is not None, **free}
            found["background"] = {"choices": [*case.mri, "None"]}
        return found

    def _tips(self, tab: Tab) -> dict[str, str]:
        """Return the tooltips that depend on what is open."""
        return {"volume": tips.volume_tip(tab.session.volume_takes), **offered_tool.tips(tab)}

    def _steered(self, tab: Tab, state: State) -> dict[str, dict[str, Any]]:
        """Return the properties of what the user changes in the tools."""
        tools = (tool for tool in self.layout.tools if isinstance(tool, Steered))
        return {name: found for tool in tools for name, found in tool.steered(tab, state).items()}


def _asked_again(tab: Tab, lost: Any) -> None:
    """Take up that a page waits in vain: send it everything, if what it was sent was `lost`."""
    if lost is True:
        tab.abandon()


def whose(request: gr.Request) -> tuple[str, str, str]:
    """Return session key, login ("" without one) and address of a request."""
    client = request.client
    return request.session_hash or "", request.username or "", client.host if client else ""


def _of_part(part: controls.Part) -> Setter:
    return lambda tab, value: part.set_to(tab.session, value, tab.former)


def _of_draft(set_to: Callable[[Draft, Any], object]) -> Setter:
    return lambda tab, value: set_to(tab.draft, value)
