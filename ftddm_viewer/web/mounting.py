"""The page under a path of somebody else's FastAPI application, with all of its guards.

    from fastapi import FastAPI
    from ftddm_viewer.web import mount

    app = FastAPI()
    mount(app, "/viewer")

It ends with the application; see docs/administration.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

import gradio as gr

from ftddm_core.errors import SettingsError
from ftddm_viewer.web.access import is_loopback, plain_host
from ftddm_viewer.web.guards import Application, Message, Receive, Scope, Send, refuse
from ftddm_viewer.web.instance import Instance
from ftddm_viewer.web.serving import checked_path

ALREADY = "This process serves a page already: one process serves one."

NOT_NEAR = "This page is for its own computer only. Ask whoever runs it to mount it with a host."

ENDED = "The page is closed."


def mount(
    app: Any, path: str = "/viewer", *, host: str = "127.0.0.1", **options: Any
) -> Callable[[], None]:
    """Mount the page in a FastAPI application, and return what closes it before the application.

    Parameters
    ----------
    app
        The application, before it starts. It may have no other page made with Gradio, whose files
        are in one folder for a process.
    path
        Where the page is, as /viewer.
    host
        Address on which the application is going to be served: what is refused depends on it.
    options
        Who may do what, and the networks: see `Instance`, without `share`.

    Raises
    ------
    SettingsError
        If the page would be open to all by accident, the address or the device is missing, a name,
        site or path is not one, or there is a page already.
    CheckpointError, FormatError
        As for `Instance`.
    """
    host, path = plain_host(host), checked_path(path)
    if Instance.running:  # Gradio has one folder for all files of a process
        raise SettingsError(ALREADY)
    instance = Instance(host, share=False, **options)
    try:
        gr.mount_gradio_app(app, instance.page.blocks, path, **instance.options())
        mounted = next(
            route
            for route in reversed(app.routes)
            if isinstance(getattr(route, "app", None), gr.routes.App)
        )
        instance.guard(mounted.app)  # at once: an application may answer without having started
        mounted.app = ending = Ending(mounted.app)
        if is_loopback(host):
            mounted.app = Near(mounted.app)
    except BaseException:
        instance.close()
        raise
    of_app = app.router.lifespan_context

    @asynccontextmanager
    async def until_closed(running: Any) -> AsyncIterator[Any]:
        try:
            async with of_app(running) as state:
                with _before_end(asyncio.get_running_loop(), ending.end):
                    yield state
        finally:
            instance.close()

    app.router.lifespan_context = until_closed
    return instance.close


class Near:
    """Answers on this computer's own address only: on others, strangers would have been judged."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request that arrived at a near address, or at none."""
        try:
            near = ipaddress.ip_address((scope.get("server") or ("",))[0]).is_loopback
        except ValueError:  # the name of a socket, or of a test
            near = True
        if scope["type"] == "http" and not near:
            await refuse(send, 421, NOT_NEAR)
        else:
            await self.app(scope, receive, send)


class Ending:
    """Ends the answers that go on for as long as a page is open: a server waits for them."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End all answers."""
        self._ended.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until all answers end."""
        begun = complete = False

        async def sending(message: Message) -> None:
            nonlocal begun, complete
            begun = True
            complete = message["type"] != "http.response.start" and not message.get("more_body")
            await send(message)

        answer = asyncio.ensure_future(self.app(scope, receive, sending))
        end = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({answer, end}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                await answer
                return
        finally:
            end.cancel()
            answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)
        if not begun:
            await refuse(send, 503, ENDED)
        elif not complete:
            await send({"type": "http.response.body", "body": b""})


@contextmanager
def _before_end(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` when a signal ends the server, which then waits for its connections."""
    if threading.current_thread() is not threading.main_thread():  # a server without signals
        yield
        return
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }

    def ended(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, ended)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is ended:
                signal.signal(number, handler)
