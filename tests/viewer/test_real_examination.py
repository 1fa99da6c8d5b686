"""`ftddm run` with the bundled weights on a real examination that has no truth and many faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import files_in, load

FTDDM = Path(sys.executable).with_name("ftddm")


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return the real input, its result without and its result with exact data consistency."""
    case = shared_data / "real-mrsi-oryx-K01"
    outs = [tmp_path_factory.mktemp("real") / name for name in ("plain", "consistent")]
    for out, flags in zip(outs, (["--consistency", "off"], ["--consistency"]), strict=True):
        subprocess.run(
            [
                FTDDM,
                "run",
                case,
                "--upscale",
                "4",
                "--steps",
                "3",
                "--detail",
                "1",
                "--mri-weight",
                "1",
                "--out",
                out,
                *flags,
            ],
            check=True,
            capture_output=True,
            timeout=600,
        )
    return case, outs[0], outs[1]


@pytest.mark.parametrize("name", ["tNAA", "tCr", "tCho", "Ins", "Glx"])
def test_the_real_examination(name: str, real: tuple[Path, Path, Path]) -> None:
    """The bundled weights, an oblique T1, no FLAIR, outliers, failed fits and few voxels."""
    case, plain, consistent = real
    mask, mask_affine = load(case / "quality_mask.nii.gz")
    _, affine = load(case / f"{name}.nii.gz")
    np.testing.assert_array_equal(mask_affine, affine)
    # Output voxel J lies at J/4 of an acquired voxel; a tie belongs to the upper one.
    cell = np.floor(np.arange(56) / 4 + 0.5).astype(int)
    inside = cell < 14
    trusted = np.zeros((56, 56, 3), bool)
    trusted[np.ix_(inside, inside)] = mask[np.ix_(cell[inside], cell[inside])] > 0
    stem = f"real-mrsi-oryx-K01_met-{name}_desc-ftddm_mrsi"
    drawn = {}
    for folder in (plain, consistent):
        assert len(files_in(folder)) == 10
        data, found = load(folder / f"{stem}.nii.gz")
        record = json.loads((folder / f"{stem}.json").read_text())
        assert data.shape == (56, 56, 3)
        assert np.isfinite(data).all()
        np.testing.assert_allclose(found[:3, 3], affine[:3, 3], atol=0.01)
        np.testing.assert_allclose(found[:3, :3], affine[:3, :3] * (0.25, 0.25, 1), atol=0.01)
        np.testing.assert_allclose(np.linalg.norm(found[:3, :3], axis=0), (2.5, 2.5, 12), atol=0.01)
        assert record["Weights"]["Name"] == "small"
        assert record["Outside"] == "seen"
        assert data.min() >= 0
        assert (data[~trusted] == 0).all()
        assert (data[trusted] > 0).mean() > 0.5
        drawn[folder] = record["KSpaceResidual"]["Drawn"]
    assert drawn[consistent] < 0.5 * drawn[plain] < 0.5
