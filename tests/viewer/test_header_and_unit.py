"""What an input file says of itself is still said by the files that `ftddm` makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from properties import save_nifti
from tiny import Ftddm, sidecar, tiny_maps

from ftddm_core.evaluation.baselines import BASELINES, run_baseline
from ftddm_core.imaging.io import open_study

HEADER = {"descrip": b"LCModel 6.3, water-scaled", "cal_max": 50.0, "cal_min": 1.0}


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """Return a study whose map has a header of its own, and a unit."""
    folder = tmp_path / "patient"
    folder.mkdir()
    maps, mask, affine = tiny_maps()
    image = nib.Nifti1Image(np.round(maps["tNAA"] * 100).astype(np.int16), affine)
    image.set_sform(affine, 4)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(0.01, 0)
    for key, value in HEADER.items():
        image.header[key] = value
    (folder / "sub-7_met-tNAA_desc-signal_mrsi.nii").write_bytes(image.to_bytes())
    (folder / "sub-7.json").write_text(json.dumps({"Unit": "mM"}))
    save_nifti(folder / "sub-7_mask.nii.gz", mask, affine)
    return folder


def check_header(header: Any, shape: tuple[int, ...]) -> None:
    assert header["descrip"].item() == HEADER["descrip"]
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
    assert header.get_xyzt_units() == ("mm", "sec")
    assert header.get_data_dtype() == np.float32
    assert header.get_data_shape() == shape
    assert header.get_slope_inter() in ((None, None), (1.0, 0.0))
    assert float(header["cal_max"]) == float(header["cal_min"]) == 0


def test_results_carry_header_and_unit_on(
    ftddm: Ftddm, weights: Path, patient: Path, tmp_path: Path
) -> None:
    settings = ("--upscale", 2, "--t-trunc", 20, "--steps", 2, "--samples", 2)
    done = ftddm("run", patient, "--weights", weights, "--out", tmp_path / "out", *settings)
    assert done.code == 0, done.err
    acquired = open_study(patient).grid
    for description in ("ftddm", "ftddmSd"):
        (path,) = (tmp_path / "out").glob(f"*_desc-{description}_mrsi.nii.gz")
        image = nib.load(path)
        check_header(image.header, (24, 20, 2))
        first = image.affine[:3, 3]
        np.testing.assert_allclose(first, acquired.affine[:3, 3], atol=1e-3)
        sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
        np.testing.assert_allclose(sizes, np.divide(acquired.voxel_size, (2, 2, 1)), rtol=1e-4)
        assert sidecar(tmp_path / "out", "tNAA", description)["Unit"] == "mM"
    (path,) = (tmp_path / "out").glob("*_desc-ftddm_mrsi.nii.gz")
    assert open_study(path).grid.unit == "mM"


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_keep_header_and_unit(patient: Path, name: str) -> None:
    study = open_study(patient)
    enlarged = run_baseline(BASELINES[name], study, 2.0)["tNAA"]
    assert enlarged.header is study.grid.header
    assert enlarged.unit == "mM"


def test_an_unknown_unit_stays_unknown(
    ftddm: Ftddm, weights: Path, patient: Path, tmp_path: Path
) -> None:
    (patient / "sub-7.json").unlink()
    settings = ("--upscale", 2, "--t-trunc", 0)
    done = ftddm("run", patient, "--weights", weights, "--out", tmp_path / "out", *settings)
    assert done.code == 0, done.err
    assert sidecar(tmp_path / "out", "tNAA")["Unit"] == "as the input"
    (path,) = (tmp_path / "out").glob("*.nii.gz")
    assert open_study(path).grid.unit == ""
