"""Unpacking of a zip file with a study, which may come from anyone.

Every entry is judged before the first is written, and what really comes out is counted while it is
written. A zip file inside a zip file stays packed.

A `Study` keeps the paths of its files, and saving its results reads them again for their
fingerprints: the folder must exist as long as the study is in use. `unpacked_until_exit` sees to
that; a server, which outlives its studies, calls `unpack` with a folder of its own and removes it.
"""

from __future__ import annotations

import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.layouts.research import MAPS, MRI
from ftddm_core.imaging.io.limits import LARGEST

MOST_ENTRIES = 20_000
LONGEST_DIRECTORY = MOST_ENTRIES * 512
"""Limit in bytes of the list of entries, which `zipfile` reads at once."""
CHUNK = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those that `zipfile` unpacks in bounded memory."""


def is_archive(path: Path) -> bool:
    """Return whether the name is that of a zip file."""
    return path.suffix.lower() == ".zip"


def unpacked_until_exit(path: Path) -> Path:
    """Unpack a zip file into a temporary folder that is removed when the program ends.

    A file that did not change since is not unpacked again. What is returned and raised is as of
    `unpack`.
    """
    try:
        about = path.stat()
        key = (path.absolute(), about.st_mtime_ns, about.st_size)
        if key not in _UNPACKED:
            place = tempfile.TemporaryDirectory(prefix="ftddm-", ignore_cleanup_errors=True)
            _UNPACKED[key] = place, unpack(path, Path(place.name, path.stem or "study"))
    except OSError as error:
        raise FormatError(f"{path} could not be unpacked: {error.strerror}.") from error
    return _UNPACKED[key][1]


_UNPACKED: dict[tuple[Path, int, int], tuple[tempfile.TemporaryDirectory[str], Path]] = {}


def unpack(path: Path, into: Path, most: int | None = None) -> Path:
    """Unpack a zip file into a folder of the caller, who owns and later removes it.

    Parameters
    ----------
    path
        The zip file. The files that macOS adds (`__MACOSX`, `._<name>`) are left out.
    into
        An empty folder, or one that does not exist; it is left empty if this raises.
    most
        Number of bytes that may come out, 2 GB at most and by default.

    Returns
    -------
    Path
        The folder with the files: `into`, or the folder within if there is nothing else beside it.

    Raises
    ------
    FormatError
        If the file is missing, damaged, encrypted, or empty; if an entry is a link, or its name
        leads out of the folder; if there are more than 20 000 entries, or more than `most` bytes
        come out.
    """
    most = LARGEST if most is None else min(most, LARGEST)
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise FormatError(f"{path} {state}. Check the path.")
    try:
        into.mkdir(parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise FormatError(f"{into} is not empty. Choose an empty folder to unpack into.")
    except OSError as error:
        raise FormatError(f"{into} could not be made: {error.strerror}.") from error
    try:
        with path.open("rb") as file:
            _check_directory(path, file)
            with zipfile.ZipFile(file) as archive:
                _write(path, archive, _entries(path, archive, most), into, most)
    except Exception as error:
        _empty(into)
        if isinstance(error, FormatError):
            raise
        if isinstance(error, OSError) and error.strerror:
            raise FormatError(f"{path} could not be unpacked: {error.strerror}.") from error
        if isinstance(error, DAMAGE):
            raise FormatError(
                f"{path} is damaged, or not a zip file: it does not unpack ({_short(str(error))}). "
                "Copy or zip it again."
            ) from error
        raise
    return _study_folder(into)


DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    MemoryError,
    NotImplementedError,  # a version of the format that zipfile does not know
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
)
"""What `zipfile` raises on damaged files."""


def _check_directory(path: Path, file: IO[bytes]) -> None:
    """Refuse a list of entries that is too long, before `zipfile` reads it."""
    size = file.seek(0, 2)
    start = max(0, size - (1 << 16) - 200)
    file.seek(start)
    tail = file.read()
    plain = tail[-22:-18] == b"PK\5\6" and tail[-2:] == b"\0\0"  # without a comment, as zipfile
    at = len(tail) - 22 if plain else tail.rfind(b"PK\5\6")
    if at < 0 or at + 22 > len(tail):
        raise FormatError(
            f"{path} is damaged, or not a zip file: its list of entries is missing. "
            "Copy or zip it again."
        )
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if tail[at - 20 : at - 16] == b"PK\6\7" and tail[at - 76 : at - 72] == b"PK\6\6":  # Zip64
        length = int.from_bytes(tail[at - 36 : at - 28], "little")
    if length > LONGEST_DIRECTORY:
        raise FormatError(
            f"{path} holds a list of entries of {length} bytes, more than {MOST_ENTRIES} files "
            "need. Zip only the files of one examination."
        )


def _entries(
    path: Path, archive: zipfile.ZipFile, most: int
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return the entries that are files with their relative paths, after judging all of them."""
    found = archive.infolist()
    if len(found) > MOST_ENTRIES:
        raise FormatError(
            f"{path} holds {len(found)} entries, more than {MOST_ENTRIES}. Zip only the files of "
            "one examination."
        )
    total = sum(entry.file_size for entry in found)
    if total > most:
        raise FormatError(_too_large(path, most))
    files = []
    taken: set[str] = set()
    for entry in found:
        name = _relative(path, entry)
        if any(part == "__MACOSX" or part.startswith("._") for part in name.parts):
            continue
        if entry.flag_bits & 0x1:
            raise FormatError(f"{path} is encrypted. Unpack it yourself, or zip it without.")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise FormatError(
                f"{path} holds a link or device, {_short(entry.filename)}. Zip the files "
                "themselves."
            )
        if entry.is_dir() or kind == stat.S_IFDIR:
            continue
        if entry.compress_type not in METHODS:
            raise FormatError(
                f"{path} is packed by an unusual method ({entry.compress_type}). Zip it again "
                "with the usual one, deflate."
            )
        if (key := str(name).casefold()) in taken:
            raise FormatError(
                f"{path} holds {_short(entry.filename)} twice. Zip every file once, with names "
                "that differ in more than upper and lower case."
            )
        taken.add(key)
        files.append((entry, name))
    if not files:
        raise FormatError(f"{path} holds no file. Zip the files of one examination.")
    return files


