"""Front ends of FTDDM: the command line and figures."""

RESEARCH_ONLY = "Research use only, not for clinical use"
"""On every picture and in every sidecar."""
