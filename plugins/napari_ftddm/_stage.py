"""The scene on napari's layers: only what differs from the scene applied last is touched.

Layers of a scene's roles are managed: made where they are missing, changed in place afterwards.
What the user does to them - limits, colours, opacity, visibility, order - stays until the scene
itself asks for something else. One that the user removed stays away until its image changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from ftddm_viewer.session.case import Case
from ftddm_viewer.session.derived import BUTTONS
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.scene import RATIOS, LayerSpec, Scene
from ftddm_viewer.session.state import State
from napari_ftddm._bridge import image_layer, layer_axis, to_layer
from napari_ftddm._links import Links
from napari_ftddm._record import about, known_of, leave_to_user
from napari_ftddm._veil import add_bar, colormap_of, follow, seen_by_user
from napari_ftddm._words import turn_to

if TYPE_CHECKING:
    from napari import Viewer

    from ftddm_viewer.session.model import Model

ROLES = (
    "T1",
    "FLAIR",
    "input",
    "reference",
    "output",
    "deviation",
    "difference",
    "detail",
    "flow",
    "estimate",
    *RATIOS,
    "veil",
)
"""From the lowest to the highest."""

MRI = ("T1", "FLAIR")
MARGIN = 0.14
"""Of the canvas, for letters and words."""

SLIDER_RANGE = 2.0
"""Upper end of the limits' slider, relative to the upper limit."""


