"""What each `ftddm` command does; `cli` parses its arguments and turns errors into one line."""

from __future__ import annotations

import sys
import tempfile
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ftddm_core.assets import asset_folder
from ftddm_core.errors import FormatError, FtddmError, SettingsError
from ftddm_core.evaluation.compare import (
    baseline_methods,
    compare,
    ftddm_method,
    sharpness_sweep,
)
from ftddm_core.evaluation.tables import Row, side_by_side, summarise, to_json, to_markdown
from ftddm_core.imaging.degrade import degrade, undo_zero_filling
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.anatomy import Anatomy
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Result
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import CASE_LABEL, CASE_UPSCALE, LIVE_STEPS, RESEARCH_ONLY
from ftddm_viewer.cli import settings_from
from ftddm_viewer.saving import (
    NOTICE,
    check_writable,
    result_files,
    result_names,
    save_files,
    study_files,
)
from ftddm_viewer.words import notes

MAIN_FIGURES = ("psnr", "ssim", "nrmse")
DEMO_METABOLITES = ("tNAA", "tCho", "Gln")


def run(options: Namespace) -> None:
    """Super-resolve a study and write its maps."""
    settings = settings_from(options)
    study = open_study(options.input, t1=options.t1, flair=options.flair, mask=options.mask)
    if options.unfill:
        study = undo_zero_filling(study)
    names = result_names(study, settings.samples)
    check_writable(options.out, names, overwrite=options.overwrite)
    resolver = SuperResolver.load(options.weights, options.device)
    with progress_bar("sampling") as progress:
        result = resolver.run(study, settings, progress=progress)
    files = result_files(result, study, {"Unfilled": True} if options.unfill else None)
    paths = save_files(files, options.out, overwrite=options.overwrite)
    for note in notes(study, result.conditions.values()):
        print(f"note: {note}", file=sys.stderr)
    print(
        to_markdown(
            [
                {
                    "metabolite": name,
                    "voxel in (mm)": _size(study.maps[name]),
                    "voxel out (mm)": _size(result.maps[name]),
                    "k-space residual": result.residual[name][1],
                }
                for name in result.maps
            ]
        )
    )
    print(f"\n{len(paths)} files in {options.out}, {result.seconds:.1f} s on {result.device}.")
    print(NOTICE)


def demo(options: Namespace) -> None:
    """Degrade the bundled case, restore it, and write table, figure and maps."""
    from ftddm_viewer.figures import draw_rows, save_figure
    from ftddm_viewer.image_rows import heading, rows_of

    settings = settings_from(options)
    if settings.steps is None:
        settings = settings.replace(steps=min(LIVE_STEPS, settings.t_trunc) or None)
    study = open_study(asset_folder("case"))
    names = [*result_names(study, settings.samples), "demo.png"]
    check_writable(options.out, names, overwrite=True)
    resolver = SuperResolver.load(options.weights, options.device)
    results: list[Result] = []

    with progress_bar("sampling") as progress:

        def sample(low: Study, matrix: Matrix, upscale: float) -> dict[str, Volume]:
            chosen = settings.replace(upscale=upscale)
            results.append(resolver.run(low, chosen, matrix=matrix, progress=progress))
            return dict(results[-1].maps)

        upscale = settings.upscale or CASE_UPSCALE
        rows = compare(study, [upscale], {**baseline_methods(), "FTDDM": sample})
    result = results[0]
    low = degrade(study, upscale)
    picture = draw_rows(
        rows_of(result, DEMO_METABOLITES, study), f"{CASE_LABEL}\n{heading(result)}"
    )
    files = result_files(result, low, {"DegradedBy": upscale})
    with tempfile.TemporaryDirectory() as folder:
        save_figure(picture, Path(folder, "demo.png"))
        files["demo.png"] = Path(folder, "demo.png").read_bytes()
    save_files(files, options.out, overwrite=True)
    print(f"The bundled simulated case, degraded {upscale:g}x and restored:\n")
    each = summarise(rows, by=("metabolite", "method"))
    every = [{"metabolite": "all", **line} for line in summarise(rows, by=("method",))]
    print(to_markdown(side_by_side(each + every, "metabolite", "method", MAIN_FIGURES)))
    print(
        f"\nFTDDM: {result.seconds:.1f} s on {result.device} for {len(result.maps)} maps of "
        f"{study.grid.shape[2]} slices; {len(files)} files in {options.out}, see demo.png."
    )
    print(NOTICE)
    if options.view:
        _look_closer(options)


def _look_closer(options: Namespace) -> None:
    """Open the bundled case in napari, or say how else to look at it."""
    from ftddm_viewer.display import can_open_window

    if not can_open_window():
        print("\nNo window can be opened here. See it live in a browser: make web, or ftddm web")
        return
    from napari_ftddm import show_window

    print("\nOpening napari; closing its window ends the demo.", flush=True)
    show_window(weights=options.weights, device=options.device)


