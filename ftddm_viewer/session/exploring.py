"""The points of a sweep: images and their figures.

What points share is computed once: the conditions and their features, and what the measurement
alone says. Points that differ in temperatures or weights only are drawn in one batch, so that a
point takes less time than a live image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import binary_dilation

from ftddm_core.errors import Cancelled, FtddmError, SettingsError
from ftddm_core.evaluation.baselines import zero_filling
from ftddm_core.evaluation.metrics import FloatArray, gradient, nrmse, psnr_in_mask, sharpness
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import Volume, finite_or_zero
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_core.sampling.trial import Trial
from ftddm_core.settings import SamplerSettings, Value
from ftddm_viewer.session.case import Prepared, prepare
from ftddm_viewer.session.estimates import final_images
from ftddm_viewer.session.exploration import TOGETHER, BoolArray, Exploration, Point, Sweep
from ftddm_viewer.session.fidelity import fidelity
from ftddm_viewer.session.messages import logged_words
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.state import State, View

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.resolver import SuperResolver

Stop = Callable[[], bool]


def sweep_of(
    state: State,
    wanted: Mapping[str, Any],
    values: Mapping[str, Sequence[Value]],
    region: BoolArray | None = None,
) -> Sweep:
    """Return a sweep of the slice that is shown.

    Parameters
    ----------
    state
        What is open and chosen.
    wanted
        Every setting by name, as the user chose it.
    values, region
        See `Sweep`.

    Raises
    ------
    SettingsError
        If the sweep is not possible, or mode or factor were changed and no image has them yet.
    """
    view, settings = state.view, dict(wanted)
    if view is None:
        raise SettingsError("No study is open: open one first.")
    prepared = view.prepared
    if prepared.mode is not state.mode or view.asked.upscale != state.settings.upscale:
        raise SettingsError("The image is not up to date: wait for it, or update it, then start.")
    if "upscale" in values:  # every factor has another self-check: keep the weights in use
        used = {"mri_weight": view.mri_weight, "detail": view.detail(state.metabolite)}
        settings |= {name: used[name] for name in used if settings[name] is None}
    listed = {name: tuple(found) for name, found in values.items()}
    return Sweep(prepared, state.metabolite, state.slice_index, settings, listed, region)


class Explorer:
    """Computes the points of one sweep.

    Parameters
    ----------
    sweep
        Which.
    recall
        That of the live images.
    too_long
        Whether the image at the chosen settings takes longer than what is computed unasked.
    """

    def __init__(
        self, sweep: Sweep, recall: Recall, too_long: Callable[[], bool] = lambda: False
    ) -> None:
        self.sweep = sweep
        self._too_long = too_long
        self._prepared = {sweep.prepared.upscale: sweep.prepared}
        self._recalls = {sweep.prepared.upscale: recall}
        self._check: SelfCheck | None = None
        self._trial: Trial | None = None
        self._untried = ""

    def due(self, state: State) -> tuple[tuple[SamplerSettings, ...], bool] | None:
        """Return which settings to compute next, and whether they are those that are chosen."""
        found = state.exploration
        if found is None or found.sweep is not self.sweep or found.problem:
            return None
        if state.place == self.sweep.place and state.view is not None:
            here, check = found.here, state.view.check
            known = here is not None and here.settings == state.settings and here.check is check
            if not known and not self._too_long():
                return (state.settings,), True
        return (found.next, False) if found.running and found.missing else None

    def next(
        self, model: Model, state_of: Callable[[], State], cancelled: Stop
    ) -> Callable[[Exploration], Exploration] | None:
        """Compute the points that are due; return how they change the exploration, None if stopped.

        Parameters
        ----------
        model
            Images of all sessions have priority over the sweep.
        state_of
            Returns the newest state: a sweep may be stopped meanwhile.
        cancelled
            Whether to stop.
        """
        state = state_of()
        if (due := self.due(state)) is None or state.view is None:
            return None
        settings, here = due
        check = state.view.check if here else self.check_of(state)

        def stop() -> bool:
            return cancelled() or self.due(state_of()) != due

        try:
            points = model.idly(
                lambda resolver, waits: self.points(resolver, settings, check, waits), stop
            )
        except Cancelled:
            return None
        except Exception as problem:
            words = logged_words(problem)
            return lambda now: replace(now, running=False, problem=words)
        known = self.check_of(state)
        return lambda now: self.begun(now, known).adding(*points, here=here)

    def check_of(self, state: State) -> SelfCheck | None:
        """Return the self-check for the sweep's images, if it is known."""
        view = state.view
        if view is not None and view.prepared.acquired is self.sweep.prepared.acquired:
            self._check = view.check
        return self._check

    def begun(self, exploration: Exploration, check: SelfCheck | None) -> Exploration:
        """Return an exploration with its baseline, without points of another self-check."""
        if not exploration.baseline:
            exploration = replace(exploration, baseline=self._baseline())
        note = self._untried and f"The self-check cannot compare settings: {self._untried}"
        return replace(exploration.checked(check), note=note)

    def points(
        self,
        resolver: SuperResolver,
        settings: Sequence[SamplerSettings],
        check: SelfCheck | None,
        stop: Stop = lambda: False,
    ) -> list[Point]:
        """Compute images and their figures.

        Parameters
        ----------
        resolver
            The networks.
        settings
            As the user would choose them, all with the same factor s.
        check
            The self-check for automatic weights; None sets them to 1.
        stop
            Callback before every denoising step: whether to stop.

        Raises
        ------
        Cancelled
            If `stop()` returns true.
        """
        prepared = self._at(settings[0].upscale)
        name, k = self.sweep.metabolite, self.sweep.slice_index
        asked = {View(prepared, each, check=check).settings: each for each in settings}
        points = []
        for used, result in resolver.sweep(
            prepared.conditions[name], k, [*asked], check=check, cancelled=stop, batch=TOGETHER,
            recall=self._recalls[prepared.upscale],
        ):  # fmt: skip
            view = View(prepared, asked[used], check=check).adding(final_images(result, [k]))
            points.append(self._point(view, asked[used]))
        if not self.sweep.has_reference:
            gains = self._gains(resolver, [point.exact for point in points], stop)
            for point, gain in zip(points, gains, strict=True):
                point.figures["gain"] = gain
        return points

    def _point(self, view: View, settings: SamplerSettings) -> Point:
        name, k = self.sweep.metabolite, self.sweep.slice_index
        shown = view.images[name, k].shown(view.detail(name))
        weights = {"mri_weight": view.mri_weight, "detail": view.detail(name)}
        exact = view.settings.replace(**weights)
        mask = view.prepared.conditions[name].mask[..., k]
        image = np.where(mask, shown, np.float32(np.nan))
        return Point(settings, exact, image, self._figures(view, shown), view.check)

    def _at(self, upscale: float | None) -> Prepared:
        """Return the case prepared at a factor, each once."""
        sweep = self.sweep
        if upscale is None or upscale == sweep.prepared.upscale:
            return sweep.prepared
        if upscale not in self._prepared:
            self._prepared[upscale] = prepare(sweep.prepared.case, sweep.prepared.mode, upscale)
            self._recalls[upscale] = Recall()
        return self._prepared[upscale]

    def _where(self, prepared: Prepared) -> tuple[BoolArray, BoolArray]:
        """Return the voxels to measure in, and those next to them too: both (Nx, Ny) and trusted.

        Sharpness looks at the inner voxels of what it is given, so a region grows by one.
        """
        name, k, region = self.sweep.metabolite, self.sweep.slice_index, self.sweep.region
        condition = prepared.conditions[name]
        mask = condition.mask[..., k] > 0
        if region is None:
            return mask, mask
        if prepared is not self.sweep.prepared:  # another factor may have another matrix
            own = self.sweep.prepared.conditions[name]
            data = np.zeros(own.shape, np.float32)
            data[..., k] = region
            moved = regrid_nearest(Volume(data, own.affine), condition.shape, condition.affine)
            region = moved.data[..., k] > 0
        return mask & region, mask & binary_dilation(region)

    def _figures(self, view: View, shown: FloatArray) -> dict[str, float]:
        prepared, name, k = view.prepared, self.sweep.metabolite, self.sweep.slice_index
        figures = self._compared(prepared, shown)
        found = fidelity(view, name, k)
        if "psnr" in found and self.sweep.region is None:
            figures["psnr"] = found["psnr"]  # of the whole slice, as below the image
        spread = view.images[name, k].deviation
        if not self.sweep.has_reference:
            figures["spread"] = np.nan
            where, _ = self._where(prepared)
            if spread is not None and (power := _mean_square(shown[where])) > 0:
                share = view.detail(name) ** 2
                figures["spread"] = float(np.sqrt(share * _mean_square(spread[where]) / power))
        figures["residual"] = found.get("residual", np.nan)
        return figures | {"noise_residual": found.get("noise", np.nan)}

    def _compared(self, prepared: Prepared, image: FloatArray) -> dict[str, float]:
        """Return the figures that follow from an image alone."""
        name, k = self.sweep.metabolite, self.sweep.slice_index
        condition = prepared.conditions[name]
        where, around = self._where(prepared)
        if prepared.reference is None:
            return {"sharpness": gradient(image, zero_filling(condition)[..., k], around)}
        acquired = condition.acquired
        truth = finite_or_zero(prepared.reference.maps[name].data[..., k]) * condition.mask[..., k]
        return {
            "sharpness": sharpness(image, truth, around, acquired),
            "psnr": psnr_in_mask(
                image, truth, np.ones_like(where) if self.sweep.region is None else where, acquired
            ),
            "nrmse": nrmse(image * where, truth * where, where, acquired),
        }

    def _baseline(self) -> dict[str, float]:
        prepared = self.sweep.prepared
        condition = prepared.conditions[self.sweep.metabolite]
        found = self._compared(prepared, zero_filling(condition)[..., self.sweep.slice_index])
        return found if self.sweep.has_reference else found | {"gain": 0.0}

    def _gains(
        self, resolver: SuperResolver, exact: Sequence[SamplerSettings], stop: Stop
    ) -> list[float]:
        """Return the gains of settings in the self-check, NaN where the study cannot be checked."""
        sweep = self.sweep
        if self._trial is None and not self._untried:
            try:
                self._trial = Trial(
                    resolver, sweep.prepared.acquired, sweep.metabolite, sweep.slice_index
                )
            except FtddmError as reason:
                self._untried = str(reason)
        if self._trial is None:
            return [np.nan] * len(exact)
        return self._trial.gains(exact, cancelled=stop)


def _mean_square(values: FloatArray) -> float:
    return float(np.mean(np.square(values, dtype=np.float64)))
