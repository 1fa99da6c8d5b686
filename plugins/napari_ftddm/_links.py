"""Limits, colours and gamma that several layers share."""

from __future__ import annotations

from collections.abc import Sequence

from napari.experimental import link_layers, unlink_layers
from napari.layers import Image

LINKED = ("contrast_limits", "contrast_limits_range", "colormap", "gamma")


class Links:
    """Links that follow a changing set of layers, and can be switched off."""

    def __init__(self) -> None:
        self.on = True
        self._linked: list[Image] = []

    def follow(self, layers: Sequence[Image]) -> None:
        """Link these layers and no others; newcomers take over what those before have."""
        wanted = list(layers) if self.on and len(layers) > 1 else []
        if [id(each) for each in wanted] == [id(each) for each in self._linked]:
            return
        before = self._linked
        self.close()
        if wanted:
            leader = next((e for e in wanted if any(e is old for old in before)), wanted[0])
            for layer in wanted:  # linking itself copies nothing
                if layer is not leader:
                    layer.contrast_limits_range = leader.contrast_limits_range
                    layer.contrast_limits = leader.contrast_limits
                    layer.colormap = leader.colormap
                    layer.gamma = leader.gamma
            link_layers(wanted, LINKED)
        self._linked = wanted

    def close(self) -> None:
        """Unlink everything."""
        if self._linked:
            unlink_layers(self._linked, LINKED)
        self._linked = []
