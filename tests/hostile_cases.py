"""What a hostile visitor may send to the page: uploads, links and requests, in tables.

`tests/hostile.py` sends all of them to a server; tests of the page take what they need.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from bad_archives import ARCHIVES
from bad_files import AFFINE, INPUTS, MAPS
from numpy.typing import NDArray
from tiny import SHAPE

from ftddm_viewer.web import limits

Upload = Mapping[str, bytes]
"""Name -> content of the files that are sent together."""


class Case(NamedTuple):
    """One thing to send.

    Parameters
    ----------
    sent
        Makes it.
    said
        What the page must say, as a regular expression; "" if it opens, and does no harm.
    """

    sent: Callable[[], Upload]
    said: str


# ---- files


def nifti(data: NDArray[np.generic] | None = None, **header: object) -> bytes:
    """Return a map with some numbers of its header replaced: name -> number."""
    image = nib.Nifti1Image(MAPS["tNAA"] if data is None else data, AFFINE)
    content = bytearray(image.to_bytes())
    for name, number in header.items():
        where, form = FIELDS[name]
        content[where : where + struct.calcsize(form)] = struct.pack(form, *np.atleast_1d(number))
    return bytes(content)


FIELDS = {
    "sizeof_hdr": (0, "<i"), "dim": (40, "<8h"), "datatype": (70, "<h"), "bitpix": (72, "<h"),
    "pixdim": (76, "<8f"), "vox_offset": (108, "<f"), "slope": (112, "<f"), "inter": (116, "<f"),
    "forms": (252, "<2h"), "srow": (280, "<12f"),
}  # fmt: skip
"""Field of a NIfTI header -> its place and format."""


def map_of(**header: object) -> Callable[[], Upload]:
    return lambda: {"tNAA.nii": nifti(**header)}  # type: ignore[arg-type]


def values(number: float, everywhere: bool = True) -> Callable[[], Upload]:
    def sent() -> Upload:
        data = np.full_like(MAPS["tNAA"], number) if everywhere else MAPS["tNAA"].copy()
        data[5, 4, 0] = number
        return {"tNAA.nii": nifti(data)}

    return sent


def named(name: str, content: bytes | None = None) -> Callable[[], Upload]:
    """Return what sends one file, a sound map by default."""
    return lambda: {name: nifti() if content is None else content}


def bomb(megabytes: int, start: bytes = b"") -> Callable[[], Upload]:
    def sent() -> Upload:
        packed_file = io.BytesIO()
        with gzip.GzipFile(fileobj=packed_file, mode="wb", compresslevel=1, mtime=0) as file:
            file.write(start)
            for _ in range(megabytes):
                file.write(bytes(1_000_000))
        return {"tNAA.nii.gz": packed_file.getvalue()}

    return sent


def zip_of(files: Mapping[str, bytes]) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return file.getvalue()


def overlapping() -> Upload:
    """A list of entries that names the same megabytes hundreds of times."""
    content = zip_of({f"a{0:04d}.nii": bytes(10_000_000)})
    at, end = content.find(b"PK\1\2"), content.find(b"PK\5\6")
    entry = content[at:end]
    entries = b"".join(entry.replace(b"a0000", b"a%04d" % n) for n in range(400))
    last = bytearray(content[end:])
    last[8:12] = struct.pack("<2H", 400, 400)
    last[12:16] = struct.pack("<I", len(entries))
    return {"patient.zip": content[:at] + entries + bytes(last)}


def sidecar(content: bytes) -> Callable[[], Upload]:
    return lambda: {"tNAA.nii": nifti(), "tNAA.json": content}


def array(data: NDArray[np.generic], *, pickled: bool = False) -> bytes:
    with io.BytesIO() as file:
        np.lib.format.write_array(file, data, allow_pickle=pickled)
        return file.getvalue()


def in_array(content: bytes) -> Callable[[], Upload]:
    return lambda: {"tNAA.npy": content, "study.json": b'{"VoxelSize": [3, 3, 3]}'}


def archive(make: Callable[[Path], object]) -> Callable[[], Upload]:
    def sent() -> Upload:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "bad.zip")
            make(path)
            return {path.name: path.read_bytes()}

    return sent


def files(make: Callable[[Path], list[object]]) -> Callable[[], Upload]:
    def sent() -> Upload:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place))
            return {path.name: path.read_bytes() for path in Path(place).iterdir()}

    return sent


NO_UPLOADS = ("missing", "name too long", "no folder", "elsewhere", "a folder as T1", "beside",
              "an empty mask", "a mask of nothing", "guides only", "two T1", "two masks",
              "another grid")  # fmt: skip
"""Bad input of the shell that needs flags, a whole study, or no file at all."""

SPECIAL = {
    "a bomb of zeros": Case(bomb(100), "unpacks|expands|not a NIfTI"),
    "a bomb that begins as a map": Case(
        bomb(200, nifti(dim=[3, 32000, 32000, 1000, 1, 1, 1, 1])), "large|more than|GB"
    ),
    "a zip of overlapping entries": Case(overlapping, "unpacks to more than"),
    "a zip of zips": Case(
        lambda: {"a.zip": zip_of({"b.zip": zip_of({"c.zip": zip_of({"tNAA.nii": nifti()})})})},
        "packed files there are not looked into",
    ),
    "a map and a zip in one": Case(named("tNAA.nii", nifti() + zip_of({"../evil": b"x"})), ""),
    "a zip that begins as a map": Case(
        named("patient.zip", nifti() + zip_of({"../evil": b"x"})), "leads out"
    ),
    "a page as a map": Case(
        named("tNAA.nii", b"<html><script>alert(1)</script>" * 30), "not a NIfTI image"
    ),
    "a program as a map": Case(named("tNAA.nii", b"\x7fELF" * 200), "not a NIfTI image"),
    "a picture as a map": Case(
        named("tNAA.nii.gz", b"\x89PNG\r\n\x1a\n" * 99), "not a NIfTI image"
    ),
    "objects in an array": Case(
        in_array(array(np.array([print], object), pickled=True)), "holds Python objects"
    ),
    "a pickle as an array": Case(in_array(pickle.dumps([print])), "its header is damaged"),
    "an array of words": Case(in_array(array(np.array(["a"] * 9))), "holds text"),
    "dimensions of 0": Case(map_of(dim=[3, 0, 10, 2, 1, 1, 1, 1]), "has the dimensions"),
    "all dimensions 0": Case(map_of(dim=[0] * 8), "has the dimensions"),
    "negative dimensions": Case(map_of(dim=[3, -12, 10, 2, 1, 1, 1, 1]), "has the dimensions"),
    "huge dimensions": Case(map_of(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), "more than 2 GB"),
    "seven dimensions": Case(map_of(dim=[7, 12, 10, 2, 9, 9, 9, 9]), "has the dimensions"),
    "a thousand dimensions": Case(map_of(dim=[1000, *SHAPE, 1, 1, 1, 1]), "damaged NIfTI header"),
    "an unknown type": Case(map_of(datatype=12345), "damaged NIfTI header"),
    "a type of 1 bit": Case(map_of(datatype=1, bitpix=1), "damaged NIfTI header"),
    "values before the file": Case(map_of(vox_offset=-1e9), "damaged NIfTI header"),
    "values behind the file": Case(map_of(vox_offset=1e30), "is truncated"),
    "values nowhere": Case(map_of(vox_offset=np.nan), "damaged NIfTI header"),
    "another length of the header": Case(map_of(sizeof_hdr=-1), ""),
    "an affine of nothing": Case(map_of(forms=[0, 1], srow=np.full(12, np.nan)), "invalid affine"),
    "an affine of infinity": Case(map_of(forms=[0, 1], srow=np.full(12, np.inf)), "invalid affine"),
    "an affine of 1e38": Case(map_of(forms=[0, 1], srow=np.full(12, 1e38)), "invalid affine"),
    "voxels of 0 mm": Case(map_of(forms=[0, 1], srow=np.zeros(12)), "determinant 0"),
    "only infinities": Case(values(np.inf), "is empty"),
    "only 1e38": Case(values(1e38), "cannot be computed with"),
    "one voxel of 1e38": Case(values(1e38, everywhere=False), ""),
    "a scale of infinity": Case(map_of(slope=np.inf, inter=1e38), ""),
    "a scale of 1e38": Case(map_of(slope=1e38, inter=0), "cannot be computed with"),
    "a sidecar without end": Case(sidecar(b"[" * 200_000), ""),
    "a sidecar of endless numbers": Case(sidecar(b"9" * 5_000), ""),
    "a sidecar of other things": Case(sidecar(b'{"Metabolites": {"a": [1]}}'), ""),
    "a name out of the folder": Case(named("../../etc/tNAA.nii", b"x"), "not a NIfTI image"),
    "a name with a null": Case(named("tNAA.nii\0.zip", b"x"), "zip"),
    "a name of Windows": Case(named("C:\\Windows\\tNAA.nii", b"x"), "not a NIfTI image"),
    "a name from right to left": Case(named("tNAA\u202egpj.nii.gz", b"x"), "tNAAgpj.nii.gz"),
    "a name of 240 letters": Case(named("n" * 233 + ".nii.gz", b"x"), "no metabolite map"),
    "a name of markup": Case(named("<img src=x onerror=a()>.nii", b"x"), "img src.*not a NIfTI"),
    "a name of dots": Case(named("....zip", b"x"), "damaged, or not a zip"),
    "another type": Case(named("tNAA.exe", b"MZ" * 99), "type|refused"),
    "a script": Case(named("tNAA.svg", b"<svg onload=alert(1)>"), "type|refused"),
}  # fmt: skip

UPLOADS: dict[str, Case] = {
    **SPECIAL,
    **{
        f"a file: {what}": Case(files(make), said)
        for what, (make, said) in INPUTS.items()
        if not any(left in what for left in NO_UPLOADS)
    },
    **{f"a zip, {n}": Case(archive(make), said) for n, (make, said) in enumerate(ARCHIVES[:-2])},
}
"""What it is -> files, and what must be said of them."""

# ---- links

LINKS: dict[str, str] = {
    "tau_flow=2": "0 to 1", "tau_flow=nan": "0 to 1", "tau_flow=inf": "0 to 1",
    "tau_flow=-0": "", "tau_flow=1e400": "0 to 1", "tau_flow=0x1": "0 to 1",
    "tau_diffusion=-1e-300": "0 to 1", "tau_flow=%F0%9F%92%A9": "0 to 1",
    "tau_flow=" + "9" * 5000: "0 to 1", "tau_flow=%00": "0 to 1", "tau_flow=": "0 to 1",
    "seed=1.5": "whole number", "seed=-1": "0 to 4294967295", "seed=" + "9" * 4000: "4294967295",
    "seed=%2B1_0": "", "seed=4294967296": "4294967295", "samples=65": "1 to 64",
    "samples=1000000000": "1 to 64", "samples=": "whole number", "samples=<b>": "whole number",
    "t_trunc=1001": "0 to 1000", "t_trunc=-1": "0 to 1000", "t_trunc=1e3": "whole number",
    "steps=101": "lower steps", "steps=0": "from 1", "steps=1&t_trunc=0": "leave steps",
    "upscale=1": "2 to 8", "upscale=1e9": "2 to 8", "upscale=nan": "2 to 8",
    "sampler=<script>alert(1)</script>": "choose one of", "sampler=../../etc": "choose one of",
    "consistency=perhaps": "choose one of", "noise=-1": "", "noise=nan": "", "noise=1e99": "",
    "slice=first": "number", "slice=0": "from 1", "slice=-99999999999999999999": "no slice",
    "slice=1e9": "number", "slice=" + "9" * 5000: "no slice|number",
    "study=/etc/passwd": "There is no bundled case", "study=..%2F..": "There is no bundled case",
    "study=" + "x" * 20_000: "There is no bundled case",
    "mode=evil": "evil", "mode=%E2%80%AEevil": "evil",
    "metabolite=<img src=x onerror=alert(1)>": "img", "metabolite=../../etc/passwd": "There is no",
    "x" * 8000 + "=1": "Unknown, ignored", "&".join(f"a{n}=1" for n in range(2000)): "1997 more",
    "__proto__=1&constructor=2": "Unknown, ignored",
    "detail=2": "0 to 1", "mri_weight=-1": "0 to 1",
}  # fmt: skip
"""The query of a link -> what the page must say of it; "" where it may say nothing."""

# ---- requests

BODIES: list[tuple[bytes, int]] = [
    (b"{", 400),
    (b"[]", 400),
    (b"\xff\xfe", 400),
    (b"{}", 400),
    (b'{"data": [], "session_hash": "a", "fn_index": 9999}', 400),
    (b'{"data": 7, "session_hash": "a", "fn_index": 0}', 400),
    (b'{"data": [1, 2, 3, 4, 5, 6, 7], "session_hash": "a", "fn_index": 0}', 400),
    (b'{"data": [""], "session_hash": {"a": 1}, "fn_index": 0}', 400),
    (b'{"data": [""], "session_hash": "a", "fn_index": "x"}', 400),
    (b'{"data": [""], "session_hash": "a", "fn_index": []}', 400),
    (b'{"data": [], "fn_index": 0}', 400),
    (b"[" * 100_000, 400),
    (b" " * (limits.LONGEST_CALL + 1), 413),
]
"""Bodies of calls that no page sends, and the status of the answer."""

HOST = b"Host: localhost\r\n"
CALL = b"POST /gradio_api/run/predict HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
SEND = b"POST /gradio_api/upload HTTP/1.1\r\n" + HOST
FORM = b"Content-Type: multipart/form-data; boundary=b\r\n"


def _with_length(start: bytes, body: bytes) -> bytes:
    return start + b"Content-Length: %d\r\n\r\n" % len(body) + body


PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a%d.nii"\r\n\r\nx\r\n'

REQUESTS: dict[str, bytes] = {
    "no request": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "another host": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "another's address": b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "another method": b"BREW /config HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    "a path out": b"GET /gradio_api/file=/etc/../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
    "a hidden path out": b"GET /gradio_api/file=%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\n"
    + HOST + b"\r\n",
    "a path of a null": b"GET /gradio_api/file=%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path of no letters": b"GET /gradio_api/file=%ff%fe%c0%af HTTP/1.1\r\n" + HOST + b"\r\n",
    "an endless path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "an endless header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "endless headers": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 40_000 + b"\r\n",
    "a null in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "a negative length": CALL + b"Content-Length: -5\r\n\r\n{}",
    "two lengths": CALL + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
    "a length in words": CALL + b"Content-Length: many\r\n\r\n{}",
    "a length and pieces": CALL
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "pieces of no size": CALL + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "pieces of endless size": CALL + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
    "another coding": CALL + b"Transfer-Encoding: evil\r\n\r\n{}",
    "an upload of no form": _with_length(SEND + b"Content-Type: text/plain\r\n", b"x"),
    "an upload without a boundary": _with_length(
        SEND + b"Content-Type: multipart/form-data\r\n", b"--b\r\n\r\nx\r\n--b--\r\n"
    ),
    "an upload that is cut": _with_length(SEND + FORM, PART % 0),
    "an upload without parts": _with_length(SEND + FORM, b"--b--\r\n"),
    "an upload of thousands": _with_length(
        SEND + FORM, b"".join(PART % n for n in range(3000)) + b"--b--\r\n"
    ),
    "an upload announced as huge": SEND + FORM + b"Content-Length: 99999999999999\r\n\r\n",
    **{
        f"a call, {number}": _with_length(CALL, body)
        for number, (body, _) in enumerate(BODIES)
    },
}  # fmt: skip
"""What it is -> the bytes of a request."""
