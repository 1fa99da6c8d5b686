"""The files of an examination: listed ones, and those of folders with their subfolders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.image_file import image_at, is_image, stem_of
from ftddm_core.imaging.io.layouts import Found
from ftddm_core.imaging.io.layouts.lcmodel import ENDINGS
from ftddm_core.imaging.io.lcmodel import find_tables

PathLike = Path | str

DEEPEST = 7
"""How many folders below the opened one are looked into."""

MOST_FILES = 20_000
"""How many entries of a folder are looked at before it is refused: not an examination."""

RAW = {
    ".dcm": ("DICOM", "dcm2niix for MRI and spec2nii for spectra"),
    ".ima": ("Siemens DICOM", "dcm2niix for MRI and spec2nii for spectra"),
    ".rda": ("Siemens spectra", "spec2nii"),
    ".twix": ("Siemens raw data", "spec2nii"),
    ".sdat": ("Philips spectra", "spec2nii"),
    ".spar": ("Philips spectra", "spec2nii"),
    ".par": ("Philips images", "dcm2niix"),
    ".rec": ("Philips images", "dcm2niix"),
    ".xml_rec": ("Philips images", "dcm2niix"),
    ".7": ("GE raw data", "spec2nii"),
    ".h5": ("raw data", "the program that wrote it"),
}
"""Ending -> what such a file is, and what converts it."""

PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
"""Endings of files that hold others; only a zip file that the user names is unpacked."""


def is_array(path: Path) -> bool:
    """Return whether the name is that of a NumPy array."""
    return path.suffix.lower() == ".npy"


def _stem(path: Path) -> str:
    if path.suffix.lower() in ENDINGS:
        return path.name
    return path.stem if is_array(path) else stem_of(path)


def find_files(paths: Sequence[PathLike]) -> list[Found]:
    """Return the images and arrays of the paths, each once, in the order of their names.

    A folder that holds images itself is read without its subfolders; else they are looked into,
    `DEEPEST` levels down, without hidden ones and without following links to folders.

    Raises
    ------
    FormatError
        If a path does not exist or is not a file or a folder, or a folder holds too many files.
    """
    unique: dict[object, Found] = {}
    for path in map(Path, paths):
        for found in _of(path):
            key = _identity(found.path)
            if key not in unique or found.listed:
                unique[key] = found
    return list(unique.values())


def _of(path: Path) -> Iterator[Found]:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise FormatError(f"{path} does not exist. Check the path.") from None
        raise FormatError(f"{path} cannot be opened: {reason}. Check the path.") from None
    if stat.S_ISDIR(mode):
        yield from _inside(path)
    elif not stat.S_ISREG(mode):
        raise FormatError(f"{path} is neither a file nor a folder: give a folder or image files.")
    elif path.suffix.lower() != ".json":  # a sidecar is read together with its image
        path = image_at(path)  # of a pair, both files may be listed
        yield Found(path, _stem(path), listed=True)


def _inside(folder: Path) -> Iterator[Found]:
    images = list(_walk(folder))
    top = [found for found in images if not found.folder]
    yield from top if top else images


def _walk(folder: Path) -> Iterator[Found]:
    seen = 0

    def refuse(error: OSError) -> None:
        if Path(error.filename or "") == folder:
            raise FormatError(f"{folder} cannot be read: {error.strerror}.") from None

    for root, folders, names in os.walk(folder, onerror=refuse):
        below = Path(root).relative_to(folder)
        deep = len(below.parts) >= DEEPEST
        folders[:] = [] if deep else sorted(name for name in folders if name[0] != ".")
        seen += len(folders) + len(names)
        if seen > MOST_FILES:
            raise FormatError(
                f"{folder} holds more than {MOST_FILES} files: open the folder of one examination."
            )
        place = "" if below == Path() else below.as_posix()
        # Hidden files are artefacts of file systems ("._tNAA.nii.gz").
        for name in sorted(n for n in names if n[0] != "."):
            path = Path(root, name)
            missing = path.is_symlink() and not path.exists()
            if (is_image(path) or is_array(path)) and (path.is_file() or missing):
                yield Found(path, _stem(path), place, missing=missing)
        if tables := _tables(Path(root), names):  # they are read together: the first stands
            yield Found(tables[0], tables[0].name, place)


def _tables(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return LCModel's files in a folder that holds some by their endings."""
    if not any(name.lower().endswith(ENDINGS) for name in names):
        return []
    return find_tables(folder)


def _identity(path: Path) -> object:
    """Return what tells a file from others, whatever links lead to it."""
    about = path.stat() if path.exists() else path.lstat()
    return (about.st_dev, about.st_ino) if about.st_ino else path.absolute()


def raw_data_in(paths: Sequence[PathLike]) -> tuple[str, str] | None:
    """Return what raw data the paths hold and what converts it; None if there is none.

    Files without an ending are DICOM if they say so in their first bytes.
    """
    for path in map(Path, paths):
        names = [path]
        if path.is_dir():
            names = sorted(p for p in path.rglob("*") if p.is_file())[:500]
        for name in names:
            if name.suffix.lower() in RAW:
                return RAW[name.suffix.lower()]
            if name.suffix.lower() == ".dat" and name.stat().st_size > 10_000:
                return "Siemens raw data", "spec2nii"
            if not name.suffix and _is_dicom(name):
                return RAW[".dcm"]
    return None


def packed_in(paths: Sequence[PathLike]) -> Path | None:
    """Return the first packed file below the paths, which is not looked into; None without one."""
    for path in map(Path, paths):
        inside = sorted(path.rglob("*"))[:MOST_FILES] if path.is_dir() else []
        for each in inside:
            if each.name.lower().endswith(PACKED) and each.name[0] != "." and each.is_file():
                return each
    return None


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
