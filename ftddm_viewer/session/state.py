"""What a front end shows, as one immutable snapshot: `session` replaces it, `scene` draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.metabolites import Ratio
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.gathered import Traces
from ftddm_core.sampling.measurement import Measurement
from ftddm_core.sampling.self_check import SelfCheck, weighting_of
from ftddm_core.sampling.weighting import shown
from ftddm_core.saving.results import Output, outputs_of, result_files
from ftddm_core.settings import Control, SamplerSettings, Value, controls
from ftddm_viewer import live_settings
from ftddm_viewer.session.case import Case, Mode, Prepared
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.exploration import Exploration
from ftddm_viewer.session.inspection import Inspection

if TYPE_CHECKING:  # torch takes seconds to import, and only sampling needs it
    from ftddm_core.sampling.result import Result, Start

FloatArray = NDArray[np.float32]
What = Literal["shown", "deviation", "detail", "flow", "estimate"]
"""What can be stacked of a metabolite's images, see `SliceImage.values`."""

NO_MRI = "This study has neither T1 nor FLAIR: there is nothing to weigh."
DETAILED = ("shown", "detail")
"""What depends on the share of the drawn detail that is shown."""

FLOW_ALONE = "At T_trunc 0 the flow draws the map alone: there are no denoising steps."


class Activity(StrEnum):
    """What runs in the background."""

    IDLE = "idle"
    OPENING = "opening"
    SAMPLING = "sampling"
    VOLUME = "volume"


@dataclass(frozen=True, eq=False)
class SliceImage:
    """One slice of one metabolite.

    Parameters
    ----------
    drawn, alone, deviation
        x, which the model drew, z, which follows from the measurement alone, and the standard
        deviation of x over several samples, if any: (Nx, Ny) on the output grid, in the map's unit.
    final
        Whether it is the result, and not a running estimate.
    traces
        What decides the residual besides the images; None until it is final.
    start
        The images at T_trunc, where the chain starts; None while nobody looks at them.
    samples
        Every sample of x so far, (n, Nx, Ny); kept only for the maps of a ratio, else None.
    """

    drawn: FloatArray
    alone: FloatArray
    deviation: FloatArray | None = None
    final: bool = False
    traces: Traces | None = None
    start: Start | None = None
    samples: FloatArray | None = None

    def values(self, what: What, detail: float) -> FloatArray | None:
        """Return the map to show, its part that the model drew (the map shown minus `alone`), the
        deviation, or an image at T_trunc; None where there is none."""
        if what in ("shown", "detail"):
            shown = self.shown(detail)
            return shown if what == "shown" else shown - self.alone
        if what == "deviation":
            return self.deviation
        return None if self.start is None else getattr(self.start, what)

    def shown(self, detail: float) -> FloatArray:
        """Return the map to show, with a share of the drawn detail."""
        return shown(self.drawn, self.alone, detail)


