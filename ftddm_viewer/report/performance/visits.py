"""The section of the performance page about many visitors of the page."""

from __future__ import annotations

from ftddm_viewer.bench.record import Line, Record
from ftddm_viewer.report.markdown import grid, plural, wrapped
from ftddm_viewer.report.page import joined, section
from ftddm_viewer.report.performance.words import place, short

TEXT = (
    "Visitors of one page at the same time, each with a session of its own: each moves τ_f every "
    "{interval:g} s for {seconds:g} s, at live settings. They are programs that speak the page's "
    "own protocol over HTTP and draw nothing; they share the processor with the page. The first "
    "image is the first to arrive that was made with the value of a move, or of a later one. An "
    "error is a request that failed, an image that did not come, or one of another visitor."
)

MEMORY = (
    "Memory is that of the page's process, which is a new one for each row: after a first visitor "
    "had gone, at the last moves, and after all had gone; the page keeps their studies for some "
    "minutes, in case they come back."
)

HEADS = (
    *("visitors", "moves", "first image: median, s", "95th percentile, s", "errors"),
    *("memory before, GB", "during", "after"),
)


def visits_section(record: Record) -> str:
    """Return the section, "" where this was not measured."""
    if "web" not in record:
        return ""
    found = record["web"]
    ran = found["machine"]
    where = (
        f"Measured on {place(found['device'])} with weights `{found['weights']}`: {ran['cpu']}, "
        f"{plural(ran['cores'], 'core')} available, GPU: {ran['gpu'] or 'none'}; {ran['system']}, "
        f"torch {ran['torch']}, ftddm-viewer {found['software']}. It is repeated by"
    )
    table = grid(HEADS, map(_row, found["rows"]), words=0)
    return joined(
        section("Many visitors of the page", TEXT.format(**found)),
        wrapped(where),
        f"```sh\n{found['command']}\n```",
        table,
        wrapped(MEMORY),
    )


def _row(line: Line) -> list[str]:
    memory = line["memory"].values()
    return [
        *(short(line[key]) for key in ("users", "moves", "p50", "p95", "errors")),
        *(short(None if held is None else held / 1e9) for held in memory),
    ]
