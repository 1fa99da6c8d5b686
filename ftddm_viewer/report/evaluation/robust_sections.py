"""Results on patients unlike the training data, in Markdown."""

from __future__ import annotations

import numpy as np

from ftddm_core.evaluation.outcome import Outcome
from ftddm_core.evaluation.robustness import AT_DEFAULT, UNGUIDED
from ftddm_viewer.report.markdown import Line, cell, grid, known, number, plural, wrapped
from ftddm_viewer.report.page import Images, image, joined, section

OPENING = "Gain over zero-filling by kind of patient, the measured study first"

COLUMNS = {
    "zero": "τ 0", "default": "default τ", "one": "τ 1",
    "zero_unguided": "τ 0, no MRI", "default_unguided": "default τ, no MRI",
    "one_unguided": "τ 1, no MRI",
    "alone": "measurement alone", "inside": "inside", "off": "off", "exact": "exact",
    "automatic": "**automatic**",
}  # fmt: skip
"""Columns of the opening table -> their heads."""

SHARP = {
    "alone": "measurement alone", "zero": "τ 0", "default": "default τ", "one": "τ 1", "off": "off",
    "exact": "exact", "automatic": "automatic",
}  # fmt: skip


def opening(outcome: Outcome) -> str:
    """Return the opening table of the page, "" where no other kinds of patients were run."""
    table = outcome.tables.get("robustness", [])
    if not table:
        return ""
    rows = [
        [*_head(line), *(number(line[c]) for c in COLUMNS),
         number(line["detail"]), number(line["mri_weight"])]
        for line in table
    ]  # fmt: skip
    heads = [
        "maps", "acquired as", "factor", *COLUMNS.values(), "detail shown", "MRI weight",
    ]  # fmt: skip
    text = (
        "Gain in PSNR over zero-filling inside the mask in dB, mean over patients, slices and "
        "metabolites; a negative value means that the map became worse. Unless a column head says "
        "otherwise, data consistency is to within the noise, all drawn detail is shown, and chains "
        "take ten steps. `no MRI` has an MRI weight of 0. `measurement alone` and `inside` use no "
        "network. `off` and `exact` are the other choices of data consistency, at the default "
        "temperatures. `automatic` takes detail and MRI weight from the study's own self-check, as "
        "in normal use; the last two columns show what it took."
    )
    kinds = (
        "Measured maps are restored from half of their own matrix. All other patients are "
        "simulated: *literature*, with published concentrations; *randomised*, with random "
        "contrasts, MRI, masks and noise; *null*, whose detail no MRI shows; *swapped MRI*, with "
        "the MRI of another head; *hidden lesion*, with a tumour that the MRI does not show; "
        "*silent lesion*, with one that only the MRI shows. `masked` is the truncated k-space of "
        "the masked map, `scan` a coarse scan of the whole head."
    )
    return section(OPENING, text, wrapped(kinds), grid(heads, rows, 3))


def robust_sharpness(outcome: Outcome, images: Images) -> str:
    """Return the sharpness of the maps in the opening table, and the gain of the samples' mean."""
    table = outcome.tables.get("robust_sharpness", [])
    if not table:
        return ""
    gains = {_key(line): line for line in outcome.tables["robustness"]}
    rows = [
        [
            *_head(line),
            *(number(line[c]) for c in SHARP),
            number(gains[_key(line)]["mean"]),
            number(gains[_key(line)]["mean_unguided"]),
        ]
        for line in table
    ]
    heads = [
        "maps", "acquired as", "factor", *SHARP.values(), "mean of 16, τ 1 (dB)",
        "the same, no MRI (dB)",
    ]  # fmt: skip
    text = (
        "Sharpness of the maps in the first table, where 1 is as sharp as the truth, and the gain "
        "of the mean of 16 samples at temperature 1 over zero-filling inside the mask."
    )
    return section("Sharpness on other kinds of patients", text, grid(heads, rows, 3))


