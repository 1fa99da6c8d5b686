"""The performance page, written from a record alone."""

from __future__ import annotations

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.bench.record import Record
from ftddm_viewer.report.markdown import plural, wrapped
from ftddm_viewer.report.page import Images, joined
from ftddm_viewer.report.performance.sections import SECTIONS, tradeoff_section
from ftddm_viewer.report.performance.visits import visits_section
from ftddm_viewer.report.performance.words import place, short

PREFACE = (
    "**{notice}.** This page was written by `ftddm bench`; every number and figure on it comes "
    "from one run on one machine, which is repeated by",
    "```sh\n{command}\n```",
    "The input is **simulated**: the bundled case, {matrix} voxels in {slices} of {metabolites}, "
    "degraded {upscale:g}-fold and restored. Larger volumes repeat its slices; other matrices "
    "resample it to the same field of view. Times do not depend on the content of a map.",
    "A time is the median of up to {repeats}, fewer where one takes long. Times vary with the "
    "machine and its load; a ratio always compares two times of the same run.",
)


def page(record: Record, images: Images) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    record
        What was measured; see `measure`.
    images
        File name of each of the `plots` -> path relative to the page.
    """
    case = record["case"]
    preface = (
        text.format(
            notice=RESEARCH_ONLY,
            command=record["command"],
            matrix="×".join(str(n) for n in case["matrix"]),
            slices=plural(case["slices"], "slice"),
            metabolites=plural(case["metabolites"], "metabolite"),
            upscale=case["upscale"],
            repeats=plural(record["plan"]["repeats"], "repeat"),
        )
        for text in PREFACE
    )
    parts = ["# Performance", *(wrapped(text) for text in preface), _what_ran(record)]
    for run in record["devices"]:
        parts.append(f"## On {place(run['device'])}")
        parts += [section(run, record, images) for section in SECTIONS]
    parts += [tradeoff_section(record, images), visits_section(record)]
    return joined(*filter(None, parts)) + "\n"


def _what_ran(record: Record) -> str:
    found, live, weights = record["machine"], record["live"], record["weights"]
    memory = f"{short(found['memory'] / 1e9)} GB" if found["memory"] else "unknown"
    lines = [
        f"- Processor: {found['cpu']}, {plural(found['cores'], 'core')} available, "
        f"{plural(found['threads'], 'torch thread')}; memory: {memory}.",
        f"- GPU: {found['gpu'] or 'none'}.",
        f"- {found['system']}, torch {found['torch']}, ftddm-viewer {record['software']}.",
        f"- Weights `{weights['name']}`, `{weights['sha256'][:12]}`.",
        f"- Live images: sampler `{live['sampler']}`, "
        f"{plural(live['steps'] or live['t_trunc'], 'step')} from T_trunc {live['t_trunc']}.",
    ]
    return "\n".join(lines)
