"""Maps as DICOM parametric maps, which state in the object that they are AI-generated.

Needs highdicom and pydicom (the extra `dicom`).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ftddm_core.errors import FormatError, FtddmError, GeometryError
from ftddm_core.imaging.volume import Volume
from ftddm_core.saving.names import DICOM_ENDING, MAP_ENDING, SHOWN
from ftddm_core.saving.notice import NOTICE
from ftddm_core.saving.software import version_of

NEEDED = "DICOM needs highdicom and pydicom: pip install 'ftddm-viewer[dicom]'"
LONGEST_LINE, LONGEST_TEXT = 64, 1024
"""Characters of DICOM's "long string" and "short text"."""

SERIES = "AI-generated, research use only: {} FTDDM"
CONTENT = "AI-generated. Research use only, not for clinical use."
UCUM = {"mM": "mmol/L", "mmol/L": "mmol/L", "mmol/kg": "mmol/kg", "": "1"}
"""Unit of a map -> the same as a code; others are stated in words only."""

SQUARE = 1e-3
"""Largest cosine between two axes of a grid that DICOM can describe."""

OF_SOURCE = ("ReferencedSeriesSequence", "SourceImageSequence", "DerivationImageSequence")
STATED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


def check_dicom(whose: Path | None = None) -> None:
    """Refuse what `dicom_files` would, before any work is done.

    Raises
    ------
    FtddmError
        If what writes DICOM is not installed.
    FormatError
        If `whose` is not a DICOM image.
    """
    try:
        import highdicom  # noqa: F401
    except ModuleNotFoundError:
        raise FtddmError(NEEDED) from None
    if whose is not None:
        _read(whose)


def dicom_files(
    result: Any, label: str, files: Mapping[str, bytes], whose: Path | None = None
) -> dict[str, bytes]:
    """Return every map of a result as a DICOM parametric map, by name.

    Parameters
    ----------
    result
        The result.
    label
        Name of the study; the patient's name without `whose`.
    files
        Those of the result: name -> content.
    whose
        DICOM file of the same examination, whose patient, study and frame of reference are taken:
        of the series that the maps are registered with.

    Raises
    ------
    FtddmError
        If highdicom is not installed.
    FormatError
        If `whose` is not a DICOM image.
    GeometryError
        If the axes of the maps are not at right angles.
    """
    check_dicom()
    source = _source(label, files) if whose is None else _read(whose)
    found = {}
    names = [name for name in files if name.endswith(f"_desc-{SHOWN}_mrsi{MAP_ENDING}")]
    for number, ((metabolite, volume), name) in enumerate(
        zip(result.maps.items(), names, strict=True), start=1
    ):
        weights = result.weighting[metabolite]
        how = {
            "map": name,
            "sha256": sha256(files[name]).hexdigest(),
            "weights": f"{result.weights} {result.digest[:16]}",
            "mri_weight": weights.mri_weight,
            "detail": round(weights.detail, 4),
            "settings": result.settings.to_dict(),
        }
        words = f"{NOTICE} FTDDM super-resolution. {json.dumps(how, separators=(',', ':'))}"
        content = parametric_map(volume, metabolite, source, words, files[name], number)
        found[f"{name.removesuffix(MAP_ENDING)}{DICOM_ENDING}"] = content
    return found


