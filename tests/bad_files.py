"""Files that no study can be opened from, and what must be said of them: one table for all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from properties import oblique_affine, save_nifti
from tiny import SHAPE, save_t1, tiny_maps

Words = list[object]
MAPS, MASK, AFFINE = tiny_maps()
FAR = oblique_affine(SHAPE, (10.0, 10.0, 12.0), centre=(900.0, 0.0, 0.0))


def alone(folder: Path, data: np.ndarray, affine: np.ndarray = AFFINE, **header: object) -> Words:
    """Return the words for one map in a file of its own."""
    return [save_nifti(folder / "Glx.nii.gz", data, affine, **header)]


def text(folder: Path, name: str, content: bytes) -> Words:
    (folder / name).write_bytes(content)
    return [folder / name]


def cut(folder: Path, name: str, share: float) -> Words:
    """Return the words for a map of which only a part was copied."""
    path = save_nifti(folder / name, MAPS["tNAA"], AFFINE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return [path]


def changed_header(folder: Path, offset: int, change: bytes) -> Words:
    path = save_nifti(folder / "tNAA.nii.gz", MAPS["tNAA"], AFFINE)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[offset : offset + len(change)] = change
    return text(folder, "tNAA.nii.gz", gzip.compress(bytes(content)))


def stacked(folder: Path, names: object) -> Words:
    """Return the words for a 4D file and its sidecar."""
    save_nifti(folder / "maps.nii.gz", np.stack(list(MAPS.values()), -1), AFFINE)
    if names is not None:
        (folder / "maps.json").write_text(json.dumps({"Metabolites": names}))
    return [folder / "maps.nii.gz"]


def image(folder: Path, name: str, data: np.ndarray, affine: np.ndarray) -> Path:
    return save_nifti(folder / name, data, affine)


def several(folder: Path, *names: str) -> Words:
    return [image(folder, f"{name}.nii.gz", MAPS["tNAA"], AFFINE) for name in names]


def other_grid(folder: Path) -> Words:
    image(folder, "Glx.nii.gz", MAPS["tNAA"][:-1], AFFINE)
    return [folder]


def zeros() -> np.ndarray:
    return np.zeros(SHAPE, np.float32)


INPUTS: dict[str, tuple[Callable[[Path], Words], str]] = {
    "missing file": (lambda f: [f / "none.nii.gz"], r"none\.nii\.gz does not exist"),
    "missing folder": (lambda f: [f / "none"], "none does not exist"),
    "one of two missing": (lambda f: [f / "tNAA.nii.gz", f / "no.nii"], "no.nii does not exist"),
    "name too long": (lambda f: [f / ("x" * 300)], "too long"),
    "no folder to search": (lambda f: text(f, "a.nii", b"") and [f / "a.nii/b"], "not exist"),
    "not a NIfTI": (lambda f: text(f, "a.nii.gz", b"hello" * 99), "not a NIfTI image"),
    "gzip of something else": (
        lambda f: text(f, "a.nii.gz", gzip.compress(b"hello" * 99)),
        "not a NIfTI image.*dcm2niix",
    ),
    "another format": (lambda f: text(f, "a.mha", b"CDF"), r"found a\.mha \(not recognised\)"),
    "an empty file": (lambda f: text(f, "a.nii.gz", b""), "is empty: it has 0 bytes"),
    "truncated .nii.gz": (lambda f: cut(f, "tNAA.nii.gz", 0.6), "truncated.*again"),
    "truncated .nii": (lambda f: cut(f, "tNAA.nii", 0.6), r"announces \d+ bytes, but it has \d+"),
    "a damaged header": (
        lambda f: changed_header(f, 40, b"\xfd\xff"),
        "damaged NIfTI header.*again",
    ),
    "5D": (lambda f: alone(f, np.ones((*SHAPE, 1, 2), np.float32)), r"dimensions \(12, 10, 2, 1"),
    "complex": (lambda f: alone(f, np.ones(SHAPE, np.complex64)), "complex.*magnitude"),
    "spectra": (lambda f: alone(f, np.ones((*SHAPE, 64), np.complex64)), "spectra.*fit them first"),
    "colours": (
        lambda f: alone(f, np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])),
        "colours.*grey",
    ),
    "all zero": (lambda f: alone(f, zeros()), "empty: every voxel is 0.*[Cc]heck"),
    "all NaN": (lambda f: alone(f, zeros() * np.nan), "empty: every voxel is 0 or not a number"),
    "only negative": (
        lambda f: alone(f, zeros() - 1),
        "holds nothing but -1, a sign of failed fits",
    ),
    "a flat affine": (
        lambda f: changed_header(f, 312, bytes(16)),
        "determinant 0.*with its orientation",
    ),
    "an affine without end": (
        lambda f: alone(f, MAPS["tNAA"], np.diag([1e9, 4.0, 4.0, 1.0])),
        "invalid affine",
    ),
    "4D without names": (lambda f: stacked(f, None), "2 maps without names.*maps.json"),
    "4D with too few names": (lambda f: stacked(f, ["Glx"]), "2 maps, maps.json names"),
    "4D with names twice": (lambda f: stacked(f, ["Glx", "GLX"]), "2 maps, maps.json names"),
    "an unknown word about what is outside the mask": (
        lambda f: [*alone(f, MAPS["tNAA"]), *text(f, "Glx.json", b'{"OutsideMask": "dark"}')],
        "says OutsideMask 'dark': give seen or empty",
    ),
    "another grid": (other_grid, "must share one grid.*one at a time"),
    "one map twice": (lambda f: several(f, "Glx", "sub-1_met-GLX_desc-signal"), "both claim"),
    "two file names in one": (
        lambda f: several(f, "NAA+NAAG", "NAANAAG"),
        "two maps would have one name",
    ),
    "guides only": (lambda f: [f / "T1w.nii.gz", f / "mask.nii.gz"], "holds no metabolite map"),
    "missing T1": (lambda f: [f, "--t1", f / "no.nii.gz"], "no.nii.gz does not exist"),
    "a folder as T1": (lambda f: [f, "--t1", f], "is a folder, not an image"),
    "T1 elsewhere": (
        lambda f: [f, "--t1", save_t1(f / "T1.nii", (0, 0, 700))],
        "T1: .*do not overlap.*same examination",
    ),
    "T1 beside the brain": (
        lambda f: [f, "--t1", save_t1(f / "T1.nii", (98, -12, 25))],
        "T1 shows only [0-9]+% of the trusted voxels.*same examination",
    ),
    "FLAIR elsewhere": (
        lambda f: [f, "--flair", save_t1(f / "FLAIR.nii", (0, 0, 700))],
        "FLAIR: .*do not overlap",
    ),
    "mask elsewhere": (
        lambda f: [f, "--mask", image(f, "other.nii", MASK, FAR)],
        "mask of tCho: .*do not overlap",
    ),
    "an empty mask": (lambda f: [f, "--mask", image(f, "no.nii", zeros(), AFFINE)], "is empty"),
    "a mask of nothing": (
        lambda f: [f, "--mask", image(f, "nan.nii", np.where(zeros() == 0, -1.0, 1), AFFINE)],
        "no signal inside the mask .*0 trusted voxels",
    ),
    "two T1": (lambda f: save_t1(f / "sub-1_T1w.nii.gz") and [f], "both claim to be the T1"),
    "two masks": (
        lambda f: image(f, "other_mask.nii", MASK, AFFINE) and [f],
        "both claim to be the mask.*name it as mask",
    ),
}
"""What it is -> how to make the input inside a study's folder, and what the message must say."""
