"""Serving the page: by default on this computer only, and never open to all by accident."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import httpx

from ftddm_core.errors import FtddmError, SettingsError
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.model import Model
from ftddm_viewer.shell.endings import ended_in_order, ignore_endings
from ftddm_viewer.web import limits
from ftddm_viewer.web.access import (
    check_exposure,
    free_port,
    linked_host,
    near_host,
    plain_host,
    reach,
)
from ftddm_viewer.web.guards import Guard
from ftddm_viewer.web.hosts import Hosts, checked_host
from ftddm_viewer.web.leftovers import Folder, sweep_leftovers
from ftddm_viewer.web.page import Page
from ftddm_viewer.web.passwords import doubt_about, password_check, read_passwords
from ftddm_viewer.web.quiet import one_line_each
from ftddm_viewer.web.tabs import Tabs

PROXIES = ("127.0.0.1", "::1")
"""Addresses whose forwarded headers are believed: this computer's own."""


@dataclass
class Server:
    """A page that is being served.

    Parameters
    ----------
    url
        Address for a browser on this computer.
    share_url
        Public address, "" if there is none.
    close
        Ends the page and removes all of its files.
    """

    url: str
    share_url: str
    close: Callable[[], None]


def serve(host: str, port: int, *, share: bool, **options: Any) -> None:
    """Serve the page until it is interrupted; parameters and errors as for `start`."""
    with ended_in_order():
        auth = options.get("auth")
        server = start(host, port, share=share, **options)
        try:
            if auth is not None and (doubt := doubt_about(auth)):
                print(doubt)
            print(f"FTDDM Viewer is at {server.url}\nPress Ctrl+C to end it. {RESEARCH_ONLY}.")
            if words := reach(plain_host(host)):
                print(words)
            if server.share_url:
                print(f"For everybody, for a week at most: {server.share_url}")
            elif share:
                print(
                    "No public link could be created; is there a network? Only this address works."
                )
            never = threading.Event()
            while not never.wait(1.0):  # without a timeout, Windows would block Ctrl+C
                pass
        except KeyboardInterrupt:
            with suppress(OSError):  # the terminal may be gone
                print("\nThe page is closed.", flush=True)
        finally:
            ignore_endings()
            server.close()


