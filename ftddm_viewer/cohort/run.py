"""A batch from its plan to its summary: what is finished stays, and the rest is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeGuard

from ftddm_core.errors import FormatError
from ftddm_core.saving.turns import alone_in
from ftddm_viewer.cohort.changes import is_another
from ftddm_viewer.cohort.job import MANIFEST, Job, known_items, manifest_in
from ftddm_viewer.cohort.one import DONE, OUTCOME, THUMBNAIL, Outcome, outcome_in, treat
from ftddm_viewer.cohort.plan import Item, studies_in
from ftddm_viewer.cohort.summary import PAGES, SUMMARY, write_summary
from ftddm_viewer.session.restoring import Bar

LOCK = ".ftddm-batch-lock"
EVERY = 10.0
"""In s: shortest time between two summaries while the batch runs."""

SHARE = 20
"""How many times longer the batch works than it writes summaries, however many studies it has."""

Work = Callable[[Job, Sequence[Item]], Iterator[Outcome]]
"""Restores studies of a job, in any order."""

Tell = Callable[[Outcome, int, int, float | None], None]
"""Takes an outcome, the numbers of finished and of all studies, and the time left in s."""


def in_turn(bar: Bar) -> Work:
    """Return the work of one process: one study after the other."""

    def work(job: Job, items: Sequence[Item]) -> Iterator[Outcome]:
        model = job.model()
        model.load()
        for item in items:
            yield treat(job, item, model, bar)

    return work


def run(
    job: Job,
    paths: Iterable[Path],
    work: Work,
    tell: Tell,
    *,
    renewed: Callable[[Item], object] = lambda item: None,
    overwrite: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Restore all studies that are not finished, and write the summary; return all outcomes.

    Studies that failed before are tried again; those whose files were changed since they were
    restored are restored again, in place of what they had.

    Parameters
    ----------
    job
        What they have in common.
    paths
        Where the studies are.
    work
        Restores them.
    tell
        Shows the progress.
    renewed
        Called with every study that is restored again.
    overwrite
        Whether an earlier batch in the folder is removed first.
    clock
        The time in s.

    Raises
    ------
    FormatError
        If there is no study, another batch is running in the folder, or it cannot be written to.
    SettingsError
        If the folder holds a batch with other settings.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with _alone(job.folder):
        before = manifest_in(job.folder)
        if before is not None and overwrite:
            _remove(job.folder, known_items(before))
            before = None
        known = [] if before is None else known_items(before)
        if before is not None:
            job.check_same(before)
        items = studies_in(paths, job.choices, job.folder, known)
        every = list({item.key: item for item in (*known, *items)}.values())
        job.keep(every)
        found: dict[str, Outcome | None] = {
            item.key: outcome_in(job.folder / item.key) for item in every
        }
        for item in items:
            outcome = found[item.key]
            if _is_done(outcome) and is_another(job, item, outcome.get("Names", [])):
                renewed(item)
                _remove(job.folder, [item])
                found[item.key] = None
        waiting = [item for item in items if not _is_done(found[item.key])]
        start, due = clock(), clock() + EVERY
        already = count = len(items) - len(waiting)
        try:
            for outcome in work(job, waiting):
                found[outcome["Study"]] = outcome
                count += 1
                left = (clock() - start) / (count - already) * (len(items) - count)
                tell(outcome, count, len(items), left)
                if (before_it := clock()) > due:
                    write_summary(job, every, found, left)
                    due = clock() + max(EVERY, SHARE * (clock() - before_it))
        finally:
            write_summary(job, every, found)
    return [done for item in items if (done := found[item.key]) is not None]


def _is_done(outcome: Outcome | None) -> TypeGuard[Outcome]:
    return outcome is not None and outcome["Status"] == DONE


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with alone_in(folder, wait=False, name=LOCK) as alone:
        if alone is False:
            raise FormatError(
                f"Another batch is running in {folder}: wait for its end, or choose another folder."
            )
        yield


def _remove(folder: Path, items: Iterable[Item]) -> None:
    """Remove what an earlier batch wrote, and nothing else: each study's outcome goes first, so
    that what is left of one that was removed in part does not count as finished."""
    for item in items:
        outcome = outcome_in(folder / item.key)
        if outcome is None:
            continue
        names = outcome.get("Names", [])
        for name in (OUTCOME, THUMBNAIL, *names):
            if Path(name).name == name:
                (folder / item.key / name).unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else
            (folder / item.key).rmdir()
    for path in (folder / MANIFEST, folder / SUMMARY, *folder.glob(PAGES)):
        path.unlink(missing_ok=True)
