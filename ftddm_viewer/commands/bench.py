"""`ftddm bench`: how fast it is on this machine, as JSON and as a page."""

from __future__ import annotations

import shlex
from argparse import Namespace
from functools import partial
from io import BytesIO
from pathlib import Path

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.model.checkpoint import load_weights
from ftddm_core.sampling.device import pick_device
from ftddm_viewer.bench.inputs import bundled_study
from ftddm_viewer.bench.measure import measure
from ftddm_viewer.bench.plan import FULL, QUICK
from ftddm_viewer.bench.record import Record, encode_record, read_record
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.report.excerpt import with_excerpt
from ftddm_viewer.report.markdown import plural
from ftddm_viewer.report.performance.excerpt import excerpt
from ftddm_viewer.report.performance.page import page
from ftddm_viewer.report.performance.plots import plots
from ftddm_viewer.session.jobs import apart
from ftddm_viewer.session.saving import check_writable, save_files


def bench(options: Namespace) -> None:
    """Measure and write a record, or read one; write the page that follows from it."""
    _check_files(options)
    if options.source:
        record = read_record(options.source)
        try:
            files = _page_files(record, options.markdown)
        except (AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
            raise FormatError(
                f"{options.source} lacks a part of a record ({type(error).__name__}: {error}): "
                f"make it again with ftddm bench --json {options.source.name}."
            ) from None
    else:
        record = _measured(options)
        files = _page_files(record, options.markdown)
        name = options.json.name
        save_files({name: encode_record(record)}, options.json.parent, overwrite=True)
    save_files(files, options.markdown.parent, overwrite=True)
    if options.readme:
        text = with_excerpt(options.readme, "bench", excerpt(record))
        save_files({options.readme.name: text.encode()}, options.readme.parent, overwrite=True)
    _say(record, options)


def _check_files(options: Namespace) -> None:
    """Refuse files that cannot be written, before any work is done."""
    markdown: Path = options.markdown
    if not markdown.suffix:
        raise SettingsError(f"--markdown is a file, such as {markdown}.md; {markdown} is not.")
    if markdown in (options.json, options.source):
        raise SettingsError(f"{markdown} cannot hold both the record and the page; name two files.")
    check_writable(markdown.parent, [markdown.name], overwrite=True)
    check_writable(markdown.parent / markdown.stem, [], overwrite=True)
    if options.readme:
        with_excerpt(options.readme, "bench", "")  # so that a file without marks is refused now
    if options.json:
        check_writable(options.json.parent, [options.json.name], overwrite=True)


def _measured(options: Namespace) -> Record:
    apart(partial(load_weights, options.weights))  # refused now if there are none
    devices = [options.device]
    if options.device is None:  # a machine with a GPU has two that are worth knowing
        devices = [*dict.fromkeys((str(pick_device()), "cpu"))]
    pick_device(devices[0])
    plan = QUICK if options.quick else FULL
    study, command = bundled_study(), _command(options)
    return measure(study, options.weights, devices, plan, progress_bar, command)


def _page_files(record: Record, markdown: Path) -> dict[str, bytes]:
    """Return the page and its figures, in a folder of its name: relative name -> content."""
    pictures, files = {}, {}
    for name, figure in plots(record).items():
        pictures[name] = f"{markdown.stem}/{name}"
        content = BytesIO()
        save_figure(figure, content)
        files[pictures[name]] = content.getvalue()
    return {markdown.name: page(record, pictures).encode()} | files


def _command(options: Namespace) -> str:
    """Return the command that measures again, with names in place of folders elsewhere."""
    words = ["ftddm", "bench"]
    for flag in ("json", "markdown"):
        path: Path = getattr(options, flag)
        words += [f"--{flag}", path.name if path.is_absolute() else path.as_posix()]
    if options.readme:
        words += ["--readme", options.readme.name]
    if options.device is not None:
        words += ["--device", options.device]
    if options.weights != "small":
        words += ["--weights", Path(options.weights).name]
    return shlex.join([*words, "--quick"] if options.quick else words)


def _say(record: Record, options: Namespace) -> None:
    for run in record["devices"]:
        missed = [line for line in run["bars"] if not line["reached"]]
        total = plural(len(run["bars"]), "bar")
        print(f"{run['device']}: {len(run['bars']) - len(missed)} of {total} reached.")
        for line in missed:
            value = "not measured" if line["value"] is None else f"{line['value']:.3g}"
            print(f"  missed: {line['what']}: {value} {line['unit']}, bar {line['bar']:g}")
    print(f"Page in {options.markdown}.")
