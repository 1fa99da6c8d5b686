"""Front ends of FTDDM: the command line, figures, a web page, and the parts they share."""

from __future__ import annotations

from ftddm_core.settings import SamplerSettings

CASE_LABEL = "Simulated patient"
"""Name of the bundled case."""

CASE_UPSCALE = 4.0
"""Default factor by which a high-resolution study is degraded."""

LIVE_STEPS = 10
"""Number of denoising steps of live images, few enough to follow a moving control."""


def live_settings() -> SamplerSettings:
    """Return the default settings of live images."""
    return SamplerSettings(steps=LIVE_STEPS)
