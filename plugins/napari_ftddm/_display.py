"""How the layers that show a session are displayed, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_ftddm._record import known_of

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer


def managed(viewer: Viewer) -> dict[str, Layer]:
    """Return role -> layer of those that show the session."""
    return {
        str(known_of(layer)["role"]): layer
        for layer in viewer.layers
        if known_of(layer).get("managed")
    }


def display_of(viewer: Viewer) -> dict[str, Any]:
    """Return how the layers are displayed, ready for JSON."""
    layers = {}
    for role, layer in managed(viewer).items():
        low, high = layer.contrast_limits
        layers[role] = {
            "visible": bool(layer.visible),
            "limits": [float(low), float(high)],
            "colormap": str(layer.colormap.name),
            "gamma": float(layer.gamma),
            "opacity": float(layer.opacity),
            "interpolation": str(layer.interpolation2d),
        }
    return {"layers": layers}


def display(layer: Layer, how: Mapping[str, Any]) -> None:
    """Display a layer as `display_of` states; values that it cannot have are left out."""
    limits = how.get("limits")
    if isinstance(limits, list) and len(limits) == 2:
        try:
            low, high = (float(limit) for limit in limits)
            first, last = layer.contrast_limits_range
            layer.contrast_limits_range = (min(low, first), max(high, last))
            layer.contrast_limits = (low, high)
        except (TypeError, ValueError):
            pass
    for name in ("visible", "colormap", "gamma", "opacity", "interpolation"):
        if name in how:
            attribute = "interpolation2d" if name == "interpolation" else name
            try:
                setattr(layer, attribute, how[name])
            except (TypeError, ValueError, KeyError):  # of another version of napari
                continue
