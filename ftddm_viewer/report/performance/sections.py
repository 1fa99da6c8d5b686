"""The sections of the performance page, each from a table of a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ftddm_viewer.bench.record import Line, Record
from ftddm_viewer.report.markdown import HEADS, cell, grid, plural, wrapped
from ftddm_viewer.report.page import Images, image, joined, section
from ftddm_viewer.report.performance.words import figure_name, milliseconds, place, short, times

MOVE_WORDS = {
    "tau_flow": "τ_f",
    "tau_diffusion": "τ_d",
    "t_trunc": "T_trunc",
    "seed": "seed",
    "upscale": "factor s",
    "slice": "slice",
    "metabolite": "metabolite",
}


def _targets(run: Record, record: Record, images: Images) -> str:
    text = (
        "Targets and measured values; ✗ marks what missed its target. Targets for time hold for "
        "two CPU cores, or for a GPU."
    )
    rows = []
    for line in run["targets"]:
        sign = "≤" if line["better"] == "lower" else "≥"
        measured = f"{short(line['value'])} {line['unit']}".strip()
        if line["value"] is None:
            measured = "not measured"
        verdict = "reached" if line["reached"] else "✗ missed"
        rows.append([line["what"], measured, f"{sign} {short(line['target'])}", verdict])
    return section("Targets", text, grid(["", "measured", "target", ""], rows), level=3)


def _calls(run: Record, record: Record, images: Images) -> str:
    text = (
        "One call of each network, and of the data consistency, which calls no network. A chain "
        "calls the flow once (its encoding and its inverse) and the denoiser once per step. The "
        "consistency update follows every call of the denoiser: it holds the estimate to the "
        "measurement. It solves a linear system with the consistency factor (a Cholesky factor), "
        "which is computed once per slice, whatever the number of steps, samples and moves. The "
        "slices of a volume go through all of them in batches."
    )
    rows = [
        [line["what"], str(line["batch"]), milliseconds(line["seconds"]),
         milliseconds(line["seconds"] / line["batch"])]
        for line in run["calls"]
    ]  # fmt: skip
    heads = ["", "slices in a batch", "ms per call", "ms per slice"]
    return section("Single calls", text, grid(heads, rows), level=3)


def _moves(run: Record, record: Record, images: Images) -> str:
    text = (
        "Time from moving a control to the image, measured from the front end's call to the "
        "callback with the image. The first image is a running estimate, the final one is the "
        "result. In brackets: the same time in denoiser calls for one slice, as measured above. A "
        "move of the factor also degrades the study again."
    )
    rows = [
        [MOVE_WORDS[line["move"]], *(
            f"{milliseconds(line[which])} ({short(line[f'{which}_calls'])})"
            for which in ("first", "final")
        )]
        for line in run["moves"]
    ]  # fmt: skip
    heads = ["control", "first image, ms (calls)", "final image, ms (calls)"]
    return section("Latency after a move", text, grid(heads, rows), level=3)


def _mri_weights(run: Record, record: Record, images: Images) -> str:
    text = (
        "Latency after a move of τ_f, measured as above, by MRI weight and data consistency; the "
        "settings alternate, and relative values refer to the first row. With an MRI weight "
        "between 0 and 1, every slice goes through the networks twice, with its MRI and without. "
        "With data consistency off, every step still evaluates the measurement for the reported "
        "residual; the cost of the update is in the table of single calls."
    )
    rows = [
        [f"{line['mri_weight']:g}", line["consistency"], *(
            shown
            for which in ("first", "final")
            for shown in (milliseconds(line[which]), times(line[f"{which}_relative"]))
        )]
        for line in run["mri_weights"]
    ]  # fmt: skip
    heads = ["MRI weight", "data consistency", "first image, ms", "relative"]
    table = grid([*heads, "final image, ms", "relative"], rows, words=2)
    return section("MRI weight and data consistency", text, table, level=3)


def _drag(run: Record, record: Record, images: Images) -> str:
    found = run["drag"]
    text = (
        f"τ_f is moved {found['moves']} times in {short(found['seconds'])} s, faster than a chain "
        "ends. The newest setting wins; a superseded chain may still show its first image, so that "
        "images keep coming, and then ends at its next step."
    )
    overstay = f"{milliseconds(found['overstay'])} ms, {short(found['overstay_calls'])} calls"
    begun = plural(found["lingered_steps"], "step")
    lingered = f"{milliseconds(found['lingered'])} ms, {begun} begun"
    rows = [
        ["chains started", short(found["runs"])],
        ["most chains running at once", short(found["most"])],
        ["images during the drag", short(found["images"])],
        ["longest time without a new image", f"{milliseconds(found['gap'])} ms"],
        ["final image after the last move", f"{milliseconds(found['final'])} ms"],
        ["final image after a single move", f"{milliseconds(found['undisturbed'])} ms"],
        ["longest time that a chain ran on after it was superseded", overstay],
        ["the same after its first image", lingered],
    ]
    return section("Dragging a slider", text, grid(["", "measured"], rows), level=3)


def _sweeps(run: Record, record: Record, images: Images) -> str:
    if "sweeps" not in run:  # of an earlier version
        return ""
    text = (
        "Sweeps of the trade-off explorer, in a session whose live images they are compared with. "
        "Points that differ in temperatures are drawn in one batch. Without a reference every "
        "point takes two images: its own, and that of the study degraded once more, whose gain is "
        "known."
    )
    rows = [
        [
            "with a reference" if line["reference"] else "without one",
            line["swept"],
            str(line["points"]),
            milliseconds(line["live"]),
            milliseconds(line["point"]),
            times(line["relative"]),
        ]
        for line in run["sweeps"]
    ]
    heads = ["study", "swept", "points", "live image, ms", "one point, ms", "relative"]
    return section("Sweeps", text, grid(heads, rows, words=2), level=3)


def _comparisons(run: Record, record: Record, images: Images) -> str:
    lines = run["comparisons"]
    keys = [line["key"] for line in lines]
    text = (
        f"One {'×'.join(str(n) for n in record['case']['matrix'])} slice with the same "
        "conditioning. DDPM starts from noise and takes every step with the same denoiser; the "
        "paper's architecture has the sizes of Dong et al. 2025, untrained, since speed does not "
        "depend on training."
    )
    if "diffusers" in keys:
        text += (
            " The UNet of diffusers is untrained too; it gets the same conditioning as further "
            "channels, and has no flow."
        )
    else:
        text += " diffusers is not installed here, so its UNet is missing."
    slow = {line["key"]: line["method"] for line in lines}
    rows = [
        [line["method"], str(line["calls"]), short(line["seconds"]), times(line["over_ddpm"]),
         times(line["over_paper"])]
        for line in lines
    ]  # fmt: skip
    heads = ["method", "denoiser calls", "seconds"]
    heads += [f"faster than {slow[key].partition(', the')[0]}" for key in ("ddpm", "paper")]
    return section("One slice", text, grid(heads, rows), level=3)


def _volumes(run: Record, record: Record, images: Images) -> str:
    plan, memory = record["plan"], run["memory"]
    text = (
        f"A volume of {plural(plan['volume_slices'], 'slice')} and "
        f"{plural(plan['volume_metabolites'], 'metabolite')}; every slice counts once per "
        "metabolite."
    )
    rows = [
        [line["what"], str(line["slices"]), short(line["seconds"]), short(line["slices_a_second"])]
        for line in run["volumes"]
    ]
    table = grid(["what", "slices", "seconds", "slices per second"], rows)
    if memory is None:
        usage = "Its memory was not measured here."
    else:
        usage = (
            f"In a separate process, the live volume took at most {short(memory['above'] / 1e9)} "
            f"GB beyond the {short(memory['model'] / 1e9)} GB held after the first call of the "
            "networks."
        )
    return section("Whole volumes", text, table, wrapped(usage), level=3)


def _growth(run: Record, record: Record, images: Images) -> str:
    text = (
        "One slice with live settings, one size varied at a time; the last column is relative to "
        "the first row of the same size. The dotted lines in the figure are proportional to the "
        "number of voxels, slices, samples or steps."
    )
    first: dict[str, float] = {}
    rows = []
    for line in run["growth"]:
        first.setdefault(line["varied"], line["seconds"])
        ratio = times(line["seconds"] / first[line["varied"]])
        rows.append([line["varied"], str(line["value"]), short(line["seconds"]), ratio])
    table = grid(["varied", "value", "seconds", "relative"], rows)
    name = figure_name(run["device"], "growth")
    words = f"Seconds on {place(run['device'])} against matrix, slices, samples and steps"
    return section("Scaling", text, table, image(images, name, words), level=3)


SECTIONS: Sequence[Callable[[Record, Record, Images], str]] = (
    _targets, _calls, _moves, _mri_weights, _drag, _sweeps, _comparisons, _volumes,
    _growth,
)  # fmt: skip
"""Sections of one device in the order of the page; arguments: its run, the record, the images."""


def tradeoff_section(record: Record, images: Images) -> str:
    """Return the quality of every sampler with few steps."""
    table = record["tradeoff"]
    text = (
        "The bundled case compared with its truth, by the number of denoiser calls, for every "
        "sampler and for the full chain, at the default temperatures and at 1; over "
        f"{plural(table[0]['slices'], 'slice')}, counted once per metabolite. The aim is to come "
        "close to the full chain: an image closer to the average of all plausible maps has a "
        "higher PSNR but less detail. Sharpness is the detail beyond what was acquired relative to "
        "the truth's: 1 is as sharp, more is grainier."
    )
    parts = [section("Quality with fewer steps", text)]
    for words, lines in by_temperature(table).items():
        parts.append(section(f"At {words}", _full_chain(lines), level=3))
        parts += [_by_calls(lines, metric) for metric in ("psnr", "ssim", "sharpness")]
    shown = "PSNR, SSIM and sharpness against calls of the denoiser"
    parts.append(image(images, "tradeoff.png", shown))
    return joined(*parts)


def by_temperature(table: Sequence[Line]) -> dict[str, list[Line]]:
    """Return the lines of the trade-off by pair of temperatures, keyed by its heading."""
    found: dict[str, list[Line]] = {}
    for line in table:
        words = f"τ_f {line['tau_flow']:g} and τ_d {line['tau_diffusion']:g}"
        found.setdefault(words, []).append(line)
    return found


def _full_chain(lines: Sequence[Line]) -> str:
    full = next(line for line in lines if line["full"])
    return (
        f"The full chain, `{full['sampler']}` with {plural(full['calls'], 'call')}, has a PSNR of "
        f"{cell(full, 'psnr')} dB, an SSIM of {cell(full, 'ssim')} and a sharpness of "
        f"{cell(full, 'sharpness')}."
    )


def _by_calls(lines: Sequence[Line], metric: str) -> str:
    known = {(line["sampler"], line["calls"]): line for line in lines if not line["full"]}
    calls = sorted({n for _, n in known})
    rows = [
        [f"`{sampler}`", *(cell(known[sampler, n], metric) for n in calls)]
        for sampler in dict.fromkeys(name for name, _ in known)
    ]
    return grid([f"{HEADS[metric]}; calls", *(str(n) for n in calls)], rows)
