"""The veil over unreliable voxels, and what the visibility of layers means for the session.

A napari image has one opacity for all voxels, so a layer of grey lies above, of opacity 1 -
reliability in each voxel: the image keeps its limits, its colour bar and its values under the
pointer. The veil is seen only while the highest visible layer is one that it applies to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari.layers import Image
from napari.utils import Colormap

from ftddm_viewer.session.derived import FADED
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.reliability import VEIL
from ftddm_viewer.session.scene import LayerSpec

ROLE = "veil"
MRI = ("T1", "FLAIR")
AT_T_TRUNC = ("flow", "estimate")


def colormap_of(spec: LayerSpec) -> str | Colormap:
    """Return a layer's colours; those of the veil range from clear to grey."""
    if spec.role != ROLE:
        return spec.colormap
    return Colormap([[VEIL, VEIL, VEIL, 0.0], [VEIL, VEIL, VEIL, 1.0]], name="unreliable")


def add_bar(layer: Image) -> None:
    """Show a layer's own colour bar beside the image, where neither title nor caption is."""
    bar = layer.colorbar
    bar.position, bar.size, bar.font_size = "middle_left", (14, 130), 9
    bar.visible = True


def faded_layer(layers: Mapping[str, Image]) -> Image | None:
    """Return the highest visible layer if unreliable voxels of it are to be faded.

    Parameters
    ----------
    layers
        Role -> managed layer, the lowest first.
    """
    seen = [(role, layer) for role, layer in layers.items() if role != ROLE and layer.visible]
    role, top = next(((r, e) for r, e in reversed(seen) if r not in MRI), ("", None))
    return top if role in FADED else None


def follow(layers: Mapping[str, Image], fade: bool) -> bool:
    """Show the veil where there is something to fade, else hide it; return whether it is shown."""
    veil, below = layers.get(ROLE), faded_layer(layers)
    if veil is None:
        return False
    veil.visible = fade and below is not None
    if below is not None:
        veil.opacity = below.opacity
    return bool(veil.visible)


def without(role: Any, display: Display) -> dict[str, Any]:
    """Return how a display changes now that the user has removed the layer of a role."""
    if role == ROLE:
        return {"fade": False}
    if role not in display.layers:
        return {}
    left = display.layers - {role}
    return {"layers": left, "start": display.start and not left.isdisjoint(AT_T_TRUNC)}


def seen_by_user(layers: Mapping[str, Image], display: Display, shown: bool) -> dict[str, Any]:
    """Return how a display changes now that the user has shown or hidden layers.

    Parameters
    ----------
    shown
        What `follow` returned last: whoever shows or hides the veil wants fading, or no fading.
    """
    changes: dict[str, Any] = {}
    start = any(layers[role].visible for role in AT_T_TRUNC if role in layers)
    if start != display.start:
        changes["start"] = start
    veil = layers.get(ROLE)
    if veil is not None and veil.visible != shown:
        changes["fade"] = bool(veil.visible)
    return changes
