"""`ftddm evaluate` and `ftddm sweep`: comparison of methods on known truths."""

from __future__ import annotations

import hashlib
import shlex
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from ftddm_core.assets import asset_folder
from ftddm_core.errors import CheckpointError, FormatError, SettingsError
from ftddm_core.evaluation.cache import Cache
from ftddm_core.evaluation.cases import (
    Case,
    check_names,
    find_anatomies,
    given_case,
    simulated_cases,
)
from ftddm_core.evaluation.compare import sharpness_sweep
from ftddm_core.evaluation.kinds import KindCase, measured_kinds, simulated_kinds
from ftddm_core.evaluation.outcome import Outcome, slice_calls
from ftddm_core.evaluation.outcome import evaluate as run_evaluation
from ftddm_core.evaluation.protocol import Protocol
from ftddm_core.evaluation.real import enlarge, real_case
from ftddm_core.evaluation.runner import Runner
from ftddm_core.evaluation.tables import to_markdown
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.model.checkpoint import load_regression
from ftddm_core.model.record import trained_on
from ftddm_core.saving.files import check_writable
from ftddm_viewer import CASE_UPSCALE
from ftddm_viewer.commands.explore import explore
from ftddm_viewer.commands.options import settings_from
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.commands.report_files import ReportFiles, named
from ftddm_viewer.report.evaluation.excerpt import excerpt
from ftddm_viewer.report.evaluation.images import enlarged_rows, method_rows, shown_metabolites
from ftddm_viewer.report.evaluation.page import page
from ftddm_viewer.report.evaluation.plots import plots
from ftddm_viewer.report.evaluation.record import FORMAT, outcome_of, record_of
from ftddm_viewer.report.markdown import known
from ftddm_viewer.report.records import Record, read_record
from ftddm_viewer.session.model import Model

REAL, GLIOMA = "the measured study", "simulated maps on real MRI"
GLIOMA_SEED = 7


def evaluate(options: Namespace) -> None:
    """Run a protocol and write a record, or read one; write its page."""
    source = options.source
    record_path = source or options.json or options.out / "results.json"
    page_path = options.markdown or record_path.with_suffix(".md")
    files = ReportFiles("evaluate", record_path, page_path, options.readme, given=bool(source))
    maps: Mapping[str, Figure | bytes]
    if source:
        _check_given(options)
        files.check()
        record = read_record(source, "evaluate", FORMAT)
        maps = _kept_maps(record, files)
    else:
        record, maps = _run(options, files)
    files.write(record, lambda found: {**plots(outcome_of(found)), **maps}, page, excerpt)
    _say(record, files)


def _check_given(options: Namespace) -> None:
    """Refuse options that have no effect where nothing is run."""
    given = {
        "studies": options.study, "--anatomies": options.anatomies, "--json": options.json,
        "--real": options.real, "--glioma-mri": options.glioma_mri,
        "--regression": options.regression,
    }  # fmt: skip
    if unused := [name for name, value in given.items() if value]:
        raise SettingsError(f"--from runs nothing: leave out {' and '.join(unused)}.")


def _kept_maps(record: Record, files: ReportFiles) -> dict[str, bytes]:
    """Return the images of maps found next to the page or the record; report missing ones."""
    folders = [path.parent / path.stem for path in (files.page, files.record)]
    found = {}
    for name in record.get("maps", []):
        place = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if place is None:
            print(f"note: {name} is neither in {folders[0]} nor in {folders[1]}: left out.")
        else:
            found[name] = place.read_bytes()
    return found


