"""What the figures beside an image mean for a reader of images, and which values are good."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure, explained.

    Parameters
    ----------
    name
        As the front ends call it.
    words
        What it measures, and what is a good and a bad value.
    """

    name: str
    words: str


FIGURES = (
    Figure(
        "PSNR",
        "How close the map is to the reference, in dB; known only where the study was degraded on "
        "purpose. Higher is better: compare it with that of the input in brackets. 1 dB more is a "
        "clear gain; less than the input means that the model made the map worse.",
    ),
    Figure(
        "SSIM",
        "How much the structure of the map resembles the reference, 1 where it is the same; known "
        "only where the study was degraded on purpose. Good if it is above that of the input in "
        "brackets; below it, borders were drawn in the wrong places.",
    ),
    Figure(
        "Sharpness",
        "How steep the borders in the map are. More is not better by itself: a map that is much "
        "sharper than the study supports may look convincing and be wrong. Judge it together with "
        "PSNR or the self-check.",
    ),
    Figure(
        "Self-check gain",
        "The study is degraded twofold once more and restored; the gain in dB is how much closer "
        "the model comes to what was measured than zero-filling does. Good: above 0.5 dB. About 0: "
        "the map shows little more than the measurement. Negative: do not rely on the map.",
    ),
    Figure(
        "k-space residual",
        "How far the map departs from the measured signal, relative to it. Good: at most the value "
        "of the noise alone in brackets. Clearly above it, the map contradicts what was measured.",
    ),
)
"""Every figure that a front end shows beside an image."""


def explained(*names: str) -> str:
    """Return the explanations of some figures, one a line.

    Raises
    ------
    KeyError
        If there is no such figure.
    """
    known = {figure.name: figure.words for figure in FIGURES}
    return "\n".join(f"{name}: {known[name]}" for name in names)
