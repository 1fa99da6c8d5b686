"""Texts of the page about a state, as HTML; all external text is escaped."""

from __future__ import annotations

from html import escape

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.messages import going_on, hints, other_volume, self_check
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import Activity, State
from ftddm_viewer.web.study_panel import Naming

BANNER = (
    f'<div class="banner"><b>FTDDM Viewer</b><span>Super-resolution of MR spectroscopic imaging'
    f"</span><strong>{RESEARCH_ONLY}</strong></div>"
)

UPLOAD_HINT = (
    "Maps, T1w, FLAIR and mask, named like tNAA.nii.gz, T1w.nii.gz, mask.nii.gz; "
    "a tree of folders as one .zip."
)


def heading(state: State, scene: Scene) -> str:
    """Return what is shown, and whether s enlarges or degrades it."""
    if scene.title:
        words = f"<b>{escape(scene.title)}</b> {escape(scene.mode)}"
    else:
        opening = state.activity is Activity.OPENING
        words = f"<b>{'Opening the study …' if opening else 'No study is open.'}</b>"
    return f'<div class="heading">{words}</div>'


def progress(state: State, scene: Scene, place: str) -> str:
    """Return the activity, its progress, the device, and the fidelity of the image."""
    busy = "" if state.activity is Activity.IDLE else " busy"
    device = f"<span>Device: {escape(place)}</span>" if place else ""
    return (
        f'<div class="progress{busy}"><div style="width:{100 * state.progress:.1f}%"></div></div>'
        f'<div class="status"><span class="activity">{escape(going_on(state))}</span>'
        f'<span class="metrics">{escape(scene.metrics)}</span>{device}</div>'
    )


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
    """Return the notes on the study, collapsed behind their number."""
    notes = [*map(named, state.notes), *filter(None, [other_volume(state)])]
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    count = "1 note" if len(notes) == 1 else f"{len(notes)} notes"
    return (
        f'<details class="notes"><summary>{count} on this study</summary><ul>{items}</ul></details>'
    )
