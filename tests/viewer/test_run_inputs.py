"""What `ftddm run` reads: files by any name, roles given by flag, wild and zero-filled maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from properties import save_nifti
from tiny import Ftddm, files_in, load, save_t1, sidecar, tiny_maps, write_study

from ftddm_core.imaging.fourier import zero_fill


def test_a_4d_file(quick: list[Any], ftddm: Ftddm, tmp_path: Path) -> None:
    """Its maps, named by its sidecar, are those of single files."""
    maps, mask, affine = tiny_maps()
    folder = tmp_path / "stacked"
    folder.mkdir()
    save_nifti(folder / "all.nii.gz", np.stack(list(maps.values()), -1), affine)
    (folder / "all.json").write_text(json.dumps({"Metabolites": list(maps)}))
    save_nifti(folder / "mask.nii.gz", mask, affine)
    save_t1(folder / "T1w.nii.gz")
    assert ftddm(*quick).code == 0
    quick[1], quick[3] = folder, tmp_path / "out4d"
    assert ftddm(*quick).code == 0
    for name in maps:
        single, _ = load(tmp_path / "out" / f"patient_met-{name}_desc-ftddm_mrsi.nii.gz")
        stacked, _ = load(tmp_path / "out4d" / f"stacked_met-{name}_desc-ftddm_mrsi.nii.gz")
        np.testing.assert_array_equal(single, stacked)
    assert sidecar(tmp_path / "out4d", "tCho")["Inputs"]["tCho"]["Name"] == "all.nii.gz"


def test_names_of_mrsiprep(weights: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    prefix = "sub-P2_ses-V1_space-orig_"
    study = write_study(tmp_path / "mrsi", f"{prefix}met-", "_desc-signal_mrsi")
    maps, _, affine = tiny_maps()
    for what in ("crlb", "snr", "fwhm"):
        name = f"{prefix}met-tCho_desc-{what}_mrsi.nii.gz"
        save_nifti(study / name, maps["tCho"], affine)
    out = tmp_path / "out"
    assert ftddm("run", study, "--out", out, "--weights", weights, "--steps", 1).code == 0
    assert set(files_in(out)) == {
        f"{prefix}met-{name}_desc-ftddm_mrsi{ending}"
        for name in ("tNAA", "tCho")
        for ending in (".nii.gz", ".json")
    }


def test_odd_characters_in_names(weights: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    study = write_study(tmp_path / "Dr. Müller's 1st (pilot)")
    (study / "tNAA.nii.gz").rename(study / "NAA+NAAG.nii.gz")
    (study / "tCho.nii.gz").rename(study / "GPC + PCh.nii.gz")
    out = tmp_path / "out here"
    assert ftddm("run", study, "--out", out, "--weights", weights, "--steps", 1).code == 0
    label = "Dr-M-ller-s-1st-pilot"
    assert {name.partition("_desc")[0] for name in files_in(out)} == {
        f"{label}_met-tNAA",
        f"{label}_met-tCho",
    }
    record = sidecar(out, "tNAA")
    assert record["Metabolite"] == "tNAA"
    assert record["Inputs"]["tNAA"]["Name"] == "NAA+NAAG.nii.gz"


def test_single_files_are_enough(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """A map alone, without mask and MRI, is told what it does without."""
    quick[1] = study / "tCho.nii.gz"
    outcome = ftddm(*quick)
    assert outcome.code == 0
    notes = outcome.err.splitlines()
    assert len(notes) == 4
    assert "No T1 provided" in notes[0]
    assert "No FLAIR provided" in notes[1]
    assert "No mask for tCho" in notes[2]
    assert set(sidecar(study.parent / "out", "tCho")["Inputs"]) == {"tCho"}


def test_roles_given_by_flag_come_first(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """--mask, --t1 and --flair replace what the folder holds, and change the result."""
    out = study.parent / "out"
    assert ftddm(*quick).code == 0
    usual = {name: load(out / name)[0] for name in files_in(out) if name.endswith(".nii.gz")}
    maps, mask, affine = tiny_maps()
    smaller = mask.copy()
    smaller[6:] = 0
    other = study.parent / "elsewhere"
    other.mkdir()
    given = {
        "mask": save_nifti(other / "quality.nii.gz", smaller, affine),
        "t1": save_nifti(other / "anat.nii.gz", maps["tCho"], affine),
        "flair": save_nifti(other / "T1_like.nii.gz", maps["tNAA"], affine),
    }
    for role, path in given.items():
        outcome = ftddm(*quick, "--overwrite", f"--{role}", path)
        assert outcome.code == 0
        assert ("No FLAIR" in outcome.err) is (role != "flair")
        inputs = sidecar(out, "tNAA")["Inputs"]
        assert inputs[role]["Name"] == path.name
        for name, before in usual.items():
            assert np.abs(load(out / name)[0] - before).max() > 0
    assert ftddm(*quick, "--overwrite", "--mask", given["mask"]).code == 0
    for name in usual:
        half = load(out / name)[0].shape[0] // 2
        assert (load(out / name)[0][half + 2 :] == 0).all()


def test_wild_voxels(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """Outside the mask they change nothing; inside they are kept and reported."""
    out = study.parent / "out"
    assert ftddm(*quick).code == 0
    before, _ = load(out / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    maps, mask, affine = tiny_maps()
    assert maps["tNAA"][0, 0, 0] == 1e4
    maps["tNAA"][0, 0, 0] = np.nan
    save_nifti(study / "tNAA.nii.gz", maps["tNAA"], affine)
    outcome = ftddm(*quick, "--overwrite")
    assert outcome.code == 0
    after, _ = load(out / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    np.testing.assert_array_equal(after, before)
    assert "wild voxel" not in outcome.err
    i, j, k = np.argwhere(mask > 0)[0]
    maps["tCho"][i, j, k] = 1e4
    save_nifti(study / "tCho.nii.gz", maps["tCho"], affine)
    outcome = ftddm(*quick, "--overwrite")
    assert outcome.code == 0
    assert "note: tCho: 1 wild voxel beyond" in outcome.err
    assert sidecar(out, "tCho")["OutlierVoxels"] == 1


def test_unfill_starts_from_the_matrix_below_a_zero_filling(tmp_path, ftddm, weights):
    rng = np.random.default_rng(3)
    acquired = rng.uniform(1, 2, (12, 10, 1)).astype(np.float32)
    folder = tmp_path / "in"
    folder.mkdir()
    save_nifti(folder / "tNAA.nii.gz", zero_fill(acquired, (24, 20)), np.diag([3, 3, 5, 1.0]))
    quick = ("run", folder, "--upscale", 2, "--steps", 1, "--weights", weights)
    plain = ftddm(*quick, "--out", tmp_path / "plain")
    assert "fills 12x10 of 24x20; undo that (--unfill)" in plain.err
    out = tmp_path / "out"
    assert ftddm(*quick, "--unfill", "--out", out).code == 0
    (written,) = out.glob("*.json")
    record = json.loads(written.read_text())
    assert record["AcquiredMatrix"] == [12, 10, 1]
    assert record["Matrix"] == [24, 20, 1]
    assert record["Unfilled"] is True


def test_a_dry_run_writes_nothing_and_needs_no_place_for_it(ftddm: Ftddm, study: Path) -> None:
    before = sorted(study.rglob("*"))
    outcome = ftddm("run", study, "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(study.rglob("*")) == before
    assert "--out" in ftddm("run", study).err
