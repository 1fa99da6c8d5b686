"""`ftddm bench`: speed on this machine, as a JSON record and as a page."""

from __future__ import annotations

import shlex
from argparse import Namespace
from functools import partial
from pathlib import Path

from ftddm_core.model.checkpoint import load_weights
from ftddm_core.sampling.device import pick_device
from ftddm_viewer.bench.inputs import bundled_study
from ftddm_viewer.bench.measure import measure
from ftddm_viewer.bench.plan import FULL, QUICK
from ftddm_viewer.bench.record import FORMAT, Record
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.commands.report_files import ReportFiles, named
from ftddm_viewer.report.markdown import plural
from ftddm_viewer.report.performance.excerpt import excerpt
from ftddm_viewer.report.performance.page import page
from ftddm_viewer.report.performance.plots import plots
from ftddm_viewer.report.records import read_record
from ftddm_viewer.session.jobs import apart


def bench(options: Namespace) -> None:
    """Measure and write a record, or read one; write its page."""
    source = options.source
    files = ReportFiles(
        "bench", source or options.json, options.markdown, options.readme, given=bool(source)
    )
    files.check()
    record = read_record(source, "bench", FORMAT) if source else _measured(options)
    files.write(record, plots, page, excerpt)
    _say(record, options)


def _measured(options: Namespace) -> Record:
    apart(partial(load_weights, options.weights))  # fail early if there are none
    devices = [options.device]
    if options.device is None:  # with a GPU, both devices are of interest
        devices = [*dict.fromkeys((str(pick_device()), "cpu"))]
    pick_device(devices[0])
    plan = QUICK if options.quick else FULL
    study, command = bundled_study(), _command(options)
    return measure(study, options.weights, devices, plan, progress_bar, command)


def _command(options: Namespace) -> str:
    """Return the command that repeats the measurement, with names in place of absolute folders."""
    words = ["ftddm", "bench"]
    for flag in ("json", "markdown"):
        words += [f"--{flag}", named(getattr(options, flag))]
    if options.readme:
        words += ["--readme", options.readme.name]
    if options.device is not None:
        words += ["--device", options.device]
    if options.weights != "small":
        words += ["--weights", Path(options.weights).name]
    return shlex.join([*words, "--quick"] if options.quick else words)


def _say(record: Record, options: Namespace) -> None:
    for run in record["devices"]:
        missed = [line for line in run["targets"] if not line["reached"]]
        total = plural(len(run["targets"]), "target")
        print(f"{run['device']}: {len(run['targets']) - len(missed)} of {total} reached.")
        for line in missed:
            value = "not measured" if line["value"] is None else f"{line['value']:.3g}"
            print(f"  missed: {line['what']}: {value} {line['unit']}, target {line['target']:g}")
    print(f"Page in {options.markdown}.")
