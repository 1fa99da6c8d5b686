"""Stands before Gradio, and refuses what no visitor of the page sends.

    request -> name and site -> login -> path -> session -> size -> Gradio -> headers -> answer

Gradio checks neither `Host` nor `Origin`, lets any body grow, and asks for the login on some of its
paths only. `Guard` is an ASGI application around Gradio's; each rule is a small method of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs

from ftddm_viewer.web import limits
from ftddm_viewer.web.hosts import Hosts
from ftddm_viewer.web.passwords import Failures
from ftddm_viewer.web.quiet import NONSENSE, log_error

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = logging.getLogger("ftddm.web")

API = "/gradio_api"
UPLOAD = f"{API}/upload"
BEAT = f"{API}/heartbeat/"
LOGIN = "/login"
FILES = (f"{API}/file=", f"{API}/file/")

CLOSED = (
    *("/monitoring", f"{API}/vibe-", f"{API}/undo-vibe", f"{API}/process_recording"),
    *(f"{API}/proxy=", f"{API}/run-history", f"{API}/runs", f"{API}/dev/", f"{API}/stream/"),
    *(f"{API}/deep_link", f"{API}/component_server", f"{API}/mcp", f"{API}/profiling"),
    *(f"{API}/custom_component", f"{API}/call/", f"{API}/openapi.json"),
)
"""Beginnings of Gradio's paths that this page does not use."""

OPEN = tuple(
    f"{API}/{name}"
    for name in ("login_check", "user", "token", "app_id", "theme.css", "startup-events")
)
"""Beginnings of Gradio's paths that are answered before the login, besides the page itself."""

POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio compiles its handlers
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' blob: data:",
    "media-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
"""Content-Security-Policy: everything comes from the page's own server."""

NOT_KNOWN = "This page does not answer to this name. Ask whoever runs it to allow it."
FOREIGN = "This page was asked for something by another site, which is refused."
NO_LOGIN = "Not authenticated"
NOT_YOURS = "This session belongs to another page."
NOT_FOUND = "There is nothing here."
TOO_LONG = "This request is too long."
NOT_UNDERSTOOD = "This request is not one of this page."
FAILED = "This request failed."
LATER = "Too many requests: try again in a while."


class Desk(Protocol):
    """What the guard asks the page's tabs; a visitor is their login, "" without one."""

    def may_use(self, key: str, user: str) -> bool:
        """Return whether a session is that of a visitor, or of nobody yet."""

    def beats(self, key: str, user: str, address: str) -> bool:
        """Take up that a browser holds a session open; return whether it may."""

    def stopped(self, key: str) -> None:
        """Take up that it does not any more."""

    def may_upload(self, address: str, user: str, length: int) -> str:
        """Return why a visitor may not upload a number of bytes, "" if they may."""

    def uploading(self, address: str, length: int) -> None:
        """Take up that bytes arrived from an address."""

    def owns(self, path: str, user: str) -> bool:
        """Return whether a visitor may have a file."""


