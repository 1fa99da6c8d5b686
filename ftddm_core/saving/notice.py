"""What every output says of itself."""

from __future__ import annotations

RESEARCH_ONLY = "Research use only, not for clinical use"
"""Shown on every image and written to every sidecar."""

NOTICE = f"AI-generated. {RESEARCH_ONLY}."
"""Notice of maps that the model made."""
