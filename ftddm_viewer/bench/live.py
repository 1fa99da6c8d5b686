"""Latency from moving a control to the image, measured in a real session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from statistics import median

from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import Progress
from ftddm_viewer.bench.watch import Run, Watch, WatchedModel
from ftddm_viewer.session.session import Session

MOVES = ("tau_flow", "tau_diffusion", "t_trunc", "seed", "upscale", "slice", "metabolite")
"""The controls that are moved, in the order of the table."""

WEIGHTINGS = ((1.0, "noise"), (0.0, "noise"), (0.5, "noise"), (1.0, "off"))
"""MRI weight and data consistency of live images; the first pair is the reference."""


@contextmanager
def opened(model: WatchedModel, inputs: Inputs) -> Iterator[Watch]:
    """Yield the watch of a session that shows the study; its work ends with the block."""
    session = Session(model, checks_itself=False)  # which would run between moves
    watch = Watch(session)
    try:
        session.show(inputs.case.study, inputs.case.label)
        watch.settled()
        yield watch
    finally:
        session.close()


def moves(watch: Watch, inputs: Inputs, call: float, plan: Plan, progress: Progress) -> list[Line]:
    """Return for every kind of move the median time to the first and to the final image.

    Every repeat makes each move once, to a value not used before. The seed changes between any two
    moves, so that no earlier image can be reused.

    Parameters
    ----------
    watch
        The watch of a session that shows `inputs`.
    call
        Seconds of a denoiser call for one slice.

    Returns
    -------
    list of dict
        `move`, `first` and `final` in seconds, `first_calls` and `final_calls` in denoiser calls,
        `repeats`.
    """
    session, seed = watch.session, 0
    found: dict[str, list[tuple[float, float]]] = {move: [] for move in MOVES}
    for repeat in range(plan.repeats):
        for number, move in enumerate(MOVES):
            seed += 1
            watch.timed(partial(session.update, seed=seed))
            seed += move == "seed"
            found[move].append(watch.timed(_move(session, inputs, move, repeat, seed)))
            progress((repeat + (number + 1) / len(MOVES)) / plan.repeats)
    lines = []
    for move, times in found.items():
        first, final = _medians(times)
        calls = {"first_calls": first / call, "final_calls": final / call}
        lines.append({"move": move, "first": first, "final": final, **calls, "repeats": len(times)})
    return lines


def _medians(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the median times to the first and to the final image."""
    first, final = (median(column) for column in zip(*times, strict=True))
    return first, final


def _move(
    session: Session, inputs: Inputs, move: str, repeat: int, seed: int
) -> Callable[[], object]:
    """Return a move to a new value for every repeat."""
    if move == "slice":
        following = (session.state.slice_index + 1) % inputs.prepared.n_slices
        return partial(session.choose, slice_index=following)
    if move == "metabolite":
        names = [*inputs.prepared.conditions]
        after = names[(names.index(session.state.metabolite) + 1) % len(names)]
        return partial(session.choose, metabolite=after)
    share = (repeat % 40 + 1) / 100
    values = {
        "tau_flow": 0.5 + share,
        "tau_diffusion": 0.5 - share,
        "t_trunc": 99 - repeat % 40,
        "seed": seed,
        "upscale": 3 + 5 * share,
    }
    return partial(session.update, **{move: values[move]})


def mri_weights(watch: Watch, plan: Plan, progress: Progress) -> list[Line]:
    """Return the latency after a move of tau_flow, by `WEIGHTINGS`.

    The pairs alternate within every repeat, so that a machine that slows down favours none. Each
    move goes to a value not used before, after a change of the seed, as in `moves`; the session's
    settings are restored at the end. With consistency "off" every step still evaluates the
    measurement for the reported residual; the cost of the update itself is in `calls`.

    Parameters
    ----------
    watch
        The watch of a session that shows a study with T1 or FLAIR.

    Returns
    -------
    list of dict
        `mri_weight`, `consistency`, the median `first` and `final` in seconds, `first_relative` and
        `final_relative` (relative to the first line), `repeats`.
    """
    session, before = watch.session, watch.session.state.settings
    found: list[list[tuple[float, float]]] = [[] for _ in WEIGHTINGS]
    count, total = 0, plan.repeats * len(WEIGHTINGS)
    for _ in range(plan.repeats):
        for times, (weight, consistency) in zip(found, WEIGHTINGS, strict=True):
            count += 1
            chosen = partial(session.update, mri_weight=weight, consistency=consistency)
            watch.timed(partial(chosen, seed=before.seed + count))
            times.append(watch.timed(partial(session.update, tau_flow=0.5 - count % 50 / 100)))
            progress(count / total)
    watch.timed(partial(session.update, **before.to_dict()))
    medians = [_medians(times) for times in found]
    return [
        {
            "mri_weight": weight,
            "consistency": consistency,
            "first": first,
            "final": final,
            "first_relative": first / medians[0][0],
            "final_relative": final / medians[0][1],
            "repeats": plan.repeats,
        }
        for (weight, consistency), (first, final) in zip(WEIGHTINGS, medians, strict=True)
    ]


