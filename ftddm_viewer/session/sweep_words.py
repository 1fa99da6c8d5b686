"""What the explorers of both front ends say, and how the values are written that they sweep."""

from __future__ import annotations

from ftddm_core.errors import SettingsError
from ftddm_core.settings import Value
from ftddm_viewer.session.exploration import words_of
from ftddm_viewer.session.state import State

HINT = "A click on a point sets the sliders to it."
LONGEST_TOLD = 40
"""How many letters of a list a message repeats."""


def numbers_of(words: str) -> list[Value]:
    """Return the numbers of a list with commas or semicolons.

    >>> numbers_of("0, 0.5; 1")
    [0.0, 0.5, 1.0]

    Raises
    ------
    SettingsError
        If one is not a number.
    """
    listed = [word.strip() for word in words.replace(";", ",").split(",") if word.strip()]
    try:
        return [float(word) for word in listed]
    except ValueError:
        raise SettingsError(
            f"'{words[:LONGEST_TOLD]}' is not a list of numbers: separate them by commas, as in "
            "0, 0.5, 1."
        ) from None


def said_of(state: State) -> str:
    """Return what the sweep does, in words."""
    found = state.exploration
    if state.case is None:
        return "No study is open."
    if found is None:
        return "Sweeps the slice that is shown while nothing else is computed."
    if found.problem:
        return found.problem
    done = f"{len(found.points)} of {len(found.sweep.points)} points"
    words = [f"{done}." if not found.running else f"Sweeping: {done}."]
    if state.place == found.sweep.place:
        words.append(f"Sliders: {words_of(state.settings, found.sweep.axes)}.")
        if found.here is not None:
            residual, noise = (found.here.figures[key] for key in ("residual", "noise_residual"))
            words.append(f"k-space residual {residual:.2g} (noise alone {noise:.2g}).")
    else:
        words.append("Another slice is shown now; start again to sweep it.")
    if found.note:
        words.append(found.note)
    return " ".join([*words, HINT])