def _run(options: Namespace, files: ReportFiles) -> tuple[Record, dict[str, Figure]]:
    """Run a protocol; return its record and the images of maps."""
    protocol = Protocol.load(options.protocol)
    if not (options.study or options.anatomies):
        raise FormatError("Nothing to evaluate: give study folders, or --anatomies DIR|FILE...")
    check_writable(options.out, [], overwrite=True)
    files.check()
    resolver = Model(options.weights, options.device, half=options.half).load()
    regression = _regression(options)
    runner = Runner(resolver, Cache(options.out / "cache"), regression)
    test, choosing = find_anatomies(options.anatomies, protocol)
    _check_unseen([*test, *choosing], resolver.weights.record)
    cases = [*_given(options.study, protocol),
             *simulated_cases(protocol, test, protocol.patients)]  # fmt: skip
    check_names(cases)
    patients = protocol.choice.patients if protocol.choice else 0
    others = list(simulated_cases(protocol, choosing, patients))
    voxel = resolver.weights.trained_voxel
    real = (
        real_case(options.real.resolve().name, open_study(options.real), voxel)
        if options.real
        else None
    )
    glioma = _glioma(options.glioma_mri, protocol) if options.glioma_mri else None
    kinds = [*_measured(options, protocol, voxel), *simulated_kinds(protocol, test)]
    if regression is None:
        print("note: there is no regression to compare with; name one with --regression.")
    calls = slice_calls(protocol, kinds, [case for case in (real, glioma) if case is not None])
    print(
        f"Protocol {protocol.name}: {len(cases)} patients to test on, {len(others)} to choose "
        f"the temperatures on, {len(kinds)} cases of other kinds; the whole protocol takes up to "
        f"{calls:,} runs of a slice through the denoiser."
    )
    with _stages() as progress:
        outcome = run_evaluation(
            protocol,
            cases,
            others,
            runner,
            real=real,
            glioma=glioma,
            kinds=kinds,
            progress=progress,
        )
        maps = _maps(outcome, runner, cases, real, glioma, progress)
    return record_of(outcome, _command(options), list(maps)), maps


def _regression(options: Namespace) -> Any:
    """Return network and digest; None if none is given and none comes with the weights."""
    name = options.regression or f"{options.weights}-regression"
    try:
        return load_regression(name)
    except CheckpointError:
        if options.regression:
            raise
        return None


def _check_unseen(anatomies: Sequence[Path], record: Mapping[str, Any]) -> None:
    """Refuse label maps that the weights were trained on."""
    seen = trained_on(record)
    for path in anatomies:
        if hashlib.sha256(path.read_bytes()).hexdigest() in seen:
            raise SettingsError(
                f"{path} is one of the label maps that these weights were trained on: results on "
                "it would be too good. Give others."
            )


def _given(paths: Sequence[Path], protocol: Protocol) -> Iterator[Case]:
    for path in paths:
        noise_free, name = _noise_free(path), path.resolve().name
        yield given_case(
            name, open_study(path), protocol, noise_free, simulated=noise_free is not None
        )


def _measured(options: Namespace, protocol: Protocol, voxel: float) -> Iterator[KindCase]:
    """Yield the measured study as a case for the comparison of kinds of patients."""
    if options.real:
        name = options.real.resolve().name
        yield from measured_kinds(protocol, name, open_study(options.real), voxel)


def _glioma(folder: Path, protocol: Protocol) -> Case:
    from ftddm_core.phantom.from_mri import study_from_mri

    voxel = (protocol.voxel,) * 3
    slices = max(protocol.slices, 9)  # to find the slice with the largest part of the tumour
    measured, noise_free, tumour = study_from_mri(
        folder,
        np.random.default_rng(GLIOMA_SEED),
        matrix=protocol.matrix,
        n_slices=slices,
        voxel=(voxel[0], voxel[1], voxel[2]),
    )
    name = folder.resolve().name
    return given_case(name, measured, protocol, noise_free, tumour, simulated=True)


