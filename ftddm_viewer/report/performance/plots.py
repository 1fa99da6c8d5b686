"""The figures of the performance page, drawn from a record alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ftddm_viewer.bench.record import Line, Record
from ftddm_viewer.drawing.style import COLOURS, METRIC_LABELS, new_plots
from ftddm_viewer.report.performance.sections import by_temperature
from ftddm_viewer.report.performance.words import figure_name, place

PANEL = (2.9, 2.6)
"""Width and height of each plot, in inches."""

SIZES = ("matrix", "slices", "samples", "steps")


def plots(record: Record) -> dict[str, Figure]:
    """Return file name -> figure."""
    found = {figure_name(run["device"], "growth"): growth_plot(run) for run in record["devices"]}
    return found | {"tradeoff.png": tradeoff_plot(record["tradeoff"])}


def growth_plot(run: Record) -> Figure:
    """Draw seconds against each size, with a dotted line of proportional growth."""
    title = (
        f"One slice of the simulated case, live, on {place(run['device'])}; one size varied at a "
        "time"
    )
    figure, axes = new_plots(1, 4, title, PANEL)
    every = [line["seconds"] for line in run["growth"]]
    for axis, varied in zip(axes, SIZES, strict=True):
        lines = [line for line in run["growth"] if line["varied"] == varied]
        value, seconds = (np.array([line[key] for line in lines]) for key in ("value", "seconds"))
        axis.loglog(value, seconds, "o-", color=COLOURS[0], markersize=4)
        expected = (value / value[-1]) ** (2 if varied == "matrix" else 1) * seconds[-1]
        axis.loglog(value, expected, ":", color="grey", linewidth=1)
        axis.set_xticks(value, [f"{v:g}" for v in value])
        axis.minorticks_off()
        axis.set_ylim(min(every) / 1.5, max(every) * 1.5)
        axis.set_xlabel(varied, fontsize=8)
    axes[0].set_ylabel("seconds", fontsize=8)
    return figure


def tradeoff_plot(table: Sequence[Line]) -> Figure:
    """Draw every metric against the denoiser calls, one curve per sampler; the full chain is a
    line."""
    groups = by_temperature(table)
    title = "Quality with fewer steps: the simulated case against its truth"
    figure, axes = new_plots(len(groups), len(METRIC_LABELS), title, PANEL)
    panels = product(groups.items(), METRIC_LABELS.items())
    for axis, ((words, lines), (name, label)) in zip(axes, panels, strict=True):
        _curves(axis, lines, name)
        axis.set_ylabel(label, fontsize=8)
        axis.set_xlabel("calls of the denoiser", fontsize=8)
        axis.set_title(words, fontsize=8, loc="left")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
    return figure


def _curves(axis: Axes, lines: Sequence[Line], name: str) -> None:
    samplers = dict.fromkeys(line["sampler"] for line in lines if not line["full"])
    for colour, sampler in zip(COLOURS, samplers, strict=False):
        own = [line for line in lines if line["sampler"] == sampler and not line["full"]]
        values = [np.nan if line[name] is None else line[name] for line in own]
        axis.plot([line["calls"] for line in own], values, "o-", color=colour, markersize=3,
                  linewidth=1.2, label=sampler)  # fmt: skip
    full = next(line for line in lines if line["full"])
    if full[name] is not None:
        words = f"full chain, {full['calls']} calls"
        axis.axhline(full[name], color="black", linestyle="--", linewidth=1, label=words)
