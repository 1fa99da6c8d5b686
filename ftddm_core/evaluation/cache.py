"""Cache of finished maps on disk, so that an interrupted evaluation can be resumed.

An entry is named by the SHA-256 of everything it depends on: the networks, the method's settings
(not its name), the case, the factor, the metabolite and the seed. Values are stored as float16
relative to the map's maximum, with an error 70 dB below it; metrics are always computed from the
stored values, so that an interrupted run gives the same metrics as an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError

FORMAT = 3
"""Version, to be raised when a change of a method alters the maps of the same settings."""


def key_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of everything an entry depends on."""
    stated = json.dumps({"format": FORMAT, **content}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(stated.encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """A folder of maps.

    Parameters
    ----------
    folder
        Created when the first entry is written.
    """

    folder: Path

    def __contains__(self, key: str) -> bool:
        return self._path(key, "npz").is_file()

    def load(self, key: str) -> tuple[NDArray[np.float32], float] | None:
        """Return a map (Nx, Ny, Z) and its seconds per slice; None if there is no entry.

        A damaged entry counts as missing and will be overwritten.
        """
        try:
            content = io.BytesIO(self._path(key, "npz").read_bytes())
            with np.load(content, allow_pickle=False) as entry:
                image = entry["image"].astype(np.float32) * np.float32(entry["peak"])
                return image, float(entry["seconds"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, key: str, image: NDArray[Any], seconds: float) -> None:
        """Write a map (Nx, Ny, Z) and its seconds per slice.

        Raises
        ------
        FormatError
            If the map is not finite, or the folder cannot be written to.
        """
        if not np.isfinite(image).all():
            raise FormatError("A method gave a map that is not finite; it was not stored.")
        peak = float(np.abs(image).max(initial=0)) or 1.0
        content = io.BytesIO()
        np.savez_compressed(
            content,
            image=(image / peak).astype(np.float16),
            peak=np.float64(peak),
            seconds=np.float64(seconds),
        )
        self._write(self._path(key, "npz"), content.getvalue())

    def discard(self, key: str) -> None:
        """Remove a map, if there is one."""
        self._path(key, "npz").unlink(missing_ok=True)

    def load_json(self, key: str) -> Any:
        """Return the JSON content stored under a key; None if there is none."""
        try:
            return json.loads(self._path(key, "json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def save_json(self, key: str, content: Any) -> None:
        """Store JSON content under a key.

        Raises
        ------
        FormatError
            If the folder cannot be written to.
        """
        self._write(self._path(key, "json"), json.dumps(content).encode())

    def _path(self, key: str, ending: str) -> Path:
        return self.folder / key[:2] / f"{key[2:34]}.{ending}"

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file atomically, via another name: an entry is complete or missing."""
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            reason = error.strerror or error
            raise FormatError(
                f"Cannot write to {path.parent}: {reason}. Choose another folder."
            ) from None
        finally:
            with suppress(OSError):
                part.unlink()
