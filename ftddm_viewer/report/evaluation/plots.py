"""Curves and histograms of an evaluation, drawn from its tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ftddm_core.evaluation.checks import Roles
from ftddm_core.evaluation.outcome import Outcome
from ftddm_core.evaluation.tables import Table
from ftddm_viewer.drawing.style import COLOURS, METRIC_LABELS, new_plots
from ftddm_viewer.report.markdown import known


def plots(outcome: Outcome) -> dict[str, Figure]:
    """Return file name -> plot of every table that has data."""
    tables = outcome.tables
    found: dict[str, Figure] = {}
    if tables.get("methods"):
        found["factors.png"] = factor_plot(outcome)
    if tables.get("tradeoff"):
        found["tradeoff.png"] = tradeoff_plot(outcome)
    if tables.get("truncation"):
        found["truncation.png"] = truncation_plot(outcome)
    if tables.get("calibration"):
        found["calibration.png"] = rank_plot(outcome)
    if tables.get("choice"):
        found["choice.png"] = choice_plot(outcome)
    if any(line["checked"] for line in tables.get("self_checks", [])):
        found["self-check.png"] = self_check_plot(outcome)
    return found


def factor_plot(outcome: Outcome) -> Figure:
    """Draw PSNR, SSIM and sharpness of the main methods against the factor."""
    roles = Roles.of(outcome.protocol)
    names = (roles.zero_filling, roles.guided_tv, roles.regression, roles.flow, roles.at_zero,
             roles.at_default, roles.at_one)  # fmt: skip
    wanted = [name for name in names if name]
    figure, axes = _new_plots(1, 3, outcome, "Methods by factor, all metabolites")
    for place, (metric, label) in zip(axes, METRIC_LABELS.items(), strict=True):
        for colour, name in zip(COLOURS, wanted, strict=False):
            lines = [line for line in outcome.tables["methods"] if line["method"] == name]
            _curve(place, lines, "upscale", metric, name, colour)
        place.set(xlabel="factor s", ylabel=label)
    axes[2].axhline(1, color="grey", linewidth=0.8)
    _legend(figure, axes)
    return figure


def tradeoff_plot(outcome: Outcome) -> Figure:
    """Draw PSNR against sharpness by temperature, one panel per factor, with the other methods."""
    table = outcome.tables["tradeoff"]
    factors = _factors(table)
    figure, axes = _new_plots(
        1, len(factors), outcome, "PSNR and sharpness by temperature: FTDDM-100"
    )
    others = list(dict.fromkeys(line["method"] for line in outcome.tables["comparisons"]))
    for place, factor in zip(axes, factors, strict=True):
        lines = [line for line in table if line["upscale"] == factor]
        place.plot(*_columns(lines, "sharpness", "psnr"), "o-", color=COLOURS[0], markersize=4)
        for line in lines:
            at = (line["sharpness"], line["psnr"])
            place.annotate(f"τ {line['tau']:g}", at, fontsize=7, xytext=(4, 2),
                           textcoords="offset points")  # fmt: skip
        for colour, name in zip(COLOURS[1:], others, strict=False):
            found = [
                line
                for line in outcome.tables["comparisons"]
                if line["method"] == name and line["upscale"] == factor
            ]
            if found:
                place.plot(
                    *_columns(found, "sharpness", "psnr"),
                    "s",
                    color=colour,
                    markersize=5,
                    label=name,
                )
        place.set(xlabel="sharpness", title=f"{factor:g}×")
        place.axvline(1, color="grey", linewidth=0.8)
    axes[0].set_ylabel("PSNR (dB)")
    _legend(figure, axes)
    return figure


def truncation_plot(outcome: Outcome) -> Figure:
    """Draw PSNR, SSIM and sharpness at temperature 1 against T_trunc."""
    table = outcome.tables["truncation"]
    figure, axes = _new_plots(1, 3, outcome, "Truncation of the chain, τ 1")
    for place, (name, label) in zip(axes, METRIC_LABELS.items(), strict=True):
        for colour, factor in zip(COLOURS, _factors(table), strict=False):
            lines = [line for line in table if line["upscale"] == factor]
            _curve(place, lines, "t_trunc", name, f"{factor:g}×", colour)
        place.set_xscale("symlog", linthresh=20)
        ticks = sorted({line["t_trunc"] for line in table})
        place.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        place.minorticks_off()
        place.set(xlabel="T_trunc", ylabel=label)
    axes[0].legend(fontsize=7)
    return figure


def rank_plot(outcome: Outcome) -> Figure:
    """Draw the rank histogram of the truth among the samples, one panel per factor."""
    table = outcome.tables["calibration"]
    title = "Rank of the truth among the samples, τ 1; flat if calibrated"
    figure, axes = _new_plots(1, len(table), outcome, title)
    for place, line in zip(axes, table, strict=True):
        shares = np.array(line["ranks"], float)
        place.bar(np.arange(len(shares)), shares, color=COLOURS[0], width=0.9)
        place.axhline(1 / len(shares), color="black", linewidth=0.8)
        place.set(xlabel="samples below the truth", title=f"{line['upscale']:g}×")
    axes[0].set_ylabel("share of voxels")
    return figure


def choice_plot(outcome: Outcome) -> Figure:
    """Draw the gain in PSNR and SSIM over zero-filling by temperature, with the required margin."""
    table = outcome.tables["choice"]
    figure, axes = _new_plots(
        1, 2, outcome, "Choice of the default temperatures, validation subjects"
    )
    for colour, factor in zip(COLOURS, _factors(table), strict=False):
        lines = [line for line in table if line["upscale"] == factor]
        _curve(axes[0], lines, "tau", "psnr_gain", f"{factor:g}×", colour)
        _curve(axes[1], lines, "tau", "ssim_gain", f"{factor:g}×", colour)
        if np.isfinite(known(lines[0], "target")):
            axes[0].axhline(lines[0]["target"], color=colour, linewidth=0.8, linestyle=":")
    axes[1].axhline(0, color="grey", linewidth=0.8)
    axes[0].set(xlabel="τ", ylabel="PSNR over zero-filling (dB)")
    axes[1].set(xlabel="τ", ylabel="SSIM over zero-filling")
    if outcome.chosen is not None:
        for place in axes:
            place.axvline(outcome.chosen, color="grey", linestyle="--", linewidth=0.8)
    axes[0].legend(fontsize=7)
    return figure


def self_check_plot(outcome: Outcome) -> Figure:
    """Draw every map's gain by the self-check against its true gain, one panel per factor."""
    table = [line for line in outcome.tables["self_checks"] if line["checked"]]
    factors = _factors(table)
    figure, axes = _new_plots(
        1, len(factors), outcome, "Gain by the self-check against the true gain"
    )
    gains = [known(line, name) for line in table for name in ("found", "true")]
    ends = (np.nanmin(gains), np.nanmax(gains))
    for place, factor in zip(axes, factors, strict=True):
        for colour, kind in zip(COLOURS, dict.fromkeys(e["kind"] for e in table), strict=False):
            held = [e for e in table if (e["kind"], e["upscale"]) == (kind, factor)]
            found, true = _columns(held, "found", "true")
            place.scatter(found, true, s=10, color=colour, label=kind)
        place.plot(ends, ends, color="grey", linewidth=0.8)
        place.axhline(0, color="grey", linewidth=0.5)
        place.axvline(0, color="grey", linewidth=0.5)
        place.set_xlabel("gain by the self-check (dB)", fontsize=8)
        place.set_ylabel("true gain (dB)", fontsize=8)
        place.set_title(f"{factor:g}×", fontsize=9)
    _legend(figure, axes)
    return figure