def self_check(outcome: Outcome, images: Images) -> str:
    """Return how well the self-check predicts the true gain."""
    table, shares = (outcome.tables.get(name, []) for name in ("self_check", "shares"))
    if not shares:
        return ""
    rows = [
        [line["kind"], str(line["maps"]), number(line["correlation"]),
         _of(line, "warned_losing", "losing"), _of(line, "warned_gaining", "gaining")]
        for line in table
    ]  # fmt: skip
    heads = [
        "maps", "number", "rank correlation", "warnings for maps that lose 0.5 dB",
        "warnings for maps that gain",
    ]  # fmt: skip
    text = (
        "The self-check degrades a study twofold once more, restores it and compares it with "
        "itself; it needs no truth. Here its gain over zero-filling is compared with the true gain "
        "of the same settings at the study's own matrix, for every map that can be checked. It "
        "warns of a study whose mean gain is negative, or in which any map loses more than 0.5 dB."
    )
    parts = [section("Self-check and true gain", text)]
    if rows:
        parts.append(grid(heads, rows))
    share_rows = [
        [
            line["kind"], f"{line['upscale']:g}×", "yes" if line["checked"] else "no",
            number(line["share"]), number(line["right"]), number(line["mri_weight"]),
            number(line["found"]), number(line["true"]), number(line["within"]),
        ]
        for line in shares
    ]  # fmt: skip
    parts.append(
        "By factor: the median share of the detail that automatic weights show (fixed where a "
        "matrix is too small to be halved), and the median share that the truth supports; the mean "
        "MRI weight; the mean gain by the self-check, and the mean true gain; and the share of "
        "voxels within the range of the check's own samples."
    )
    heads = [
        "maps", "factor", "checked", "detail shown", "detail supported", "MRI weight",
        "gain by the check (dB)", "true gain (dB)", "share within",
    ]  # fmt: skip
    parts.append(grid(heads, share_rows, 3))
    parts.append(image(images, "self-check.png", "Gain by the self-check against the true gain"))
    return joined(*parts)


def lesions(outcome: Outcome, images: Images) -> str:
    """Return the errors of the lesions, compared with zero-filling."""
    table = outcome.tables.get("lesions", [])
    if not table:
        return ""
    methods = list(dict.fromkeys(line["method"] for line in table))
    lines = {(*_key(line), line["method"]): line for line in table}
    rows = []
    for key in dict.fromkeys(_key(line) for line in table):
        found = [lines.get((*key, method), {}) for method in methods]
        cells = [f"{_percent(e, 'mean_error')} / {_percent(e, 'ratio_error')}" for e in found]
        rows.append([key[0], key[1], f"{key[2]:g}×", *cells])
    heads = [
        "lesion", "acquired as", "factor", *(m.replace(UNGUIDED, ", no MRI") for m in methods)
    ]  # fmt: skip
    patients = max(line["patients"] for line in table)
    text = (
        "Relative errors against the noise-free truth, in per cent: that of the mean over the "
        "lesion's trusted voxels / that of the ratio of the choline and NAA means, averaged over "
        f"{plural(patients, 'patient')} and the metabolites. A *literature* lesion shows in maps "
        f"and MRI, a *hidden* one in the maps only, a *silent* one in the MRI only. `{AT_DEFAULT}` "
        "has an MRI weight of 1 and shows all drawn detail."
    )
    return section("Lesions", text, grid(heads, rows, 3))


def robust_calibration(outcome: Outcome, images: Images) -> str:
    """Return whether the spread of the samples matches the actual error, by kind of patient."""
    table = outcome.tables.get("robust_calibration", [])
    if not table:
        return ""
    # Records of before the widening lack it.
    wide = all("widened" in line for line in table)
    figures = ("coverage", *(("widened",) if wide else ()), "spread_error", "crps")
    rows = [
        [*_head(line), str(line["mri_weight"]), *(cell(line, figure) for figure in figures)]
        for line in table
    ]
    draws = len(table[0]["ranks"]) - 1
    text = (
        f"{draws} samples at temperature 1 with all drawn detail, as under Calibration: "
        f"{(draws - 1) / (draws + 1):.0%} of the voxels should lie within their range."
    )
    if wide:
        text += (
            " Widened: the same with the deviation that is shown and saved, which is larger than "
            "the samples' at 4x and 8x for maps that vary a lot."
        )
    heads = [
        "maps", "acquired as", "factor", "MRI weight", "share within",
        *(("widened",) if wide else ()), "spread / error → 1", "fair CRPS ↓",
    ]  # fmt: skip
    return section("Calibration by kind of patient", text, grid(heads, rows, 3))


def _head(line: Line) -> list[str]:
    return [line["kind"], line["acquisition"], f"{line['upscale']:g}×"]


def _key(line: Line) -> tuple[str, str, float]:
    return line["kind"], line["acquisition"], line["upscale"]


def _percent(line: Line, name: str) -> str:
    return number(100 * known(line, name), 1)


def _of(line: Line, share: str, count: str) -> str:
    """Return how many of the maps that a share is of, in words."""
    found = known(line, share) * line[count]
    return f"{round(found)} of {line[count]}" if np.isfinite(found) else "no such map"