def parametric_map(
    volume: Volume, metabolite: str, source: Any, words: str, identity: bytes, number: int = 1
) -> bytes:
    """Return a map as the bytes of a DICOM file, which states when it was written.

    Its identifiers are the same for the same map and study.

    Parameters
    ----------
    volume
        The map (X, Y, Z): X becomes columns, Y rows, Z frames.
    metabolite
        Its name.
    source
        DICOM data set whose patient, study and frame of reference are taken.
    words
        How it was made, for the derivation.
    identity
        What the object's identifiers are made of.
    number
        Of the series, among those of one result.

    Raises
    ------
    GeometryError
        If the axes of the map are not at right angles.
    """
    import highdicom as hd
    from pydicom.sr.coding import Code
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    axes = lps[:3, :3] / steps
    if np.abs(axes.T @ axes - np.eye(3)).max() > SQUARE:
        raise GeometryError(
            "The axes of the maps are not at right angles, which DICOM cannot describe: resample "
            "them first."
        )
    frames = np.ascontiguousarray(np.asarray(volume.data, np.float32).transpose(2, 1, 0))
    top = max(float(frames.max()), float(np.finfo(np.float32).tiny))
    unit = UCUM.get(volume.unit)
    own = f"{sha256(identity).hexdigest()} {source.StudyInstanceUID}"
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=metabolite[:16],
        lut_explanation=f"{metabolite} in {volume.unit or 'arbitrary units'}"[:LONGEST_LINE],
        unit=Code(unit or "1", "UCUM", volume.unit if unit and volume.unit else "no units"),
        value_range=(float(frames.min()), top),
        slope=1.0,
        intercept=0.0,
    )
    position = [
        hd.PlanePositionSequence("PATIENT", (lps @ (0, 0, k, 1))[:3].tolist())
        for k in range(len(frames))
    ]
    with warnings.catch_warnings():
        # Of names in the examination, which are not this program's to correct.
        warnings.simplefilter("ignore", UserWarning)
        made = hd.pm.ParametricMap(
            [source],
            frames,
            series_instance_uid=generate_uid(entropy_srcs=[own, "series"]),
            series_number=9000 + number,
            sop_instance_uid=generate_uid(entropy_srcs=[own, "instance"]),
            instance_number=1,
            manufacturer="FTDDM Viewer developers",
            manufacturer_model_name="FTDDM Viewer",
            software_versions=version_of("ftddm-viewer") or "unknown",
            device_serial_number="none",
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[hd.VOILUTTransformation(top / 2, top)],
            transfer_syntax_uid=ExplicitVRLittleEndian,
            content_description=CONTENT,
            content_label="FTDDM",
            pixel_measures=hd.PixelMeasuresSequence(
                (float(steps[1]), float(steps[0])), float(steps[2]), float(steps[2])
            ),
            plane_orientation=hd.PlaneOrientationSequence(
                "PATIENT", [*axes[:, 0].tolist(), *axes[:, 1].tolist()]
            ),
            plane_positions=position,
        )
    made.SeriesDescription = SERIES.format(metabolite)[:LONGEST_LINE]
    made.DerivationDescription = words[:LONGEST_TEXT]
    made.ImageComments = NOTICE
    # It was made from NIfTI files, and from no DICOM object that could be referred to.
    for part in (made, *made.PerFrameFunctionalGroupsSequence):
        for name in OF_SOURCE:
            if name in part:
                delattr(part, name)
    written = BytesIO()
    made.save_as(written)
    return written.getvalue()


def _source(label: str, files: Mapping[str, bytes]) -> Any:
    """Return the frame of a study of its own, for maps without a DICOM examination."""
    from pydicom.dataset import Dataset
    from pydicom.uid import MRImageStorage, generate_uid

    own = sha256(b"".join(sha256(content).digest() for content in files.values())).hexdigest()
    found = Dataset()
    found.PatientName = f"{label[: LONGEST_LINE - 1]}^"  # one component, on purpose
    found.PatientID = label[:LONGEST_LINE]
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        setattr(found, name, generate_uid(entropy_srcs=[own, name]))
    found.PositionReferenceIndicator = ""
    found.SOPClassUID, found.Modality = MRImageStorage, "MR"
    found.ImagePositionPatient, found.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    found.PixelSpacing, found.SliceThickness = [1, 1], 1
    found.Rows = found.Columns = 1
    return _filled(found)


def _filled(found: Any) -> Any:
    """Return a data set with what every DICOM object states, empty where it is not known."""
    for name in STATED:
        if name not in found:
            setattr(found, name, "")
    return found


def _read(path: Path) -> Any:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        found = dcmread(path, stop_before_pixels=True)
    except (OSError, InvalidDicomError) as error:
        raise FormatError(f"{path} is not a DICOM file that can be read: {error}") from None
    if any(name not in found for name in ("StudyInstanceUID", "FrameOfReferenceUID", "Rows")):
        raise FormatError(f"{path} is not a DICOM image with a place in the patient.")
    return _filled(found)
