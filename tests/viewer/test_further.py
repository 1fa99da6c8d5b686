"""`ftddm run --also`: maps in T1 space, and as DICOM that is read back by pydicom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Ftddm, load

from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import Volume
from ftddm_core.saving.in_t1_space import resampled
from ftddm_viewer.commands import restore

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install '.[dicom]'")
pytest.importorskip("highdicom", reason="highdicom is not installed: pip install '.[dicom]'")

MAP, T1 = "patient_met-tNAA_desc-ftddm_mrsi", "patient_met-tNAA_desc-ftddmT1_mrsi"


@pytest.fixture
def run(study: Path, weights: Path, tmp_path: Path) -> list[Any]:
    words = ["run", study, "--out", tmp_path / "out", "--weights", weights]
    return [*words, "--upscale", 2, "--steps", 2]


def test_dicom_holds_the_map_at_its_place_and_says_what_it_is(
    run: list[Any], ftddm: Ftddm, tmp_path: Path
) -> None:
    assert ftddm(*run, "--also", "dicom").code == 0
    found = pydicom.dcmread(tmp_path / "out" / f"{MAP}.dcm")
    data, affine = load(tmp_path / "out" / f"{MAP}.nii.gz")
    frames = np.frombuffer(found.FloatPixelData, np.float32)
    frames = frames.reshape(int(found.NumberOfFrames), found.Rows, found.Columns)
    shared = found.SharedFunctionalGroupsSequence[0]
    turn = np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, across = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    seen = []
    for frame, group in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        corner = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
        flip = np.array([-1, -1, 1])  # DICOM counts to the left and back
        index = (np.linalg.inv(affine) @ (*(corner * flip), 1))[:3]
        assert index[:2] == pytest.approx((0, 0), abs=1e-4)
        k = round(index[2])
        assert index[2] == pytest.approx(k, abs=1e-4)
        assert np.array_equal(frame, data[:, :, k].T.astype(np.float32))
        assert frame.max() > 0
        for i, j in ((7, 3), (data.shape[0] - 1, data.shape[1] - 1)):
            place = corner + i * across * turn[:3] + j * down * turn[3:]
            assert place == pytest.approx((affine @ (i, j, k, 1))[:3] * flip, abs=1e-3)
        seen.append(k)
    assert sorted(seen) == list(range(data.shape[2]))
    assert found.SOPClassUID.name == "Parametric Map Storage"
    assert found.SeriesDescription == "AI-generated, research use only: tNAA FTDDM"
    assert found.ContentDescription == "AI-generated. Research use only, not for clinical use."
    assert found.DerivationDescription.startswith("AI-generated. Research use only")
    assert '"steps":2' in found.DerivationDescription
    assert found.ContentQualification == "RESEARCH"
    assert found.ImageType[0] == "DERIVED"
    assert not any(name in found for name in ("SourceImageSequence", "ReferencedSeriesSequence"))
    assert "DerivationImageSequence" not in found.PerFrameFunctionalGroupsSequence[0]


def examination(path: Path, **changed: Any) -> Path:
    """Write a DICOM image of a patient."""
    found = pydicom.Dataset()
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
    found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
    found.StudyInstanceUID, found.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    found.FrameOfReferenceUID, found.PatientName, found.PatientID = "1.2.3.5", "Doe^Jane", "4711"
    found.ImagePositionPatient, found.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    found.PixelSpacing, found.SliceThickness = [1, 1], 1
    found.Rows = found.Columns = 4
    found.Modality = "MR"
    for name, value in changed.items():
        delattr(found, name) if value is None else setattr(found, name, value)
    found.save_as(path, enforce_file_format=True)
    return path


def test_dicom_of_an_examination(run: list[Any], ftddm: Ftddm, tmp_path: Path) -> None:
    of = examination(tmp_path / "t1.dcm")
    assert ftddm(*run, "--also", "dicom", "--dicom-of", of).code == 0
    found = pydicom.dcmread(tmp_path / "out" / f"{MAP}.dcm")
    assert (str(found.PatientName), found.PatientID) == ("Doe^Jane", "4711")
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID) == ("1.2.3", "1.2.3.5")
    assert found.SeriesInstanceUID != "1.2.3.4"


def test_what_cannot_be_written_is_told_before_any_work(
    run: list[Any], ftddm: Ftddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: Any, **__: Any) -> None:
        raise AssertionError("It was restored all the same.")

    monkeypatch.setattr(restore, "restored", work)
    (tmp_path / "text.dcm").write_text("no image")
    placeless = examination(tmp_path / "report.dcm", FrameOfReferenceUID=None)
    for words, message in (
        (["--also", "dicom", "--dicom-of", tmp_path / "text.dcm"], "is not a DICOM file"),
        (["--also", "dicom", "--dicom-of", tmp_path / "none.dcm"], "is not a DICOM file"),
        (["--also", "dicom", "--dicom-of", placeless], "with a place"),
        (["--dicom-of", placeless], "needs --also dicom"),
        (["--also", "t1", "--exclude", "T1w.nii.gz"], "no T1w image"),
    ):
        outcome = ftddm(*run, *words)
        assert outcome.code == 2
        assert message in outcome.err
        assert not (tmp_path / "out").exists()


def test_t1_space(run: list[Any], study: Path, ftddm: Ftddm, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert ftddm(*run, "--also", "t1").code == 0
    data, affine = load(out / f"{T1}.nii.gz")
    t1, place = load(study / "T1w.nii.gz")
    assert data.shape == t1.shape
    assert affine == pytest.approx(place, abs=1e-4)
    own, own_affine = load(out / f"{MAP}.nii.gz")
    near = regrid_nearest(Volume(own.astype(np.float32), own_affine), t1.shape, place).data
    both = (near > 0) & (data > 0)
    assert both.sum() > 100
    assert np.corrcoef(near[both], data[both])[0, 1] > 0.8
    record = json.loads((out / f"{T1}.json").read_text())
    assert record["Notice"].startswith("AI-generated")
    assert record["ResampledFrom"]["Name"] == f"{MAP}.nii.gz"
    assert ftddm("verify", out, "--inputs", study).code == 0
    # A result that is not in T1 space must not lie beside an earlier one's.
    assert ftddm(*run, "--overwrite").code == 0
    assert not list(out.glob("*ftddmT1*"))
    assert ftddm(*run, "--also", "t1").code == 2  # the map is there


def test_nothing_untrusted_is_mixed_in() -> None:
    """A map of one value keeps it up to its edge, whatever is beyond."""
    mask = np.zeros((8, 8, 6), np.float32)
    mask[2:6, 2:6, 1:5] = 1
    coarse = np.diag([4.0, 4.0, 4.0, 1.0])
    volume = Volume(np.where(mask > 0, 3.0, 100.0).astype(np.float32), coarse, "mM")
    fine = np.diag([1.0, 1.0, 1.0, 1.0])
    t1 = Volume(np.ones((30, 30, 22), np.float32), fine)
    found = resampled(volume, Volume(mask, coarse), t1)
    assert found.unit == "mM"
    assert set(np.round(np.unique(found.data), 5)) == {0, 3}
    assert found.data[8:21, 8:21, 4:17].min() == pytest.approx(3)