def _maps(
    outcome: Outcome,
    runner: Runner,
    cases: Sequence[Case],
    real: Case | None,
    glioma: Case | None,
    progress: Callable[[str, float], None],
) -> dict[str, Figure]:
    """Return file name -> figure of maps; adds the metrics of the enlarged study."""
    protocol = outcome.protocol
    found: dict[str, Figure] = {}
    progress("drawing", 0)
    for case in cases[:1]:
        common = set(case.study.maps).intersection(*(m.metabolites for m in protocol.methods))
        for name in shown_metabolites(sorted(common) or list(case.study.maps)):
            found[f"maps-{name}.png"] = method_rows(runner, protocol, case, name)
    if real is not None:
        name = shown_metabolites(list(real.study.maps))[0]
        found["real-restored.png"] = method_rows(runner, protocol, real, name, real=REAL)
        enlarged = enlarge(runner, real.study, lambda done: progress("enlarging", done))
        found["real-enlarged.png"] = enlarged_rows(enlarged, real.name)
        outcome.tables["enlarged"] = [
            {"metabolite": name, **one.metrics()} for name, one in enlarged.items()
        ]
    if glioma is not None:
        name = shown_metabolites(list(glioma.study.maps))[-1]
        found["glioma-mri.png"] = method_rows(runner, protocol, glioma, name, real=GLIOMA)
    return found


def _command(options: Namespace) -> str:
    """Return the command that repeats the evaluation, with names in place of folders."""
    words = ["ftddm", "evaluate", *(path.name for path in options.study)]
    if options.anatomies:
        words += ["--anatomies", *(path.name for path in options.anatomies)]
    words += ["--protocol", Path(options.protocol).name]
    for flag in ("real", "glioma_mri"):
        if path := getattr(options, flag):
            words += [f"--{flag.replace('_', '-')}", path.resolve().name]
    for flag, default in (("weights", "small"), ("regression", None)):
        if (value := getattr(options, flag)) != default:
            words += [f"--{flag}", Path(value).name]
    if options.half:
        words.append("--half")
    words += ["--out", options.out.name]
    for flag in ("json", "markdown", "readme"):
        if path := getattr(options, flag):
            words += [f"--{flag}", named(path)]
    return shlex.join(words)


def _say(record: Record, files: ReportFiles) -> None:
    checks = record["tables"]["checks"]
    missed = [line for line in checks if not line["passed"]]
    if "choice" in record["tables"]:
        chosen = record["chosen"]
        found = "none" if chosen is None else f"{chosen:g}"
        print(f"Highest temperature with the required margins over zero-filling: {found}.")
    print(f"{len(checks) - len(missed)} of {len(checks)} targets reached.")
    for line in missed:
        at = f" at {line['upscale']:g}x" if line["upscale"] else ""
        print(f"  missed: {line['what']}{at}: {known(line, 'value'):.4g}, target {line['target']}")
    print(f"Record in {files.record}, page in {files.page}.")


@contextmanager
def _stages() -> Iterator[Callable[[str, float], None]]:
    """Yield a function (stage, share done) that draws a progress bar for each stage."""
    bars: dict[str, Any] = {}
    shape = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} < {remaining}"

    def progress(what: str, done: float) -> None:
        if what not in bars:
            for old in bars.values():
                old.close()
            bars.clear()
            bars[what] = tqdm(desc=what, total=1.0, disable=None, leave=False, bar_format=shape)
        bars[what].update(done - bars[what].n)

    try:
        yield progress
    finally:
        for bar in bars.values():
            bar.close()


def _noise_free(folder: Path) -> Study | None:
    """Return the noise-free truth that `ftddm simulate` writes next to a study."""
    truth = folder / "noise_free"
    return open_study(truth) if truth.is_dir() else None


def sweep(options: Namespace) -> None:
    """Print sharpness and PSNR at several values of both temperatures, or explore one slice."""
    if options.csv is not None or options.png is not None:
        explore(options)
        return
    if options.vary or options.metabolite or options.slice is not None:
        raise SettingsError("--vary, --metabolite and --slice need --csv or --png.")
    settings = settings_from(options)
    folder = options.study or asset_folder("case")
    study, truth = open_study(folder), _noise_free(folder)
    first = max(0, study.grid.shape[2] // 2 - options.slices // 2)
    study = study.slab(first, first + options.slices)
    resolver = Model(options.weights, options.device, half=options.half).load()
    with progress_bar("sweeping") as progress:
        table = sharpness_sweep(
            study,
            settings.upscale or CASE_UPSCALE,
            resolver,
            settings,
            noise_free=truth and truth.slab(first, first + options.slices),
            progress=progress,
        )
    print(to_markdown(table))
