"""The page as a hosted Space: the simulated patient only, unless the Space's owner allows uploads.

Elsewhere it starts for this computer only.
"""

from __future__ import annotations

import os

from ftddm_viewer.web import serve

FRAMED_BY = "https://huggingface.co"
"""The site that shows a Space in a frame."""

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Where the proxy before a Space is; nothing else reaches it."""


def main() -> None:
    """Serve the page under the name that the Space is given."""
    name = os.environ.get("SPACE_HOST", "")
    uploads = os.environ.get("FTDDM_UPLOADS", "no") == "yes"
    serve(
        host="0.0.0.0" if name else "127.0.0.1",
        port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        share=False,
        uploads=uploads,
        no_password=uploads,
        allow_hosts=[name] if name else [],
        allow_origins=[f"https://{name}", FRAMED_BY] if name else [],
        proxies=PRIVATE if name else (),
    )


if __name__ == "__main__":
    main()