@dataclass(frozen=True, eq=False)
class View:
    """Images that belong together: of one case at one factor, drawn with one set of settings.

    Parameters
    ----------
    prepared
        Case, mode, factor and input.
    asked
        The settings they were asked for with, and the detail that is shown of them.
    images
        (metabolite, slice) -> image, as far as they were computed.
    check
        The self-check of what was acquired, once it is known.
    mri_weight
        With which the images were drawn; None for the one that the others ask for.
    ratios
        Slices of ratios, kept by `ratios` for later views with the same images.

    Attributes
    ----------
    metrics
        (metabolite, slice) -> what `fidelity` computed from the image as it is shown.
    derived
        Volumes that `ratios` computed from the images as they are shown.
    """

    prepared: Prepared
    asked: SamplerSettings
    images: Mapping[tuple[str, int], SliceImage] = field(default_factory=dict)
    check: SelfCheck | None = None
    mri_weight: float | None = None
    metrics: dict[tuple[str, int], dict[str, float]] = field(
        default_factory=dict, repr=False, init=False
    )
    derived: dict[Any, Any] = field(default_factory=dict, repr=False, init=False)
    ratios: dict[Any, Any] = field(default_factory=dict, repr=False)
    _stacked: dict[tuple[str, str], Volume] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.mri_weight is None:
            object.__setattr__(self, "mri_weight", self.wanted_mri_weight)

    @property
    def settings(self) -> SamplerSettings:
        """The exact settings of every image."""
        return self.asked.exact(self.prepared.upscale)

    @property
    def wanted_mri_weight(self) -> float:
        """The MRI weight that is asked for, by the user or by the self-check."""
        return weighting_of(self.check, self.asked, "").mri_weight

    def detail(self, metabolite: str) -> float:
        """Return the share of a map's drawn detail that is shown."""
        drawn = self.asked.replace(mri_weight=self.mri_weight)
        factor = self.prepared.conditions.upscale  # of the matrices, as a volume has it
        return weighting_of(self.check, drawn, metabolite, factor).detail

    def fits(self, mode: Mode, settings: SamplerSettings) -> bool:
        """Return whether its images are of a mode and of settings, whatever detail is shown."""
        chosen = settings
        if settings.detail != self.asked.detail:
            chosen = settings.replace(detail=self.asked.detail)
        asked_for = self.prepared.mode is mode and self.asked == chosen
        return asked_for and self.mri_weight == self.wanted_mri_weight

    def lacking(self, metabolite: str, k: int, ratio: Ratio | None = None) -> tuple[str, ...]:
        """Return which maps are still to be computed in slice k to show one of them and a ratio."""

        def complete(name: str) -> bool:
            image = self.images.get((name, k))
            several = name in (ratio or ()) and self.asked.samples > 1
            return image is not None and image.final and not (several and image.samples is None)

        names = dict.fromkeys((metabolite, *(ratio or ())))
        return tuple(name for name in names if not complete(name))

    def stacked(self, metabolite: str, what: What = "shown") -> Volume:
        """Return a metabolite's images in display space; the same object each time.

        It is NaN where there is no image, and outside the mask.
        """
        key = (metabolite, what)
        if key not in self._stacked:
            condition = self.prepared.conditions[metabolite]
            data = np.full(condition.shape, np.nan, np.float32)
            detail = self.detail(metabolite)
            for (name, k), image in self.images.items():
                if name == metabolite:
                    values = image.values(what, detail)
                    if values is not None:
                        data[..., k] = np.where(condition.mask[..., k], values, np.nan)
            volume = Volume(data, condition.affine, condition.unit)
            self._stacked[key] = self.prepared.case.frame.show(volume)
        return self._stacked[key]

    def adding(self, images: Mapping[tuple[str, int], SliceImage]) -> View:
        """Return a view with more images; those at T_trunc stay, whatever is drawn from them."""
        new = dict(images)
        for key in self.images.keys() & images.keys():
            if images[key].start is None:
                new[key] = replace(images[key], start=self.images[key].start)
        return replace(self, images={**self.images, **new}, _stacked={})

    def only(self, metabolite: str) -> View:
        """Return a view of one metabolite's images alone."""
        images = {key: image for key, image in self.images.items() if key[0] == metabolite}
        stacked = {key: volume for key, volume in self._stacked.items() if key[0] == metabolite}
        return replace(self, images=images, _stacked=stacked)

    def showing(self, detail: float | None) -> View:
        """Return a view that shows another share of the detail of the same images."""
        if detail == self.asked.detail:
            return self
        return self._blended(asked=self.asked.replace(detail=detail))

    def checked(self, check: SelfCheck) -> View:
        """Return a view of the same images, now that the self-check is known."""
        if check is self.check:
            return self
        return self._blended(check=check)

    def _blended(self, **changes: Any) -> View:
        kept = {key: volume for key, volume in self._stacked.items() if key[1] not in DETAILED}
        return replace(self, **changes, _stacked=kept)


@dataclass(frozen=True, eq=False)
class Finished:
    """A whole volume, ready to be saved.

    Parameters
    ----------
    drawn
        As it was computed.
    prepared
        What it was computed from.
    detail, check
        What decides how much of its detail is shown.
    """

    drawn: Result
    prepared: Prepared
    detail: float | None
    check: SelfCheck | None

    @classmethod
    def of(cls, drawn: Result, prepared: Prepared) -> Finished:
        """Return a volume that is shown as it was asked for."""
        return cls(drawn, prepared, drawn.settings.detail, drawn.check)

    @cached_property
    def result(self) -> Result:
        """The volume as it is shown."""
        if self.detail == self.drawn.settings.detail and self.check is self.drawn.check:
            return self.drawn
        return self.drawn.showing(self.detail, self.check)

    def showing(self, view: View) -> Finished:
        """Return the volume with as much of its detail as a view shows."""
        alike = self.prepared.acquired is view.prepared.acquired
        check = (view.check if alike else None) or self.check
        if view.asked.detail == self.detail and check is self.check:
            return self
        return replace(self, detail=view.asked.detail, check=check)

    def files(self) -> dict[str, bytes]:
        """Return name -> content of every map and its sidecar; see `results.result_files`."""
        return result_files(*self._saved())

    def outputs(self) -> dict[str, Output]:
        """Return name without ending -> map and record; see `results.outputs_of`."""
        return outputs_of(*self._saved())

    def _saved(self) -> tuple[Result, Study, dict[str, Any], Mapping[str, Mapping[str, str]]]:
        record: dict[str, Any] = {}
        if self.prepared.case.unfilled:
            record["Unfilled"] = True
        if self.prepared.mode is Mode.RESTORE:
            record["DegradedBy"] = self.prepared.upscale
        case = self.prepared.case
        return self.result, self.prepared.acquired, record, case.inputs


