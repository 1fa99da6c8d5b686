"""Results as files: NIfTI maps with JSON sidecars, written all or none."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import encode_volume
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.result import Result
from ftddm_viewer import RESEARCH_ONLY
from ftddm_viewer.session.check_messages import check_line, check_record

NOTICE = f"AI-generated. {RESEARCH_ONLY}."

CHOOSE_ANOTHER = "choose another folder, or allow it to be replaced"
"""Advice for a file that exists; front ends have their own wording."""

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
    short = re.sub(r"[^A-Za-z0-9]+", "", metabolite) or "unnamed"
    return f"{label}_met-{short}_desc-{description}_mrsi"


def result_names(study: Study, samples: int) -> list[str]:
    """Return the names of the files that `result_files` will make.

    Raises
    ------
    FormatError
        If two maps would have the same file name.
    """
    label = study_label(study)
    _check_apart(label, study.maps)
    descriptions = ("ftddm", "ftddmSd", "ftddmError") if samples > 1 else ("ftddm",)
    stems = [result_stem(label, name, what) for name in study.maps for what in descriptions]
    return [f"{stem}{ending}" for stem in stems for ending in (".nii.gz", ".json")]


def _check_apart(label: str, metabolites: Iterable[str]) -> None:
    """Raise a FormatError if two maps would have the same file name."""
    owner: dict[str, str] = {}
    for name in metabolites:
        stem = result_stem(label, name)
        other = owner.setdefault(stem.casefold(), name)
        if other != name:
            raise FormatError(
                f"The maps '{other}' and '{name}' would both be written as {stem}.nii.gz: "
                "rename one, with letters and digits."
            )


def fingerprints(study: Study) -> dict[str, dict[str, str]]:
    """Return the file name (without folders) and the SHA-256 of each file of a study, by role."""
    return {
        role: {
            "Name": Path(path).name,
            "SHA256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        }
        for role, path in sorted(study.source.items())
    }


def result_files(
    result: Result,
    study: Study,
    record: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Return name -> content of a NIfTI and a sidecar for every map of a result.

    A result of several samples also gets their standard deviation, `desc-ftddmSd`, and the
    estimated error of the map shown, `desc-ftddmError`. The content depends on inputs, settings,
    weights and software only, never on time or place. `record` is added to every sidecar; `inputs`
    are the study's `fingerprints`, taken now unless they were taken when it was opened.

    Raises
    ------
    FormatError
        If two maps would have the same file name.
    """
    label = study_label(study)
    _check_apart(label, result.maps)
    inputs = fingerprints(study) if inputs is None else inputs
    files: dict[str, bytes] = {}
    for name in result.maps:
        several = result.settings.samples > 1
        images = {"ftddm": (result.maps[name], "mean of samples" if several else "sample")}
        if several:
            images["ftddmSd"] = (result.deviation[name], "standard deviation over samples")
            images["ftddmError"] = (result.error(name), "estimated error of the map shown")
        for description, (volume, statistic) in images.items():
            stem = result_stem(label, name, description)
            files[f"{stem}.nii.gz"] = encode_volume(volume)
            own = {"Statistic": statistic} | sidecar(result, study, name, inputs)
            own |= dict(record or {})
            if description != "ftddm":
                del own["KSpaceResidual"]  # it belongs to the mean
            files[f"{stem}.json"] = (json.dumps(own, indent=2) + "\n").encode()
    return files


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
        "KSpaceResidual": {
            "Drawn": residual.drawn,
            "Shown": residual.shown,
            "Noise": residual.noise,
        },
        "Weights": {"Name": result.weights, "SHA256": result.digest},
        "Device": re.sub(r":\d+", "", result.device),
        "Software": {name: _version(name) for name in SOFTWARE},
        "Inputs": dict(inputs),
    }
    return record


def study_files(study: Study, label: str, record: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> content of a study that `open_study` can read, with one sidecar `record`."""
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
        Created if it does not exist.
    overwrite
        Whether files of the same name may be replaced.

    Raises
    ------
    FormatError
        If a file exists already, or the folder cannot be written to.
    """
    check_writable(folder, files, overwrite=overwrite)
    parents = {parent for name in files for parent in (folder / name).parents}
    made = sorted((p for p in parents if not p.exists()), key=lambda p: len(p.parts))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the folder, which may be on another file system: files are renamed, not copied.
        with tempfile.TemporaryDirectory(prefix=".ftddm-", dir=folder) as staging:
            new, old = Path(staging, "new"), Path(staging, "old")
            for name, content in files.items():
                for root in (new, old):
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(content)
            _exchange(files, folder, new, old)
    except BaseException as error:
        for parent in reversed(made):
            with suppress(OSError):  # not empty: something else was put there in the meantime
                parent.rmdir()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or error
        raise FormatError(f"Cannot write to {folder}: {reason}. Choose another folder.") from None
    return [folder / name for name in files]


def _exchange(names: Iterable[str], folder: Path, new: Path, old: Path) -> None:
    """Move files from `new` into a folder, and replaced files to `old`; undo everything if one
    fails."""
    moved: list[str] = []
    try:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            moved.append(name)
            if (folder / name).exists():
                os.replace(folder / name, old / name)
            os.replace(new / name, folder / name)
    except BaseException:
        for name in moved:
            if (old / name).exists():
                os.replace(old / name, folder / name)
            elif not (new / name).exists():
                (folder / name).unlink()
        raise


def check_writable(folder: Path, names: Iterable[str], *, overwrite: bool = False) -> None:
    """Raise a FormatError if files of these names cannot be written, before any work is done."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise FormatError(f"{nearest} is a file, not a folder; choose another.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise FormatError(f"Cannot write to {folder}: permission denied. Choose another folder.")
    existing = [folder / name for name in names if (folder / name).exists()]
    if blocked := [path for path in existing if path.is_dir()]:
        raise FormatError(f"{blocked[0]} is a folder, but a file of this name is needed; move it.")
    if existing and not overwrite:
        raise FormatError(f"{existing[0]} exists already; {CHOOSE_ANOTHER}.")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
