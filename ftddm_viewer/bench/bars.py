"""What speed was promised, each promise beside what one device was measured to do."""

from __future__ import annotations

from typing import Literal

from ftddm_viewer.bench.calls import seconds_of_call
from ftddm_viewer.bench.record import Line, Record

DRAG_GAP = 0.2
"""Seconds without a new picture after which pictures do not keep coming."""
DRAG_SLACK = 0.1
"""Seconds that the final picture of a drag may come later than that of a single move."""
MRI_WEIGHT_SLACK = {0.0: 1.25, 0.5: 2.3}
"""MRI weight -> how many times as long as at 1 a live picture may take. Between 0 and 1 every slice
goes through the networks twice, with its MRI and without."""


def bars(run: Record) -> list[Line]:
    """Return every bar that is set for a device; those on time are for two CPU cores, or a GPU.

    Parameters
    ----------
    run
        What was measured on it, as `measure` has it.

    Returns
    -------
    list of dict
        `what`, `value`, `unit`, `bar` and which way is `better`, "lower" or "higher", and whether
        it was `reached`. A value that was not measured is None and reaches nothing.
    """
    found = _mri_weight_bars(run["mri_weights"]) + _drag_bars(run["drag"])
    if run["device"].startswith("cuda"):
        found += _gpu_bars(run)
    elif run["device"] == "cpu":
        found = _cpu_bars(run) + found
    return found


def _cpu_bars(run: Record) -> list[Line]:
    first = max(run["moves"], key=lambda line: line["first"])
    final = max(run["moves"], key=lambda line: line["final"])
    speed = {line["key"]: line for line in run["peers"]}
    memory = run["memory"]
    above = None if memory is None else memory["above"] / 1e9
    slowest = f"first picture after the slowest kind of move, {first['move']}"
    chain = speed["chain"]["method"]
    update = seconds_of_call(run["calls"], "consistency update") / seconds_of_call(run["calls"])
    return [
        _bar(slowest, first["first_calls"], "denoiser calls", 5),
        _bar(slowest, first["first"], "s", 0.2),
        _bar(f"final picture after the slowest, {final['move']}", final["final"], "s", 0.6),
        _bar("consistency update of one slice", update, "denoiser calls", 0.2),
        _bar(f"{chain}, against {speed['paper']['method']}", speed["chain"]["over_paper"],
             "times as fast", 4, "higher"),
        _bar(f"{chain}, against {speed['ddpm']['method']}", speed["chain"]["over_ddpm"],
             "times as fast", 9.2, "higher"),
        _bar(f"{speed['live']['method']}, against {speed['ddpm']['method']}",
             speed["live"]["over_ddpm"], "times as fast", 60, "higher"),
        _bar("whole volume, memory above the networks'", above, "GB", 1.5),
    ]  # fmt: skip


def _mri_weight_bars(table: list[Line]) -> list[Line]:
    at = {line["mri_weight"]: line for line in table if line["consistency"] == "noise"}
    return [
        _bar(f"{which} live picture at MRI weight {weight:g}, against 1",
             at[weight][f"{which}_relative"], "times as long", bar)
        for weight, bar in MRI_WEIGHT_SLACK.items()
        for which in ("first", "final")
    ]  # fmt: skip


def _drag_bars(drag: Line) -> list[Line]:
    late = drag["final"] - drag["undisturbed"]
    return [
        _bar("drag: chains alive at once", drag["most"], "", 1),
        _bar("drag: longest time without a new picture", drag["gap"], "s", DRAG_GAP),
        _bar("drag: final picture later than a single move's", late, "s", DRAG_SLACK),
        _bar("drag: steps that an overtaken chain still began", drag["lingered_steps"], "", 1),
    ]


def _gpu_bars(run: Record) -> list[Line]:
    volumes = {line["key"]: line["seconds"] for line in run["volumes"]}
    slices = {line["key"]: line["seconds"] for line in run["peers"]}
    return [
        _bar("whole volume, full chain", volumes["volume_chain"], "s", 5),
        _bar("one slice, full chain", slices["chain"], "s", 0.15),
    ]


def _bar(
    what: str,
    value: float | None,
    unit: str,
    bar: float,
    better: Literal["lower", "higher"] = "lower",
) -> Line:
    reached = value is not None and (value <= bar if better == "lower" else value >= bar)
    stated = {"what": what, "value": value, "unit": unit, "bar": bar, "better": better}
    return {**stated, "reached": reached}
