"""Which files beside the maps are of another patient, packed, or of another scanner."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices, open_study, survey_study, write_volume
from ftddm_core.imaging.volume import Volume

AFFINE = np.diag([8.0, 8, 10, 1])
INSIDE = np.zeros((6, 6, 2))
INSIDE[1:5, 1:5] = 1


def put(folder, *names):
    """Write images of 0 and 5; masks of 0 and 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        values = INSIDE * (1 if "mask" in name else 5 + len(name))
        write_volume(folder / f"{name}.nii.gz", Volume(values.astype(np.float32), AFFINE))
    return folder


@pytest.mark.parametrize(
    ("maps", "mask"),
    [
        ("patA_tNAA", "patB_mask"),
        ("patA_tNAA", "mask_patB"),
        ("p01_tNAA", "p02_brain_mask"),
        ("p1_2024-05-01_tNAA", "p1_2025-11-30_mask"),
        ("tNAA_subject12", "qc_mask_subject13"),
        ("p01_tNAA", "p02_spikemask"),
        ("p01_tNAA", "p02_tNAA_crlb"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_a_file_of_another_patient_is_left_out_and_told(maps, mask, listed, tmp_path):
    folder = put(tmp_path / "data", maps, mask)
    paths = sorted(folder.iterdir()) if listed else folder
    study = open_study(paths)
    assert study.mask is None
    assert not study.crlb
    entry = next(e for e in survey_study(paths).entries if e.path.name.startswith(mask))
    assert "of another patient or date" in entry.reason
    assert any(n.startswith(mask) and "another patient" in n for n in study.notes)


def test_it_is_used_if_the_user_says_so(tmp_path):
    folder = put(tmp_path / "data", "patA_tNAA", "patB_mask")
    study = open_study(folder, choices=Choices(roles={"patB_mask.nii.gz": "mask"}))
    assert study.mask is not None
    assert (
        open_study(folder / "patA_tNAA.nii.gz", mask=folder / "patB_mask.nii.gz").mask is not None
    )


@pytest.mark.parametrize(
    ("maps", "mask"),
    [
        (("patA_tNAA", "patA_tCr"), "patA_mask"),
        (("patA_tNAA",), "mask"),
        (("patA_tNAA",), "brain_mask"),
        (("tNAA", "tCr"), "patB_mask"),
        (("01_tNAA", "02_tCr"), "03_mask"),
        (("05_tNAA",), "06_mask"),
        (("tNAA_map", "tCr_map"), "mask_final"),
        (("scan_3T_tNAA",), "scan_3T_qc_mask"),
    ],
)
def test_other_names_of_masks_are_taken_as_before(maps, mask, tmp_path):
    study = open_study(put(tmp_path / "data", *maps, mask))
    assert study.mask is not None
    assert not any("another patient" in note for note in study.notes)


def test_an_mri_of_another_name_is_used_and_doubted(tmp_path):
    """Series of one examination may be numbered."""
    study = open_study(put(tmp_path / "data", "s5_tNAA", "s3_T1w"))
    assert study.t1 is not None
    assert any("s3_T1w (T1) used: its name is that of another" in note for note in study.notes)


def test_a_packed_file_inside_is_named(tmp_path):
    """Whether in a folder, or in a zip file that was named."""
    inner = put(tmp_path / "inner", "tNAA")
    outer = tmp_path / "outer"
    outer.mkdir()
    shutil.make_archive(str(outer / "patient"), "zip", inner)
    with pytest.raises(FormatError, match=r"patient\.zip lies inside .* unpack it"):
        open_study(outer)
    packed = shutil.make_archive(str(tmp_path / "both"), "zip", outer)
    with pytest.raises(FormatError, match=r"patient\.zip lies inside .* unpack it"):
        open_study(packed)
    assert set(open_study(put(outer, "tCr")).maps) == {"tCr"}


@pytest.mark.parametrize(
    ("stated", "tesla"),
    [
        ({"MagneticFieldStrength": 3}, 3),
        ({"SpectrometerFrequency": [123.2]}, 2.89),
        ({"ImagingFrequency": 297.2}, 6.98),
        ({"MagneticFieldStrength": "3"}, None),
        ({"MagneticFieldStrength": True}, None),
        ({"MagneticFieldStrength": 30000}, None),
        ({"MagneticFieldStrength": float("nan")}, None),
        ({}, None),
    ],
)
def test_the_field_strength_of_the_sidecar_is_compared_with_the_training(stated, tesla, tmp_path):
    folder = put(tmp_path / "data", "tNAA")
    (folder / "tNAA.json").write_text(json.dumps(stated))
    study = open_study(folder)
    assert study.field_t == tesla
    noted = [note for note in study.notes if note.startswith("Measured at")]
    assert len(noted) == (tesla is not None and tesla < 6)
    assert all(f"Measured at {tesla:g} T" in note for note in noted)


def test_sidecars_that_disagree_state_no_field_strength(tmp_path):
    folder = put(tmp_path / "data", "tNAA", "tCr")
    for name, tesla in (("tNAA", 3), ("tCr", 7)):
        (folder / f"{name}.json").write_text(json.dumps({"MagneticFieldStrength": tesla}))
    assert open_study(folder).field_t is None
