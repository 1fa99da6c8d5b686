"""A measured low-resolution study: restored from half of its own matrix, and enlarged.

It has no high-resolution truth. What can be tested is how well the lower half of its k-space
predicts the upper half, and whether the added detail has a plausible position and size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftddm_core.evaluation.cache import key_of
from ftddm_core.evaluation.cases import Case
from ftddm_core.evaluation.metrics import gradient
from ftddm_core.evaluation.runner import Runner
from ftddm_core.imaging.degrade import coarse_matrix, degrade
from ftddm_core.imaging.fourier import consistency_residual
from ftddm_core.imaging.geometry import output_matrix
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.sampling.result import PROGRESS
from ftddm_core.settings import SamplerSettings

FloatArray = NDArray[np.float32]

ENLARGEMENT = 4.0
"""Factor by which a measured study is enlarged."""


REAL_FACTOR = 2.0
"""Factor by which a measured study is degraded, to be restored to the measured matrix."""


def real_case(name: str, study: Study, trained_voxel: float, *, whole: bool = False) -> Case:
    """Return a low-resolution study as a case whose truth is its own measurement.

    The degraded study is enlarged to about the voxel size (mm) of the training data, as a user
    would do, and truncated to the measured matrix. With `whole`, it is degraded including the
    signal outside the mask.
    """
    from ftddm_core.sampling.resolver import settle_upscale  # it imports torch

    left = coarse_matrix((study.grid.shape[0], study.grid.shape[1]), REAL_FACTOR)
    usual = settle_upscale(SamplerSettings(), degrade(study, REAL_FACTOR), trained_voxel).upscale
    output = output_matrix(left, usual or REAL_FACTOR)
    finer = all(n > have for n, have in zip(output, study.grid.shape[:2], strict=True))
    return Case(name, "", study, simulated=False, output=output if finer else None, whole=whole)


@dataclass(frozen=True, eq=False)
class Enlarged:
    """One map of a measured study, enlarged at the default settings.

    Parameters
    ----------
    condition
        The network input; its `lowres` is the zero-filled map.
    output
        (Nx, Ny, Z) in the map's unit.
    """

    condition: Condition
    output: FloatArray

    def metrics(self) -> dict[str, float]:
        """Return metrics that need no truth.

        `peak`: maximum of the output in the mask over that of the zero-filled map, far above 1 for
        an invented hot spot. `edge`: mean of output over zero-filled at the mask's edge, 1 without
        ringing. `gradient`: mean gradient over the zero-filled map's, a sharpness without truth.
        `residual`: of the acquired k-space.
        """
        from scipy.ndimage import binary_erosion

        mask, plain = self.condition.mask, self.condition.lowres
        rim = mask & ~binary_erosion(mask, np.ones((3, 3, 1)))
        residual = consistency_residual(
            self.output.astype(np.float64), plain.astype(np.float64), self.condition.acquired
        )
        slices = range(mask.shape[2])
        slopes = [gradient(self.output[..., k], plain[..., k], mask[..., k]) for k in slices]
        return {
            "gradient": float(np.nanmean(slopes)) if np.isfinite(slopes).any() else np.nan,
            "peak": float(self.output[mask].max() / plain[mask].max()),
            "edge": float(self.output[rim].mean() / plain[rim].mean()),
            "residual": float(residual),
        }


def enlarge(
    runner: Runner, study: Study, progress: Callable[[float], None] = lambda done: None
) -> dict[str, Enlarged]:
    """Return every map of a measured study enlarged at the default settings; maps are cached.

    Raises
    ------
    FormatError, GeometryError
        If no conditions can be formed from the study.
    Cancelled
        If the runner is asked to stop.
    """
    settings = SamplerSettings(upscale=ENLARGEMENT)  # weights from the study's self-check
    conditions = {c.metabolite: c for c in form_conditions(study, ENLARGEMENT)}
    stated = settings.exact(ENLARGEMENT).to_dict() | {
        "enlarged": Case("", "", study).digest,
        "weights": runner.resolver.weights.digest,
        "where": "float16" if runner.resolver.half else "float32",
    }
    keys = {name: key_of(stated | {"told": c.digest}) for name, c in conditions.items()}
    missing = [conditions[name] for name, key in keys.items() if runner.cache.load(key) is None]
    if missing:
        result = None
        check = runner.resolver.check(study, cancelled=runner.cancelled)
        for update in runner.resolver.sample(
            missing, settings, check=check, cancelled=runner.cancelled, every=PROGRESS
        ):
            progress(update.done)
            result = update.result
        for name, volume in result.maps.items() if result else ():
            runner.cache.save(keys[name], volume.data, 0.0)
    found = {}
    for name, condition in conditions.items():
        # The cached map is shown, so that the image is the same next time.
        kept = runner.cache.load(keys[name])
        if kept is not None:
            found[name] = Enlarged(condition, kept[0])
    return found
