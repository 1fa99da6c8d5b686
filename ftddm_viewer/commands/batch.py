"""`ftddm batch`: restore many studies, resumably."""

from __future__ import annotations

from argparse import Namespace

from ftddm_core.errors import FtddmError, SettingsError
from ftddm_core.saving.files import check_writable
from ftddm_core.saving.notice import NOTICE
from ftddm_viewer.cohort.job import MANIFEST, Job
from ftddm_viewer.cohort.one import FAILED, Outcome
from ftddm_viewer.cohort.plan import Item
from ftddm_viewer.cohort.run import Work, in_turn, run
from ftddm_viewer.cohort.summary import time_words
from ftddm_viewer.commands.options import choices_from, settings_from
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.repeating import lasting_weights

OF_ONE = ("t1", "flair", "mask", "label")


def batch(options: Namespace) -> None:
    """Restore every study of some folders, and write a summary.

    Raises
    ------
    FtddmError
        If a study failed, after all others were done.
    """
    if given := [name for name in OF_ONE if getattr(options, name)]:
        raise SettingsError(
            f"--{given[0]} is about one study: name files of all studies by their names, as in "
            "--role T1w.nii.gz=t1."
        )
    if options.workers is not None and options.scheduler:
        raise SettingsError("Give either --workers or --scheduler.")
    settings, choices = settings_from(options), choices_from(options)
    work = _work(options)
    check_writable(options.out, [MANIFEST], overwrite=True)
    model = Model(options.weights, options.device, half=options.half)
    job = Job(
        str(options.out.absolute()), settings, choices, lasting_weights(model), model.digest,
        options.device, options.half, options.unfill,
    )  # fmt: skip
    outcomes = run(
        job, options.input, work, _tell, renewed=_tell_renewed, overwrite=options.overwrite
    )
    bad = [outcome for outcome in outcomes if outcome["Status"] == FAILED]
    print(f"\n{len(outcomes) - len(bad)} studies in {options.out}, see summary.html.")
    print(NOTICE)
    if bad:
        raise FtddmError(
            f"{len(bad)} of {len(outcomes)} studies failed, the first is {bad[0]['Study']}: "
            f"{bad[0]['Problem']} The same command tries them again."
        )


def _work(options: Namespace) -> Work:
    if options.workers is None and not options.scheduler:
        return in_turn(progress_bar)
    from ftddm_viewer.cohort.cluster import on_workers

    return on_workers(options.workers, options.scheduler)


def _tell_renewed(item: Item) -> None:
    print(f"{item.key}: its files were changed since, so it is restored again.", flush=True)


def _tell(outcome: Outcome, done: int, every: int, left: float | None) -> None:
    words = outcome.get("Problem") or outcome["SelfCheck"]
    time = f"; about {time_words(left)} left" if left else ""
    print(f"{done}/{every} {outcome['Study']}: {outcome['Status']}. {words}{time}", flush=True)
