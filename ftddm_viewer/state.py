"""What a face shows, as one immutable snapshot; `session` replaces it, `scene` draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import Volume
from ftddm_core.settings import Control, SamplerSettings, Value
from ftddm_viewer import live_settings
from ftddm_viewer.case import Case, Mode, Prepared
from ftddm_viewer.saving import result_files

if TYPE_CHECKING:  # torch takes seconds to import, and is needed by the first picture only
    from ftddm_core.sampling.result import Result

FloatArray = NDArray[np.float32]


class Activity(StrEnum):
    """What goes on in the background."""

    IDLE = "idle"
    OPENING = "opening"
    SAMPLING = "sampling"
    VOLUME = "volume"


@dataclass(frozen=True, eq=False)
class Picture:
    """One slice of one metabolite.

    Parameters
    ----------
    image, deviation
        (Nx, Ny) on the output grid, in the map's unit; the deviation over several samples, if any.
    final
        Whether it is the result, and not a running estimate.
    figures
        Its fidelity: "residual" in k-space against the input; where there is a reference, "psnr"
        and "ssim", and those of the input as "input_psnr" and "input_ssim". Empty until it is
        final, and where nothing is trusted.
    """

    image: FloatArray
    deviation: FloatArray | None = None
    final: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class View:
    """Pictures that belong together: of one case at one factor, with one set of settings.

    Parameters
    ----------
    prepared
        Case, mode, factor and input.
    asked
        The settings they were asked for with.
    pictures
        (metabolite, slice) -> picture, as far as they were computed.
    """

    prepared: Prepared
    asked: SamplerSettings
    pictures: Mapping[tuple[str, int], Picture] = field(default_factory=dict)
    _stacked: dict[tuple[str, str], Volume] = field(default_factory=dict, repr=False)

    @property
    def settings(self) -> SamplerSettings:
        """The exact settings of every picture."""
        return self.asked.exact(self.prepared.upscale)

    def stacked(self, metabolite: str, what: Literal["image", "deviation"] = "image") -> Volume:
        """Return a metabolite's pictures in display space; the same object each time.

        It is NaN where there is no picture, and outside the mask, but for a map with data
        consistency: that may have values there.
        """
        key = (metabolite, what)
        if key not in self._stacked:
            condition = self.prepared.conditions[metabolite]
            shown = condition.mask | self.asked.consistency
            data = np.full(condition.shape, np.nan, np.float32)
            for (name, k), picture in self.pictures.items():
                image = getattr(picture, what)
                if name == metabolite and image is not None:
                    data[..., k] = np.where(shown[..., k], image, np.nan)
            volume = Volume(data, condition.affine, condition.unit)
            self._stacked[key] = self.prepared.case.frame.show(volume)
        return self._stacked[key]

    def adding(self, pictures: Mapping[tuple[str, int], Picture]) -> View:
        """Return a view with more pictures."""
        return View(self.prepared, self.asked, {**self.pictures, **pictures})


@dataclass(frozen=True, eq=False)
class Finished:
    """A whole volume, ready to be saved."""

    result: Result
    prepared: Prepared

    def files(self) -> dict[str, bytes]:
        """Return name -> content of every map and its sidecar; see `saving.result_files`."""
        record: dict[str, Any] = {}
        if self.prepared.case.unfilled:
            record["Unfilled"] = True
        if self.prepared.mode is Mode.RESTORE:
            record["DegradedBy"] = self.prepared.upscale
        case = self.prepared.case
        return result_files(self.result, self.prepared.acquired, record, case.inputs)


@dataclass(frozen=True, eq=False)
class State:
    """Everything a face shows.

    Parameters
    ----------
    mode, settings
        What is chosen now; `view` may still have been made with others.
    metabolite, slice_index
        What is looked at; the slice counts along the study's third axis, from 0.
    live
        Whether a change of a control computes the picture anew.
    activity, loading, progress, remaining
        What goes on, whether it is waiting for the networks to be loaded, the share of it that is
        done, 0..1, and how long the rest takes, in s; None while that is not known.
    error
        The last command's or job's error in the user's words, "" where there is none.
    notes
        What a careful user would want to know about the case.
    view
        Pictures, and the input they were made from; None before anything is open.
    finished
        The newest whole volume of this case; its own settings may differ from `settings`.
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

    @property
    def case(self) -> Case | None:
        """What is open."""
        return None if self.view is None else self.view.prepared.case

    @property
    def picture(self) -> Picture | None:
        """The picture of what is looked at, None where there is none yet."""
        if self.view is None:
            return None
        return self.view.pictures.get((self.metabolite, self.slice_index))

    @property
    def up_to_date(self) -> bool:
        """Whether the picture is final, and made with what is chosen now."""
        return self.fitting_view() is not None and self.picture is not None and self.picture.final

    def fitting_view(self) -> View | None:
        """Return the view if it was made with what is chosen now."""
        view = self.view
        if view is None:
            return None
        fits = view.prepared.mode is self.mode and view.asked == self.settings
        return view if fits else None

    def bounds(self, control: Control) -> tuple[float, float] | None:
        """Return what a control can be set to now: there are no more steps than T_trunc."""
        if control.bounds is None or control.name != "steps":
            return control.bounds
        return control.bounds[0], max(control.bounds[0], self.settings.t_trunc)

    def shown_value(self, name: str) -> Value:
        """Return a setting's value, or for an empty one the value it stands for."""
        value: Value = getattr(self.settings, name)
        if value is None and name == "steps":
            return self.settings.t_trunc
        if value is None and name == "upscale" and self.view is not None:
            return self.view.prepared.upscale
        return value
