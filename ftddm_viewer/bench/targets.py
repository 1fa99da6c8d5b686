"""Speed targets of a device, each compared with the measured value."""

from __future__ import annotations

from typing import Literal

from ftddm_viewer.bench.calls import seconds_of_call
from ftddm_viewer.bench.record import Line, Record

DRAG_GAP = 0.2
"""Longest time in seconds without a new image during a drag."""
DRAG_SLACK = 0.1
"""Longest delay in seconds of a drag's final image beyond that of a single move."""
MRI_WEIGHT_SLACK = {0.0: 1.25, 0.5: 2.3}
"""MRI weight -> longest time of a live image, relative to that at weight 1. Between 0 and 1 every
slice goes through the networks twice, with its MRI and without."""


def targets(run: Record) -> list[Line]:
    """Return every target of a device; those for time hold for two CPU cores, or for a GPU.

    Parameters
    ----------
    run
        What was measured on the device, see `measure`.

    Returns
    -------
    list of dict
        `what`, `value`, `unit`, `target`, `better` ("lower" or "higher"), and whether the target
        was `reached`. A value that was not measured is None and reaches no target.
    """
    found = _mri_weight_targets(run["mri_weights"]) + _drag_targets(run["drag"])
    if run["device"].startswith("cuda"):
        found += _gpu_targets(run)
    elif run["device"] == "cpu":
        found = _cpu_targets(run) + found
    return found


def _cpu_targets(run: Record) -> list[Line]:
    first = max(run["moves"], key=lambda line: line["first"])
    final = max(run["moves"], key=lambda line: line["final"])
    speed = {line["key"]: line for line in run["comparisons"]}
    memory = run["memory"]
    above = None if memory is None else memory["above"] / 1e9
    slowest = f"first image after the slowest kind of move, {first['move']}"
    chain = speed["chain"]["method"]
    update = seconds_of_call(run["calls"], "consistency update") / seconds_of_call(run["calls"])
    return [
        _target(slowest, first["first_calls"], "denoiser calls", 5),
        _target(slowest, first["first"], "s", 0.2),
        _target(
            f"final image after the slowest kind of move, {final['move']}", final["final"], "s", 0.6
        ),
        _target("consistency update of one slice", update, "denoiser calls", 0.2),
        _target(f"{chain}, against {speed['paper']['method']}", speed["chain"]["over_paper"],
             "times as fast", 4, "higher"),
        _target(f"{chain}, against {speed['ddpm']['method']}", speed["chain"]["over_ddpm"],
             "times as fast", 9.2, "higher"),
        _target(f"{speed['live']['method']}, against {speed['ddpm']['method']}",
             speed["live"]["over_ddpm"], "times as fast", 60, "higher"),
        _target("whole volume, memory beyond that of the networks", above, "GB", 1.5),
    ]  # fmt: skip


def _mri_weight_targets(table: list[Line]) -> list[Line]:
    at = {line["mri_weight"]: line for line in table if line["consistency"] == "noise"}
    return [
        _target(f"{which} live image at MRI weight {weight:g}, relative to weight 1",
             at[weight][f"{which}_relative"], "times as long", target)
        for weight, target in MRI_WEIGHT_SLACK.items()
        for which in ("first", "final")
    ]  # fmt: skip


def _drag_targets(drag: Line) -> list[Line]:
    late = drag["final"] - drag["undisturbed"]
    return [
        _target("drag: chains running at once", drag["most"], "", 1),
        _target("drag: longest time without a new image", drag["gap"], "s", DRAG_GAP),
        _target(
            "drag: delay of the final image beyond that of a single move", late, "s", DRAG_SLACK
        ),
        _target("drag: steps begun by a superseded chain", drag["lingered_steps"], "", 1),
    ]


def _gpu_targets(run: Record) -> list[Line]:
    volumes = {line["key"]: line["seconds"] for line in run["volumes"]}
    slices = {line["key"]: line["seconds"] for line in run["comparisons"]}
    return [
        _target("whole volume, full chain", volumes["volume_chain"], "s", 5),
        _target("one slice, full chain", slices["chain"], "s", 0.15),
    ]


def _target(
    what: str,
    value: float | None,
    unit: str,
    target: float,
    better: Literal["lower", "higher"] = "lower",
) -> Line:
    reached = value is not None and (value <= target if better == "lower" else value >= target)
    stated = {"what": what, "value": value, "unit": unit, "target": target, "better": better}
    return {**stated, "reached": reached}
