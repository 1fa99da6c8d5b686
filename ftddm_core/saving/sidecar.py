"""The record of how a map was made: it depends on inputs, settings, weights and software only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from platform import python_version
from typing import Any

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.imaging.window import Window
from ftddm_core.sampling.check_words import check_line, check_record
from ftddm_core.sampling.result import Result
from ftddm_core.sampling.widening import widening
from ftddm_core.saving.notice import NOTICE
from ftddm_core.saving.software import commit, version_of

SOFTWARE = ("ftddm-viewer", "torch", "numpy", "scipy", "nibabel")


def fingerprints(study: Study) -> dict[str, dict[str, str]]:
    """Return the file name (without folders) and the SHA-256 of each file of a study, by role.

    Raises
    ------
    FormatError
        If a file can no longer be read.
    """
    return {
        role: {"Name": Path(path).name, "SHA256": _digest_of(Path(path))}
        for role, path in sorted(study.source.items())
    }


def _digest_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FormatError(
            f"{path}, from which the study was read, could not be read again: {error.strerror}. "
            "Put it back, or open the study again."
        ) from error


def sidecar(
    result: Result, study: Study, metabolite: str, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of how one map was made from an acquired study."""
    condition, weights = result.conditions[metabolite], result.weighting[metabolite]
    deviation, source = result.noise[metabolite]
    residual = result.residual[metabolite]
    grid = result.maps[metabolite]
    record: dict[str, Any] = {
        "Notice": NOTICE,
        "Metabolite": metabolite,
        "Unit": condition.unit or "as the input",
        "AcquiredMatrix": [*condition.acquired, condition.shape[2]],
        "Matrix": list(condition.shape),
        "VoxelSize_mm": [round(size, 6) for size in grid.voxel_size],
        "EffectiveUpscale": condition.upscale,
        "Scale": condition.scale,
        "OutlierVoxels": condition.outliers,
        "Settings": result.settings.to_dict(),
        "Weighting": {"MriWeight": weights.mri_weight, "Detail": round(weights.detail, 6)},
        "SelfCheck": {
            "Words": check_line(result.check, {metabolite: weights}),
            **check_record(result.check, metabolite),
        },
        "Noise": {"Deviation_percent": round(100 * deviation, 6), "Source": source},
        "Outside": str(study.outside),
        "Measurement": {
            "ValidVoxels": int(condition.measurement.w.sum()),
            "ModelVariance": condition.measurement.model_variance,
            "OutsideVariance": condition.measurement.outside_variance,
            "Spread": condition.measurement.spread,
            "KSpaceWindow": _window(condition.measurement.window),
        },
        "KSpaceResidual": {
            "Drawn": residual.drawn,
            "Shown": residual.shown,
            "Noise": residual.noise,
        },
        "Weights": {"Name": result.weights, "SHA256": result.digest},
        "Device": re.sub(r":\d+", "", result.device),
        "Software": {name: version_of(name) for name in SOFTWARE} | {"python": python_version()},
        **({"Commit": commit()} if commit() else {}),
        "Inputs": dict(inputs),
        "Grids": grids(study),
        "Choices": dict(study.choices),
        "Notes": _notes(study),
    }
    if result.settings.samples > 1:
        record["DeviationWidenedBy"] = round(widening(condition), 6)
    return record


def grids(study: Study) -> dict[str, dict[str, Any]]:
    """Return matrix and affine of every image of a study, by role; maps share one grid."""
    images: dict[str, Volume | None] = {"maps": study.grid, "t1": study.t1, "flair": study.flair}
    if isinstance(study.mask, Volume):
        images["mask"] = study.mask
    elif study.mask is not None:
        images |= {f"{name}_mask": mask for name, mask in study.mask.items()}
    images |= {f"{name}_crlb": bound for name, bound in study.crlb.items()}
    return {
        role: {
            "Matrix": list(image.shape),
            "Affine_mm": [[round(float(v), 6) for v in row] for row in image.affine[:3]],
        }
        for role, image in sorted(images.items())
        if image is not None
    }


def _window(window: Window | None) -> str | dict[str, Any]:
    if window is None:
        return "not stated, taken as uniform"
    return {
        "Elliptical": window.elliptical,
        "Hamming": window.hamming,
        "Reach": [round(end, 6) for end in window.reach],
    }


def _notes(study: Study) -> list[str]:
    """Return the notes of a study with its files' names in place of their paths."""
    found = list(study.notes)
    for path in sorted(study.source.values(), key=len, reverse=True):
        found = [note.replace(path, Path(path).name) for note in found]
    return found
