"""What a point of a sweep costs, measured in a real session against its live images."""

from __future__ import annotations

import time
from functools import partial
from statistics import median

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.volume import Study
from ftddm_core.settings import Value
from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import Progress
from ftddm_viewer.bench.watch import PATIENCE, Watch, WatchedModel
from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.session import Session

SWEPT = ("τ_f, τ_d", "τ_f, T_trunc")
"""The settings that are swept, in words."""

ALONE = 2.0
"""Factor by which the study is degraded to be a scan without a reference, and enlarged again."""


def _values(plan: Plan) -> dict[str, dict[str, tuple[Value, ...]]]:
    """Return the values to sweep, by the settings in words."""
    several, fewer = plan.sweep
    flow = tuple((i + 0.5) / several for i in range(several))
    diffusion = tuple((i + 0.5) / fewer for i in range(fewer))
    levels = tuple(100 * (i + 1) // fewer for i in range(fewer))
    temperatures, truncation = SWEPT
    return {
        temperatures: {"tau_flow": flow, "tau_diffusion": diffusion},
        truncation: {"tau_flow": flow, "t_trunc": levels},
    }


def sweeps(model: WatchedModel, inputs: Inputs, plan: Plan, progress: Progress) -> list[Line]:
    """Return the time of a sweep's points relative to live images, with and without a reference.

    Live images and sweeps alternate within every repeat. Without a reference every point is tried
    in the self-check, too: it takes two images.

    Returns
    -------
    list of dict
        `reference`, whether there is one, `swept` in words, `points`, the median seconds of a
        `live` image and of a `point`, and `relative`, the second divided by the first; `repeats`.
    """
    study = inputs.case.study
    lines: list[Line] = []
    for shown, mode in ((study, Mode.RESTORE), (degrade(study, ALONE), Mode.ENLARGE)):
        session = Session(model, checks_itself=False)
        try:
            lines += _lines(session, shown, mode, plan)
        finally:
            session.close()
        progress(len(lines) / (2 * len(SWEPT)))
    return lines


def _lines(session: Session, study: Study, mode: Mode, plan: Plan) -> list[Line]:
    watch = Watch(session)
    session.show(study)
    watch.settled()
    if session.state.mode is not mode:
        watch.timed(partial(session.choose, mode=mode))
    if mode is Mode.ENLARGE:
        watch.timed(partial(session.update, upscale=ALONE, seed=1))
    live: list[float] = []
    points: dict[str, list[float]] = {words: [] for words in SWEPT}
    counts = {}
    for _ in range(plan.repeats):
        for words, values in _values(plan).items():
            seed = 2 + len(live)  # nothing is known of a new one
            watch.timed(partial(session.update, seed=seed))
            live.append(watch.timed(partial(session.update, tau_flow=0.5 + seed / 200))[1])
            start = time.perf_counter()
            session.explore(values)
            if not session.wait(PATIENCE) or (found := session.state.exploration) is None:
                raise FtddmError(f"A sweep did not end within {PATIENCE:g} s.")
            if found.problem or found.missing:
                raise FtddmError(found.problem or "A sweep ended early.")
            counts[words] = len(found.points)
            points[words].append((time.perf_counter() - start) / counts[words])
    one = median(live)
    return [
        {
            "reference": mode is Mode.RESTORE,
            "swept": words,
            "points": counts[words],
            "live": one,
            "point": median(times),
            "relative": median(times) / one,
            "repeats": plan.repeats,
        }
        for words, times in points.items()
    ]
