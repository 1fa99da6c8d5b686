"""The sidecar of `ftddm run`: how a map was made, and nothing of who, where and when."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flags import OTHER
from tiny import SHAPE, VOXEL, Ftddm, files_in, sidecar

from ftddm_core.saving.sidecar import SOFTWARE


def test_the_sidecar_says_how_it_was_made(
    quick: list[Any], ftddm: Ftddm, study: Path, weights: Path
) -> None:
    flags = [word for flag, _ in OTHER.values() for word in flag]
    assert ftddm(*quick[:-2], *flags).code == 0
    out = study.parent / "out"
    record = sidecar(out, "tCho")
    assert record["Settings"] == {name: value for name, (_, value) in OTHER.items()}
    assert record["Notice"] == "AI-generated. Research use only, not for clinical use."
    assert record["Metabolite"] == "tCho"
    assert record["Statistic"] == "mean of samples"
    spread = sidecar(out, "tCho", "ftddmSd")
    assert spread["Statistic"] == "standard deviation over samples"
    error = sidecar(out, "tCho", "ftddmError")
    assert error["Statistic"] == "estimated error of the map shown"
    assert "KSpaceResidual" not in {*spread, *error}
    assert record["AcquiredMatrix"] == list(SHAPE)
    assert record["Matrix"] == [30, 24, 2]
    assert record["VoxelSize_mm"] == pytest.approx([4.0, 100 / 24, VOXEL[2]], abs=1e-4)
    assert record["EffectiveUpscale"] == pytest.approx(np.sqrt(2.5 * 2.4))
    assert record["Scale"] > 0
    assert record["OutlierVoxels"] == 0
    assert record["Weighting"] == {"MriWeight": 0.4, "Detail": 0.7}
    assert record["Noise"] == {"Deviation_percent": 4.0, "Source": "set"}
    assert record["Outside"] == "seen"
    assert record["SelfCheck"]["Reason"] == "not checked"  # nothing follows from it
    assert record["SelfCheck"]["Words"].endswith("not checked yet; MRI weight 0.4, detail 0.7.")
    assert set(record["KSpaceResidual"]) == {"Drawn", "Shown", "Noise"}
    assert record["Device"] in ("cpu", "cuda", "mps")
    assert set(record["Software"]) == {*SOFTWARE, "python"}
    assert all(re.match(r"\d+\.\d+", text) for text in record["Software"].values())
    assert record["Inputs"] == {
        role: {"Name": name, "SHA256": hashlib.sha256((study / name).read_bytes()).hexdigest()}
        for role, name in (
            ("mask", "mask.nii.gz"),
            ("t1", "T1w.nii.gz"),
            ("tCho", "tCho.nii.gz"),
            ("tNAA", "tNAA.nii.gz"),
        )
    }
    assert re.fullmatch("[0-9a-f]{40}", record.get("Commit", "0" * 40))
    assert record["Choices"] == {}
    assert set(record["Grids"]) == {"maps", "mask", "t1"}
    assert record["Grids"]["maps"]["Matrix"] == list(SHAPE)
    affine = np.asarray(record["Grids"]["maps"]["Affine_mm"])
    np.testing.assert_allclose(np.linalg.norm(affine[:, :3], axis=0), VOXEL, rtol=1e-5)
    assert set(record["Measurement"]) == {
        "ValidVoxels", "ModelVariance", "OutsideVariance", "Spread", "KSpaceWindow",
    }  # fmt: skip
    assert 0 < record["Measurement"]["ValidVoxels"] <= np.prod(SHAPE)
    digest = hashlib.sha256()
    for name in ("config.json", "denoiser.safetensors", "flow.safetensors"):
        digest.update((weights / name).read_bytes())
    assert record["Weights"] == {"Name": "tiny", "SHA256": digest.hexdigest()}


def test_the_sidecar_states_the_decisions_about_the_files(
    quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    """By names alone: folders may name a patient."""
    words = ["--role", f"{study / 'tCho.nii.gz'}=map:Cho", "--exclude", study / "T1w.nii.gz"]
    assert ftddm(*quick, *words, "--mask-threshold", 0.25).code == 0
    assert sidecar(study.parent / "out", "Cho")["Choices"] == {
        "roles": {"tCho.nii.gz": "map:Cho"},
        "exclude": ["T1w.nii.gz"],
        "mask_threshold": 0.25,
    }


def test_the_sidecar_does_not_say_who_where_and_when(
    quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    assert ftddm(*quick).code == 0
    for name, content in files_in(study.parent / "out").items():
        if not name.endswith(".json"):
            continue
        record = json.loads(content)
        digests = [record["Weights"].pop("SHA256")]
        digests += [record["Inputs"][role].pop("SHA256") for role in record["Inputs"]]
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
        text = json.dumps(record)
        assert str(study.parent) not in text
        assert not re.search(r'"[^"]*[/\\][^"]*"', text), "a path"
        assert getpass.getuser() not in text
        assert socket.gethostname() not in text
        assert not re.search(r"20\d\d-\d\d|\d\d:\d\d|[Tt]ime\b|[Ss]econds", text), "a time"
