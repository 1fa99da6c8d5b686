"""Front ends of FTDDM: the command line and figures."""

RESEARCH_ONLY = "Research use only, not for clinical use"
"""On every picture and in every sidecar."""

CASE_LABEL = "Simulated patient"
"""What the bundled case is called."""

CASE_UPSCALE = 4.0
"""By how much a high-resolution study is degraded unless told otherwise."""

LIVE_STEPS = 10
"""Denoising steps that are quick enough to look at while a control moves."""