def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    share: bool = False,
    auth: Path | None = None,
    uploads: bool = True,
    no_password: bool = False,
    allow_hosts: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    root_path: str = "",
    proxies: Sequence[str] = (),
    weights: str = "small",
    device: str = "auto",
    half: bool = False,
) -> Server:
    """Start serving the page and return; one page per process at a time.

    Parameters
    ----------
    host, port
        Address (IPv6 with or without brackets) and port; port 0 for any free one.
    share
        Whether to create a public link as well.
    auth
        File of names and hashed passwords, see `passwords`.
    uploads
        Whether files may be uploaded.
    no_password
        Whether anybody may upload, even from other computers.
    allow_hosts, allow_origins
        Names under which the page answers besides this computer's own, and other sites that may use
        and frame it; see `hosts`.
    root_path
        Path under which a proxy shows the page, as /viewer; "" for the proxy's own root.
    proxies
        Addresses of proxies whose forwarded headers are believed, besides this computer.
    weights, device, half
        See `Model`.

    Raises
    ------
    SettingsError
        If the page would be open to all by accident, the address or the device is missing, or a
        name, site or path is not one.
    CheckpointError
        If there are no such weights.
    FormatError
        If the file of passwords cannot be read.
    FtddmError
        If the address cannot be used.
    """
    host = plain_host(host)
    hosts = Hosts(host, allow_hosts, allow_origins)
    root_path = checked_path(root_path)
    check_exposure(host, share=share, auth=auth, uploads=uploads, no_password=no_password)
    check = None if auth is None else password_check(read_passwords(auth))
    model = Model(weights, device, half=half, memory=limits.memory)
    model.load()  # report errors now, and not to every visitor
    port = free_port(host, port)
    sweep_leftovers()
    own = Folder()
    root = own.path
    folders = [root / name for name in ("private", "served")]
    for folder in folders:
        folder.mkdir()
    changed = {
        "GRADIO_TEMP_DIR": str(folders[1]),  # otherwise in a world-readable folder
        "FORWARDED_ALLOW_IPS": ",".join((*PROXIES, *map(checked_host, proxies))),
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ |= changed
    quiet = ExitStack()
    quiet.enter_context(one_line_each())
    tabs = Tabs(model, *folders)
    page: Page | None = None

    def close() -> None:
        tabs.close_all()
        if page is not None:
            page.blocks.close(verbose=False)
        tabs.close_all()
        own.remove()
        quiet.close()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    try:
        page = Page(model, tabs, uploads=uploads)
        page.blocks.queue(api_open=False, max_size=limits.LONGEST_QUEUE)
        guarded = partial(_guarded, page, hosts)
        how: dict[str, Any] = {"root_path": root_path, "auth": check, "uploads": uploads}
        _launch(page, host, port, share=share, lifespan=guarded, **how)
        if page.blocks.share_url:
            hosts.add(urlsplit(page.blocks.share_url).hostname or "")
    except BaseException as error:
        close()
        if isinstance(error, OSError | ValueError | httpx.HTTPError):  # from gradio
            raise FtddmError(f"Cannot serve on {host}, port {port}: {error}") from error
        raise
    url = f"http://{linked_host(near_host(host))}:{port}/"
    return Server(url, page.blocks.share_url or "", close)


@asynccontextmanager
async def _guarded(page: Page, hosts: Hosts, app: Any) -> AsyncIterator[None]:
    """Put a guard before Gradio's application, and before all that it puts before itself.

    The application starts with this, once its own layers are built and before any request.
    """

    def login(cookies: dict[str, str]) -> str | None:
        if app.auth is None:
            return ""
        kinds = ("access-token-", "access-token-unsecure-")
        found = (app.tokens.get(cookies.get(f"{kind}{app.cookie_id}", "")) for kind in kinds)
        return next(filter(None, found), None)

    app.middleware_stack = Guard(app.middleware_stack, hosts, page.tabs, login, page.fits)
    yield


def checked_path(text: str) -> str:
    """Return the path under which a proxy shows the page, with a slash before and none behind.

    Raises
    ------
    SettingsError
        If it is not a path.
    """
    parts = [part for part in text.strip().split("/") if part]
    if any(not re.fullmatch(r"[A-Za-z0-9_.~-]+", part) or set(part) == {"."} for part in parts):
        raise SettingsError(f"{text!r:.80} is not a path: give one such as /viewer.")
    return "".join(f"/{part}" for part in parts)


def _launch(
    page: Page,
    host: str,
    port: int,
    *,
    share: bool,
    auth: Any,
    uploads: bool,
    root_path: str,
    lifespan: Any,
) -> None:
    package = files("ftddm_viewer.web")
    with redirect_stdout(io.StringIO()):  # suppress gradio's messages about missing links
        page.blocks.launch(
            server_name=linked_host(host),
            server_port=port,
            share=share,
            auth=auth,
            auth_message=f"FTDDM Viewer. {RESEARCH_ONLY}.",
            max_file_size=limits.LARGEST_UPLOAD if uploads else 0,
            root_path=root_path or None,
            app_kwargs={"lifespan": lifespan},
            theme=gr.themes.Default(
                primary_hue="teal",
                neutral_hue="slate",
                spacing_size="sm",
                text_size="sm",
                font=["system-ui", "sans-serif"],  # no font is fetched from the network
                font_mono=["ui-monospace", "monospace"],
            ),
            css=package.joinpath("style.css").read_text(encoding="utf-8"),
            prevent_thread_lock=True,
            quiet=True,
            show_error=False,
            footer_links=[],
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
        )
