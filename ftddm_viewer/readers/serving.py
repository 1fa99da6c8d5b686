"""The server of a reader study: a page, its images, and the answers, under an address of its own.

The address has a part that nobody can guess: who was not given it sees nothing.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ftddm_core.errors import FormatError, FtddmError
from ftddm_viewer.readers.exchange import answer_of
from ftddm_viewer.readers.page import document
from ftddm_viewer.readers.store import Store, checked_reader

LONGEST = 16_384
"""Bytes of an answer."""

SILENCE = 30.0
"""In s: how long a connection may say nothing."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Server:
    """A reader study that is being served.

    Parameters
    ----------
    url
        Address for a browser on this computer.
    close
        Ends it.
    """

    url: str
    close: Callable[[], None]


def start(store: Store, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Start serving a reader study and return; port 0 for any free one.

    Raises
    ------
    FtddmError
        If the address cannot be used.
    """
    host = host.strip().removeprefix("[").removesuffix("]")
    kind = type("_Server", (_Http,), {"address_family": _family(host)})
    try:
        server: _Http = kind((host, port), partial(_Handler, store))
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FtddmError(
            f"Cannot serve on {host}, port {port}: {reason}. Choose another with --port, or "
            "--port 0 for any that is free."
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    near = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    shown = f"[{near}]" if ":" in near else near
    return Server(f"http://{shown}:{server.server_port}/{store.about['place']}/", close)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: a browser that left is none of the user's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "ftddm", ""
    timeout = SILENCE

    def __init__(self, store: Store, *given: Any) -> None:
        self._store = store
        super().__init__(*given)

    def do_GET(self) -> None:
        """Answer with the page, an image, or a reader's answers."""
        path = urlsplit(self.path)
        place = self._place(path.path)
        try:
            if place == "":
                page = document(self._store.about["study"], self._store.trials.values())
                self._send(HTTPStatus.OK, page, "text/html; charset=utf-8")
            elif place is not None and place.startswith("images/") and place.endswith(".png"):
                code = place.removeprefix("images/").removesuffix(".png")
                self._send(HTTPStatus.OK, self._store.image(code), "image/png")
            elif place == "answers":
                asked = parse_qs(path.query).get("reader", [""])[0]
                self._json(HTTPStatus.OK, self._given(checked_reader(asked)))
            else:
                self._json(HTTPStatus.NOT_FOUND, {"problem": "There is nothing at this address."})
        except FormatError as error:
            self._json(HTTPStatus.BAD_REQUEST, {"problem": str(error)})

    def do_POST(self) -> None:
        """Keep an answer."""
        self.close_connection = True  # what is not read must not be taken for a request
        if self._place(urlsplit(self.path).path) != "answers":
            self._json(HTTPStatus.NOT_FOUND, {"problem": "There is nothing at this address."})
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"problem": "This is too long."})
            return
        try:
            found = json.loads(self.rfile.read(int(length)))
            if not isinstance(found, dict):
                raise FormatError("An answer is not one: it has no names.")
            self._store.add([answer_of(found.get("reader"), found.get("answer"), "page")])
        except (ValueError, RecursionError):
            self._json(HTTPStatus.BAD_REQUEST, {"problem": "This is not an answer."})
        except FormatError as error:
            self._json(HTTPStatus.BAD_REQUEST, {"problem": str(error)})
        else:
            self._json(HTTPStatus.OK, {"kept": True})

    def _given(self, reader: str) -> dict[str, Any]:
        answers = self._store.answers(reader)
        return {
            "reader": answers[0].reader if answers else reader,
            "answers": [{"trial": a.trial, "scale": a.scale, "value": a.value} for a in answers],
        }

    def _place(self, path: str) -> str | None:
        """Return a path below the study's own, None if it is not."""
        own = f"/{self._store.about['place']}/"
        return path.removeprefix(own) if path.startswith(own) else None

    def _json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: answers are what is kept."""
