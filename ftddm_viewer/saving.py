"""Results as files: NIfTI maps with a JSON sidecar each, all of them or none."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import encode_volume
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.resolver import Result

NOTICE = "AI-generated. Research use only, not for clinical use."
"""On every picture and in every sidecar."""

SOFTWARE = ("ftddm-viewer", "torch", "numpy", "scipy", "nibabel")


def study_label(study: Study) -> str:
    """Return a short name for a study: the part of its files before `_met-`, or their folder's."""
    for name in study.maps:
        if name in study.source:
            path = Path(study.source[name])
            before, found, _ = path.name.partition("_met-")
            label = before if found else path.resolve().parent.name
            return re.sub(r"[^A-Za-z0-9_-]+", "-", label).strip("-_") or "study"
    return "study"


def result_stem(label: str, metabolite: str, description: str = "ftddm") -> str:
    """Return a map's file name without its ending: `<label>_met-<name>_desc-<what>_mrsi`."""
    return f"{label}_met-{re.sub(r'[^A-Za-z0-9]+', '', metabolite)}_desc-{description}_mrsi"


def result_files(result: Result, study: Study) -> dict[str, bytes]:
    """Return name -> content of a NIfTI and a sidecar for every map of a result.

    A result of several samples also gets its standard deviation, `desc-ftddmSd`. The content
    depends on inputs, settings, weights and software alone, never on the time or on where it ran.
    """
    label = study_label(study)
    inputs = {role: _fingerprint(Path(path)) for role, path in sorted(study.source.items())}
    files: dict[str, bytes] = {}
    for name in result.maps:
        several = result.settings.samples > 1
        images = {"ftddm": (result.maps[name], "mean of samples" if several else "sample")}
        if several:
            images["ftddmSd"] = (result.deviation[name], "standard deviation over samples")
        for description, (volume, statistic) in images.items():
            stem = result_stem(label, name, description)
            files[f"{stem}.nii.gz"] = encode_volume(volume)
            record = {"Statistic": statistic} | sidecar(result, name, inputs)
            files[f"{stem}.json"] = (json.dumps(record, indent=2) + "\n").encode()
    return files


def sidecar(result: Result, metabolite: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of how one map was made."""
    condition = result.conditions[metabolite]
    before, after = result.residual[metabolite]
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
        "KSpaceResidual": {"Before": before, "After": after},
        "MayBeNegativeOrOutsideMask": result.settings.consistency,
        "Weights": {"Name": result.weights, "SHA256": result.digest},
        "Device": result.device.partition(":")[0],
        "Software": {name: _version(name) for name in SOFTWARE},
        "Inputs": dict(inputs),
    }
    return record


def study_files(study: Study, label: str, record: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> content of a study that `open_study` reads, with one sidecar `record`."""
    volumes = {f"{label}_met-{name}_desc-signal_mrsi": v for name, v in study.maps.items()}
    if isinstance(study.mask, Volume):
        volumes[f"{label}_mask"] = study.mask
    for name, image in (("T1w", study.t1), ("FLAIR", study.flair)):
        if image is not None:
            volumes[f"{label}_{name}"] = image
    files = {f"{stem}.nii.gz": encode_volume(volume) for stem, volume in volumes.items()}
    return files | {f"{label}.json": (json.dumps(dict(record), indent=2) + "\n").encode()}


def save_files(files: Mapping[str, bytes], folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write files into a folder: either all of them appear, or none.

    Parameters
    ----------
    files
        Name relative to the folder -> content.
    folder
        Made if it does not exist.
    overwrite
        Whether files of the same name may be replaced.

    Raises
    ------
    FormatError
        If a file exists already, or the folder cannot be written to.
    """
    check_writable(folder, files, overwrite=overwrite)
    targets = [folder / name for name in files]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".ftddm-", dir=folder.parent))
        try:
            for name, content in files.items():
                part = staging / name
                part.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(content)
            for name, target in zip(files, targets, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(staging / name, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or error
        raise FormatError(f"Cannot write to {folder}: {reason}. Choose another --out.") from None
    return targets


def check_writable(folder: Path, names: Iterable[str], *, overwrite: bool = False) -> None:
    """Raise a FormatError if files of these names may not be written, before any work is done."""
    if folder.exists() and not folder.is_dir():
        raise FormatError(f"{folder} is a file, a folder is needed; choose another --out.")
    existing = [folder / name for name in names if (folder / name).exists()]
    if existing and not overwrite:
        raise FormatError(
            f"{existing[0]} exists already; choose another --out, or say --overwrite to replace it."
        )


def _fingerprint(path: Path) -> dict[str, str]:
    """Return a file's name, without its folders, and its SHA-256."""
    return {"Name": path.name, "SHA256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
