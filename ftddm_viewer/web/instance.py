"""A page with all that belongs to it: networks, folder, tabs, guard and names.

    options -> checks -> model, folder -> tabs -> page -> guard, before whatever serves it

`serving` gives it a server of its own, `mounting` a path of somebody else's application.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.model import Model
from ftddm_viewer.web import limits
from ftddm_viewer.web.access import check_exposure, plain_host
from ftddm_viewer.web.guards import Guard
from ftddm_viewer.web.hosts import Hosts
from ftddm_viewer.web.leftovers import Folder, sweep_leftovers
from ftddm_viewer.web.page import Page
from ftddm_viewer.web.passwords import password_check, read_passwords
from ftddm_viewer.web.quiet import one_line_each
from ftddm_viewer.web.tabs import Tabs


class Instance:
    """A page that is ready to be served, until it is closed.

    Parameters
    ----------
    host
        Address on which it is going to be served.
    share
        Whether a public link leads to it as well.
    auth
        File of names and hashed passwords, see `passwords`.
    uploads
        Whether files may be uploaded.
    no_password
        Whether anybody may upload, even from other computers.
    allow_hosts, allow_origins
        Names under which the page answers besides this computer's own, and other sites that may use
        and frame it; see `hosts`.
    weights, device, half
        See `Model`.

    Attributes
    ----------
    page
        The components.
    hosts
        Names and sites that are known.
    running
        How many are open in this process.

    Raises
    ------
    SettingsError
        If the page would be open to all by accident, the address or the device is missing, or a
        name or site is not one.
    CheckpointError
        If there are no such weights.
    FormatError
        If the file of passwords cannot be read.
    """

    running: ClassVar[int] = 0

    def __init__(
        self,
        host: str,
        *,
        share: bool = False,
        auth: Path | None = None,
        uploads: bool = True,
        no_password: bool = False,
        allow_hosts: Sequence[str] = (),
        allow_origins: Sequence[str] = (),
        weights: str = "small",
        device: str = "auto",
        half: bool = False,
    ) -> None:
        host = plain_host(host)
        self.hosts = Hosts(host, allow_hosts, allow_origins)
        check_exposure(host, share=share, auth=auth, uploads=uploads, no_password=no_password)
        self._check = None if auth is None else password_check(read_passwords(auth))
        self._uploads = uploads
        model = Model(weights, device, half=half, memory=limits.memory, together=limits.TOGETHER)
        model.load()  # report errors now, and not to every visitor
        sweep_leftovers()
        self._open = ExitStack()
        self._open.enter_context(_counted())
        own = Folder()
        self._open.callback(own.remove)
        try:
            folders = [own.path / name for name in ("private", "served")]
            for folder in folders:
                folder.mkdir()
            # Otherwise files would be in a folder that everybody can read.
            self._open.enter_context(_environment({"GRADIO_TEMP_DIR": str(folders[1])}))
            self._open.enter_context(one_line_each())
            self.tabs = Tabs(model, *folders)
            self._open.callback(self.tabs.close_all)
            self.page = Page(model, self.tabs, uploads=uploads)
            self._open.callback(self.page.close)
            self._open.callback(self.tabs.close_all)
            self.page.blocks.queue(api_open=False, max_size=limits.LONGEST_QUEUE)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all sessions, and remove all files."""
        self._open.close()

    def with_environment(self, changed: Mapping[str, str]) -> None:
        """Set variables of the environment until the page is closed."""
        self._open.enter_context(_environment(changed))

    def options(self) -> dict[str, Any]:
        """Return what Gradio is told about the page, however it is served."""
        return {
            "auth": self._check,
            "auth_message": f"FTDDM Viewer. {RESEARCH_ONLY}.",
            "max_file_size": limits.LARGEST_UPLOAD if self._uploads else 0,
            "theme": gr.themes.Default(
                primary_hue="teal",
                neutral_hue="slate",
                spacing_size="sm",
                text_size="sm",
                font=["system-ui", "sans-serif"],  # no font is fetched from the network
                font_mono=["ui-monospace", "monospace"],
            ),
            "css": files("ftddm_viewer.web").joinpath("style.css").read_text(encoding="utf-8"),
            "show_error": False,
            "footer_links": [],
            "ssr_mode": False,
            "run_history": False,
            "enable_monitoring": False,
            "pwa": False,
            "mcp_server": False,
        }

    def guard(self, app: Any) -> None:
        """Put a guard before Gradio's application, and before all that it puts before itself."""

        def login(cookies: dict[str, str]) -> str | None:
            if app.auth is None:
                return ""
            kinds = ("access-token-", "access-token-unsecure-")
            found = (app.tokens.get(cookies.get(f"{kind}{app.cookie_id}", "")) for kind in kinds)
            return next(filter(None, found), None)

        below = app.middleware_stack or app.build_middleware_stack()
        app.middleware_stack = Guard(below, self.hosts, self.tabs, login, self.page.fits)


@contextmanager
def _counted() -> Iterator[None]:
    Instance.running += 1
    try:
        yield
    finally:
        Instance.running -= 1


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment within a block."""
    before = {name: os.environ.get(name) for name in changed}
    os.environ |= changed
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
