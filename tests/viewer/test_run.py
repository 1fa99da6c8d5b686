"""What `ftddm run` writes: maps, the same bytes each time, and what its settings change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Ftddm, files_in, load, sidecar, tiny_maps

from ftddm_core.imaging.io import open_study
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.saving.pair import check_pair
from ftddm_core.saving.results import save_result
from ftddm_core.settings import SamplerSettings


def test_run_writes_a_map_and_a_sidecar_each(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    outcome = ftddm(*quick, "--upscale", 2)
    assert outcome.code == 0
    out = study.parent / "out"
    assert set(files_in(out)) == {
        f"patient_met-{name}_desc-ftddm_mrsi{ending}"
        for name in ("tNAA", "tCho")
        for ending in (".nii.gz", ".json")
    }
    assert re.search(r"\| tNAA \| 10 x 10 x 12 \| 5 x 5 x 12 \| +0.4\d* \| +[\d.]+ \|", outcome.out)
    assert "Self-check: not possible, its 12 x 10 matrix is too small" in outcome.out
    assert "4 files in" in outcome.out
    assert "Research use only, not for clinical use" in outcome.out
    assert re.fullmatch(
        "note: No FLAIR provided: the model can run without it, with less anatomical guidance.\n"
        r"note: noise: estimated, [\d.]+( to [\d.]+)? % of the scale; set it if you know better.\n",
        outcome.err,
    )
    _, mask, affine = tiny_maps()
    trusted = mask.repeat(2, 0).repeat(2, 1) > 0  # nearest, but for the tie at half a voxel
    for name in ("tNAA", "tCho"):
        data, found = load(out / f"patient_met-{name}_desc-ftddm_mrsi.nii.gz")
        assert data.shape == (24, 20, 2)
        np.testing.assert_allclose(found[:3, 3], affine[:3, 3], atol=0.01)
        np.testing.assert_allclose(found[:3, :3], affine[:3, :3] * (0.5, 0.5, 1), atol=0.01)
        assert np.isfinite(data).all()
        assert data.min() == 0
        assert data.max() > 0
        assert (data > 0).sum() <= 1.2 * trusted.sum()


def test_the_same_command_gives_the_same_bytes(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """Also from another folder; another seed gives another map."""
    out = study.parent / "out"
    assert ftddm(*quick, "--samples", 2).code == 0
    first = files_in(out)
    assert ftddm(*quick, "--samples", 2, "--overwrite").code == 0
    assert files_in(out) == first
    elsewhere = study.parent / "elsewhere" / "patient"
    shutil.copytree(study, elsewhere)
    words = [elsewhere if word == study else word for word in quick]
    words[3] = study.parent / "other"
    assert ftddm(*words, "--samples", 2).code == 0
    assert files_in(study.parent / "other") == first
    assert ftddm(*quick, "--samples", 2, "--overwrite", "--seed", 1).code == 0
    changed = files_in(out)
    assert all(changed[name] != content for name, content in first.items())


@pytest.mark.parametrize("placed", ["last", "before the study"])
def test_a_bare_consistency_is_exact(
    placed: str, quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    """As older commands have it, wherever the flag stands."""
    words = [*quick, "--consistency"] if placed == "last" else ["run", "--consistency", *quick[1:]]
    assert ftddm(*words).code == 0
    assert sidecar(study.parent / "out", "tNAA")["Settings"]["consistency"] == "exact"
    assert ftddm(*quick, "--overwrite", "--consistency", "off").code == 0
    assert sidecar(study.parent / "out", "tNAA")["Settings"]["consistency"] == "off"


def test_consistency_and_its_residual(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """The more a map is held to the measurement, the nearer it is; off the network decides."""
    out = study.parent / "out"
    found = {}
    for choice in ("off", "noise", "exact"):
        flags = ("--consistency", choice, "--detail", 1, "--noise", 5)
        assert ftddm(*quick, "--upscale", 2, "--overwrite", *flags).code == 0
        found[choice] = {n: sidecar(out, n)["KSpaceResidual"] for n in ("tNAA", "tCho")}
        for name in ("tNAA", "tCho"):
            data, _ = load(out / f"patient_met-{name}_desc-ftddm_mrsi.nii.gz")
            assert data.min() >= 0
    for name in ("tNAA", "tCho"):
        drawn = [found[choice][name]["Drawn"] for choice in ("exact", "noise", "off")]
        assert drawn == sorted(drawn)
        assert drawn[0] < 0.01 < drawn[2]
        assert found["noise"][name]["Noise"] > 0


def test_the_detail_scales_what_is_drawn_and_nothing_else(
    quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    """0 is what the measurement alone says, whatever the seed; the deviation is the draw's."""
    out = study.parent / "out"
    maps, spreads, errors = {}, {}, {}
    for detail, seed in ((0, 0), (0, 1), (0.5, 0), (1, 0)):
        words = ("--samples", 2, "--detail", detail, "--seed", seed, "--overwrite")
        assert ftddm(*quick, *words).code == 0
        for kept, what in ((maps, "ftddm"), (spreads, "ftddmSd"), (errors, "ftddmError")):
            kept[detail, seed], _ = load(out / f"patient_met-tNAA_desc-{what}_mrsi.nii.gz")
    np.testing.assert_array_equal(maps[0, 0], maps[0, 1])
    assert np.abs(maps[0, 0] - maps[1, 0]).max() > 0.01 * maps[0, 0].max()
    np.testing.assert_array_equal(spreads[0, 0], spreads[1, 0])
    np.testing.assert_allclose(errors[1, 0], spreads[1, 0], rtol=1e-6)
    assert (errors[0.5, 0] >= spreads[0.5, 0]).all()
    positive = (maps[0, 0] > 0) & (maps[1, 0] > 0)
    middle = (maps[0, 0] + maps[1, 0]) / 2
    top = maps[0, 0].max()
    np.testing.assert_allclose(maps[0.5, 0][positive], middle[positive], atol=1e-5 * top)


