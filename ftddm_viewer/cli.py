"""The command `ftddm`: its arguments and its errors. The commands themselves are in `commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

from ftddm_core.errors import Cancelled
from ftddm_core.settings import controls
from ftddm_viewer import CASE_UPSCALE, LIVE_STEPS
from ftddm_viewer.shell.endings import ended_in_order
from ftddm_viewer.shell.flags import (
    ALONE,
    Sparing,
    add_further,
    add_model,
    add_out,
    add_roles,
    add_sampling,
    add_serving,
    add_unfill,
    add_visitors,
    count,
    port,
    seed,
)
from ftddm_viewer.shell.paths import check_paths
from ftddm_viewer.shell.reading import add_readers
from ftddm_viewer.shell.streams import Fault, any_streams, flushed, say

OUTPUT_LOST, BAD_INPUT, INTERRUPTED = 1, 2, 130
TRAIN = (
    "denoiser",
    "flow",
    "regression",
    "pool",
    "export",
    "export-regression",
    "compare-parametrisations",
)

SILENT = ("view", "web")
"""Commands that are of use without standard output."""

VARY = (
    "a setting and its values, as in tau_flow=0,0.5,1; may be repeated (for --csv and --png; the "
    "two temperatures and T_trunc)"
)

KEPT = {
    "batch": "; the same command resumes from the finished studies.",
    "train": "; the same command resumes from the last checkpoint.",
    "evaluate": "; the same command resumes from the finished results.",
}
"""What is left of a command that was cancelled, where anything is."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and how to get help, on one line; exit with code 2."""
        self.exit(BAD_INPUT, f"ftddm: {message} (see: {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    with any_streams() as fault:
        code, fault = _run(sys.argv[1:] if arguments is None else arguments, fault)
        fault = flushed() or fault
        if fault is None:
            return code
        if not fault.left:
            say(f"ftddm: cannot write to {fault.stream} ({fault.reason}): redirect it elsewhere.")
        return code or OUTPUT_LOST


def _run(arguments: Sequence[str], fault: Fault | None) -> tuple[int, Fault | None]:
    """Run a command; return its exit code, and why what it printed was lost, if it was.

    `fault` says that standard output cannot be written to, which most commands need.
    """
    try:
        options = build_parser().parse_args(_spelt_out(arguments))
    except SystemExit as end:  # help, or an error that is already told
        return (end.code, None if end.code else fault) if isinstance(end.code, int) else (1, fault)
    if options.command in SILENT:
        fault = None
    if fault is not None:
        return OUTPUT_LOST, fault
    try:
        # A window ends at once, by itself: its loop would not let a handler run.
        with nullcontext() if options.command == "view" else ended_in_order():
            check_paths(vars(options))
            from ftddm_viewer import commands

            command: Callable[[argparse.Namespace], None] = getattr(commands, options.command)
            command(options)
    except (KeyboardInterrupt, Cancelled) as end:
        say(f"ftddm: cancelled{KEPT.get(options.command, ', nothing was written.')}")
        return getattr(end, "code", INTERRUPTED), None
    except Exception as error:
        from ftddm_viewer.commands.options import in_flags
        from ftddm_viewer.session.messages import error_words

        if isinstance(error, BrokenPipeError):  # in the middle of a long text
            return OUTPUT_LOST, Fault("standard output", "", left=True)
        if isinstance(error, OSError) and (fault := flushed()) is not None:
            return OUTPUT_LOST, fault
        words = error_words(error)
        if words is None:
            raise
        say(f"ftddm: {in_flags(words)}")
        return BAD_INPUT, None
    return 0, None


def build_parser() -> Parser:
    """Return the parser of every command."""
    parser = Parser(
        prog="ftddm",
        description="Super-resolution of MR spectroscopic imaging. Research use only.",
    )
    parser.add_argument("--version", action="version", version=_version())
    subparsers = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )

    def add(name: str, help: str) -> Parser:
        added = subparsers.add_parser(name, help=help, description=help)
        added.set_defaults(command=name)
        return added

    run = add("run", "Super-resolve a study: a folder, zip file or image files of fitted maps.")
    run.add_argument("input", nargs="+", type=Path, help="a folder, a zip file, or image files")
    out = add_out(run)
    run.add_argument(
        "--report", type=Path, metavar="FILE", help="also write a report: .pdf, or .png of one map"
    )
    add_further(run)
    run.add_argument(
        "--dry-run",
        action=Sparing,
        spares=out,
        help="only say what the files are taken for; needs no --out",
    )
    add_roles(run)
    add_unfill(run)
    add_sampling(run)

    batch = add("batch", "Super-resolve many studies; the same command resumes.")
    batch.add_argument(
        "input", nargs="+", type=Path, help="folders of studies, or of subjects as BIDS has them"
    )
    add_out(batch)
    batch.add_argument(
        "--workers", type=count, metavar="N", help="processes on this machine (one, without dask)"
    )
    batch.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="dask scheduler of a cluster"
    )
    add_roles(batch)
    add_unfill(batch)
    add_sampling(batch)

    inspect = add(
        "inspect", "Print what the files of a study are taken for, without computing anything."
    )
    inspect.add_argument("input", nargs="*", type=Path, help="a folder, a zip file, or image files")
    inspect.add_argument(
        "--rules", action="store_true", help="instead, print the layouts and names that are known"
    )
    inspect.add_argument(
        "--png", type=Path, metavar="FILE", help="also draw the T1 with the outlines of the maps"
    )
    add_roles(inspect)

    check = add(
        "check", "Check the model on a study: degrade it once more, restore and compare it."
    )
    check.add_argument("input", nargs="+", type=Path, help="a folder, a zip file, or image files")
    add_roles(check)
    add_unfill(check)
    add_model(check)

    rerun = add("rerun", "Make results again from their sidecars, and compare.")
    rerun.add_argument(
        "sidecar", nargs="+", type=Path, help="sidecar or map of a result, or a folder of results"
    )
    rerun.add_argument("--weights", metavar="NAME|DIR", help="weights (as the sidecar says)")
    rerun.add_argument("--device", help="auto, cpu, cuda or mps (as the sidecar says)")

    verify = add("verify", "Check that results and their inputs are as they were.")
    verify.add_argument("folder", type=Path, help="folder of results")
    for each in (rerun, verify):
        each.add_argument(
            "--inputs",
            action="append",
            type=Path,
            default=[],
            metavar="FOLDER",
            help="where the inputs are; may be repeated (the bundled case, or beside the sidecar)",
        )

    demo = add("demo", "Degrade and restore the bundled simulated case; print a table.")
    add_out(demo, overwrite=False)
    add_sampling(demo, upscale=CASE_UPSCALE, steps=LIVE_STEPS)
    demo.set_defaults(steps=None)  # fewer than LIVE_STEPS where t_trunc is less

    demo.add_argument(
        "--view", action="store_true", help="open the case in napari afterwards, given a display"
    )

    view = add("view", "Open a study in napari, with live sliders.")
    view.add_argument(
        "input", nargs="*", type=Path, help="study, or kept session; the bundled case if left out"
    )
    add_roles(view)
    add_model(view)

    web = add("web", "Serve a web page with live sliders; by default for this computer only.")
    web.add_argument("--host", default="127.0.0.1", help="address to serve on (127.0.0.1)")
    web.add_argument("--port", type=port, default=7860, help="port (7860)")
    web.add_argument(
        "--share", action="store_true", help="also serve through a public link, for a demonstration"
    )
    web.add_argument(
        "--auth", type=Path, metavar="FILE", help="ask for a password: file made by --add-user"
    )
    web.add_argument("--no-uploads", action="store_true", help="show the bundled case only")
    web.add_argument(
        "--no-password",
        action="store_true",
        help="allow use and uploads without a password, even from other computers",
    )
    add_serving(web)
    add_model(web)

    simulate = add("simulate", "Simulate a patient with a known truth, or report on many.")
    simulate.add_argument(
        "--anatomy",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="FreeSurfer label map (NIfTI), several for a report; the built-in head if left out",
    )
    add_out(simulate)
    simulate.add_argument("--seed", type=seed, default=0, help="seed of the patient (0)")
    simulate.add_argument("--matrix", type=int, default=64, help="in-plane matrix (64)")
    simulate.add_argument("--slices", type=int, default=39, help="number of slices (39)")
    simulate.add_argument("--voxel", type=float, default=3.4, help="voxel edge in mm (3.4)")
    simulate.add_argument(
        "--upscale",
        type=float,
        metavar="S",
        help="also write the maps degraded by this factor, into lowres/",
    )
    simulate.add_argument(
        "--report",
        action="store_true",
        help="instead, write a report: many patients compared with the literature, with images",
    )
    simulate.add_argument("--patients", type=count, help="patients in the report (12)")
    simulate.add_argument(
        "--box",
        action="store_true",
        help="excite a box only, as PRESS and semi-LASER do (default: the whole head)",
    )
    lesion = simulate.add_mutually_exclusive_group()
    lesion.add_argument("--glioma", action="store_true", default=None, help="with a tumour")
    lesion.add_argument(
        "--healthy", action="store_false", dest="glioma", help="without a tumour (default: random)"
    )

    evaluate = add("evaluate", "Compare FTDDM with other methods by a protocol; write a page.")
    evaluate.add_argument(
        "study", nargs="*", type=Path, help="high-resolution studies (folders) with a mask"
    )
    evaluate.add_argument(
        "--anatomies", nargs="+", type=Path, default=[], metavar="DIR|FILE", help="label maps"
    )
    evaluate.add_argument(
        "--protocol",
        default="quick",
        metavar="NAME|FILE",
        help="brief, quick, full, kinds or a file (quick)",
    )
    place = evaluate.add_mutually_exclusive_group(required=True)
    place.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the output and of the cache"
    )
    place.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="only rewrite the page from a record",
    )
    evaluate.add_argument(
        "--json", type=Path, metavar="FILE", help="write the record there (results.json in --out)"
    )
    evaluate.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the page there (next to the record)"
    )
    evaluate.add_argument(
        "--readme", type=Path, metavar="FILE", help="insert a short table between its marks"
    )
    evaluate.add_argument(
        "--real", type=Path, metavar="DIR", help="a measured low-resolution study to add"
    )
    evaluate.add_argument(
        "--glioma-mri", type=Path, metavar="DIR", help="real MRI of a tumour, for simulated maps"
    )
    evaluate.add_argument(
        "--regression", metavar="NAME|DIR", help="regression to compare with (<weights>-regression)"
    )
    add_model(evaluate)

    add_readers(add("readers", "Make, serve and evaluate a reader study: methods rated blindly."))

    bench = add("bench", "Measure the speed on this machine; write a record and a page.")
    target = bench.add_mutually_exclusive_group(required=True)
    target.add_argument("--json", type=Path, metavar="FILE", help="write the record there")
    target.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="only rewrite the page from a record",
    )
    bench.add_argument(
        "--markdown", type=Path, required=True, metavar="FILE", help="write the page (.md) there"
    )
    bench.add_argument(
        "--readme", type=Path, metavar="FILE", help="insert a short table between its marks"
    )
    bench.add_argument(
        "--device", help="auto, cpu, cuda or mps (default: the fastest, then the CPU)"
    )
    bench.add_argument("--weights", default="small", metavar="NAME|DIR", help="weights (small)")
    bench.add_argument("--quick", action="store_true", help="each run once, without the longest")
    add_visitors(bench)

    sweep = add("sweep", "Print sharpness and fidelity at several values of the two temperatures.")
    sweep.add_argument(
        "study", nargs="?", type=Path, help="high-resolution study; the bundled case if left out"
    )
    sweep.add_argument("--slices", type=count, default=4, help="slices, from the middle (4)")
    for flag in ("--csv", "--png"):
        sweep.add_argument(flag, type=Path, metavar="FILE", help="sweep one slice, written there")
    sweep.add_argument("--metabolite", help="of that slice (the one shown first)")
    sweep.add_argument("--slice", type=int, help="its index, from 0 (the one shown first)")
    sweep.add_argument("--vary", action="append", default=[], metavar="NAME=V,V", help=VARY)
    add_sampling(sweep, upscale=CASE_UPSCALE, t_trunc=False)

    train = add("train", "Train a network on simulated or your own patients, or export weights.")
    train.add_argument("what", choices=TRAIN)
    train.add_argument(
        "--config", metavar="NAME|FILE", help="a TOML file, small, literature or paper (small)"
    )
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="run folder")
    train.add_argument(
        "--anatomies", nargs="+", type=Path, default=[], metavar="FILE", help="training label maps"
    )
    train.add_argument(
        "--validation", nargs="+", type=Path, default=[], metavar="FILE", help="validation ones"
    )
    train.add_argument(
        "--patients", type=Path, metavar="DIR", help="your own patients for training, a folder each"
    )
    train.add_argument(
        "--validation-patients", type=Path, metavar="DIR", help="your own patients for validation"
    )
    train.add_argument("--steps", type=count, help="optimiser steps (as the configuration says)")
    train.add_argument("--workers", type=int, default=0, help="processes that prepare batches (0)")
    train.add_argument(
        "--start-from", metavar="NAME|DIR", help="exported weights that the network starts from"
    )
    train.add_argument("--weights-out", type=Path, metavar="DIR", help="where export writes")
    train.add_argument(
        "--blend",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="share of the trained denoiser in the export, the rest from --start-from (1)",
    )
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (auto)")
    train.add_argument("--threads", type=count, help="CPU threads (all)")
    train.add_argument("--bf16", action="store_true", help="compute the network in bfloat16")
    return parser


def _spelt_out(words: Sequence[str]) -> list[str]:
    """Return the command line with the meaning of bare flags filled in: a study may follow them."""
    meant = {f"--{name}": (choice, name) for name, choice in ALONE.items()}
    choices = {control.name: control.choices for control in controls()}
    found = []
    for word, after in zip(words, [*words, ""][1:], strict=True):
        choice, name = meant.get(word, ("", ""))
        found.append(f"{word}={choice}" if choice and after not in choices[name] else word)
    return found


def _version() -> str:
    from importlib.metadata import version

    return f"ftddm-viewer {version('ftddm-viewer')}"
