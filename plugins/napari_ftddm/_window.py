"""The window of `ftddm view`: a napari viewer with the panel docked and a study opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftddm_core.errors import SettingsError
from ftddm_viewer.session.keeping import is_session
from ftddm_viewer.session.model import Model

if TYPE_CHECKING:
    from napari import Viewer

    from napari_ftddm._widget import FtddmWidget

TITLE = "FTDDM Viewer"

LEAST_SIZE = (1280, 800)
"""Of a window in pixels, as far as the screen has room: panel and images are in sight."""


def show_window(
    paths: Sequence[Path | str] = (),
    *,
    weights: str = "small",
    device: str = "auto",
    half: bool = False,
    block: bool = True,
    **roles: Path | None,
) -> tuple[Viewer, FtddmWidget]:
    """Open a window on a study, or on the bundled case, and return it and its panel.

    The window is there at once; the study is read in the background, and what is wrong with it is
    said in the panel.

    Parameters
    ----------
    paths
        A folder, files of one study, or a kept session; none for the bundled case.
    weights, device, half
        As in `ftddm run`.
    block
        Whether to run until the window is closed.
    roles
        `t1`, `flair` and `mask`, as in `ftddm run`.

    Raises
    ------
    SettingsError
        If roles are given without a study.
    """
    given = [f"--{name}" for name, path in roles.items() if path is not None]
    if given and not paths:
        raise SettingsError(
            f"{', '.join(given)} belongs to a study, and none is given: name its folder or files."
        )
    import napari

    viewer = napari.Viewer(title=TITLE, show_welcome_screen=False)
    _, widget = viewer.window.add_plugin_dock_widget("ftddm-viewer", "FTDDM")
    _enlarge(viewer)
    widget.engine.use(Model(weights, device, half=half))
    if len(paths) == 1 and is_session(paths[0]):
        widget.engine.keeping.open(Path(paths[0]))
    elif paths:
        widget.session.open(list(paths), **roles)
    else:
        widget.engine.open_sample()
    if block:
        napari.run()
    return viewer, widget


def _enlarge(viewer: Viewer) -> None:
    """Give a window the least size; a larger one, which the user may have chosen, is left alone."""
    from qtpy.QtGui import QGuiApplication

    _, _, width, height = viewer.window.geometry()
    screen = QGuiApplication.primaryScreen()
    if screen is None:
        return
    room = screen.availableGeometry()
    wide, high = min(LEAST_SIZE[0], room.width()), min(LEAST_SIZE[1], room.height())
    if width < wide or height < high:
        viewer.window.resize(max(width, wide), max(height, high))
