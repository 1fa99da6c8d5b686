"""What the user set for the plugin in napari's preferences; the manifest defines it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ftddm_viewer.session.display import CRLB_LIMIT

PLUGIN = "ftddm-viewer"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preferences:
    """How a panel starts; every value can be changed in it afterwards.

    Parameters
    ----------
    weights, device, half
        As for `Model`.
    live
        Whether images follow the settings.
    crlb_limit
        CRLB in per cent above which a voxel counts as unreliable.
    smooth
        Whether voxels are drawn linearly interpolated.
    """

    weights: str = "small"
    device: str = "auto"
    half: bool = False
    live: bool = True
    crlb_limit: float = CRLB_LIMIT
    smooth: bool = False


def preferences() -> Preferences:
    """Return what is set in napari, the defaults if it cannot be read."""
    try:
        from napari.settings import get_plugin_settings

        found = get_plugin_settings(PLUGIN)
        model, view = found.model, found.view
        return Preferences(
            weights=model.weights.strip() or Preferences.weights,
            device=model.device,
            half=model.half and model.device != "cpu",
            live=view.live,
            crlb_limit=float(view.crlb_limit),
            smooth=view.smooth,
        )
    except Exception as problem:  # a damaged file of settings must not keep the panel closed
        logger.warning("The preferences could not be read, defaults are used: %s", problem)
        return Preferences()
