"""Standard output and error, which may be closed, full, or lack a character that is printed."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple, TextIO

SPELT = {
    "×": "x", "–": "-", "−": "-", "→": "->", "…": "...", "≤": "<=", "≥": ">=", "τ": "tau",
    "σ": "sigma", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip
"""Characters and how they are printed where an encoding lacks them; others become a question mark.
"""

SPELL_OUT = "ftddm-spell-out"
"""Name of the error handler that does so."""

RAISING = ("strict", "surrogateescape", "backslashreplace")
"""Usual error handlers, of which the last shows codes that nobody can read."""

NAMES = {"stdout": "standard output", "stderr": "standard error"}


class Fault(NamedTuple):
    """A stream that cannot be written to.

    Parameters
    ----------
    stream
        Its name.
    reason
        Why, for the end of a sentence.
    left
        Whether its reader has gone, as in `ftddm run ... | head -1`: nobody waits for a message.
    """

    stream: str
    reason: str
    left: bool = False


@contextmanager
def any_streams() -> Iterator[Fault | None]:
    """Make both streams accept every text; yield why standard output would lose it, if it would.

    A stream that is closed or full is replaced by one that takes everything and keeps nothing.
    """
    codecs.register_error(SPELL_OUT, _spell_out)
    # A file that is opened later must not get the number of a closed stream, and texts with it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    faults = {name: _fault_of(name) for name in NAMES}
    with ExitStack() as ended:
        for name, fault in faults.items():
            stream = getattr(sys, name)
            errors = getattr(stream, "errors", None)
            if fault is not None:
                nowhere = ended.enter_context(open(os.devnull, "w", encoding="utf-8"))
                ended.callback(setattr, sys, name, stream)
                setattr(sys, name, nowhere)
            elif isinstance(stream, io.TextIOWrapper) and errors in RAISING:
                ended.callback(_reconfigure, stream, errors)
                _reconfigure(stream, SPELL_OUT)
        yield faults["stdout"]


def flushed() -> Fault | None:
    """Write what waits in both streams; return the first fault, if any.

    A stream with a fault takes everything from then on, so that Python's own end is not disturbed.
    """
    found = None
    for name in NAMES:
        stream = getattr(sys, name)
        try:
            stream.flush()
        except OSError as error:
            found = found or _fault(name, error)
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
    return found


def say(text: str) -> None:
    """Print a line on standard error, if there is anything to print it on."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _fault_of(name: str) -> Fault | None:
    """Return what is wrong with "stdout" or "stderr" before anything is printed."""
    stream = getattr(sys, name)
    if stream is None:
        return Fault(NAMES[name], "it is closed")
    with suppress(OSError, ValueError):  # a stream in memory has no number
        number = stream.fileno()
        try:
            os.write(number, b"")  # refused by a full device, and by a file opened for reading
        except BrokenPipeError:
            return None  # the files are still wanted
        except OSError as error:
            return _fault(name, error)
    return None


def _fault(name: str, error: OSError) -> Fault:
    return Fault(NAMES[name], error.strerror or str(error), isinstance(error, BrokenPipeError))


def _reconfigure(stream: TextIO, errors: str) -> None:
    if isinstance(stream, io.TextIOWrapper):
        with suppress(OSError, ValueError):  # it is flushed first, and its reader may have gone
            stream.reconfigure(errors=errors)


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    """Return what is printed in place of the first character that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return SPELT.get(error.object[error.start], "?"), error.start + 1
