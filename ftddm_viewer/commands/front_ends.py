"""`ftddm view` and `ftddm web`: start the two front ends."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace

from ftddm_core.errors import FtddmError, SettingsError


def view(options: Namespace) -> None:
    """Open a study, or the bundled case, in napari."""
    from ftddm_viewer.commands.display import check_window

    check_window()
    from napari_ftddm import show_window

    roles = {name: getattr(options, name) for name in ("t1", "flair", "mask")}
    model = {"weights": options.weights, "device": options.device, "half": options.half}
    show_window(options.input, **model, **roles)


def web(options: Namespace) -> None:
    """Serve the page until it is interrupted, or add a user."""
    if options.add_user is not None:
        _add_user(options)
        return
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


def _add_user(options: Namespace) -> None:
    from ftddm_viewer.web.passwords import add_user

    if options.auth is None:
        raise SettingsError("A user is written into a file: name it with --auth FILE.")
    changed = add_user(options.auth, options.add_user, _asked(options.add_user))
    done = "has a new password" if changed else "was added"
    print(f"{options.add_user} {done} in {options.auth}.")


def _asked(name: str) -> str:
    """Return a password that is typed twice, or the first line of what is piped in."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"Password for {name}: ")
    if first != getpass.getpass("Once more: "):
        raise SettingsError("The two are not the same: try again.")
    return first