def view(options: Namespace) -> None:
    """Open a study, or the bundled case, in napari."""
    from ftddm_viewer.display import check_window

    check_window()
    from napari_ftddm import show_window

    roles = {name: getattr(options, name) for name in ("t1", "flair", "mask")}
    show_window(options.input, weights=options.weights, device=options.device, **roles)


def web(options: Namespace) -> None:
    """Serve the page until it is interrupted."""
    try:
        from ftddm_viewer.web import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise FtddmError(
            "The page needs gradio, which is not installed: pip install 'ftddm-viewer[web]'"
        ) from None
    serve(
        host=options.host,
        port=options.port,
        share=options.share,
        auth=options.auth,
        uploads=not options.no_uploads,
        no_password=options.no_password,
        weights=options.weights,
        device=options.device,
    )


def simulate(options: Namespace) -> None:
    """Simulate a patient and write it as a study, with its noise-free truth beside it."""
    if options.matrix < 8 or options.slices < 1 or not 0 < options.voxel < np.inf:
        raise SettingsError(
            f"Cannot simulate {options.slices} slices of {options.matrix}x{options.matrix} voxels "
            f"of {options.voxel:g} mm: give a matrix of 8 or more, a slice, a voxel above 0."
        )
    upscale = SamplerSettings(upscale=options.upscale).upscale
    label = f"sub-sim{options.seed:02d}"
    check_writable(options.out, [f"{label}.json"], overwrite=options.overwrite)
    anatomy = Anatomy.load(options.anatomy)
    rng = np.random.default_rng(options.seed)
    patient = Patient.draw(anatomy, rng, glioma=options.glioma)
    # A thin slab is laid through the tumour, but no farther from the middle than it must be.
    reach = max(0.0, 50.0 - options.slices * options.voxel / 2)
    height = float(np.clip(patient.glioma.centre[2], -reach, reach)) if patient.glioma else 0.0
    measured, noise_free = simulate_study(
        patient,
        rng,
        matrix=(options.matrix, options.matrix),
        n_slices=options.slices,
        voxel=(options.voxel,) * 3,
        height=height,
    )
    record = {
        "Notice": f"SIMULATED patient. {RESEARCH_ONLY}.",
        "Anatomy": anatomy.name,
        "Seed": options.seed,
        "Glioma": patient.glioma is not None,
        "Unit": measured.grid.unit,
    }
    files = study_files(measured, label, record)
    truth = study_files(noise_free, label, record | {"NoiseFree": True})
    files |= {f"noise_free/{name}": content for name, content in truth.items()}
    if upscale is not None:
        low = study_files(degrade(measured, upscale), label, record | {"DegradedBy": upscale})
        files |= {f"lowres/{name}": content for name, content in low.items()}
    save_files(files, options.out, overwrite=options.overwrite)
    kind = "a glioma patient" if patient.glioma else "a healthy volunteer"
    print(f"Simulated {kind} from {anatomy.name}: {len(files)} files in {options.out}.")


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


def train(options: Namespace) -> None:
    """Train a network, or export two trained ones."""
    import torch

    from ftddm_core.sampling.resolver import pick_device
    from ftddm_core.training.run import RunConfig, export
    from ftddm_core.training.run import train as train_network

    config = RunConfig.load(options.config)
    if options.what == "export":
        if options.weights_out is None:
            raise SettingsError("Say where the weights go: --weights-out DIR.")
        steps = export(config, options.out, options.weights_out)
        trained = ", ".join(f"{name} {count}" for name, count in steps.items())
        print(f"Weights in {options.weights_out}, after these steps of training: {trained}.")
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    fit = config.denoiser if options.what == "denoiser" else config.flow
    fitting = False
    with tqdm(desc="patients", disable=None) as bar:

        def rendering(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        def progress(step: int, losses: dict[str, float]) -> None:
            nonlocal fitting
            # The same bar goes on; its clock starts at the first step of this run.
            if not fitting:
                fitting = True
                bar.set_description(options.what, refresh=False)
                bar.reset(total=fit.steps)
                bar.initial = bar.n = bar.last_print_n = step - 1
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            bar.update(step - bar.n)

        train_network(
            options.what,
            config,
            options.anatomies,
            options.validation,
            options.out,
            device=str(pick_device(options.device)),
            rendering=rendering,
            progress=progress,
        )


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[float], None]]:
    """Give a function that takes the share done, 0..1, and draws a bar on a terminal."""
    shape = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} < {remaining}"
    with tqdm(desc=text, total=1.0, disable=None, leave=False, bar_format=shape) as bar:

        def progress(done: float) -> None:
            bar.update(done - bar.n)

        yield progress


def _size(volume: Volume) -> str:
    return " x ".join(f"{edge:.3g}" for edge in volume.voxel_size)
