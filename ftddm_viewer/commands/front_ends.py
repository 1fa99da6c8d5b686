"""`ftddm view` and `ftddm web`: start the two front ends."""

from __future__ import annotations

from argparse import Namespace

from ftddm_core.errors import FtddmError


def view(options: Namespace) -> None:
    """Open a study, or the bundled case, in napari."""
    from ftddm_viewer.commands.display import check_window

    check_window()
    from napari_ftddm import show_window

    roles = {name: getattr(options, name) for name in ("t1", "flair", "mask")}
    model = {"weights": options.weights, "device": options.device, "half": options.half}
    show_window(options.input, **model, **roles)


def web(options: Namespace) -> None:
    """Serve the page until it is interrupted."""
    try:
        from ftddm_viewer.web import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise FtddmError(
            "The page needs gradio, which is not installed: pip install 'ftddm-viewer[web]'"
        ) from None
    serve(
        host=options.host,
        port=options.port,
        share=options.share,
        auth=options.auth,
        uploads=not options.no_uploads,
        no_password=options.no_password,
        allow_hosts=options.allow_host,
        allow_origins=options.allow_origin,
        root_path=options.root_path,
        proxies=options.proxy,
        weights=options.weights,
        device=options.device,
        half=options.half,
    )
