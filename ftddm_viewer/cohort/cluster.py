"""A batch on several processes or machines, by dask.distributed.

A worker gets paths and settings, loads the networks once, and writes its results itself; only
outcomes come back. The folders of studies and results must be the same for all. A study whose
worker dies is given to another one, which finds it finished or starts it again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any

from ftddm_core.cores import usable_cores
from ftddm_core.errors import CheckpointError, FtddmError
from ftddm_viewer.cohort import quiet
from ftddm_viewer.cohort.job import Job
from ftddm_viewer.cohort.one import Outcome, failed, record, treat
from ftddm_viewer.cohort.plan import Item
from ftddm_viewer.cohort.run import Work
from ftddm_viewer.session.model import Model

if TYPE_CHECKING:
    from distributed import Client

NEEDED = ("distributed", "cryptography")

DEATHS = 10
"""How many workers may die of one study before it counts as failed."""

CRITICAL_ONLY = 60
"""Level of dask's own messages, which are about its processes: none."""

_models: dict[str, Model] = {}
_one_at_a_time = Lock()
"""A worker of a cluster may have several threads; its networks take one study at a time."""


def check_installed() -> None:
    """Raise an FtddmError that names what is missing."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise FtddmError(
            f"Several processes need {' and '.join(missing)}, which is not installed: "
            "pip install 'ftddm-viewer[cluster]', or leave out --workers and --scheduler."
        )


def on_workers(
    workers: int | None = None,
    scheduler: str = "",
    started: Callable[[Client], None] = lambda client: None,
) -> Work:
    """Return the work of several processes here, or of a cluster's.

    Parameters
    ----------
    workers
        Number of processes on this machine.
    scheduler
        Address of a cluster's scheduler, in place of processes here.
    started
        Called with the client as soon as the workers are there.

    Raises
    ------
    FtddmError
        If dask.distributed is not installed, or the scheduler cannot be reached.
    """
    check_installed()

    def work(job: Job, items: Sequence[Item]) -> Iterator[Outcome]:
        if not items:
            return
        with ExitStack() as ended:
            client = _client(ended, workers, scheduler)
            started(client)
            yield from _outcomes(client, job, items)

    return work


def _client(ended: ExitStack, workers: int | None, scheduler: str) -> Client:
    import dask
    from distributed import Client, LocalCluster

    threads = max(1, usable_cores() // (workers or 1))
    own = {
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": threads,
    }
    ended.enter_context(dask.config.set(own))
    if scheduler:
        try:
            return ended.enter_context(Client(scheduler, timeout="20s", set_as_default=False))
        except (OSError, TimeoutError, ValueError) as error:
            raise FtddmError(
                f"No scheduler answers at {scheduler} ({error}): check its address."
            ) from None
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        security=True,  # other users of this machine could run code through its ports
        silence_logs=CRITICAL_ONLY,
        preload=[quiet.__name__],
    )
    ended.enter_context(cluster)
    return ended.enter_context(Client(cluster, set_as_default=False))


def _outcomes(client: Client, job: Job, items: Sequence[Item]) -> Iterator[Outcome]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    plain, waiting = job.to_dict(), iter(items)
    given: dict[Any, Item] = {}

    def give() -> list[Any]:
        """Give every worker a study, no more: one that dies takes no other with it."""
        workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        futures = []
        for item in itertools.islice(waiting, max(0, workers - len(given))):
            future = client.submit(on_worker, plain, item.key, item.path, item.session, pure=False)
            given[future.key] = item
            futures.append(future)
        return futures

    running = as_completed(give(), loop=client.loop)
    for future in running:
        item = given.pop(future.key)
        error = future.exception()
        if isinstance(error, KilledWorker):
            words = "The processes that restored it were ended by the system: out of memory?"
            yield record(job, item, failed(item, words))
        elif error is not None:
            raise error
        else:
            yield future.result()
        future.release()
        running.update(give())


def on_worker(plain: Mapping[str, Any], key: str, path: str, session: str) -> Outcome:
    """Restore one study in a worker, with the networks that it has loaded."""
    job = Job.from_dict(plain)
    name = repr((job.weights, job.digest, job.device, job.half))
    with _one_at_a_time:
        if name not in _models:
            _models.clear()
            model = job.model(_device(job.device))
            model.load()
            if model.digest != job.digest:
                raise CheckpointError(
                    f"A worker has other weights '{job.weights}' than the batch: give all the same."
                )
            _models[name] = model
        return treat(job, Item(key, path, session), _models[name])


def _device(asked: str) -> str:
    """Return a worker's own GPU, where its machine shows several to all."""
    if asked not in ("auto", "cuda"):
        return asked
    import torch
    from distributed import get_worker

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = get_worker().name
    if count < 2 or not isinstance(number, int):
        return asked
    return f"cuda:{number % count}"
