"""The sections of docs/results.md, each from a table of an evaluation; "" without the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ftddm_core.evaluation.checks import worst
from ftddm_core.evaluation.outcome import Outcome
from ftddm_core.evaluation.summary import GAIN_AT_DEFAULT
from ftddm_core.evaluation.tables import Table
from ftddm_viewer.report.evaluation.robust_sections import (
    lesions,
    robust_calibration,
    robust_sharpness,
    self_check,
)
from ftddm_viewer.report.markdown import (
    HEADS,
    by_factor,
    cell,
    counts,
    factors_of,
    grid,
    known,
    number,
    plural,
    wrapped,
)
from ftddm_viewer.report.page import Images, image, joined, section

LOSSES = {
    "valid_loss": "loss",
    "valid_low": "loss at levels up to 200",
    "valid_bits": "bits per voxel",
    "valid_image": "image loss",
}
"""Name of a loss in the training log -> its name on the page."""


def anatomies_of(cases: Mapping[str, Any]) -> str:
    """Return the origin of the patients of a record (`cases.record_of`) in words."""
    number = cases["anatomies"]
    return plural(number, "anatomy", "anatomies") if number else "studies provided by the user"


def _targets(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["checks"]
    if not table:
        return ""
    rows = []
    for line in worst(table):
        values = ", ".join(
            (f"{factor:g}×: " if factor else "") + _short(value) + ("" if passed else " ✗")
            for factor, value, passed in line["values"]
        )
        target = line["target"].replace("≥ 1e-09", "> 0")
        rows.append(
            [line["item"], line["what"], values, target, "reached" if line["passed"] else "missed"]
        )
    text = "Targets and measured values; ✗ marks the values that miss their target."
    heads = ["", "metric", "measured", "target", ""]
    return section("Targets", text, grid(heads, rows, 5))


def _short(value: float | None) -> str:
    """Return a number with three decimals below 1, else with two."""
    return number(value, 3 if value is not None and abs(value) < 1 else 2)


def _methods(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["methods"]
    if not table:
        return ""
    names = ", ".join(outcome.protocol.metabolites)
    parts = [section("Methods by factor", f"All metabolites: {names}.")]
    metrics = ("psnr", "ssim", "nrmse", "psnr_in_mask", "ssim_in_mask", "sharpness",
               "sharpness_noise_free", "contrast_error")  # fmt: skip
    for factor in factors_of(table):
        lines = [line for line in table if line["upscale"] == factor]
        shown = [f for f in metrics if any(np.isfinite(known(line, f)) for line in lines)]
        rows = [
            [line["method"], *(cell(line, f, interval=f in ("psnr", "ssim")) for f in shown)]
            for line in lines
        ]
        parts.append(f"### {factor:g}×\n\nMeans over {counts(lines)}.\n")
        parts.append(grid(["method", *(HEADS[f] for f in shown)], rows))
    parts.append(image(images, "factors.png", "PSNR, SSIM and sharpness by factor"))
    return joined(*parts)


def _part(outcome: Outcome, images: Images) -> str:
    parts: dict[tuple[str, ...], Table] = {}
    for line in outcome.tables["part"]:
        parts.setdefault(tuple(line["metabolites"]), []).append(line)
    if not parts:
        return ""
    text = (
        "Long chains and many samples run on a subset of the slices. Here all methods are compared "
        "on that subset."
    )
    found = [
        section(
            ", ".join(names),
            f"Means over {counts(table)} at each factor.",
            *(by_factor(table, "method", metric) for metric in ("psnr", "ssim", "sharpness")),
            level=3,
        )
        for names, table in parts.items()
    ]
    return section("All methods on a common subset", text, *found)


def _paired(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["paired"]
    if not table:
        return ""
    rows = [
        [
            f"{line['method']} − {line['other']}",
            f"{line['upscale']:g}×",
            str(line["slices"]),
            *(cell(line, metric, interval=True) for metric in ("psnr", "ssim", "sharpness")),
        ]
        for line in table
    ]
    heads = ["difference", "factor", "slices", "PSNR (dB)", "SSIM", "sharpness"]
    text = f"Paired differences, slice by slice: {counts(table)}."
    return section("Differences", text, grid(heads, rows))


def _tradeoff(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["tradeoff"]
    if not table:
        return ""
    text = (
        "FTDDM-100 with the full chain, both temperatures equal: a higher temperature gains "
        f"sharpness and loses PSNR. Means over {counts(table)} at each factor."
    )
    tables = [by_factor(table, "tau", metric) for metric in ("psnr", "ssim", "sharpness")]
    tables = [t.replace("| ", "| τ; ", 1) for t in tables]
    shown = image(images, "tradeoff.png", "PSNR against sharpness over the temperature")
    return section("Temperatures", text, *tables, shown)


def _choice(outcome: Outcome, images: Images) -> str:
    table = outcome.tables.get("choice", [])
    if not table:
        return ""
    others = outcome.record["others"]
    found = "none" if outcome.chosen is None else f"**{outcome.chosen:g}**"
    text = (
        f"On {plural(others['patients'], 'patient')} from validation subjects "
        f"({anatomies_of(others)}), which are not used for the results above: gain in PSNR (dB) "
        "and SSIM over zero-filling, and in PSNR over guided TV. Highest temperature that exceeds "
        f"zero-filling by {_margins(GAIN_AT_DEFAULT)}, has a higher SSIM, and exceeds guided TV "
        f"wherever the lowest temperature does, all by the lower ends of the intervals: {found}. "
        f"Means over {counts(table)} at each factor."
    )
    rows = [
        [
            f"{line['tau']:g}", f"{line['upscale']:g}×", cell(line, "psnr_gain", interval=True),
            cell(line, "ssim_gain"), cell(line, "tv_gain", interval=True),
            cell(line, "sharpness"), "yes" if line["passes"] else "no",
        ]
        for line in table
    ]  # fmt: skip
    heads = [
        "τ",
        "factor",
        "PSNR gain (dB)",
        "SSIM gain",
        "over guided TV (dB)",
        "sharpness",
        "passes",
    ]
    shown = image(images, "choice.png", "Gain over zero-filling against the temperature")
    return section("Choice of the default temperatures", text, grid(heads, rows), shown)


def _margins(margins: Mapping[float, float]) -> str:
    return ", ".join(f"{least:g} dB at {factor:g}×" for factor, least in margins.items())


def _truncation(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["truncation"]
    if not table:
        return ""
    text = (
        "Full chains at temperature 1; 0 is the flow alone, 1000 the full diffusion model. Means "
        f"over {counts(table)} at each factor."
    )
    tables = [by_factor(table, "t_trunc", metric) for metric in ("psnr", "ssim", "sharpness")]
    tables = [t.replace("| ", "| T_trunc; ", 1) for t in tables]
    shown = image(images, "truncation.png", "PSNR, SSIM and sharpness against T_trunc")
    return section("Truncation", text, *tables, shown)


def _calibration(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["calibration"]
    if not table:
        return ""
    rows = [
        [f"{line['upscale']:g}×",
         *(cell(line, f, interval=f == "coverage") for f in ("coverage", "spread_error", "crps"))]
        for line in table
    ]  # fmt: skip
    draws = len(table[0]["ranks"]) - 1
    text = (
        f"{draws} samples at temperature 1, {counts(table)} at each factor. A calibrated sampler "
        f"has {(draws - 1) / (draws + 1):.0%} of the voxels between its smallest and largest "
        "sample, and a spread as large as its error. CRPS is relative to the truth's range."
    )
    heads = ["factor", "share within", "spread / error → 1", "fair CRPS ↓"]
    shown = image(images, "calibration.png", "Rank histograms")
    return section("Calibration", text, grid(heads, rows), shown)


def _metabolites(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["metabolites"]
    if not table:
        return ""
    parts = [section("By metabolite", f"PSNR (dB) / SSIM; {counts(table)} in each cell.")]
    factors = factors_of(table)
    lines = {(e["method"], e["metabolite"], e["upscale"]): e for e in table}
    rows = []
    for method, metabolite in dict.fromkeys((e["method"], e["metabolite"]) for e in table):
        found = [lines.get((method, metabolite, factor), {}) for factor in factors]
        cells = [f"{cell(line, 'psnr')} / {cell(line, 'ssim')}" for line in found]
        rows.append([metabolite, method, *cells])
    heads = ["metabolite", "method", *(f"{factor:g}×" for factor in factors)]
    parts.append(grid(heads, rows, 2))
    return joined(*parts)


def _ablation(outcome: Outcome, images: Images) -> str:
    table = outcome.tables["ablation"]
    if not table:
        return ""
    rows = [
        [line["without"], f"{line['upscale']:g}×", *(cell(line, f) for f in
         ("psnr", "ssim", "sharpness")), cell(line, "change", interval=True)]
        for line in table
    ]  # fmt: skip
    heads = ["without", "factor", "PSNR (dB)", "SSIM", "sharpness", "change of PSNR (dB)"]
    text = f"FTDDM-100 at the default temperatures, {counts(table)}."
    return section("Without MRI", text, grid(heads, rows))


def _flow(outcome: Outcome, images: Images) -> str:
    table = outcome.tables.get("flow", [])
    if not table:
        return ""
    names = {
        "flow_bits": "flow", "gaussian_bits": "Gaussian", "flow_bits_wrong_level": "wrong level",
        "flow_bits_wrong_s": "wrong s", "flow_bits_shuffled_y": "another's y",
    }  # fmt: skip
    shown = [name for name in names if name in table[0]]
    rows = [[str(e["level"]), *(number(e[name], 3) for name in shown)] for e in table]
    text = (
        "Negative log-likelihood of held-out noisy truths at level t, in bits per voxel: of the "
        "flow; of a Gaussian around the regression whose variance was fitted on the other "
        "anatomies; and of the flow with a wrong level, a wrong s or another slice's map as "
        f"conditioning; {table[0]['slices']} slices over all factors."
    )
    return section("Flow likelihood", text, grid(["t", *(names[name] for name in shown)], rows))


def _scans(outcome: Outcome, images: Images) -> str:
    table = outcome.tables.get("scans", [])
    if not table:
        return ""
    text = (
        "Above, the acquired map is the truncated k-space of the masked truth: it has the truth's "
        "noise, and no signal from outside the mask enters it. A real coarse scan has its own "
        "noise and point spread and covers the whole head. Here the same patients are scanned at "
        "the coarse matrix instead. Methods that assume no signal outside the mask fail. Means "
        f"over {counts(table)} at each factor."
    )
    tables = [by_factor(table, "method", metric) for metric in ("psnr", "ssim", "sharpness")]
    return section("Coarse scans instead of truncated maps", text, *tables)


def _timing(outcome: Outcome, images: Images) -> str:
    timing = outcome.timing
    if not timing:
        return ""
    by_seconds: dict[float, str] = {}
    for name, seconds in timing["seconds"].items():
        by_seconds.setdefault(seconds, re.sub(r", (τ [\d.]+|default τ)", "", name))
    slowest = max(by_seconds)
    rows = [
        [
            name,
            _seconds(seconds),
            f"{slowest / seconds:,.0f}×" if slowest / seconds > 10 else f"{slowest / seconds:.2f}×",
        ]
        for seconds, name in by_seconds.items()
    ]
    text = (
        f"Seconds per slice on {timing['device']}, one method after the other in one run, "
        f"{timing['slices']} slices together."
    )
    return section("Time", text, grid(["method", "seconds", "faster than the slowest"], rows))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds >= 1e-3 else "< 0.001"


def _map_images(outcome: Outcome, images: Images) -> str:
    names = [name for name in images if name.startswith("maps-")]
    if not names:
        return ""
    text = (
        "One slice by every method, with its PSNR below each map. All maps share one colour scale."
    )
    shown = [image(images, name, f"Maps of {name[5:-4]}") for name in names]
    return section("Images", text, *shown)


def _training(outcome: Outcome, images: Images) -> str:
    weights = outcome.record["weights"]
    parts = []
    for which, curve in weights["curves"].items():
        if not curve:
            continue
        names = [name for name in curve[0] if name != "step"]
        before = weights["before"][which]
        rows = [[str(line["step"]), *(number(line[name], 4) for name in names)] for line in curve]
        heads = ["step", *(LOSSES.get(name, name) for name in names)]
        text = f"The {which}" + (f", after {before:,} steps of earlier runs:" if before else ":")
        parts.append(f"{text}\n\n{grid(heads, rows, 0)}")
    if not parts:
        return ""
    text = (
        "Losses of the averaged weights on the validation patients during the last run, as "
        "recorded with the weights. The learning rate falls to 0 towards the end of a run."
    )
    return section("Training curves", text, *parts)


def _measured_study(outcome: Outcome, images: Images) -> str:
    table = outcome.tables.get("real", [])
    if not table:
        return ""
    text = (
        "Measured maps are degraded to half of their matrix, enlarged to about the voxel size of "
        "the training data, truncated to the measured matrix, and compared with the measurement. "
        "This shows whether a measured map is read correctly, and whether its low frequencies, the "
        "mask and the MRI predict the higher ones; it cannot show that detail beyond the "
        "measurement is right. Full chains; all drawn detail is shown; `no MRI` hides T1 and "
        f"FLAIR. Means over {counts(table)}."
    )
    restored = image(images, "real-restored.png", "Measured maps restored")
    return section("A measured study", text, _extra(table), restored, _enlarged(outcome, images))


def _enlarged(outcome: Outcome, images: Images) -> str:
    table = outcome.tables.get("enlarged", [])
    if not table:
        return ""
    text = (
        "The same maps enlarged at the default settings, with the weights chosen by their "
        "self-check. There is no truth. What can be checked: the largest value against the "
        "zero-filled map's (far above 1: an invented hot spot), the mean at the mask's edge "
        "against the zero-filled map's (not 1: ringing), the mean gradient against the zero-filled "
        "map's, and the relative change of the acquired k-space."
    )
    rows = [
        [
            line["metabolite"],
            *(number(line[name]) for name in ("peak", "edge", "gradient")),
            number(line["residual"], 3),
        ]
        for line in table
    ]
    heads = [
        "metabolite", "maximum / zero-filled's", "edge / zero-filled's",
        "gradient / zero-filled's", "residual",
    ]  # fmt: skip
    shown = image(images, "real-enlarged.png", "Measured maps enlarged")
    return joined(wrapped(text), grid(heads, rows), shown)


def _glioma(outcome: Outcome, images: Images) -> str:
    table = outcome.tables.get("glioma", [])
    if not table:
        return ""
    text = (
        "The MRI and the tumour's outline are real, the maps are simulated. Means over "
        f"{counts(table)}."
    )
    shown = image(images, "glioma-mri.png", "Simulated maps on real MRI")
    return section("Simulated metabolites on real MRI of a glioma", text, _extra(table), shown)


def _extra(table: Table) -> str:
    metrics = ("psnr", "ssim", "sharpness", "contrast_error")
    shown = [f for f in metrics if any(np.isfinite(known(line, f)) for line in table)]
    rows = [
        [f"{line['upscale']:g}×", line["method"], *(cell(line, f) for f in shown)] for line in table
    ]
    return grid(["factor", "method", *(HEADS[f] for f in shown)], rows, 2)


SECTIONS: Sequence[Callable[[Outcome, Images], str]] = (
    _targets, robust_sharpness, self_check, lesions, robust_calibration, _map_images, _methods,
    _part, _paired, _tradeoff, _choice, _truncation, _calibration, _metabolites, _ablation, _scans,
    _flow, _timing, _training, _measured_study, _glioma,
)  # fmt: skip
"""In the order of the page; a section without data is left out."""
