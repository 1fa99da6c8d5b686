"""Zip files that must not be unpacked, and what must be said of them: one table for all."""

from __future__ import annotations

import random
import stat
import struct
import zipfile

STUDY = [("NAA.nii", b"1"), ("sub/T1.nii", b"22"), ("inner.zip", b"PK\3\4 stays as it is")]


def packed(path, files, method=zipfile.ZIP_DEFLATED):
    """Write a zip file; a name may be a ZipInfo, which keeps what `ZipFile.writestr` would fix."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def named(name):
    def make(path):
        entry = zipfile.ZipInfo("x")
        entry.filename = name
        return packed(path, [("NAA.nii", b"1"), (entry, b"2")])

    return make


def of_mode(mode):
    def make(path):
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (mode | 0o777) << 16
        return packed(path, [("NAA.nii", b"1"), (entry, b"/etc/passwd")])

    return make


def with_flag(path):
    packed(path, STUDY)
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\1\2")
    content[at + 8] |= 1
    path.write_bytes(content)
    return path


def many(path):
    return packed(path, [(f"{i}", b"") for i in range(20_001)], zipfile.ZIP_STORED)


def long_directory(path):
    """A list of entries that states more bytes than any number of files up to the limit needs."""
    packed(path, STUDY)
    content = bytearray(path.read_bytes())
    content[-10:-6] = struct.pack("<I", 20_000_000)
    path.write_bytes(content)
    return path


def cut(path):
    packed(path, STUDY)
    path.write_bytes(path.read_bytes()[:-30])
    return path


def damaged_inside(path):
    packed(path, [("NAA.nii", random.Random(0).randbytes(5000))])
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    return path


ARCHIVES = [
    (named("../NAA.nii"), r"leads out of its folder.*'\.\./NAA\.nii'"),
    (named("a/../../NAA.nii"), "leads out"),
    (named("..\\NAA.nii"), "leads out"),
    (named("/etc/passwd"), "leads out"),
    (named("C:\\NAA.nii"), "leads out"),
    (named("C:NAA.nii"), "leads out"),
    (named("\\\\host\\share\\NAA.nii"), "leads out"),
    (named("a\nb"), "leads out of its folder, or is not a name"),
    (named("naa.NII"), "twice"),
    (named("NAA.nii/b"), "could not be unpacked: "),
    (named("a" * 300), "could not be unpacked: File name too long"),
    (of_mode(stat.S_IFLNK), "holds a link or device, 'link'"),
    (of_mode(stat.S_IFIFO), "holds a link or device"),
    (with_flag, "is encrypted"),
    (many, "holds 20001 entries, more than 20000"),
    (long_directory, "list of entries of 20000000 bytes"),
    (cut, "its list of entries is missing"),
    (damaged_inside, "is damaged"),
    (lambda path: packed(path, []), "holds no file"),
    (lambda path: packed(path, [("a/", b""), ("._b", b"")]), "holds no file"),
    (lambda path: packed(path, STUDY, zipfile.ZIP_BZIP2), "unusual method"),
    (lambda path: packed(path, STUDY, zipfile.ZIP_LZMA), "unusual method"),
    (lambda path: path.write_bytes(b""), "its list of entries is missing"),
    (lambda path: path.write_bytes(b"text" * 99), "its list of entries is missing"),
    (lambda path: path.mkdir(), "is not a file"),
    (lambda path: None, "does not exist"),
]
"""How to make one at a path, and what the message must say."""
