"""What happens on patients who are not as the networks were taught, in Markdown."""

from __future__ import annotations

import numpy as np

from ftddm_core.evaluation.outcome import Outcome
from ftddm_core.evaluation.robustness import AT_DEFAULT, UNGUIDED
from ftddm_viewer.report.markdown import Line, cell, grid, known, number, plural, wrapped
from ftddm_viewer.report.page import Images, image, joined, section

OPENING = "No harm: gain over zero-filling, the measured study first"

COLUMNS = {
    "zero": "τ 0", "default": "default τ", "one": "τ 1",
    "zero_unguided": "τ 0, no MRI", "default_unguided": "default τ, no MRI",
    "one_unguided": "τ 1, no MRI",
    "alone": "measurement alone", "inside": "inside", "off": "off", "exact": "exact",
    "automatic": "**automatic**",
}  # fmt: skip
"""Of the opening table: column -> head."""

SHARP = {
    "alone": "measurement alone", "zero": "τ 0", "default": "default τ", "one": "τ 1", "off": "off",
    "exact": "exact", "automatic": "automatic",
}  # fmt: skip


def opening(outcome: Outcome) -> str:
    """Return the table that the page opens with, "" where no other kinds of patients were run."""
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
        "PSNR inside the mask over zero-filling's, in dB, mean over patients, slices and "
        "metabolites; below 0 the network did harm. All with data consistency to within the noise "
        "and all drawn detail shown, in ten steps, unless a head says otherwise: `no MRI` has an "
        "MRI weight of 0; `measurement alone` and `inside` have no network; `off` and `exact` are "
        "the other choices of consistency at the default temperatures; `automatic` takes detail "
        "and MRI weight from the study's own self-check, as a user gets them, and the last two "
        "columns say what it took."
    )
    kinds = (
        "Measured maps are restored from half of their own matrix. The others are simulated: as "
        "the literature has them; *null*, whose detail no MRI shows; *swapped*, with another "
        "head's MRI; with a tumour that the MRI does not show (*hidden*), or one that the maps do "
        "not show (*silent*). `masked` cuts down the k-space of the masked map, `scan` is a coarse "
        "scan of the whole head."
    )
    return section(OPENING, text, wrapped(kinds), grid(heads, rows, 3))


def robust_sharpness(outcome: Outcome, images: Images) -> str:
    """Return how sharp the maps of the opening table are, and the mean of several samples."""
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
        "Sharpness of the maps above, 1 is as sharp as the truth; and what the mean of 16 samples "
        "at temperature 1 gains over zero-filling inside the mask."
    )
    return section("Sharpness on other kinds of patients", text, grid(heads, rows, 3))


def self_check(outcome: Outcome, images: Images) -> str:
    """Return how well the self-check foretells what the truth says."""
    table, shares = (outcome.tables.get(name, []) for name in ("self_check", "shares"))
    if not shares:
        return ""
    rows = [
        [line["kind"], str(line["maps"]), number(line["correlation"]),
         _of(line, "warned_losing", "losing"), _of(line, "warned_gaining", "gaining")]
        for line in table
    ]  # fmt: skip
    heads = [
        "maps", "number", "rank correlation", "warned where it loses 0.5 dB",
        "warned where it gains",
    ]  # fmt: skip
    text = (
        "The self-check degrades a study twofold once more, restores it and compares it with "
        "itself: it needs no truth. Here its gain over zero-filling stands beside the true one, of "
        "the same settings at the study's own matrix, for every map that can be checked. It warns "
        "of a study whose mean gain is below 0, or of which any map loses more than 0.5 dB."
    )
    parts = [section("The self-check beside the truth", text)]
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
        "By factor: the median share of the detail that is shown where it is automatic (fixed "
        "where a matrix is too small to be halved), and of the one that the truth supports; the "
        "mean MRI weight; the mean gains that were found and that are true; and the share of "
        "voxels within the check's own samples."
    )
    heads = [
        "maps", "factor", "checked", "detail shown", "right", "MRI weight", "gain found (dB)",
        "true gain (dB)", "within",
    ]  # fmt: skip
    parts.append(grid(heads, share_rows, 3))
    parts.append(image(images, "self-check.png", "Self-check beside the truth"))
    return joined(*parts)


def lesions(outcome: Outcome, images: Images) -> str:
    """Return how far lesions are from the truth, beside zero-filling."""
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
        "The mean over the lesion's trusted voxels of every map, and the ratio of the means of "
        "choline and NAA: the error of the mean / that of Cho/NAA, in per cent of the noise-free "
        f"truth, averaged over {plural(patients, 'patient')} and the metabolites. A *literature* "
        "lesion shows in maps and MRI, a *hidden* one in the maps alone, a *silent* one in the MRI "
        f"alone. `{AT_DEFAULT}` has all of the MRI and of the detail."
    )
    return section("Lesions", text, grid(heads, rows, 3))


def robust_calibration(outcome: Outcome, images: Images) -> str:
    """Return whether the spread of the samples matches the actual error, by kind of patient."""
    table = outcome.tables.get("robust_calibration", [])
    if not table:
        return ""
    rows = [
        [*_head(line), str(line["mri_weight"]),
         *(cell(line, f) for f in ("coverage", "spread_error", "crps"))]
        for line in table
    ]  # fmt: skip
    draws = len(table[0]["ranks"]) - 1
    text = (
        f"{draws} samples at temperature 1 with all of the detail, as under Calibration: the share "
        f"of voxels within their range should be {(draws - 1) / (draws + 1):.0%}."
    )
    heads = [
        "maps", "acquired as", "factor", "MRI weight", "share within", "spread / error → 1",
        "fair CRPS ↓",
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
    return f"{round(found)} of {line[count]}" if np.isfinite(found) else "none does"
