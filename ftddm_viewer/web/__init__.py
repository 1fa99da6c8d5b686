"""The page in a browser: live sliders, one session a tab. Needs gradio."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported: nothing is sent

from ftddm_viewer.web.serving import Server, serve, start

__all__ = ["Server", "serve", "start"]
