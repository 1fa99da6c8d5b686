"""`ftddm sweep --csv FILE --png FILE`: the trade-off of sharpness and fidelity on one slice."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from io import BytesIO

from ftddm_core.assets import asset_folder
from ftddm_core.errors import SettingsError
from ftddm_core.imaging.io import open_study
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.self_check import SelfCheck, weighting_of
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.settings import SamplerSettings, Value
from ftddm_viewer import CASE_LABEL, CASE_UPSCALE, LIVE_STEPS
from ftddm_viewer.commands.options import settings_from
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.drawing.trade_off import trade_off_figure
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.exploration import (
    SWEPT,
    USUAL_VALUES,
    USUALLY_SWEPT,
    Exploration,
    Sweep,
    table_of,
)
from ftddm_viewer.session.exploring import Explorer
from ftddm_viewer.session.model import Model


def explore(options: Namespace) -> None:
    """Sweep one slice as the explorer does, and write the points as a table and as a figure."""
    files = [path for path in (options.csv, options.png) if path is not None]
    for path in files:
        check_writable(path.parent, [path.name], overwrite=True)
    resolver = Model(options.weights, options.device, half=options.half).load()
    study = open_study(options.study or asset_folder("case"))
    case = Case.of(study, "" if options.study else CASE_LABEL)
    settings = settings_from(options)
    if settings.steps is None:
        settings = settings.replace(steps=LIVE_STEPS)
    check: SelfCheck | None = None
    prepared = prepare(case, case.usual_mode, settings.upscale or CASE_UPSCALE)
    if None in (settings.mri_weight, settings.detail):
        with progress_bar("checking the model") as progress:
            check = resolver.check(prepared.acquired, progress=progress)
    name = case.known_metabolite(options.metabolite or case.first_metabolite)
    k = case.first_slice if options.slice is None else case.known_slice(options.slice)
    wanted = settings.to_dict()
    values = _values(options.vary)
    if "upscale" in values:
        wanted |= _weights(check, settings, name, prepared.upscale)
    sweep = Sweep(prepared, name, k, wanted, values)
    explorer = Explorer(sweep, Recall())
    found = explorer.begun(Exploration(sweep), check)
    with progress_bar("sweeping") as progress:
        while found.missing:
            found = found.adding(*explorer.points(resolver, found.next, check))
            progress(found.progress)
    found = explorer.begun(found, check)
    if options.csv is not None:
        save_files({options.csv.name: table_of(found).encode()}, options.csv.parent, overwrite=True)
    if options.png is not None:
        drawn = BytesIO()
        save_figure(trade_off_figure(found), drawn)
        save_files({options.png.name: drawn.getvalue()}, options.png.parent, overwrite=True)
    how = "restored" if prepared.mode is Mode.RESTORE else "enlarged"
    print(
        f"{name}, slice {k + 1} of {case.study.grid.shape[2]} (index {k}), {how}: "
        f"{len(found.points)} points in {' and '.join(map(str, files))}."
    )
    if found.note:
        print(f"note: {found.note}")


def _values(given: list[str]) -> Mapping[str, tuple[Value, ...]]:
    """Return setting -> values from NAME=V,V,... words; the usual sweep without any."""
    if not given:
        return {name: USUAL_VALUES[name] for name in USUALLY_SWEPT}
    found: dict[str, tuple[Value, ...]] = {}
    for words in given:
        name, _, listed = words.partition("=")
        name = name.replace("-", "_")
        try:
            found[name] = tuple(float(word) for word in listed.split(",")) if listed else ()
        except ValueError:
            raise SettingsError(f"'{words}' is not NAME=V,V,... with numbers.") from None
        if not found[name]:
            if name not in USUAL_VALUES:
                raise SettingsError(f"{name} cannot be swept: choose among {', '.join(SWEPT)}.")
            found[name] = USUAL_VALUES[name]
    return found


def _weights(
    check: SelfCheck | None, settings: SamplerSettings, name: str, upscale: float
) -> dict[str, Value]:
    """Return the weights to keep over several factors, each of which has another self-check."""
    mri_weight, detail = weighting_of(check, settings, name, upscale)
    return {"mri_weight": mri_weight, "detail": detail}
