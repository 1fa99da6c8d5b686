"""`ftddm readers`: a reader study from its images to its statistics."""

from __future__ import annotations

import secrets
from argparse import Namespace

from ftddm_core.assets import asset_folder
from ftddm_core.errors import FormatError
from ftddm_core.imaging.degrade import undo_zero_filling
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer import CASE_UPSCALE
from ftddm_viewer.commands.options import in_flags, settings_from
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.readers import making, results
from ftddm_viewer.readers.exchange import add_file
from ftddm_viewer.readers.key import Key, key_path
from ftddm_viewer.readers.methods import Plan, methods_of
from ftddm_viewer.readers.serving import start
from ftddm_viewer.readers.store import Store
from ftddm_viewer.session.inspection import inspect
from ftddm_viewer.session.model import Model
from ftddm_viewer.shell.endings import until_ended


def readers(options: Namespace) -> None:
    """Make, serve, complete or evaluate a reader study."""
    {"new": _new, "serve": _serve, "add": _add, "export": _export}[options.action](options)


def _new(options: Namespace) -> None:
    paths = options.input or [asset_folder("case")]
    degraded = options.degrade
    if degraded is None and not options.input:  # the bundled case is a high-resolution one
        degraded = CASE_UPSCALE
    settings = settings_from(options)
    if degraded is not None:
        settings = settings.replace(upscale=degraded)
    plan = Plan(
        methods_of(options.method), settings, degraded, options.metabolite, options.slices,
        options.slice,
    )  # fmt: skip
    making.check_new(options.out)
    studies = {}
    for name, path in zip(making.names_of(paths), paths, strict=True):
        found = inspect([path])
        if found.study is None:
            raise FormatError(f"{name}: {found.problem}")
        studies[name] = undo_zero_filling(found.study) if options.unfill else found.study
    model = Model(options.weights, options.device, half=options.half)
    order = secrets.randbits(32) if options.order is None else options.order
    study, key, notes = making.make(plan, studies, model, progress_bar, order)
    key["Paths"] = {name: str(path.absolute()) for name, path in zip(studies, paths, strict=True)}
    place = making.write(study, key, options.out, page=options.html)
    for note in notes:
        print(f"note: {in_flags(note)}")
    kinds = [trial.kind for trial in study.trials]
    print(
        f"{kinds.count('rating')} images to rate and {kinds.count('choice')} pairs to compare in "
        f"{options.out}, of {len(key['Cases'])} slices and maps. Studies: {len(studies)}."
    )
    print(f"The key is {place}: keep it from the readers.")
    print(f"Serve it: ftddm readers serve {options.out}. {RESEARCH_ONLY}.")


def _serve(options: Namespace) -> None:
    server = start(Store(options.folder), options.host, options.port)
    with until_ended(server.close, "The page is closed; all answers are kept."):
        words = f"The reader study is at {server.url}\nPress Ctrl+C to end it. {RESEARCH_ONLY}."
        print(words, flush=True)
        if options.host not in ("127.0.0.1", "::1", "localhost"):
            print(
                "Other computers reach it under this computer's name, with the same path. Who has "
                "the address can answer, and the connection is not encrypted.",
                flush=True,
            )


def _add(options: Namespace) -> None:
    store = Store(options.folder)
    for path in options.file:
        reader, new, known = add_file(store, path)
        print(f"{path}: {new} new answers of {reader}, {known} were known.")


def _export(options: Namespace) -> None:
    store = Store(options.folder)
    names = [results.ANSWERS, results.RECORD, results.PAGE]
    check_writable(options.out, names, overwrite=options.overwrite)
    key = Key.read(options.key or key_path(options.folder), store.about["study"])
    files = results.result_files(store, key, options.unit)
    save_files(files, options.out, overwrite=options.overwrite)
    print(files[results.PAGE].decode())
    print(f"{', '.join(names)} in {options.out}.")
