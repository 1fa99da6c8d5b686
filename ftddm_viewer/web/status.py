"""What the page says about a state, as HTML; every word that is not ours is escaped."""

from __future__ import annotations

from html import escape

from ftddm_viewer import RESEARCH_ONLY
from ftddm_viewer.scene import resolve
from ftddm_viewer.state import Activity, State

BANNER = (
    f'<div class="banner"><b>FTDDM Viewer</b><span>Super-resolution of MR spectroscopic imaging'
    f"</span><strong>{RESEARCH_ONLY}</strong></div>"
)

UPLOAD_HINT = (
    "Metabolite maps, T1w, FLAIR and mask as NIfTI; their names decide, as in tNAA.nii.gz, "
    "T1w.nii.gz, mask.nii.gz."
)


def heading(state: State) -> str:
    """Return what is looked at, and what s does to it."""
    scene = resolve(state)
    if not scene.title:
        return '<div class="heading"><b>Opening the study …</b></div>'
    return f'<div class="heading"><b>{escape(scene.title)}</b> {escape(scene.mode)}</div>'


def progress(state: State, place: str) -> str:
    """Return what goes on, how far it is, on which device, and how faithful the picture is."""
    if state.loading:
        words = "Loading the networks …"
    elif state.activity is not Activity.IDLE:
        words = f"{state.activity} … {100 * state.progress:.0f} %"
    elif state.case is None:
        words = "No study is open."
    elif state.up_to_date:
        words = "Up to date."
    else:
        words = "The picture is not what the controls say: press Update."
    busy = "" if state.activity is Activity.IDLE else " busy"
    device = f"<span>Device: {escape(place)}</span>" if place else ""
    figures = escape(resolve(state).figures)
    return (
        f'<div class="progress{busy}"><div style="width:{100 * state.progress:.1f}%"></div></div>'
        f'<div class="status"><span class="activity">{escape(words)}</span>'
        f'<span class="figures">{figures}</span>{device}</div>'
    )


def message(words: str) -> str:
    """Return an error in its words, "" where there is none."""
    return f'<div class="problem" role="alert">{escape(words)}</div>' if words else ""


def remarks(state: State) -> str:
    """Return what a careful user would want to know, folded away behind how much there is."""
    notes = list(state.notes)
    finished, view = state.finished, state.view
    if finished is not None and view is not None and finished.result.settings != view.settings:
        notes.append("the files were made with other settings than the picture.")
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    count = "1 note" if len(notes) == 1 else f"{len(notes)} notes"
    return (
        f'<details class="notes"><summary>{count} on this study</summary><ul>{items}</ul></details>'
    )
