"""Words from outside as a page can show them: no marks that turn the writing round, and no end
of letters."""

from __future__ import annotations

import re
import unicodedata

DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Unicode's marks of direction: they can make `gpj.exe` read `exe.jpg`."""

LONGEST = 120
"""Most letters of a name on the page; the middle of a longer one is left out."""


WORD = re.compile(rf"\S{{{LONGEST + 1},}}")


def shortened(text: str) -> str:
    """Return a text in which no word has more than `LONGEST` letters, whatever a file is called."""
    return WORD.sub(lambda found: plain(found[0], LONGEST), text)


def plain(text: str, longest: int = 0) -> str:
    """Return a text without marks of direction and control characters.

    Parameters
    ----------
    text
        From a file, an upload or a link.
    longest
        Of how many letters at most; 0 for all.
    """
    found = DIRECTIONS.sub("", text)
    found = "".join(" " if unicodedata.category(c) == "Cc" and c != "\n" else c for c in found)
    if not longest or len(found) <= longest:
        return found
    half = (longest - 1) // 2
    return f"{found[:half]}…{found[-half:]}"
