"""A result made again from its sidecar, and compared with the one that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ftddm_core.errors import CheckpointError, FormatError
from ftddm_core.evaluation.compare import metrics_of
from ftddm_core.imaging.degrade import degrade, undo_zero_filling
from ftddm_core.imaging.io import read_volume
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.result import Result
from ftddm_core.saving.names import OF_SEVERAL, SHOWN
from ftddm_core.saving.pair import MAP, check_pair, encode_pair
from ftddm_core.saving.results import Output, outputs_of
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.provenance.finding import Files, opened_again
from ftddm_viewer.provenance.sidecars import PLAIN_ENDING, Sidecar
from ftddm_viewer.session.model import Model

TOLERANCE = 1e-4
"""Of the scale: how far a map may be from itself on another machine."""

HALF_TOLERANCE = 3e-3
"""The same in half precision."""

OWN = ("DegradedBy", "Unfilled")
"""Entries of a record that say what was done to the study before."""

Sample = Callable[[Model, Study, SamplerSettings, Any], Result]
"""How a study is sampled: model, study, settings and the output matrix, None for the usual."""


@dataclass(frozen=True)
class Repeated:
    """One map that was made again.

    Parameters
    ----------
    sidecar
        Of the map that was there.
    same_bytes
        Whether map and sidecar are the same, byte for byte.
    largest
        Largest difference of a voxel, in units of the map's scale.
    tolerance
        How large it may be.
    other
        Entries of the records that differ.
    """

    sidecar: Sidecar
    same_bytes: bool
    largest: float
    tolerance: float
    other: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether it is the same map."""
        return self.same_bytes or self.largest <= self.tolerance

    @property
    def words(self) -> str:
        """The outcome in words."""
        if self.same_bytes:
            return "reproduced byte for byte"
        found = "the same values"
        if self.largest > 0:
            shown = f"{self.largest:.2g} of the scale"
            limit = f"{self.tolerance:g}"
            found = (
                f"reproduced to {shown} (allowed: {limit})"
                if self.agrees
                else f"NOT reproduced: it differs by {shown} (allowed: {limit})"
            )
        return f"{found}; other in the record: {', '.join(self.other)}" if self.other else found


def again(
    sidecars: list[Sidecar], files: Files, model: Model, sample: Sample, tell: Callable[[str], None]
) -> list[Repeated]:
    """Make the maps of one run again, and compare each with the one beside its sidecar.

    Parameters
    ----------
    sidecars
        Of one run.
    files
        Where the inputs may be.
    model
        With the weights of the run.
    sample
        How a study is sampled.
    tell
        Takes what differs from then and may change the result.

    Raises
    ------
    FormatError
        If an input or a map is not as it was, or not there.
    CheckpointError
        If the weights are others.
    """
    first = sidecars[0]
    for each in sidecars:
        check_pair(each.map_path)
    study = opened_again(first.inputs, first.choices, files)
    check_weights(first, model)
    for line in other_machine(first, model):
        tell(line)
    made = _made(first, study, model, sample)
    return [_compared(each, made) for each in sidecars]


def check_weights(sidecar: Sidecar, model: Model) -> None:
    """Raise a CheckpointError if the weights are not those of a result."""
    stated = sidecar.part("Weights")
    if model.digest != stated.get("SHA256"):
        raise CheckpointError(
            f"{sidecar.path.name} was made with the weights '{stated.get('Name')}', SHA-256 "
            f"{str(stated.get('SHA256'))[:16]}...; those of '{model.weights}' are "
            f"{model.digest[:16]}...: name the ones of the run."
        )


def other_machine(sidecar: Sidecar, model: Model) -> list[str]:
    """Return what differs between a run and this program, if that may change its last digits."""
    from ftddm_core.saving.sidecar import SOFTWARE
    from ftddm_core.saving.software import version_of

    there, found = sidecar.part("Software"), []
    for name in SOFTWARE:
        if str(there.get(name)) != version_of(name):
            found.append(f"{name} was {there.get(name)}, is {version_of(name)}")
    device = device_of(sidecar)
    here = model.load().where.split(":")[0].split(",")[0]
    if device.split(",")[0] != here:
        found.append(f"the device was {device}, is {here}")
    return found


def device_of(sidecar: Sidecar) -> str:
    """Return the device and precision of a run."""
    return str(sidecar.record["Device"])


def _made(sidecar: Sidecar, study: Study, model: Model, sample: Sample) -> dict[str, Output]:
    record: dict[str, Any] = {key: sidecar.record[key] for key in OWN if key in sidecar.record}
    metrics: Mapping[str, Any] | None = None
    if record.get("Unfilled"):
        study = undo_zero_filling(study)
    if (factor := record.get("DegradedBy")) is not None:
        low = degrade(study, float(factor))
        result = sample(model, low, sidecar.settings, study.grid.shape[:2])
        if "Metrics" in sidecar.record:
            metrics = metrics_of(study, float(factor), result.maps)
        study = low
    else:
        result = sample(model, study, sidecar.settings, None)
    return outputs_of(result, study, record, metrics=metrics)


def _compared(sidecar: Sidecar, made: Mapping[str, Output]) -> Repeated:
    metabolite, path = str(sidecar.record["Metabolite"]), sidecar.map_path
    what = next((w for w in OF_SEVERAL if f"_desc-{w}_" in path.name), SHOWN)
    output = next(
        (o for stem, o in made.items()
         if f"_desc-{what}_" in stem and o.record["Metabolite"] == metabolite),
        None,
    )  # fmt: skip
    if output is None:
        raise FormatError(f"{path.name}: the study has no map of {metabolite} any more.")
    text, content = encode_pair(
        output.volume, output.record, compress=path.suffix.lower() != PLAIN_ENDING
    )
    same = text == sidecar.path.read_bytes() and content == path.read_bytes()
    found = read_volume(path, allow_empty=True)
    largest = np.inf
    if found.shape == output.volume.shape:
        scale = float(sidecar.record["Scale"])
        largest = float(np.abs(found.data - output.volume.data).max()) / scale
    half = "float16" in device_of(sidecar) or "float16" in str(output.record["Device"])
    there, here = dict(sidecar.record), dict(output.record)
    there.pop(MAP, None)
    other = tuple(key for key in dict.fromkeys((*there, *here)) if there.get(key) != here.get(key))
    return Repeated(sidecar, same, largest, HALF_TOLERANCE if half else TOLERANCE, other)


def model_for(sidecar: Sidecar, weights: str | None, device: str | None) -> Model:
    """Return the networks of a run: its bundled weights or those named, on its kind of device.

    Raises
    ------
    SettingsError, CheckpointError
        If this machine does not have them.
    """
    stated = device_of(sidecar)
    half = "float16" in stated and (device or stated) != "cpu"
    kind = device or stated.split(",")[0]
    return Model(weights or str(sidecar.part("Weights").get("Name", "")), kind, half=half)


def by_run(sidecars: list[Sidecar]) -> list[list[Sidecar]]:
    """Return sidecars, those of one run together."""
    runs: dict[tuple[Path, str], list[Sidecar]] = {}
    for each in sidecars:
        runs.setdefault((each.path.parent, each.run), []).append(each)
    return list(runs.values())
