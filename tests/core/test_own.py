"""Own patients: converted as measured, split by patient, and trained on."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from properties import save_nifti

from ftddm_core.errors import FormatError, GeometryError, SettingsError
from ftddm_core.imaging.fourier import zero_fill
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.model.unet import UNET_PRESETS, UNetConfig
from ftddm_core.sampling.guides import scale_mri
from ftddm_core.training.loop import FitConfig
from ftddm_core.training.own import LARGEST, convert, convert_pools
from ftddm_core.training.plan import FitPlan
from ftddm_core.training.pools import read_pools
from ftddm_core.training.run import train

SHAPE = (33, 28, 2)
VOXEL = 5.0


def images(seed):
    """Return two maps in an institutional unit, a mask, and an MRI twice as fine."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, bool)
    mask[6:26, 5:24] = True
    maps = {name: 3e6 * (0.5 + rng.random(SHAPE)) for name in ("tNAA", "tCho")}
    t1 = rng.random((66, 56, 4)) + 1
    return {name: m * mask for name, m in maps.items()}, mask, t1


def write_nifti(folder, seed):
    folder.mkdir(parents=True)
    maps, mask, t1 = images(seed)
    affine = np.diag([VOXEL, VOXEL, VOXEL, 1])
    fine = np.diag([VOXEL / 2] * 3 + [1])
    fine[:3, 3] = -VOXEL / 4
    for name, data in maps.items():
        save_nifti(folder / f"{name}.nii.gz", data.astype(np.float32), affine)
    save_nifti(folder / "mask.nii.gz", mask.astype(np.float32), affine)
    save_nifti(folder / "T1w.nii.gz", t1.astype(np.float32), fine)


def write_plain(folder, seed):
    folder.mkdir(parents=True)
    maps, mask, t1 = images(seed)
    for name, data in {**maps, "mask": mask, "T1": t1}.items():
        np.save(folder / f"{name}.npy", data)
    (folder / "study.json").write_text(json.dumps({"VoxelSize": [VOXEL] * 3}))


def write_research(folder, seed):
    maps, _, t1 = images(seed)
    (folder / "Met_filtered").mkdir(parents=True)
    (folder / "MRI_sliced").mkdir()
    for name, data in maps.items():
        np.save(folder / "Met_filtered" / f"{name}.npy", np.moveaxis(data, -1, 0))
    np.save(folder / "MRI_sliced" / "T1_sliced.npy", np.moveaxis(t1, -1, 0))


LAYOUTS = {"nifti": write_nifti, "plain": write_plain, "research": write_research}


@pytest.fixture(params=LAYOUTS)
def cohort(request, tmp_path):
    """Return two folders, of two patients for training and one for validation."""
    write = LAYOUTS[request.param]
    for seed, name in enumerate(("a/one", "a/two", "b/three")):
        write(tmp_path / name, seed)
    return tmp_path


def test_a_patient_is_converted_as_measured(cohort):
    study = open_study(cohort / "a" / "one")
    arrays = convert(study)
    maps, mask, _ = images(0)
    assert arrays["truth"].dtype == np.float16
    assert arrays["truth"].shape == (2, 34, 28, 2)
    assert not arrays["truth"][:, 33].any()
    for i, name in enumerate(study.maps):
        found = arrays["truth"][i, :33].astype(np.float32)
        np.testing.assert_array_equal(arrays["mask"][i, :33], mask)
        assert np.percentile(found[mask], 99) == pytest.approx(1, rel=2e-3)
        gain = maps[name][mask] / found[mask]
        np.testing.assert_allclose(gain, gain.mean(), rtol=2e-3)
    assert not arrays["noise"].any()
    t1 = scale_mri(regrid_mean(study.t1, SHAPE, study.grid.affine).data, mask)
    np.testing.assert_allclose(arrays["t1"][:33], t1, atol=1e-3)
    assert "flair" not in arrays


