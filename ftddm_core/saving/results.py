"""A result as files: NIfTI maps with JSON sidecars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.result import Result
from ftddm_core.saving.files import save_files
from ftddm_core.saving.names import (
    ENDINGS,
    OF_SEVERAL,
    SHOWN,
    check_apart,
    result_stem,
    stale_names,
    study_label,
)
from ftddm_core.saving.pair import encode_pair
from ftddm_core.saving.sidecar import fingerprints, sidecar


class Output(NamedTuple):
    """An image of a result, and the record of how it was made."""

    volume: Volume
    record: dict[str, Any]


def save_result(
    result: Result,
    study: Study,
    folder: Path | str,
    *,
    overwrite: bool = False,
    record: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a result as `ftddm run` does: NIfTI maps with JSON sidecars, all of them or none.

    Parameters
    ----------
    result
        The resolver's result.
    study
        The study that it was made from; its label or the names of its files name the result's.
    folder
        Created if it does not exist.
    overwrite
        Whether an earlier result of the same name may be replaced. Its standard deviations and
        errors are removed even if this result has none. The study's own files never are replaced.
    record
        Further entries of every sidecar.

    Returns
    -------
    list of Path
        The files, each sidecar before its map.

    Raises
    ------
    FormatError
        If the result is not of this study, two maps would have the same file name, a file of an
        earlier result exists, or the folder cannot be written to.
    """
    files = result_files(result, study, record)
    return save_files(
        files,
        Path(folder),
        overwrite=overwrite,
        stale=stale_names(files),
        inputs=study.source.values(),
    )


def result_files(
    result: Result,
    study: Study,
    record: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Return name -> content of a sidecar and a NIfTI for every image of a result.

    The content depends on inputs, settings, weights and software only, never on time or place.
    Parameters and errors as for `outputs_of`.
    """
    files: dict[str, bytes] = {}
    for stem, output in outputs_of(result, study, record, inputs, metrics).items():
        names = (f"{stem}{ending}" for ending in ENDINGS)
        files.update(zip(names, encode_pair(*output), strict=True))
    return files


def outputs_of(
    result: Result,
    study: Study,
    record: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> dict[str, Output]:
    """Return name without ending -> every image of a result, with its record.

    A result of several samples also has their standard deviation, `desc-ftddmSd`, and the
    estimated error of the map shown, `desc-ftddmError`.

    Parameters
    ----------
    result, study
        The result, and the study that it was made from.
    record
        Added to every record.
    inputs
        The study's `fingerprints`, if they were taken when it was opened; None to take them now.
    metrics
        Metabolite -> metrics against a known truth, if there is one.

    Raises
    ------
    FormatError
        If the result is not of this study, two maps would have the same file name, or a file of
        the study can no longer be read.
    """
    label = study_label(study)
    check_apart(label, result.maps)
    if foreign := [name for name in result.maps if name not in study.maps]:
        raise FormatError(
            f"The study has no map of {', '.join(foreign)}; it has {', '.join(study.maps)}: save "
            "the result with the study that it was made from."
        )
    inputs = fingerprints(study) if inputs is None else inputs
    found: dict[str, Output] = {}
    for name in result.maps:
        several = result.settings.samples > 1
        images = {SHOWN: (result.maps[name], "mean of samples" if several else "sample")}
        if several:
            deviation, error = OF_SEVERAL
            images[deviation] = (result.deviation[name], "standard deviation over samples")
            images[error] = (result.error(name), "estimated error of the map shown")
        for description, (volume, statistic) in images.items():
            own = {"Statistic": statistic} | sidecar(result, study, name, inputs)
            own |= dict(record or {})
            if description == SHOWN and metrics is not None:
                own["Metrics"] = metrics[name]
            if description != SHOWN:
                del own["KSpaceResidual"]  # it belongs to the mean
            found[result_stem(label, name, description)] = Output(volume, own)
    return found
