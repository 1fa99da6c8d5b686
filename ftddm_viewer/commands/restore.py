"""`ftddm run`, `ftddm demo` and `ftddm check`: restore a study, the bundled case, or a check."""

from __future__ import annotations

import sys
from argparse import Namespace
from io import BytesIO

from ftddm_core.assets import asset_folder
from ftddm_core.evaluation.compare import (
    baseline_methods,
    compare,
    metrics_of,
)
from ftddm_core.evaluation.tables import side_by_side, summarise, to_markdown
from ftddm_core.imaging.degrade import degrade, undo_zero_filling
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.check_words import check_line
from ftddm_core.sampling.result import Result
from ftddm_core.sampling.self_check import SelfCheck, weighting_of
from ftddm_core.sampling.weighting import Weighting
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.names import further_names, result_names, stale_names
from ftddm_core.saving.notice import NOTICE, RESEARCH_ONLY
from ftddm_core.saving.results import result_files
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import CASE_LABEL, CASE_UPSCALE, LIVE_STEPS
from ftddm_viewer.commands.further import check_further, further_files
from ftddm_viewer.commands.inspect import opened
from ftddm_viewer.commands.options import in_flags, settings_from
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.commands.report_pages import check_report, write_report
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.restoring import check_first, restored
from ftddm_viewer.shell.endings import usual_endings
from ftddm_viewer.shell.paths import check_names

MAIN_METRICS = ("psnr", "ssim", "nrmse")
DEMO_METABOLITES = ("tNAA", "tCho", "Gln")


def run(options: Namespace) -> None:
    """Super-resolve a study and write its maps."""
    settings = settings_from(options)
    study = opened(options)
    if options.unfill:
        study = undo_zero_filling(study)
    if options.dry_run:
        return
    names = result_names(study, settings.samples)
    check_further(options, study)
    names += further_names(names, options.also)
    check_names(options.out, names)
    own = [*study.source.values(), *filter(None, [options.dicom_of])]
    stale = stale_names(names)
    check_writable(options.out, [*names, *stale], overwrite=options.overwrite, inputs=own)
    if options.report is not None:
        check_report(options.report, len(study.maps), overwrite=options.overwrite)
    model = Model(options.weights, options.device, half=options.half)
    done = restored(model, study, settings, progress_bar, unfilled=options.unfill)
    result, notes = done.result, done.notes
    files = done.files()
    files |= further_files(options, done, files)
    paths = save_files(files, options.out, overwrite=options.overwrite, stale=stale, inputs=own)
    for note in notes:
        print(f"note: {in_flags(note)}", file=sys.stderr)
    if options.report is not None:
        write_report(options.report, result, study, notes, overwrite=options.overwrite)
    print(
        to_markdown(
            [
                {
                    "metabolite": name,
                    "voxel in (mm)": _size(study.maps[name]),
                    "voxel out (mm)": _size(result.maps[name]),
                    "detail shown": result.weighting[name].detail,
                    "k-space residual": result.residual[name].shown,
                    "residual of noise alone": result.residual[name].noise,
                }
                for name in result.maps
            ]
        )
    )
    print(f"\n{check_line(result.check, result.weighting)}")
    print(f"\n{len(paths)} files in {options.out}, {result.seconds:.1f} s on {result.device}.")
    print(NOTICE)


def check(options: Namespace) -> None:
    """Check the model on a study, and print the result."""
    study = opened(options)
    if options.unfill:
        study = undo_zero_filling(study)
    automatic = SamplerSettings()
    model = Model(options.weights, options.device, half=options.half)
    found = check_first(model, study, automatic, progress_bar)
    usual = model.usual_upscale(study)
    weights = {name: weighting_of(found, automatic, name, usual) for name in study.maps}
    if found is not None and not found.reason:
        print(to_markdown([_checked(found, name, weights[name]) for name in weights]), end="\n\n")
    print(check_line(found, weights))
    print(f"{RESEARCH_ONLY}.")


def _checked(found: SelfCheck, name: str, weights: Weighting) -> dict[str, object]:
    """Return a map's row of the table: its gain at every MRI weight, and the weights chosen."""
    gains = {
        f"gain (dB), MRI weight {weight:g}": gains.get(name, float("nan"))
        for weight, gains in found.gains.items()
    }
    chosen = {"MRI weight": f"{weights.mri_weight:g}", "detail shown": weights.detail}
    return {"metabolite": name, **gains, **chosen}


def demo(options: Namespace) -> None:
    """Degrade the bundled case, restore it, and write table, figure and maps."""
    from ftddm_viewer.drawing.figures import draw_rows, save_figure
    from ftddm_viewer.drawing.image_rows import heading, rows_of

    settings = settings_from(options)
    if settings.steps is None:
        settings = settings.replace(steps=min(LIVE_STEPS, settings.t_trunc) or None)
    study = open_study(asset_folder("case"))
    names = result_names(study, settings.samples)
    check_writable(options.out, [*names, *stale_names(names), "demo.png"], overwrite=True)
    model = Model(options.weights, options.device, half=options.half)
    model.load()
    results: list[Result] = []

    def sample(low: Study, matrix: Matrix, upscale: float) -> dict[str, Volume]:
        check_first(model, low, settings, progress_bar)
        chosen = settings.replace(upscale=upscale)
        with progress_bar("sampling") as progress:
            results.append(model.load().run(low, chosen, matrix=matrix, progress=progress))
        return dict(results[-1].maps)

    upscale = settings.upscale or CASE_UPSCALE
    rows = compare(study, [upscale], {**baseline_methods(), "FTDDM": sample})
    result = results[0]
    low = degrade(study, upscale)
    figure = draw_rows(rows_of(result, DEMO_METABOLITES, study), f"{CASE_LABEL}\n{heading(result)}")
    metrics = metrics_of(study, upscale, result.maps)
    files = result_files(result, low, {"DegradedBy": upscale}, metrics=metrics)
    drawn = BytesIO()
    save_figure(figure, drawn)
    files["demo.png"] = drawn.getvalue()
    save_files(files, options.out, overwrite=True, stale=stale_names(files))
    print(f"The bundled simulated case, degraded {upscale:g}x and restored:\n")
    each = summarise(rows, by=("metabolite", "method"))
    every = [{"metabolite": "all", **line} for line in summarise(rows, by=("method",))]
    print(to_markdown(side_by_side(each + every, "metabolite", "method", MAIN_METRICS)))
    print(f"\n{check_line(result.check, result.weighting)}")
    print(
        f"\nFTDDM: {result.seconds:.1f} s on {result.device} for {len(result.maps)} maps of "
        f"{study.grid.shape[2]} slices; {len(files)} files in {options.out}, see demo.png."
    )
    print(NOTICE)
    if options.view:
        _look_closer(options)


def _look_closer(options: Namespace) -> None:
    """Open the bundled case in napari, or name another way to view it."""
    from ftddm_viewer.commands.display import can_open_window

    if not can_open_window():
        print("\nNo window can be opened here. View it live in a browser: make web, or ftddm web")
        return
    from napari_ftddm import show_window

    print("\nOpening napari; closing its window ends the demo.", flush=True)
    with usual_endings():
        show_window(weights=options.weights, device=options.device, half=options.half)


def _size(volume: Volume) -> str:
    return " x ".join(f"{edge:.3g}" for edge in volume.voxel_size)
