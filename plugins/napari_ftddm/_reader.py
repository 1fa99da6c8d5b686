"""Studies for napari's File > Open, in every layout of `ftddm_core.imaging.io`.

A folder, or several files opened as a stack, is read as one study, with the roles that their names
tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io import ChoiceNeeded, open_study, survey_study
from ftddm_core.imaging.io.roles import Role
from napari_ftddm._bridge import LayerTuple
from napari_ftddm._canvas import follow_current
from napari_ftddm._layers import study_layers

PathOrPaths = str | Path | Sequence[str | Path]

ANSWER = "To decide, open the study in the panel of FTDDM Viewer."


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerTuple]] | None:
    """Return the function that reads these paths, None where they hold no metabolite map.

    Names and sidecars decide; nothing is raised.
    """
    try:
        paths = _listed(path)
        maps = any(entry.role is Role.MAP for entry in survey_study(paths).entries)
        return read_layers if maps else None
    except (FtddmError, OSError, TypeError, ValueError):  # nothing there, or not a name at all
        return None


def read_layers(path: PathOrPaths) -> list[LayerTuple]:
    """Return the layers of a study.

    Raises
    ------
    FormatError, GeometryError
        If the files cannot be read as a study, or something has to be decided first; napari shows
        the message.
    """
    try:
        layers = study_layers(open_study(_listed(path)))
    except ChoiceNeeded as asked:
        raise FormatError(f"{asked} {ANSWER}") from None
    follow_current()
    return layers


def _listed(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(each) for each in path]