class Refused(Exception):  # noqa: N818 - a decision, not an error
    """A request is refused; its status and why."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass(frozen=True)
class Caller:
    """Where a request comes from.

    Parameters
    ----------
    address
        Of the visitor's computer.
    proxied
        Whether a trusted proxy passed it on.
    host, scheme
        As the visitor's browser has them.
    origin
        Of the site that asked for it, "" if not stated.
    user
        Login, "" without one.
    """

    address: str
    proxied: bool
    host: str
    scheme: str
    origin: str = ""
    user: str = ""


@dataclass
class Guard:
    """The page's ASGI application with its rules.

    Parameters
    ----------
    app
        Gradio's.
    hosts
        Names and sites that are known.
    desk
        The page's tabs.
    login
        Returns the login of a request's cookies, None where one is needed and missing; "" where
        none is needed.
    fits
        Returns whether the body of a call is one that a component of the page sends.
    failures
        Wrong passwords so far.
    """

    app: Application
    hosts: Hosts
    desk: Desk
    login: Callable[[dict[str, str]], str | None] = lambda cookies: ""
    fits: Callable[[dict[str, Any]], bool] = lambda body: True
    failures: Failures = field(default_factory=Failures)
    _told: set[str] = field(default_factory=set, init=False, repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page opens no websocket
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope)
        caller = _caller(scope, headers)
        send = _Once(self._with_headers(scope, send, caller))
        try:
            receive, caller = await self._judged(scope, headers, caller, receive)
            await self._passed(scope, caller, receive, send)
        except Refused as refusal:
            await refuse(send, refusal.status, refusal.words)
        except Exception as error:  # of Gradio: the visitor may have gone, or sent nonsense
            log_error(error)
            if not send.begun:
                await refuse(send, 500, FAILED)

    # ---- rules, in their order

    async def _judged(
        self, scope: Scope, headers: Headers, caller: Caller, receive: Receive
    ) -> tuple[Receive, Caller]:
        self._name(caller)
        self._site(scope, headers, caller)
        headers.tidy(caller)
        path = path_of(scope)
        if path.startswith(CLOSED):
            raise Refused(404, NOT_FOUND)
        user = self.login(headers.cookies)
        if path.startswith(API) and not path.startswith(OPEN) and user is None:
            raise Refused(401, NO_LOGIN)
        caller = Caller(**{**vars(caller), "user": user or ""})
        self._file(path, caller)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        for key in query.get("session_hash", []):
            self._session(key, caller)
        if scope["method"] in ("POST", "PUT", "PATCH"):
            if path.rstrip("/") == UPLOAD:
                return self._upload(headers, caller, receive), caller
            return await self._body(path, headers, caller, receive), caller
        return receive, caller

    def _name(self, caller: Caller) -> None:
        if self.hosts.answers_to(caller.host):
            return
        shown = repr(caller.host[:80])
        if shown not in self._told and len(self._told) < limits.MOST_TOLD:
            self._told.add(shown)
            LOG.warning("Refused a request for the host %s: allow it with --allow-host.", shown)
        raise Refused(421, NOT_KNOWN)

    def _site(self, scope: Scope, headers: Headers, caller: Caller) -> None:
        if caller.origin:
            if not self.hosts.welcomes(
                caller.origin, caller.host, caller.scheme, proxied=caller.proxied
            ):
                raise Refused(403, FOREIGN)
        elif headers["sec-fetch-site"] in ("cross-site", "same-site"):
            navigates = headers["sec-fetch-mode"] == "navigate" and scope["method"] == "GET"
            if not navigates or path_of(scope).startswith(API):
                raise Refused(403, FOREIGN)

    def _file(self, path: str, caller: Caller) -> None:
        for start in FILES:
            if path.startswith(start) and not self.desk.owns(path[len(start) :], caller.user):
                raise Refused(404, NOT_FOUND)

    def _session(self, key: object, caller: Caller) -> None:
        if not isinstance(key, str) or len(key) > limits.LONGEST_KEY:
            raise Refused(400, NOT_UNDERSTOOD)
        if not self.desk.may_use(key, caller.user):
            raise Refused(403, NOT_YOURS)

    async def _body(self, path: str, headers: Headers, caller: Caller, receive: Receive) -> Receive:
        """Read the body of a call, which is short, and judge it."""
        content = bytearray()
        if headers.length is not None and headers.length > limits.LONGEST_CALL:
            raise Refused(413, TOO_LONG)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, NOT_UNDERSTOOD)
            content += message.get("body", b"")
            if len(content) > limits.LONGEST_CALL:
                raise Refused(413, TOO_LONG)
            if not message.get("more_body"):
                break
        if path.startswith(API):
            self._call(path, bytes(content), caller)
        return _again(bytes(content), receive)

    def _call(self, path: str, content: bytes, caller: Caller) -> None:
        try:
            body = json.loads(content) if content else {}
        except (ValueError, RecursionError):
            raise Refused(400, NOT_UNDERSTOOD) from None
        if not isinstance(body, dict):
            raise Refused(400, NOT_UNDERSTOOD)
        if body.get("session_hash") is not None:
            self._session(body["session_hash"], caller)
        called = path.startswith((f"{API}/run", f"{API}/api", f"{API}/queue/join"))
        if called and not (body.get("session_hash") and self.fits(body)):
            raise Refused(400, NOT_UNDERSTOOD)

    def _upload(self, headers: Headers, caller: Caller, receive: Receive) -> Receive:
        if reason := self.desk.may_upload(caller.address, caller.user, headers.length or 0):
            raise Refused(413 if headers.length else 403, reason)

        async def counted() -> Message:
            message = await receive()
            self.desk.uploading(caller.address, len(message.get("body", b"")))
            if headers.length is None and self.desk.may_upload(caller.address, caller.user, 0):
                return {"type": "http.disconnect"}
            return message

        return counted

    # ---- passing on

    async def _passed(self, scope: Scope, caller: Caller, receive: Receive, send: Send) -> None:
        path = path_of(scope)
        if path.rstrip("/") == LOGIN and scope["method"] == "POST":
            await self._entry(scope, caller, receive, send)
            return
        if not path.startswith(BEAT):
            await self.app(scope, receive, send)
            return
        key = path[len(BEAT) :].strip("/")
        self._session(key, caller)
        if not self.desk.beats(key, caller.user, caller.address):
            raise Refused(429, LATER)
        try:
            await self.app(scope, receive, send)
        finally:
            self.desk.stopped(key)

    async def _entry(self, scope: Scope, caller: Caller, receive: Receive, send: Send) -> None:
        """Pass a login on, unless too many from its address failed."""
        if (pause := self.failures.wait(caller.address)) > 0:
            raise Refused(429, f"Too many wrong passwords: wait {pause:.0f} s.")
        message = await receive()
        form = parse_qs(message.get("body", b"").decode("utf-8", "replace"))

        async def watched(answer: Message) -> None:
            if answer["type"] == "http.response.start":
                if answer["status"] == 400:
                    self.failures.failed(caller.address, form.get("username", [""])[0])
                elif answer["status"] == 200:
                    self.failures.entered(caller.address)
            await send(answer)

        await self.app(scope, _again(message.get("body", b""), receive), watched)

    def _with_headers(self, scope: Scope, send: Send, caller: Caller) -> Send:
        """Return `send` with the headers of every answer."""
        other = bool(caller.origin) and self.hosts.is_other(caller.origin)
        framing = " ".join(("'self'", *self.hosts.origins))
        policy = "; ".join(f"{k} {v}" for k, v in {**POLICY, "frame-ancestors": framing}.items())
        own = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "cross-origin" if other else "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
        }
        if not self.hosts.origins:
            own["x-frame-options"] = "SAMEORIGIN"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    (name, _cookie(value, caller.scheme) if name == b"set-cookie" else value)
                    for name, value in ((n.lower(), v) for n, v in message.get("headers", []))
                    if name.decode("latin-1") not in own
                    and (other or not name.startswith(b"access-control-"))
                ]
                added = [(name.encode(), value.encode("latin-1")) for name, value in own.items()]
                status = message["status"]
                if status == 500 and NONSENSE.get():
                    status = 400
                message = {**message, "status": status, "headers": [*kept, *added]}
            await send(message)

        return sending


class _Once:
    """A `send` that knows whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


