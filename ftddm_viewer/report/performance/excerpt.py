"""A few results of a benchmark for another page."""

from __future__ import annotations

from ftddm_viewer.bench.record import Record
from ftddm_viewer.report.markdown import grid, plural
from ftddm_viewer.report.page import joined
from ftddm_viewer.report.performance.words import place, short, times


def excerpt(record: Record) -> str:
    """Return a table of the times that matter to users, and the machine they were measured on."""
    parts = []
    machine = record["machine"]
    for run in record["devices"]:
        moves = {line["move"]: line for line in run["moves"]}
        rows = [
            [what, short(moves["tau_flow"][which]), ""]
            for what, which in (
                ("first image after a move of τ_f", "first"),
                ("its final image", "final"),
            )
        ]
        slowest = next(line["method"] for line in run["comparisons"] if line["key"] == "ddpm")
        wanted = ("chain", "ddpm", "paper")
        rows += [
            [f"one slice, {line['method']}", short(line["seconds"]), times(line["over_ddpm"])]
            for line in run["comparisons"]
            if line["key"] in wanted
        ]
        rows += [
            [f"whole volume, {line['what']} ({line['slices']} slices)", short(line["seconds"]), ""]
            for line in run["volumes"]
        ]
        table = grid(["", "seconds", f"faster than {slowest.partition(', the')[0]}"], rows)
        name = machine["gpu"] if run["device"].startswith("cuda") else machine["cpu"]
        cores = "" if run["device"] != "cpu" else f", {plural(machine['cores'], 'core')}"
        parts.append(f"{table}\n\nOn {place(run['device'])} ({name}{cores}).")
    return joined(*parts)
