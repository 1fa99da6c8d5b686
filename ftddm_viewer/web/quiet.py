"""One line in the log instead of a traceback, for what a request that no page sends brings about.

Gradio prints the traceback of whatever a call raises, a visitor's nonsense included.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import gradio.queueing
import gradio.routes
from gradio.exceptions import ComponentProcessingError, Error, InvalidPathError

LOG = logging.getLogger("ftddm.web")

NONSENSE: ContextVar[bool] = ContextVar("nonsense", default=False)
"""Whether the values of the current request were none that a component takes."""

REFUSALS = (ComponentProcessingError, InvalidPathError, Error)
"""What Gradio raises about values that no component takes."""

PLACES: tuple[Any, ...] = (gradio.queueing, gradio.routes)
"""Gradio's modules that print tracebacks."""


class OneLine:
    """Stands for the module `traceback` in a module that only prints with it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def print_exc(self, *_: Any, **__: Any) -> None:
        """Log the current error in one line."""
        error = sys.exc_info()[1]
        NONSENSE.set(isinstance(error, REFUSALS))
        log_error(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def log_error(error: BaseException | None) -> None:
    """Log an error in one line, with the place where it was raised."""
    if error is None or isinstance(error, Error):
        return  # told to the visitor already
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = "" if last is None else f", {last.tb_frame.f_code.co_name} line {last.tb_lineno}"
    LOG.warning("A call failed: %s%s.", type(error).__name__, where)


@contextmanager
def one_line_each() -> Iterator[None]:
    """Let Gradio log its errors in one line each, within this block."""
    before = [place.traceback for place in PLACES]
    for place in PLACES:
        place.traceback = OneLine(place.traceback)
    try:
        yield
    finally:
        for place, own in zip(PLACES, before, strict=True):
            place.traceback = own
