"""Which of the program's actions the page has, and where; and which it has not, and why."""

from __future__ import annotations

from collections.abc import Mapping

ON_PAGE: Mapping[str, str] = {
    "update": "update",
    "cancel": "cancel",
    "next_slice": "slice",
    "previous_slice": "slice",
    "next_metabolite": "metabolite",
    "previous_metabolite": "metabolite",
    "undo": "undo",
    "redo": "redo",
    "reset": "reset",
    "detail": "all",
    "pin": "pin",
    "unpin": "unpin",
    "flicker": "flicker",
    "side_by_side": "views",
    "swipe": "views",
    "layers": "views",
    "ratio": "view-ratio",
    "regions": "view-regions",
    "explore": "view-explore",
    "three": "view-three",
    "axial": "view-three",
    "coronal": "view-three",
    "sagittal": "view-three",
    "smooth": "contrast",
    "convention": "contrast",
    "contrast": "contrast",
    "report": "report-pdf",
    "copy_command": "copy_command",
    "copy_python": "copy_python",
}
"""Action -> id of the element that does it."""

IN_THE_WINDOW_ONLY: Mapping[str, str] = {
    "divider_left": "the pointer moves the edge, or the arrow keys once it has the focus",
    "divider_right": "the pointer moves the edge, or the arrow keys once it has the focus",
    "keep": "the link keeps the view; a session of files stays on the user's computer",
    "reopen": "the link reopens the view",
    "model": "whoever starts the server chooses the weights",
    "help": "every control says what it does where the pointer rests",
}
"""Action -> why the page does without it, or what it has instead."""
