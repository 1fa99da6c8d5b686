"""Serving the page: by default on this computer only, and never open to all by accident."""

from __future__ import annotations

import io
import ipaddress
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from ftddm_core.errors import FtddmError, SettingsError
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.shell.endings import ended_in_order, until_ended
from ftddm_viewer.web.access import (
    free_port,
    linked_host,
    near_host,
    plain_host,
    reach,
)
from ftddm_viewer.web.hosts import checked_host
from ftddm_viewer.web.instance import Instance
from ftddm_viewer.web.passwords import doubt_about

PROXIES = ("127.0.0.1", "::1")
"""Addresses whose forwarded headers are believed: this computer's own."""


SWITCH = 0.0005
"""In s: how long one thread may keep the interpreter from others, a tenth of what Python allows:
between two layers a network waits for whatever thread draws a page."""


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
    sys.setswitchinterval(SWITCH)
    with ended_in_order():
        auth = options.get("auth")
        server = start(host, port, share=share, **options)
        with until_ended(server.close, "The page is closed."):
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


def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    share: bool = False,
    root_path: str = "",
    proxies: Sequence[str] = (),
    **options: Any,
) -> Server:
    """Start serving the page and return; one page per process at a time.

    Parameters
    ----------
    host, port
        Address (IPv6 with or without brackets) and port; port 0 for any free one.
    share
        Whether to create a public link as well.
    root_path
        Path under which a proxy shows the page, as /viewer; "" for the proxy's own root.
    proxies
        Addresses or networks of proxies whose forwarded headers are believed, besides this
        computer.
    options
        Who may do what, and the networks: see `Instance`.

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
    root_path = checked_path(root_path)
    trusted = [*PROXIES, *map(checked_proxy, proxies)]
    instance = Instance(host, share=share, **options)
    try:
        port = free_port(host, port)
        instance.with_environment({"FORWARDED_ALLOW_IPS": ",".join(trusted)})
        public = _launch(instance, host, port, share=share, root_path=root_path)
        if public:
            instance.hosts.add(urlsplit(public).hostname or "")
    except BaseException as error:
        instance.close()
        if isinstance(error, OSError | ValueError | httpx.HTTPError):  # from gradio
            raise FtddmError(f"Cannot serve on {host}, port {port}: {error}") from error
        raise
    url = f"http://{linked_host(near_host(host))}:{port}/"
    return Server(url, public, instance.close)


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


def checked_proxy(text: str) -> str:
    """Return the address of a proxy, or a network of them such as 10.0.0.0/8.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    if "/" not in text:
        return checked_host(text)
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        raise SettingsError(
            f"{text!r:.80} is not a network of proxies: give one such as 10.0.0.0/8."
        ) from None


def _launch(instance: Instance, host: str, port: int, *, share: bool, root_path: str) -> str:
    """Start the server; return the public address, "" without one."""

    @asynccontextmanager
    async def guarded(app: Any) -> AsyncIterator[None]:
        # The application starts with this: its own layers are built, and no request has come.
        instance.guard(app)
        yield

    blocks = instance.page.blocks
    with redirect_stdout(io.StringIO()):  # suppress gradio's messages about missing links
        blocks.launch(
            server_name=linked_host(host),
            server_port=port,
            share=share,
            root_path=root_path or None,
            app_kwargs={"lifespan": guarded},
            prevent_thread_lock=True,
            quiet=True,
            **instance.options(),
        )
    return blocks.share_url or ""