def _relative(path: Path, entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the relative path of an entry, whichever separators it has."""
    # zipfile cuts a name at its first zero byte.
    text = entry.orig_filename.replace("\\", "/")
    name = PurePosixPath(text)
    outside = name.is_absolute() or ".." in name.parts or PureWindowsPath(text).drive
    if outside or not name.parts or any(ord(letter) < 32 for letter in text):
        raise FormatError(
            f"{path} holds an entry whose name leads out of its folder, or is not a name: "
            f"{_short(text)}. Zip it again with relative names."
        )
    return name


def _write(
    path: Path,
    archive: zipfile.ZipFile,
    files: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    into: Path,
    most: int,
) -> None:
    """Write the files below a folder; the size that an entry declares is not trusted."""
    left = most
    for entry, name in files:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, target.open("xb") as out:
            while chunk := packed.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise FormatError(_too_large(path, most))
                out.write(chunk)


def _too_large(path: Path, most: int) -> str:
    far = ", far more than one examination" if most == LARGEST else ", for which there is no room"
    return (
        f"{path} unpacks to more than {most / 1e9:.3g} GB{far}. Zip only its maps, masks and MRI."
    )


def _empty(folder: Path) -> None:
    """Remove what a folder holds, as far as possible."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _study_folder(folder: Path) -> Path:
    """Return the first folder from here on down that holds more than one folder.

    The folders of the layout of arrays belong to the folder above them, even if alone in it.
    """
    while True:
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in (MAPS, MRI):
            return folder
        folder = inside[0]


def _short(text: str) -> str:
    """Return a name or message from a file for a message of one line."""
    return " ".join(repr(text)[:80].split())
