"""Texts of the page about a state, as HTML; all external text is escaped."""

from __future__ import annotations

from html import escape

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.messages import going_on, hints, other_volume, self_check
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import Activity, State
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.study_panel import Naming

BANNER = (
    f'<div class="banner"><h1>FTDDM Viewer</h1><span>Super-resolution of MR spectroscopic imaging'
    f"</span><strong>{RESEARCH_ONLY}</strong></div>"
)

UPLOAD_HINT = "Maps (tNAA.nii.gz), T1w, FLAIR, mask; folders as one .zip"

STILL_OPEN = "Still open: the files chosen last did not open."
"""Said beside the mode after files that make no study."""

QUARTER = 25
"""In per cent: how much more of a volume is worth a word."""


def heading(state: State, scene: Scene) -> str:
    """Return what is shown, and whether s enlarges or degrades it."""
    if scene.title:
        found, title = state.inspection, escape(plain(scene.title))
        failed = found is not None and found.problem and state.activity is not Activity.OPENING
        mode = escape(f"{STILL_OPEN} {scene.mode}" if failed else scene.mode)
        words = f'<h2 title="{title}">{title}</h2> <p>{mode}</p>'
    else:
        opening = state.activity is Activity.OPENING
        words = f"<h2>{'Opening the study …' if opening else 'No study is open.'}</h2>"
    return f'<div class="heading">{words}</div>'


def progress(state: State, scene: Scene, place: str) -> str:
    """Return the activity, its progress, the device, and the fidelity of the image."""
    busy = "" if state.activity is Activity.IDLE else " busy"
    device = f"<span>Device: {escape(place)}</span>" if place else ""
    return (
        f'<div class="progress{busy}" role="progressbar" aria-label="Progress" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{100 * state.progress:.0f}">'
        f'<div style="width:{100 * state.progress:.1f}%"></div></div>'
        f'<div class="status"><span class="activity">{escape(going_on(state))}</span>'
        f'<span class="metrics">{escape(scene.metrics)}</span>{device}</div>'
    )


def said(state: State, scene: Scene) -> str:
    """Return what a screen reader says of the work: when it begins, ends, and each quarter."""
    if state.activity is Activity.VOLUME:
        return f"Computing the whole volume, {QUARTER * int(100 * state.progress / QUARTER)} %."
    if state.activity is Activity.SAMPLING:
        return "Sampling."
    return escape(" ".join(filter(None, [going_on(state), scene.metrics])))


def check(state: State, named: Naming) -> str:
    """Return the result of the self-check, as a warning where the model is worse than
    zero-filling."""
    words = named(self_check(state))
    warns = " warns" if state.warned else ""
    return f'<div class="check{warns}">{escape(words)}</div>' if words else ""


def little(state: State) -> str:
    """Return which controls change little to see, and why; "" where all do something."""
    words = " ".join(hints(state).values())
    return f'<div class="little">{escape(words)}</div>' if words else ""


def message(words: str) -> str:
    """Return an error message, "" if there is none."""
    return f'<div class="problem" role="alert">{escape(words)}</div>' if words else ""


def remarks(state: State, named: Naming) -> str:
    """Return the notes on the study: the first, and all of them when it is opened."""
    notes = [*map(named, state.notes), *filter(None, [other_volume(state)])]
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    count = "1 note" if len(notes) == 1 else f"{len(notes)} notes"
    return (
        f'<details class="notes"><summary>{count} on this study<span>: {escape(notes[0])}</span>'
        f"</summary><ul>{items}</ul></details>"
    )
