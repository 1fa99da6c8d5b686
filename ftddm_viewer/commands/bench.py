"""`ftddm bench`: speed on this machine, as a JSON record and as a page."""

from __future__ import annotations

import shlex
from argparse import Namespace
from functools import partial
from pathlib import Path

from ftddm_core.errors import SettingsError
from ftddm_core.model.checkpoint import load_weights
from ftddm_core.sampling.device import pick_device
from ftddm_viewer.bench.inputs import bundled_study
from ftddm_viewer.bench.measure import measure
from ftddm_viewer.bench.plan import FULL, QUICK
from ftddm_viewer.bench.record import FORMAT, Record
from ftddm_viewer.bench.visits import Crowd, visits
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.commands.report_files import ReportFiles, named
from ftddm_viewer.report.markdown import plural
from ftddm_viewer.report.performance.excerpt import excerpt
from ftddm_viewer.report.performance.page import page
from ftddm_viewer.report.performance.plots import plots
from ftddm_viewer.report.performance.words import short
from ftddm_viewer.report.records import read_record
from ftddm_viewer.session.jobs import apart


def bench(options: Namespace) -> None:
    """Measure and write a record, or read one; write its page."""
    source = options.source
    if not options.web and (options.users or options.seconds):
        raise SettingsError("--users and --seconds are about visitors of the page: add --web.")
    if options.web and source:
        raise SettingsError("--web measures: name the record that it is added to with --json.")
    files = ReportFiles(
        "bench", source or options.json, options.markdown, options.readme, given=bool(source)
    )
    files.check()
    if options.web:
        record = _visited(options)
    else:
        record = read_record(source, "bench", FORMAT) if source else _measured(options)
    files.write(record, plots, page, excerpt)
    _say(record, options)


def _visited(options: Namespace) -> Record:
    """Return the record that is there, with what many visitors of the page were measured to
    wait."""
    if not options.json.is_file():
        raise SettingsError(
            f"{options.json} is not there: --web adds to a record, made by ftddm bench without it."
        )
    record = read_record(options.json, "bench", FORMAT)
    _check_weights(options)
    given = {name: getattr(options, name) for name in ("users", "seconds")}
    chosen = {name: value for name, value in given.items() if value is not None}
    if "users" in chosen:
        chosen["users"] = tuple(chosen["users"])
    device = options.device or str(pick_device())
    command = _command(options)
    found = visits(Crowd(**chosen), options.weights, device, progress_bar, command)
    return {**record, "web": found}


def _check_weights(options: Namespace) -> None:
    """Fail early if there are none."""
    apart(partial(load_weights, options.weights))


def _measured(options: Namespace) -> Record:
    _check_weights(options)
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
    if options.web:
        words += ["--web"]
        words += ["--users", *map(str, options.users)] if options.users else []
        words += ["--seconds", str(options.seconds)] if options.seconds else []
    return shlex.join([*words, "--quick"] if options.quick else words)


def _say(record: Record, options: Namespace) -> None:
    for run in record["devices"]:
        missed = [line for line in run["targets"] if not line["reached"]]
        total = plural(len(run["targets"]), "target")
        print(f"{run['device']}: {len(run['targets']) - len(missed)} of {total} reached.")
        for line in missed:
            value = "not measured" if line["value"] is None else f"{line['value']:.3g}"
            print(f"  missed: {line['what']}: {value} {line['unit']}, target {line['target']:g}")
    for row in record["web"]["rows"] if "web" in record else ():
        print(
            f"page, {plural(row['users'], 'visitor')}: first image after {short(row['p50'])} s, "
            f"{short(row['p95'])} s at the 95th percentile; {plural(row['errors'], 'error')}."
        )
        for words in row["told"]:
            print(f"  error: {words}")
    print(f"Page in {options.markdown}.")
