"""Tiny networks and studies, and what a command leaves behind, for the tests of front ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from properties import head, oblique_affine, save_nifti, world_of

from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.model.checkpoint import save_weights
from ftddm_core.model.flow import ConditionalGlow, FlowConfig
from ftddm_core.model.unet import UNet, UNetConfig

TINY_UNET = UNetConfig(channels=(8, 8, 8), attention=(), embedding=16)
TINY_FLOW = FlowConfig(encoder=TINY_UNET, steps=1, hidden=8)
Shape = tuple[int, int, int]
SHAPE = (12, 10, 2)
VOXEL = (10.0, 10.0, 12.0)


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Ftddm = Callable[..., Outcome]


def without_study(printed: str) -> str:
    """Return what a command printed without the lines that say what it opened."""
    lines = printed.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("study: "))


def tiny_maps(
    shape: Shape = SHAPE, voxel: tuple[float, float, float] = VOXEL
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32], Any]:
    """Return two maps with an outlier outside the mask, the mask, and their affine."""
    affine = oblique_affine(shape, voxel)
    shown = np.abs(head(shape, affine).data).astype(np.float32) + 0.05
    distance = np.linalg.norm(world_of(shape, affine) - (3.0, -12.0, 25.0), axis=-1)
    mask = (distance < 40).astype(np.float32)
    maps = {"tNAA": 9 * shown, "tCho": 2 * shown[::-1].copy()}
    maps["tNAA"][0, 0, 0] = 1e4
    return maps, mask, affine


def write_study(
    folder: Path,
    prefix: str = "",
    ending: str = "",
    shape: Shape = SHAPE,
    voxel: tuple[float, float, float] = VOXEL,
) -> Path:
    """Write two maps, a mask and an oblique T1 on a grid of its own; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    maps, mask, affine = tiny_maps(shape, voxel)
    for name, data in maps.items():
        save_nifti(folder / f"{prefix}{name}{ending}.nii.gz", data, affine)
    save_nifti(folder / "mask.nii.gz", mask, affine)
    save_t1(folder / "T1w.nii.gz")
    return folder


def write_weights(folder: Path) -> Path:
    """Write weights of a few kB: not trained, but every layer has its say; return the folder."""
    denoiser, flow = UNet(TINY_UNET), ConditionalGlow(TINY_FLOW)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for network in (denoiser, flow):
            for parameter in network.parameters():
                parameter += 0.03 * torch.randn(parameter.shape, generator=generator)
    save_weights(folder, denoiser, flow, {"data": "none"})
    return folder


def checkable_study(folder: Path) -> Path:
    """Write a study like the tiny one whose matrix can be halved, and the model be checked on."""
    return write_study(folder, shape=(16, 14, 2), voxel=(7.0, 7.0, 12.0))


def fine_study(study: Path, voxel: float = 4.0) -> Study:
    """Return the tiny study with smaller voxels: a high-resolution one."""
    opened = open_study(study)
    ratio = voxel / opened.grid.voxel_size[0]
    shrink = np.diag([ratio, ratio, ratio, 1.0])
    shrunk = {
        name: replace(v, affine=np.asarray(shrink @ v.affine)) for name, v in opened.maps.items()
    }
    assert opened.mask is not None
    mask = replace(opened.mask_of("tNAA"), affine=shrink @ opened.grid.affine)
    return replace(opened, maps=shrunk, mask=mask, t1=None)


def save_t1(path: Path, centre: tuple[float, float, float] = (3.0, -12.0, 25.0)) -> Path:
    shape = (30, 34, 12)
    affine = oblique_affine(shape, (4.0, 4.0, 6.0), angles=(-5, 12, 30), centre=centre)
    distance = np.linalg.norm(world_of(shape, affine) - centre, axis=-1)
    return save_nifti(path, (100 - distance).clip(1).astype(np.float32), affine)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones too: relative name -> content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def load(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values and the affine of a file, as nibabel has them."""
    image = nib.load(path)
    return np.asarray(image.get_fdata()), np.asarray(image.affine)


def sidecar(folder: Path, metabolite: str, description: str = "ftddm") -> dict[str, Any]:
    (path,) = folder.glob(f"*_met-{metabolite}_desc-{description}_mrsi.json")
    record = json.loads(path.read_text())
    assert isinstance(record, dict)
    return record


def residual(output: np.ndarray, acquired: np.ndarray) -> float:
    """Return |box (F(x) - F(y))| / |box F(y)| from two plain FFTs, amplitudes per sample."""
    wanted = np.fft.fftn(acquired, axes=(0, 1), norm="forward")
    found = np.fft.fftn(output, axes=(0, 1), norm="forward")
    kx, ky = (np.arange(-((n - 1) // 2), (n - 1) // 2 + 1) for n in acquired.shape[:2])
    box = np.ix_(kx, ky)  # negative frequencies count from the end
    difference = np.linalg.norm(found[box] - wanted[box])
    return float(difference / np.linalg.norm(wanted[box]))