def drag(watch: Watch, model: WatchedModel, call: float, plan: Plan) -> Line:
    """Measure a slider that is moved faster than chains end.

    Parameters
    ----------
    watch
        The watch of an open session of `model`.
    call
        Seconds of a denoiser call for one slice.

    Returns
    -------
    dict
        `moves` in `seconds`; `runs`, chains started; `most`, chains running at once; `images` that
        arrived during the drag, and `gap`, the longest time without one; `final`, from the last
        move to its final image; `undisturbed`, the same for a single move; `overstay`, the longest
        time that a chain ran on after it was superseded, and `overstay_calls`; `lingered`, the same
        after its first image, which it may still show, and `lingered_steps`, the most steps begun
        in that time. Times in seconds.
    """
    session, interval = watch.session, plan.drag_seconds / plan.drag_moves
    alone = [
        watch.timed(partial(session.update, tau_flow=0.4 - i % 40 / 100))[1]
        for i in range(plan.repeats)
    ]
    model.forget()
    watch.arrivals.clear()
    start, moved = time.perf_counter(), []
    for i in range(plan.drag_moves):
        time.sleep(max(0.0, start + i * interval - time.perf_counter()))
        moved.append(time.perf_counter())
        session.update(tau_flow=(i + 0.5) / plan.drag_moves)
    final = watch.settled() - moved[-1]
    shown = [arrival.time for arrival in watch.arrivals]
    during = [at for at in shown if at <= moved[-1]]
    overstay, _ = longest_overstay(model.runs, moved)
    lingered, steps = longest_overstay(model.runs, moved, shown)
    return {
        "moves": len(moved),
        "seconds": moved[-1] - moved[0],
        "runs": model.begun,
        "most": model.most,
        "images": len(during),
        "gap": max(b - a for a, b in pairwise([moved[0], *during, moved[-1]])),
        "final": final,
        "undisturbed": median(alone),
        "overstay": overstay,
        "overstay_calls": overstay / call,
        "lingered": lingered,
        "lingered_steps": steps,
    }


def longest_overstay(
    runs: Sequence[Run], moved: Sequence[float], shown: Sequence[float] = ()
) -> tuple[float, int]:
    """Return for how long, and for how many steps, a chain ran on after it was superseded.

    Parameters
    ----------
    runs
        Chains.
    moved
        When moves were made.
    shown
        When images were shown, where a chain may continue up to its first image.

    Returns
    -------
    seconds, steps
        The longest time of any chain, and the most steps that any began in that time.

    Examples
    --------
    >>> runs = [Run(0.0, 1.5, [0.0, 1.25]), Run(1.5, 1.75), Run(2.5, 9.0)]
    >>> longest_overstay(runs, moved=[0.0, 1.0, 2.0])
    (0.5, 1)
    >>> longest_overstay(runs, moved=[0.0, 1.0, 2.0], shown=[1.375, 1.6])
    (0.125, 0)
    """
    seconds, steps = 0.0, 0
    for run in runs:
        overtaken = [at for at in moved if run.begin < at < run.end]
        first_image = [at for at in shown if run.begin < at < run.end]
        if overtaken:
            due = max(overtaken[:1] + first_image[:1])
            seconds = max(seconds, run.end - due)
            steps = max(steps, sum(at > due for at in run.steps))
    return seconds, steps
