"""Front ends of FTDDM: the command line, figures, a page and what they share."""

from __future__ import annotations

from ftddm_core.settings import SamplerSettings

RESEARCH_ONLY = "Research use only, not for clinical use"
"""On every picture and in every sidecar."""

CASE_LABEL = "Simulated patient"
"""What the bundled case is called."""

CASE_UPSCALE = 4.0
"""By how much a high-resolution study is degraded unless told otherwise."""

LIVE_STEPS = 10
"""Denoising steps that are quick enough to look at while a control moves."""


def live_settings() -> SamplerSettings:
    """Return what a live picture is made with unless the user chooses otherwise."""
    return SamplerSettings(steps=LIVE_STEPS)
