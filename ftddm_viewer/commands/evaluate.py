"""`ftddm evaluate` and `ftddm sweep`: methods beside each other on known truths."""

from __future__ import annotations

import zlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ftddm_core.assets import asset_folder
from ftddm_core.errors import FormatError
from ftddm_core.evaluation.compare import (
    baseline_methods,
    compare,
    ftddm_method,
    sharpness_sweep,
)
from ftddm_core.evaluation.tables import Row, summarise, to_json, to_markdown
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.phantom.anatomy import Anatomy
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer import CASE_UPSCALE
from ftddm_viewer.cli import settings_from
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.saving import (
    check_writable,
    save_files,
)


def evaluate(options: Namespace) -> None:
    """Compare methods on studies with a truth, simulated from anatomies or given."""
    settings = settings_from(options)
    for factor in options.factors:
        settings.replace(upscale=factor)
    if options.json:
        check_writable(options.json.parent, [options.json.name], overwrite=True)
    resolver = SuperResolver.load(options.weights, options.device)
    methods = {**baseline_methods(), "FTDDM": ftddm_method(resolver, settings)}
    cases = list(_cases(options))
    rows: list[Row] = []
    with progress_bar("comparing") as progress:
        for number, (name, study, truth) in enumerate(cases):
            rows += compare(
                study,
                options.factors,
                methods,
                case=name,
                noise_free=truth,
                progress=lambda done, n=number: progress((n + done) / len(cases)),
            )
    names = ", ".join(name for name, _, _ in cases)
    print(f"Cases: {names}. Weights {resolver.weights.name} {resolver.weights.digest[:12]}.")
    print(f"tau_flow {settings.tau_flow:g}, tau_diffusion {settings.tau_diffusion:g}, ", end="")
    print(f"t_trunc {settings.t_trunc}, steps {settings.steps or settings.t_trunc}.\n")
    print(to_markdown(summarise(rows, by=("upscale", "method"))))
    if options.json:
        each = [
            {"case": row.case, "method": row.method, "upscale": row.upscale,
             "metabolite": row.metabolite, "slice": row.slice_index, **row.values}
            for row in rows
        ]  # fmt: skip
        save_files({options.json.name: to_json(each).encode()}, options.json.parent, overwrite=True)


def _cases(options: Namespace) -> Iterator[tuple[str, Study, Study | None]]:
    """Yield name, measured and noise-free study of every case asked for."""
    if not options.study and not options.anatomies:
        raise FormatError("Nothing to evaluate: give study folders, or --anatomies FILE...")
    for path in options.study:
        yield path.resolve().name, open_study(path), _noise_free(path)
    for path in options.anatomies:
        anatomy = Anatomy.load(path)
        for number in range(options.patients):
            key = [options.patient_seed, number, zlib.crc32(anatomy.name.encode())]
            rng = np.random.default_rng(key)
            patient = Patient.draw(anatomy, rng, glioma=True)
            height = float(patient.glioma.centre[2]) if patient.glioma else 0.0
            study, truth = simulate_study(patient, rng, n_slices=options.slices, height=height)
            yield f"{anatomy.name}-{number}", study, truth


def _noise_free(folder: Path) -> Study | None:
    """Return the truth without noise that `ftddm simulate` writes beside a study."""
    truth = folder / "noise_free"
    return open_study(truth) if truth.is_dir() else None


def sweep(options: Namespace) -> None:
    """Print sharpness and PSNR over both temperatures."""
    settings = settings_from(options)
    folder = options.study or asset_folder("case")
    study, truth = open_study(folder), _noise_free(folder)
    first = max(0, study.grid.shape[2] // 2 - options.slices // 2)
    study = study.slab(first, first + options.slices)
    resolver = SuperResolver.load(options.weights, options.device)
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