def _new_plots(
    rows: int, columns: int, outcome: Outcome, title: str
) -> tuple[Figure, Sequence[Axes]]:
    """Return empty axes with a title that names the patients."""
    return new_plots(rows, columns, f"{title}\n{case_words(outcome)}")


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Draw one legend for all panels, below them."""
    entries: dict[Any, Any] = {}
    for place in axes:
        handles, labels = place.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if entries:
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=4, fontsize=7
        )


def case_words(outcome: Outcome) -> str:
    """Return the kind of patients that the plots show."""
    kind = "SIMULATED patients" if outcome.record["simulated"] else "the studies provided"
    return f"{kind}, protocol {outcome.protocol.name}"


def _factors(table: Table) -> list[float]:
    return sorted({line["upscale"] for line in table})


def _columns(lines: Table, *names: str) -> list[list[float]]:
    return [[known(line, name) for line in lines] for name in names]


def _curve(place: Axes, lines: Table, x: str, y: str, label: str, colour: str) -> None:
    """Draw a curve with its 95 % interval as a band."""
    across, values, low, high = _columns(lines, x, y, f"{y}_low", f"{y}_high")
    place.plot(across, values, "o-", color=colour, markersize=3, linewidth=1.2, label=label)
    if lines and np.isfinite(np.array(low + high, float)).all():
        place.fill_between(across, low, high, color=colour, alpha=0.12, linewidth=0)
    place.xaxis.label.set_fontsize(8)
    place.yaxis.label.set_fontsize(8)
