"""Fidelity of an image as shown: against the measurement, and against a reference."""

from __future__ import annotations

from ftddm_core.evaluation.baselines import zero_filling
from ftddm_core.evaluation.metrics import evaluate
from ftddm_core.imaging.volume import finite_or_zero
from ftddm_core.sampling.gathered import residual_of
from ftddm_viewer.session.state import View


def fidelity(view: View, metabolite: str, k: int) -> dict[str, float]:
    """Return the metrics of a slice's map as shown; each is computed once.

    They are the k-space "residual" and the residual expected from noise alone, "noise"; with a
    reference also "psnr" and "ssim", and those of the input, "input_psnr" and "input_ssim". Empty
    for an image that is not final, and for a slice without trusted voxels.
    """
    key = (metabolite, k)
    if key not in view.metrics:
        view.metrics[key] = _fidelity(view, metabolite, k)
    return view.metrics[key]


def _fidelity(view: View, metabolite: str, k: int) -> dict[str, float]:
    image, prepared = view.images.get((metabolite, k)), view.prepared
    condition = prepared.conditions[metabolite]
    mask = condition.mask[..., k]
    if image is None or image.traces is None or not mask.any():
        return {}
    detail = view.detail(metabolite)
    images = (image.drawn[..., None], image.alone[..., None])
    noise = condition.measurement.with_noise(view.asked.noise).deviation
    residual = residual_of(condition, [k], images, image.traces, detail, noise)
    metrics = {"residual": residual.shown, "noise": residual.noise}
    if prepared.reference is not None:
        truth = finite_or_zero(prepared.reference.maps[metabolite].data[..., k]) * mask
        baseline = zero_filling(condition)[..., k]
        for prefix, values in (("", image.shown(detail)), ("input_", baseline)):
            found = evaluate(values, truth, mask, condition.acquired)
            metrics |= {f"{prefix}{name}": found[name] for name in ("psnr", "ssim")}
    return metrics
