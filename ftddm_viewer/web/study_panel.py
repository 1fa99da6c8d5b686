"""The study panel as HTML: what the files were taken for, and what the study is and lacks.

Names of files and what headers say come from anyone: every text is escaped here.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from html import escape

from ftddm_core.imaging.io.surveyed import State
from ftddm_core.imaging.volume import Study
from ftddm_viewer.drawing.placement import placement_png
from ftddm_viewer.session.inspection import Inspection
from ftddm_viewer.web.plain import plain

Naming = Callable[[str], str]
"""Returns a text without the folders of this computer."""

MOST_ROWS = 400
"""How many files are listed."""

PLACED = (
    "Where the MRI lies under the maps: one of another examination, or one that was moved, shows "
    "here"
)

OUTLINES = "The MRI with the trusted voxels (orange) and the maps (blue); click it to enlarge it."

HEADS = ("File", "Taken for", "Because", "Use")


def texts(found: Inspection | None, named: Naming) -> dict[str, str]:
    """Return the parts of the panel: the question, the table of files, and the study."""
    if found is None:
        return {"question": "", "files": "", "about": ""}
    return {"question": question(found, named), "files": files(found), "about": about(found, named)}


def title(found: Inspection | None) -> str:
    """Return the panel's heading, which is plain text."""
    if found is None:
        return "Study"
    if found.problem:
        return "Study: needs a choice" if found.question else "Study: does not open"
    count = len(found.survey.entries)
    used = sum(entry.taken for entry in found.survey.entries)
    told = f", {len(found.warnings)} to know" if found.warnings else ""
    return f"Study: {count} file{'s' * (count != 1)}, {used} used{told}"


def question(found: Inspection, named: Naming) -> str:
    """Return what has to be decided before the study opens, or why it does not open; "" if it
    does."""
    if not found.problem:
        return ""
    head = "Before this study opens" if found.question else "This study does not open"
    words = escape(named(found.problem))
    return f'<div class="question" role="alert"><b>{head}</b> {words}</div>'


def files(found: Inspection) -> str:
    """Return the table of the files: name, what each was taken for, why, and what happens to it."""
    rows = found.files()
    if not rows:
        return ""
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    body = "".join(map(_row, rows[:MOST_ROWS]))
    if len(rows) > MOST_ROWS:
        body += f'<tr><td colspan="4">and {len(rows) - MOST_ROWS} more</td></tr>'
    return f'<table tabindex="0"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _row(row: Mapping[str, str]) -> str:
    cells = "".join(
        f'<td class="{key.replace(" ", "-")}">{escape(plain(text))}</td>'
        for key, text in row.items()
    )
    return f'<tr class="{"used" if row["use"] == State.TAKEN else "unused"}">{cells}</tr>'


def placement(study: Study | None) -> str:
    """Return an image of where the T1, else the FLAIR, lies on the maps; "" without one."""
    content = placement_png(study)
    if not content:
        return ""
    source = f"data:image/png;base64,{b64encode(content).decode()}"
    image = f'<img src="{source}" alt="{PLACED}" title="{PLACED}" tabindex="0">'
    return f"<figure>{image}<figcaption>{OUTLINES}</figcaption></figure>"


def about(found: Inspection, named: Naming) -> str:
    """Return the facts about a study, what it lacks and what that means, and its warnings."""
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(named(words))}</dd>"
        for name, words in found.facts.items()
    )
    return "".join(
        [
            f"<dl>{facts}</dl>" if facts else "",
            _listed("warnings", "To know", map(named, found.warnings)),
            _listed("missing", "Missing", map(named, found.missing)),
        ]
    )


def _listed(name: str, head: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="{name}"><b>{head}</b><ul>{items}</ul></div>' if items else ""