def test_one_sample_without_a_denoiser(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """T_trunc = 0 is the flow alone: the denoiser is never called."""
    words = [*quick[:-2], "--t-trunc", 0]
    assert ftddm(*words).code == 0
    assert sidecar(study.parent / "out", "tNAA")["Settings"]["steps"] is None
    flow_alone = files_in(study.parent / "out")
    weights = quick[5]
    other = study.parent / "tiny"
    shutil.copytree(weights, other)
    shutil.copy(weights / "denoiser.safetensors", other)
    words[5], words[3] = other, study.parent / "again"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ftddm_core.model.unet.UNet.forward", None)
        assert ftddm(*words).code == 0
    assert files_in(study.parent / "again") == flow_alone


@pytest.mark.parametrize("flags", [["--t-trunc", "1000", "--steps", "3"], ["--steps", "1"]])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler(
    flags: list[str], sampler: str, quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    assert ftddm(*quick[:-2], *flags, "--sampler", sampler).code == 0
    data, _ = load(study.parent / "out" / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    assert np.isfinite(data).all()
    assert data.max() > 0


def test_several_samples(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    assert ftddm(*quick, "--samples", 3).code == 0
    out = study.parent / "out"
    mean, _ = load(out / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    deviation, _ = load(out / "patient_met-tNAA_desc-ftddmSd_mrsi.nii.gz")
    assert (deviation[mean > 0] > 0).mean() > 0.9  # the draws may all be 0
    assert (deviation[mean == 0] == 0).all()
    # A result in its own input's folder is not taken for a map.
    shutil.copytree(out, study, dirs_exist_ok=True)
    assert set(open_study(study).maps) == {"tNAA", "tCho"}


def test_the_library_writes_the_same_bytes(
    quick: list[Any], ftddm: Ftddm, study: Path, weights: Path
) -> None:
    assert ftddm(*quick, "--samples", 2).code == 0
    written = files_in(study.parent / "out")
    opened = open_study(study)
    resolver = SuperResolver.load(str(weights), "cpu")
    result = resolver.run(opened, SamplerSettings(steps=2, samples=2))
    save_result(result, opened, study.parent / "library")
    assert files_in(study.parent / "library") == written
    maps = [name for name in written if name.endswith(".nii.gz")]
    assert len(maps) == 6
    for name in maps:
        assert check_pair(study.parent / "out" / name)["Settings"]["samples"] == 2


def test_one_sample_replaces_several(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """The spread of several samples does not stay beside a map of one."""
    out = study.parent / "out"
    assert ftddm(*quick, "--samples", 2).code == 0
    for path in out.glob("*_desc-ftddm_mrsi*"):
        path.unlink()
    refused = ftddm(*quick)
    assert refused.code == 2
    assert "desc-ftddmSd_mrsi.json exists already; choose another --out" in refused.err
    assert ftddm(*quick, "--overwrite").code == 0
    assert {name.partition("_desc-")[2] for name in files_in(out)} == {
        "ftddm_mrsi.json",
        "ftddm_mrsi.nii.gz",
    }
