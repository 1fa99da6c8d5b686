"""The web page: live sliders, one session per tab. Needs gradio."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported; disables telemetry

from ftddm_viewer.web.mounting import mount
from ftddm_viewer.web.serving import Server, serve, start

__all__ = ["Server", "mount", "serve", "start"]
