"""Serving the page: on this computer unless told otherwise, and never open to all by accident."""

from __future__ import annotations

import hmac
import io
import ipaddress
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr

from ftddm_core.errors import FormatError, FtddmError, SettingsError
from ftddm_viewer import RESEARCH_ONLY
from ftddm_viewer.model import Model
from ftddm_viewer.web.page import Page
from ftddm_viewer.web.tabs import Tabs

LARGEST_UPLOAD = "200mb"
"""Of one file: a T1 with voxels of half a millimetre has half of that."""

LONGEST_QUEUE = 512

OPEN_TO_ALL = (
    "Anybody who reaches this page could upload files to this computer and use it: ask for a "
    "password with --auth FILE, show the bundled case only with --no-uploads, or allow it with "
    "--no-password."
)


@dataclass
class Server:
    """A page that is being served.

    Parameters
    ----------
    url
        Where it is, for a browser on this computer.
    share_url
        Where it is for everybody, "" if nowhere.
    close
        Ends it and removes every file of it.
    """

    url: str
    share_url: str
    close: Callable[[], None]


def serve(
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    share: bool = False,
    auth: Path | None = None,
    uploads: bool = True,
    no_password: bool = False,
    weights: str = "small",
    device: str = "auto",
) -> None:
    """Serve the page until it is interrupted; see `start`."""
    with _ended_in_order():
        server = start(
            host, port, share=share, auth=auth, uploads=uploads, no_password=no_password,
            weights=weights, device=device,
        )  # fmt: skip
        try:
            print(f"FTDDM Viewer is at {server.url}\nPress Ctrl+C to end it. {RESEARCH_ONLY}.")
            if not is_loopback(host):
                print(f"Other computers reach it at this computer's address, {host}.")
            if server.share_url:
                print(f"For everybody, for a week at most: {server.share_url}")
            elif share:
                print("No public link could be had: is there a network? Only this address works.")
            threading.Event().wait()
        except KeyboardInterrupt:
            print("\nThe page is closed.")
        finally:
            server.close()


def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    share: bool = False,
    auth: Path | None = None,
    uploads: bool = True,
    no_password: bool = False,
    weights: str = "small",
    device: str = "auto",
) -> Server:
    """Begin to serve the page, and return; one page at a time in a process.

    Parameters
    ----------
    host, port
        Address; port 0 for any that is free.
    share
        Whether to ask for a public link as well.
    auth
        File of names and passwords, see `read_passwords`.
    uploads
        Whether files may be uploaded.
    no_password
        Whether anybody may upload, even from other computers.
    weights, device
        See `Model`.

    Raises
    ------
    SettingsError
        If the page would be open to all by accident.
    FormatError
        If the file of passwords cannot be read.
    FtddmError
        If the address cannot be had.
    """
    check_exposure(host, share=share, auth=auth, uploads=uploads, no_password=no_password)
    check = None if auth is None else password_check(read_passwords(auth))
    port = free_port(host, port)
    root = Path(tempfile.mkdtemp(prefix="ftddm-web-"))
    folders = [root / name for name in ("private", "served")]
    for folder in folders:
        folder.mkdir()
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folders[1])  # else in a folder that everybody can read
    model = Model(weights, device)
    tabs = Tabs(model, *folders)
    page: Page | None = None

    def close() -> None:
        tabs.close_all()
        if page is not None:
            page.blocks.close(verbose=False)
        tabs.close_all()
        shutil.rmtree(root, ignore_errors=True)
        if before is None:
            os.environ.pop("GRADIO_TEMP_DIR", None)
        else:
            os.environ["GRADIO_TEMP_DIR"] = before

    try:
        page = Page(model, tabs, uploads=uploads)
        page.blocks.queue(api_open=False, max_size=LONGEST_QUEUE)
        _launch(page, host, port, share=share, auth=check, uploads=uploads)
    except BaseException:
        close()
        raise
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return Server(f"http://{shown}:{port}/", page.blocks.share_url or "", close)


def _launch(page: Page, host: str, port: int, *, share: bool, auth: Any, uploads: bool) -> None:
    package = files("ftddm_viewer.web")
    with redirect_stdout(io.StringIO()):  # gradio's own words, about links that are not there
        page.blocks.launch(
            server_name=host,
            server_port=port,
            share=share,
            auth=auth,
            auth_message=f"FTDDM Viewer. {RESEARCH_ONLY}.",
            max_file_size=LARGEST_UPLOAD if uploads else 0,
            theme=gr.themes.Default(
                primary_hue="teal",
                neutral_hue="slate",
                spacing_size="sm",
                text_size="sm",
                font=["system-ui", "sans-serif"],  # none is fetched from anywhere
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


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let a request to terminate count as Ctrl+C, so that no upload is left behind."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this computer alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(
    host: str, *, share: bool, auth: Path | None, uploads: bool, no_password: bool
) -> None:
    """Raise a SettingsError if strangers could upload files without anybody having allowed it."""
    exposed = share or not is_loopback(host)
    if exposed and uploads and auth is None and not no_password:
        raise SettingsError(OPEN_TO_ALL)


def free_port(host: str, port: int) -> int:
    """Return the port, or one that is free for 0.

    Raises
    ------
    FtddmError
        If it is in use, or the address is not this computer's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # a port that was left a moment ago may be taken again
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise FtddmError(
                f"Cannot serve on {host}, port {port}: {reason}. "
                "Choose another with --port, or --port 0 for any that is free."
            ) from None
        return int(probe.getsockname()[1])


def read_passwords(path: Path) -> dict[str, str]:
    """Return name -> password from a file with a line `name:password` each.

    Raises
    ------
    FormatError
        If the file cannot be read, is empty, or a line is of another form; no password is shown.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise FormatError(f"Cannot read {path}: {error.strerror}. Check the path.") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path} is no text: write lines of name:password, in UTF-8.") from None
    passwords: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, colon, password = line.partition(":")
        if not (name.strip() and colon and password):
            raise FormatError(f"Line {number} of {path} is not of the form name:password.")
        if name.strip() in passwords:
            raise FormatError(f"Line {number} of {path} names {name.strip()} a second time.")
        passwords[name.strip()] = password
    if not passwords:
        raise FormatError(f"{path} has no lines: write one or more of name:password.")
    return passwords


def password_check(passwords: dict[str, str]) -> Callable[[str, str], bool]:
    """Return a function (name, password) -> whether they belong together, in constant time."""

    def check(name: str, password: str) -> bool:
        right = passwords.get(name, "")
        same = hmac.compare_digest(right.encode(), password.encode())
        return same and name in passwords

    return check