class Stage:
    """The managed layers of one viewer."""

    def __init__(self, viewer: Viewer, model: Model) -> None:
        self._viewer = viewer
        self._model = model
        self._layers: dict[str, Image] = {}
        self._made: list[Image] = []
        self._applied: dict[str, LayerSpec] = {}
        self._case: Case | None = None
        self._framed: Case | None = None
        self._limits: dict[tuple[str, str], tuple[float, float]] = {}
        self._links, self._ratio_links = Links(), Links()
        self._guests: list[Image] = []
        self._veiled = False
        self.busy = False
        self._adopt_earlier()

    def use(self, model: Model) -> None:
        """Name other networks as the ones that images are made with from now on."""
        self._model = model

    # ---- what is there already

    def _adopt_earlier(self) -> None:
        """Take over the layers of a panel that was closed before."""
        for layer in self._viewer.layers:
            known = known_of(layer)
            if known.get("managed") and known["role"] in self._layers:
                leave_to_user(layer)  # a copy that was made meanwhile
            elif known.get("managed"):
                self._layers[known["role"]] = layer
                if known["role"] not in MRI:  # an MRI may be the reader's
                    self._made.append(layer)

    def _let_go(self, case: Case) -> None:
        """Manage the MRI no longer that the reader made of another study."""
        for role in MRI:
            layer = self._layers.get(role)
            if layer is None or any(layer is each for each in self._made):
                continue
            image = getattr(known_of(layer).get("study"), role.lower(), None)
            if image is not getattr(case.study, role.lower()):
                self._leave(self._layers.pop(role))
                self._applied.pop(role, None)

    def _adopt_mri(self, case: Case) -> None:
        """Manage the T1 and the FLAIR that came with a study, instead of those before."""
        for layer in self._viewer.layers:
            known = known_of(layer)
            role = known.get("role")
            if role not in MRI or known["study"] is not case.study or known.get("copy"):
                continue
            if self._layers.get(role) is not layer:
                if (before := self._layers.pop(role, None)) is not None:
                    self._leave(before)
                self._layers[role] = layer
                self._applied.pop(role, None)

    def _leave(self, layer: Image) -> None:
        """Manage a layer no longer: the stage's own goes, the reader's stays hidden."""
        if any(layer is each for each in self._made):
            self._viewer.layers.remove(layer)
        else:
            layer.visible = False
            layer.metadata["ftddm"]["managed"] = False

    def _clear_others(self, case: Case) -> None:
        """Take away what the reader made of earlier studies, but for what was edited by hand."""
        managed = list(self._layers.values())
        for layer in list(self._viewer.layers):
            study = known_of(layer).get("study")
            mine = any(layer is each for each in managed)
            if study is None or study is case.study or mine:
                continue
            if np.array_equal(layer.data, to_layer(known_of(layer)["volume"])[0], equal_nan=True):
                self._viewer.layers.remove(layer)
            else:
                layer.visible = False

    # ---- the scene

    def apply(self, state: State, scene: Scene) -> None:
        """Show a scene."""
        self._forget_removed()
        case = state.case
        if case is None:
            return
        with self._changing():
            self._keep_limits()
            new_case = case is not self._case
            if new_case:
                self._case = case
                self._limits.clear()
                self._let_go(case)
                self._adopt_mri(case)
                self._clear_others(case)
            specs = {spec.role: spec for spec in scene.layers}
            for role in ROLES:
                if role in specs:
                    self._show(role, specs[role], state, scene)
                elif role in self._layers:
                    self._applied.pop(role, None)
                    self._leave(self._layers.pop(role))
            if new_case:
                self._sort()
            self._relink()
            self._turn(state, scene)
            self._veiled = follow(self._in_order, state.display.fade)

    def _show(self, role: str, spec: LayerSpec, state: State, scene: Scene) -> None:
        old = self._applied.get(role)
        if role not in self._layers:
            if old is not None and old.volume is spec.volume:
                return  # the user removed it
            self._make(role, spec, about(spec, state, scene, self._model))
        else:
            self._change(self._layers[role], spec, old, about(spec, state, scene, self._model))
        self._applied[role] = spec

    def _make(self, role: str, spec: LayerSpec, known: dict[str, Any]) -> None:
        data, arguments, _ = image_layer(
            spec.volume,
            spec.name,
            spec.colormap,
            spec.limits,
            visible=spec.visible,
            about=known,
        )
        layer = Image(data, **{**arguments, "colormap": colormap_of(spec)})
        if spec.role in BUTTONS:
            add_bar(layer)
        layer.contrast_limits_range = limits_range(spec)
        layer.contrast_limits = spec.limits
        below = [self._layers[r] for r in ROLES[: ROLES.index(role)] if r in self._layers]
        index = max((self._viewer.layers.index(each) for each in below), default=None)
        self._layers[role] = layer
        self._made.append(layer)
        end, chosen = len(self._viewer.layers), self._viewer.layers.selection.active
        self._viewer.layers.insert(end if index is None else index + 1, layer)
        if spec.role == "veil" and chosen is not None:  # the controls stay those of the image
            self._viewer.layers.selection.active = chosen

    def _change(
        self, layer: Image, spec: LayerSpec, old: LayerSpec | None, known: dict[str, Any]
    ) -> None:
        if old is None or old.volume is not spec.volume:
            data, affine = to_layer(spec.volume)
            layer.data = data
            if not np.array_equal(np.asarray(layer.affine), affine):
                layer.affine = affine
        before = known_of(layer)
        if (old is not None and old.visible != spec.visible) or not before.get("managed"):
            layer.visible = spec.visible
        layer.metadata["ftddm"] = known
        wanted = self._limits.get((spec.role, known["name"]), spec.limits)
        if old is None or old.limits != spec.limits or before.get("name") != known["name"]:
            # The range first: narrowing it would cut the limits off, of all linked layers.
            low, high = limits_range(spec)
            layer.contrast_limits_range = (min(low, wanted[0]), max(high, wanted[1]))
            layer.contrast_limits = wanted
        if old is not None and old.colormap != spec.colormap:
            layer.colormap = colormap_of(spec)
        adopted = old is None and spec.role in MRI  # its name may say that it is simulated
        if not adopted and (old is None or old.name != spec.name):
            layer.name = spec.name

    def _sort(self) -> None:
        """Put the managed layers in the order of their roles, where they are not."""
        layers = self._viewer.layers
        managed = [self._layers[role] for role in ROLES if role in self._layers]
        places = [layers.index(layer) for layer in managed]
        if places != sorted(places):
            for layer in managed:
                layers.move(layers.index(layer), len(layers))

    def _keep_limits(self) -> None:
        """Remember the limits that the user chose for the map that each layer shows."""
        for role, layer in self._layers.items():
            spec, name = self._applied.get(role), known_of(layer).get("name", "")
            low, high = layer.contrast_limits
            limits = (float(low), float(high))
            if spec is not None and limits != self._limits.get((role, name), spec.limits):
                self._limits[role, name] = limits

    def _forget_removed(self) -> None:
        """Forget layers that the user removed; where none is left, all of them come back."""
        there = {id(layer) for layer in self._viewer.layers}
        self._made = [layer for layer in self._made if id(layer) in there]
        self._layers = {role: each for role, each in self._layers.items() if id(each) in there}
        if not self._layers:
            self._applied.clear()
            self._framed = None

    # ---- colours

    def link(self, on: bool) -> None:
        """Link the limits, colours and gamma of input, reference and output, or unlink them."""
        self._links.on = self._ratio_links.on = on
        with self._changing():
            self._relink()

    def join(self, guests: Sequence[Image]) -> None:
        """Let layers that are not managed share limits, colours and gamma with those that are."""
        self._guests = list(guests)
        with self._changing():
            self._relink()

    def reset_contrast(self) -> None:
        """Return to the limits and the gamma that the layers had at first."""
        self._limits.clear()
        self._forget_removed()
        with self._changing():
            for role, layer in self._layers.items():
                if (spec := self._applied.get(role)) is not None:
                    layer.contrast_limits_range = limits_range(spec)
                    layer.contrast_limits, layer.gamma = spec.limits, 1.0

    def _relink(self) -> None:
        shared = [role for role, spec in self._applied.items() if spec.linked]
        for links, ratios in ((self._links, False), (self._ratio_links, True)):
            group = [role for role in shared if (role in RATIOS) is ratios]
            mine = [self._layers[role] for role in group if role in self._layers]
            guests = self._guests if mine and not ratios else []
            links.follow([*mine, *guests])

    def bring_back(self, role: str) -> None:
        """Make a layer again, with the next scene, that the user removed."""
        self._forget_removed()
        if role not in self._layers:
            self._applied.pop(role, None)

    def layer(self, role: str) -> Image | None:
        """Return the layer of a role, None where there is none."""
        self._forget_removed()
        return self._layers.get(role)

    def look_at(self, role: str) -> None:
        """Show one of input, reference and output, and hide the others; none but the MRI for ""."""
        self._forget_removed()
        for each, layer in self._layers.items():
            if each not in (*MRI, "veil"):
                layer.visible = each == role
        if role in self._layers:
            self._viewer.layers.selection.active = self._layers[role]

    @property
    def _in_order(self) -> dict[str, Image]:
        """The managed layers by role, the lowest role first."""
        return {role: self._layers[role] for role in ROLES if role in self._layers}

    def looked(self, display: Display) -> dict[str, Any]:
        """Return how a display changes now that the user has shown or hidden layers; the veil
        follows them."""
        if self.busy:
            return {}
        changes = seen_by_user(self._in_order, display, self._veiled)
        with self._changing():
            self._veiled = follow(self._in_order, changes.get("fade", display.fade))
        return changes

    # ---- slices

    def _turn(self, state: State, scene: Scene) -> None:
        """Put the slices' axis on the viewer's slider, and the slider where the scene says."""
        viewer, case = self._viewer, state.case
        if case is None or not self._layers:
            return
        ndim = viewer.dims.ndim
        if ndim < 3:
            return
        if self._framed is not case:
            self._framed = case
            turn_to(viewer, case, scene.position)
            self.frame()
        axis = layer_axis(scene.axis, ndim)
        if case.slice_at(viewer.dims.point[axis]) != state.slice_index:
            viewer.dims.set_point(axis, scene.position)

    def frame(self) -> None:
        """Let the maps fill the canvas, but for the room that letters and words need."""
        maps = [layer for role, layer in self._layers.items() if role not in MRI]
        # napari cannot frame layers that have fewer axes than the viewer.
        framed = (maps or None) if self._viewer.dims.ndim == 3 else None
        self._viewer.reset_view(layers=framed, margin=MARGIN)

    def slice_shown(self, state: State) -> int | None:
        """Return the study's slice that the viewer shows, None where that is not known."""
        case, dims = state.case, self._viewer.dims
        if self.busy or case is None or case is not self._framed or dims.ndim < 3:
            return None
        return case.slice_at(dims.point[layer_axis(case.frame.axis, dims.ndim)])

    # ---- the end

    def close(self) -> None:
        """Leave the layers to the user, unlinked."""
        self._links.close()
        self._ratio_links.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Mark what happens to layers and slices as done by the stage, not by the user."""
        before, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = before


def limits_range(spec: LayerSpec) -> tuple[float, float]:
    """Return how far the limits can be moved."""
    low, high = spec.limits
    return min(SLIDER_RANGE * low, 0.0), SLIDER_RANGE * high
