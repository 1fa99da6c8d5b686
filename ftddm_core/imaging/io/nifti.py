"""Image files: one image per file, or several maps stacked along the fourth dimension.

Several formats are read (see `image_file`), NIfTI-1 is written.
"""

# mypy: allow-untyped-calls
# (nibabel types its images but not its headers.)

from __future__ import annotations

import gzip
import json
import os
from contextlib import suppress
from io import BytesIO
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.io.image_file import RawImage, load, stem_of
from ftddm_core.imaging.space import slice_axis, slices_last, units_of
from ftddm_core.imaging.volume import Volume

QFORM_TOLERANCE_MM = 1e-3
WRITTEN = (".nii.gz", ".nii")
ALIGNED = 2
"""Code of a world that is known, but not what it is."""


def read_volume(path: Path | str, *, allow_empty: bool = False, space: str | None = None) -> Volume:
    """Read one 3D image with its slices along the last axis; a single slice becomes (X, Y, 1).

    World coordinates are those of the sform, else of the qform, converted to mm if the header
    states metres or micrometres. `space.notes_of` the volume's header tells of doubts about them,
    `Volume.stored` the order of the axes in the file.

    Parameters
    ----------
    path
        A file of one of the formats of `image_file`.
    allow_empty
        Accept an image without any finite value other than 0.
    space
        "sform" or "qform": which to use if the header has both; None for the sform.

    Returns
    -------
    Volume
        float32 values after the header's scaling, and the header, without the affine that was not
        chosen; of other formats than NIfTI the same facts as a NIfTI header.

    Raises
    ------
    FormatError
        If the file is missing, damaged, not an image, or does not hold exactly one non-empty
        real-valued image.
    GeometryError
        If its affine is singular.
    SettingsError
        If `space` is unknown.
    """
    path = Path(path)
    raw = load(path, space)
    if raw.data.shape[3] > 1:
        raise FormatError(
            f"{path} holds {raw.data.shape[3]} volumes where one was expected. "
            "Split it into one file per volume."
        )
    return _volume(path, raw, 0, allow_empty)


def read_maps(
    path: Path | str, name: str, *, allow_empty: bool = False, space: str | None = None
) -> dict[str, Volume]:
    """Read a 3D file as the map `name`, or a 4D file as one map per name in its sidecar.

    The sidecar has the same name ending in .json and lists the names, in the order of the volumes,
    under "Metabolites" or "metabolites".

    Raises
    ------
    FormatError
        As `read_volume`; or if a 4D file has no sidecar with one distinct name per volume.
    GeometryError
        If the affine is singular.
    SettingsError
        If `space` is unknown.
    """
    path = Path(path)
    raw = load(path, space)
    count = raw.data.shape[3]
    names = [name] if count == 1 else _sidecar_names(path, count)
    return {n: _volume(path, raw, i, allow_empty) for i, n in enumerate(names)}


def encode_volume(volume: Volume, *, compress: bool = True) -> bytes:
    """Return a volume as the bytes of a float32 NIfTI-1 file, reproducibly.

    The sform holds the affine; the qform, which cannot represent shear, is set only if it places
    every voxel within 1e-3 mm of the same position. The axes are in the order of the file that the
    volume came from. The description, the time unit, the slice axis and the meaning of the world
    coordinates are taken from the volume's header: none if it has no orientation, "aligned" without
    a header.
    """
    slices = volume.stored[2]
    volume = volume.in_order((0, 1, 2))
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(np.float32)
    header.set_data_shape(volume.shape)
    header.set_slope_inter(1, 0)
    header["magic"], header["vox_offset"] = b"n+1", 352
    code, time_unit = ALIGNED, "unknown"
    if isinstance(volume.header, nib.Nifti1Header):
        header["descrip"] = volume.header["descrip"]
        header["dim_info"] = volume.header["dim_info"]
        code = int(volume.header["sform_code"]) or int(volume.header["qform_code"])
        time_unit = units_of(volume.header)[1]
    header.set_xyzt_units("mm", time_unit)
    header.set_sform(volume.affine, code)
    header.set_qform(volume.affine, code)
    corners = np.array([(*c, 1) for c in product(*((0, n - 1) for n in volume.shape))])
    error_mm = np.abs((header.get_qform() - volume.affine) @ corners.T).max()
    if error_mm > QFORM_TOLERANCE_MM:
        header["qform_code"] = 0
    if slice_axis(volume.shape, volume.voxel_size, header.get_dim_info()[2]) != slices:
        header.set_dim_info(slice=slices)
    with np.errstate(over="ignore"):
        values = volume.data.astype("<f4").tobytes(order="F")
    content = bytes(header.binaryblock) + b"\0\0\0\0" + values
    if not compress:
        return content
    buffer = BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def write_volume(path: Path | str, volume: Volume) -> None:
    """Write a volume in the form of `encode_volume`, compressed if the path ends in .nii.gz; the
    file is complete or as it was before.

    Raises
    ------
    FormatError
        If the path does not end in .nii or .nii.gz, or cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(WRITTEN):
        raise FormatError(f"{path} must end in .nii.gz or .nii to be written as NIfTI.")
    content = encode_volume(volume, compress=path.name.lower().endswith(".gz"))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise FormatError(f"{path} could not be written: {error.strerror}.") from error


def _volume(path: Path, raw: RawImage, index: int, allow_empty: bool) -> Volume:
    data = raw.data[..., index]
    if not allow_empty and not (np.isfinite(data) & (data != 0)).any():
        which = f" (volume {index + 1})" if raw.data.shape[3] > 1 else ""
        raise FormatError(
            f"{path}{which} is empty: every voxel is 0 or not a number. Leave it out, or check "
            "the fit or export that made it."
        )
    try:
        volume = Volume(data, raw.affine, header=raw.header).in_order(slices_last(raw.slices))
        return volume.with_data(np.ascontiguousarray(volume.data))
    except GeometryError as error:
        raise GeometryError(f"{path}: {error} Export it again with its orientation.") from error


def _sidecar_names(path: Path, count: int) -> list[str]:
    sidecar = path.with_name(stem_of(path) + ".json")
    advice = (
        f"Save one file per metabolite, or list the {count} names in {sidecar.name} as "
        '{"Metabolites": ["tNAA", ...]}.'
    )
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError(f"{path} holds {count} maps without names. {advice}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{sidecar} could not be read as JSON ({error}). {advice}") from error
    listed = content if isinstance(content, dict) else {}
    names = listed.get("Metabolites", listed.get("metabolites"))
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise FormatError(f"{sidecar} lists no names of metabolites. {advice}")
    distinct = {name.strip().casefold() for name in names}
    if not len(names) == len(distinct) == count:
        raise FormatError(f"{path} holds {count} maps, {sidecar.name} names {names}. {advice}")
    return [name.strip() for name in names]