class Headers:
    """The headers of a request; `tidy` removes those that only a proxy may send."""

    FORWARDED = (b"x-forwarded-", b"x-gradio-server", b"x-real-ip", b"forwarded")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __getitem__(self, name: str) -> str:
        """Return the first value of a header, "" without one."""
        wanted = name.encode()
        found = (value for key, value in self._scope["headers"] if key.lower() == wanted)
        return next(found, b"").decode("latin-1")

    @property
    def length(self) -> int | None:
        """The announced length of the body; None if it is not announced."""
        text = self["content-length"]
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def cookies(self) -> dict[str, str]:
        """Name -> value."""
        pairs = (part.partition("=") for part in self["cookie"].split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}

    def tidy(self, caller: Caller) -> None:
        """Leave of a proxy's headers what Gradio forms its links from, as it was judged."""
        kept = [
            (name, value)
            for name, value in self._scope["headers"]
            if not name.lower().startswith(self.FORWARDED)
        ]
        if caller.proxied:
            kept += [
                (b"x-forwarded-host", caller.host.encode("latin-1")),
                (b"x-forwarded-proto", caller.scheme.encode("latin-1")),
            ]
        self._scope["headers"] = kept


def path_of(scope: Scope) -> str:
    """Return the path of a request, as the page has it."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    below = bool(root) and (path == root or path.startswith(root + "/"))
    return path[len(root) :] or "/" if below else path


def _caller(scope: Scope, headers: Headers) -> Caller:
    """Return where a request comes from.

    Only for a trusted proxy does the server below state the forwarded address, with the port 0.
    """
    address, port = scope.get("client") or ("", 0)
    proxied = port == 0 and bool(headers["x-forwarded-for"])
    first = headers["x-forwarded-host"].partition(",")[0].strip()
    host = first if proxied and first else headers["host"]
    return Caller(address, proxied, host, scope.get("scheme", "http"), headers["origin"])


def _cookie(value: bytes, scheme: str) -> bytes:
    """Return a cookie that no other site's request carries, and on https no plain request."""
    parts = [part.strip() for part in value.decode("latin-1").split(";")]
    plain = [p for p in parts if not p.lower().startswith("samesite") and p.lower() != "secure"]
    secure = ["Secure"] if scheme == "https" or "secure" in map(str.lower, parts) else []
    return "; ".join([*plain, *secure, "SameSite=Lax"]).encode("latin-1")


def _again(content: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, then what follows it."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return receiving


async def refuse(send: Send, status: int, words: str) -> None:
    """Answer with a status and why."""
    content = json.dumps({"detail": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