def test_three_steps_of_training_on_own_patients(cohort, tmp_path, monkeypatch):
    monkeypatch.setitem(
        UNET_PRESETS, "small", UNetConfig(channels=(8, 8, 8), attention=(), embedding=16)
    )
    seen = []
    convert_pools(cohort / "a", cohort / "b", tmp_path / "run", lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    short = FitConfig(steps=3, batch=2, warmup=1)
    train("denoiser", FitPlan("small", short, short, short), tmp_path / "run")
    log = json.loads((tmp_path / "run/denoiser/log.jsonl").read_text())
    assert log["step"] == 3
    assert np.isfinite(log["valid_loss"])
    record = json.loads((tmp_path / "run/denoiser/run.json").read_text())
    assert record["training"]["measured"] == 2
    assert record["validation"]["measured"] == 1
    assert record["training"]["voxel"] == (3.4 if (cohort / "a/one/Met_filtered").exists() else 5)
    # Weights travel further than names may.
    words = json.dumps(record)
    assert not any(name in words for name in ("one", "two", "three"))


def test_what_is_drawn_is_the_measured_map_cut_down(cohort, tmp_path):
    """Noise is never added: every x0 holds a slice of a converted map, up to its scale."""
    convert_pools(cohort / "a", cohort / "b", tmp_path / "run")
    pool, _, _ = read_pools(tmp_path / "run")
    batch = pool.draw(np.random.default_rng(0), 4)
    spectra = [
        np.sort(t[..., k][m[..., k]].astype(np.float64))
        for p in pool.patients
        for t, m in zip(p["truth"], p["mask"], strict=True)
        for k in range(SHAPE[2])
    ]
    for x0, mask in zip(batch.x0.numpy(), batch.mask.numpy(), strict=True):
        found = np.sort(x0[mask > 0].astype(np.float64))
        same = [s for s in spectra if len(s) == len(found)]
        assert same, "the whole mask fits in the grid"
        errors = [np.abs(found / found.max() - s / s.max()).max() for s in same]
        assert min(errors) < 1e-3


def test_no_patient_is_on_both_sides(cohort, tmp_path):
    shutil.copytree(cohort / "a" / "one", cohort / "b" / "renamed")
    with pytest.raises(SettingsError, match=r"one and .*renamed hold the same maps"):
        convert_pools(cohort / "a", cohort / "b", tmp_path / "run")
    shutil.rmtree(cohort / "b" / "renamed")
    shutil.copytree(cohort / "b" / "three", cohort / "b" / "two")
    with pytest.raises(SettingsError, match="The patient 'two' is in"):
        convert_pools(cohort / "a", cohort / "b", tmp_path / "run")
    with pytest.raises(SettingsError, match="keep the patients apart"):
        convert_pools(cohort / "a", cohort / "a", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_patients(cohort, tmp_path):
    for _ in range(2):
        convert_pools(cohort / "a", cohort / "b", tmp_path / "run")
    before = (tmp_path / "run/pool-training/patient-0000.npz").read_bytes()
    shutil.rmtree(cohort / "a" / "one")
    with pytest.raises(SettingsError, match="holds other patients"):
        convert_pools(cohort / "a", cohort / "b", tmp_path / "run")
    assert (tmp_path / "run/pool-training/patient-0000.npz").read_bytes() == before


def test_patients_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="is not a folder"):
        convert_pools(tmp_path / "nowhere", tmp_path / "empty", tmp_path / "run")
    with pytest.raises(FormatError, match="holds no patients"):
        convert_pools(tmp_path / "empty", tmp_path / "empty", tmp_path / "run")
    write_plain(tmp_path / "a" / "good", 1)
    write_plain(tmp_path / "b" / "bad", 2)
    small = tmp_path / "b" / "bad"
    for path in small.glob("*.npy"):
        np.save(path, np.load(path)[8:20, 8:20])
    with pytest.raises(FormatError, match=r"bad: .*training needs high resolution"):
        convert_pools(tmp_path / "a", tmp_path / "b", tmp_path / "run")
    for mask, said in ((np.zeros(SHAPE), "is empty"), (np.eye(33, 28), "no slice with 64")):
        shutil.rmtree(tmp_path / "b")
        write_plain(tmp_path / "b" / "bad", 2)
        shape = np.broadcast_to(mask.reshape(33, 28, -1), SHAPE)
        np.save(tmp_path / "b" / "bad" / "mask.npy", shape)
        with pytest.raises(FormatError, match=f"bad.*{said}"):
            convert_pools(tmp_path / "a", tmp_path / "b", tmp_path / "run")
    write_nifti(tmp_path / "c" / "far", 3)
    fine = np.eye(4)
    fine[:3, 3] = 1e4
    save_nifti(tmp_path / "c" / "far" / "T1w.nii.gz", np.ones((4, 4, 4), np.float32), fine)
    with pytest.raises(GeometryError, match=r"far: .*do not overlap"):
        convert_pools(tmp_path / "a", tmp_path / "c", tmp_path / "run")


def wide(held, shape=(150, 150, 1)):
    """Return a study on a large matrix, trusted in a box."""
    data = (1 + np.random.default_rng(0).random(shape)).astype(np.float32)
    mask = np.zeros(shape, np.float32)
    mask[held] = 1
    return Study({"tNAA": Volume(data, np.eye(4))}, mask=Volume(mask, np.eye(4)))


def test_a_large_matrix_is_cut_to_what_is_trusted():
    study = wide(np.s_[100:149, 3:20])
    arrays = convert(study)
    truth = study.maps["tNAA"].data[100:149, 3:20]
    scale = np.percentile(truth, 99)
    assert arrays["truth"].shape == (1, 50, 18, 1)
    np.testing.assert_allclose(arrays["truth"][0, :49, :17], truth / scale, rtol=2e-3)
    assert arrays["mask"].sum() == 49 * 17
    with pytest.raises(FormatError, match=rf"over 90 x 40 voxels.*{LARGEST[0]} x {LARGEST[1]}"):
        convert(wide(np.s_[10:100, 20:60]))


def test_maps_that_were_zero_filled_are_no_truth():
    coarse = 1 + np.random.default_rng(1).random((24, 24, 1))
    maps = {"tNAA": Volume(zero_fill(coarse, (64, 64)).astype(np.float32), np.eye(4))}
    whole = Volume(np.ones((64, 64, 1), np.float32), np.eye(4))
    with pytest.raises(FormatError, match="zero-filled from 24 x 24"):
        convert(Study(maps, mask=whole))