@dataclass(frozen=True, eq=False)
class State:
    """Everything a front end shows.

    Parameters
    ----------
    mode, settings
        What is chosen now; `view` may still have been made with others.
    metabolite, slice_index
        Which are shown; the slice counts along the study's third axis, from 0.
    live
        Whether a change of a control recomputes the image.
    activity, loading, progress, remaining
        What runs, whether it waits for the networks to be loaded, the share that is done, 0..1,
        and the time left in s, None while that is not known.
    error
        The last command's or job's error in the user's words, "" where there is none.
    notes
        What a careful user would want to know about the case.
    view
        Images, and the input they were made from; None before anything is open.
    finished
        The newest whole volume of this case; its own settings may differ from `settings`.
    checking
        Share of the self-check that is done while it is to be made, 0..1; else None.
    inspection
        What the files opened last were taken for, also of a study that did not open; None for one
        that came from memory.
    display
        What is shown beside the images.
    ratio
        Which ratio of two maps is shown besides the metabolite; None for none.
    exploration
        The newest sweep over settings of this case.
    """

    mode: Mode = Mode.ENLARGE
    settings: SamplerSettings = field(default_factory=live_settings)
    metabolite: str = ""
    slice_index: int = 0
    live: bool = True
    activity: Activity = Activity.IDLE
    loading: bool = False
    progress: float = 0.0
    remaining: float | None = None
    error: str = ""
    notes: tuple[str, ...] = ()
    view: View | None = None
    finished: Finished | None = None
    checking: float | None = None
    inspection: Inspection | None = None
    display: Display = field(default_factory=Display)
    ratio: Ratio | None = None
    exploration: Exploration | None = None

    @property
    def case(self) -> Case | None:
        """What is open."""
        return None if self.view is None else self.view.prepared.case

    @property
    def place(self) -> tuple[Mode, str, int]:
        """Mode, metabolite and slice that are shown."""
        return self.mode, self.metabolite, self.slice_index

    @property
    def image(self) -> SliceImage | None:
        """The image of the current slice and metabolite, None where there is none yet."""
        if self.view is None:
            return None
        return self.view.images.get((self.metabolite, self.slice_index))

    @property
    def up_to_date(self) -> bool:
        """Whether image and ratio are final, and made with what is chosen now."""
        view = self.fitting_view()
        return view is not None and not view.lacking(self.metabolite, self.slice_index, self.ratio)

    @property
    def lacks_start(self) -> bool:
        """Whether only the images at T_trunc are missing of what is to be seen."""
        image = self.image
        wanted = self.display.start and self.up_to_date
        return wanted and image is not None and image.start is None

    def fitting_view(self) -> View | None:
        """Return the view if it was made with what is chosen now."""
        view = self.view
        return view if view is not None and view.fits(self.mode, self.settings) else None

    def aligned(self) -> State:
        """Return the state with as much detail shown of image and volume as is chosen now."""
        if self.view is None:
            return self
        view = self.view.showing(self.settings.detail)
        finished = None if self.finished is None else self.finished.showing(view)
        if view is self.view and finished is self.finished:
            return self
        return replace(self, view=view, finished=finished)

    @property
    def shows_all(self) -> bool:
        """Whether all that is drawn is shown because the user wants it."""
        return self.settings.detail == 1

    @property
    def warned(self) -> bool:
        """Whether the self-check warns of this study."""
        return self.view is not None and self.view.check is not None and self.view.check.warned

    def disabled(self, control: Control) -> str:
        """Return why a control cannot act on what is open and chosen; "" where it can."""
        study = None if self.case is None else self.case.study
        if control.name == "mri_weight":
            return NO_MRI if study is not None and study.t1 is None and study.flair is None else ""
        if control.name in ("tau_diffusion", "steps", "sampler") and self.settings.t_trunc == 0:
            return FLOW_ALONE
        sampler = SAMPLERS[self.settings.sampler_used]
        if control.name == "tau_diffusion" and sampler.deterministic:
            return f"The sampler {sampler.label} adds no noise: this temperature has no effect."
        return ""

    def bounds(self, control: Control) -> tuple[float, float] | None:
        """Return what a control can be set to now: there are no more steps than T_trunc."""
        if control.bounds is None or control.name != "steps":
            return control.bounds
        return control.bounds[0], max(control.bounds[0], self.settings.t_trunc)

    def shown_value(self, name: str) -> Value:
        """Return a setting's value, or for an empty one the value it stands for."""
        value: Value = getattr(self.settings, name)
        view = self.view
        if value is None and name == "steps":
            return self.settings.t_trunc
        if value is not None or view is None:
            return value
        if name == "upscale":
            return view.prepared.upscale
        if name == "mri_weight":
            return view.wanted_mri_weight
        if name == "detail":
            return view.detail(self.metabolite)
        if name == "noise":
            return _shown_noise(view.prepared.conditions[self.metabolite].measurement)
        return value


def _shown_noise(measurement: Measurement) -> float:
    """Return the noise of a map in per cent of its scale, as far as the control can show it."""
    most = next(c.bounds[1] for c in controls() if c.name == "noise" and c.bounds is not None)
    return min(100 * measurement.typical_noise, most)
