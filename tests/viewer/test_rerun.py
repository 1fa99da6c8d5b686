"""`ftddm rerun` and `ftddm verify`: a result can be made again, and what was changed is found."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tiny import Ftddm, files_in, write_study

from ftddm_core.saving.pair import encode_json
from ftddm_core.saving.software import commit_of
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session


@pytest.fixture
def made(quick: list[Any], ftddm: Ftddm, tmp_path: Path) -> Path:
    assert ftddm(*quick, "--upscale", 2).code == 0
    return tmp_path / "out"


def outcomes(printed: str) -> list[str]:
    rows = [line for line in printed.splitlines() if line.startswith("| ")][2:]
    return [row.split("|")[2].strip() for row in rows]


@pytest.mark.parametrize("place", ["there", "elsewhere", "zip"])
def test_a_run_is_reproduced_byte_for_byte(
    place: str, quick: list[Any], ftddm: Ftddm, study: Path, tmp_path: Path, weights: Path
) -> None:
    """With its decisions about the files, wherever the inputs are by now."""
    choices = ["--role", f"{study / 'tCho.nii.gz'}=map:Cho", "--exclude", study / "T1w.nii.gz"]
    assert ftddm(*quick, "--samples", 2, *choices, "--seed", 3, "--noise", 2).code == 0
    inputs = study
    if place == "elsewhere":
        inputs = tmp_path / "archive"
        shutil.move(study, inputs / "deep" / "other-name")
        (inputs / "tNAA.nii.gz").write_bytes(b"another one of this name")
    elif place == "zip":
        inputs = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", study))
        shutil.rmtree(study)
    outcome = ftddm("rerun", tmp_path / "out", "--inputs", inputs, "--weights", weights)
    assert outcome.code == 0, outcome.err
    assert outcomes(outcome.out) == ["reproduced byte for byte"] * 6
    assert "6 maps reproduced, 6 of them byte for byte" in outcome.out


def test_the_demo_is_reproduced_byte_for_byte(ftddm: Ftddm, tmp_path: Path, weights: Path) -> None:
    """A case that was degraded on purpose, with its metrics; its inputs are bundled."""
    words = ["--weights", weights, "--steps", 1, "--mri-weight", 1, "--detail", 1]
    assert ftddm("demo", "--out", tmp_path / "demo", *words).code == 0
    (sidecar,) = (tmp_path / "demo").glob("*_met-tNAA_*.json")
    metrics = json.loads(sidecar.read_text())["Metrics"]
    assert set(metrics) == {
        "nrmse", "psnr", "ssim", "psnr_in_mask", "ssim_in_mask", "sharpness"
    }  # fmt: skip
    outcome = ftddm("rerun", sidecar, "--weights", weights)
    assert outcome.code == 0, outcome.err
    assert outcomes(outcome.out) == ["reproduced byte for byte"]


def test_a_volume_of_the_window_is_reproduced(
    ftddm: Ftddm, study: Path, tmp_path: Path, weights: Path
) -> None:
    session = Session(Model(str(weights), "cpu"))
    session.open(study)
    assert session.wait(60)
    session.update(upscale=2.0, steps=2)
    session.compute_volume()
    assert session.wait(60)
    session.save(tmp_path / "saved")
    session.close()
    outcome = ftddm("rerun", tmp_path / "saved", "--inputs", study, "--weights", weights)
    assert outcome.code == 0, outcome.err
    agreed = re.compile(r"reproduced (byte for byte|to [\d.e-]+ of the scale)|the same values")
    assert all(agreed.match(words) for words in outcomes(outcome.out))


def rewritten(sidecar: Path, **changes: Any) -> None:
    """Change a sidecar and its map so that they still belong together."""
    from ftddm_core.imaging.io import read_volume
    from ftddm_core.saving.pair import MAP, encode_pair

    record = json.loads(sidecar.read_text())
    del record[MAP]
    path = sidecar.with_name(sidecar.name.replace(".json", ".nii.gz"))
    volume = read_volume(path)
    if (shift := changes.pop("shift", 0.0)) and record["Scale"]:
        data = volume.data.copy()
        data[tuple(np.argwhere(data > 0)[0])] += shift * record["Scale"]
        volume = volume.with_data(data)
    text, content = encode_pair(volume, record | changes)
    sidecar.write_bytes(text)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("shift", "code", "words"),
    [
        (0.0, 0, "the same values; other in the record: Commit"),
        (5e-5, 0, r"reproduced to 5e-05 of the scale \(allowed: 0.0001\); other in the record: "),
        (2e-4, 2, r"NOT reproduced: it differs by 0.0002 of the scale \(allowed: 0.0001\)"),
    ],
)
def test_another_version_or_machine_is_told(
    shift: float, code: int, words: str, made: Path, ftddm: Ftddm, study: Path, weights: Path
) -> None:
    sidecar = next(made.glob("*tNAA*.json"))
    software = json.loads(sidecar.read_text())["Software"] | {"torch": "1.0"}
    rewritten(sidecar, shift=shift, Commit="0" * 40, Software=software)
    outcome = ftddm("rerun", sidecar, "--inputs", study, "--weights", weights)
    assert outcome.code == code
    assert re.match(words.replace("Commit", "(Software, Commit|Commit, Software)"),
                    outcomes(outcome.out)[0])  # fmt: skip
    assert "note: torch was 1.0, is " in outcome.err
    if code:
        assert outcome.err.endswith("ftddm: 1 of 1 maps were not reproduced.\n")


def test_what_cannot_be_made_again_is_told_in_one_line(
    made: Path, ftddm: Ftddm, study: Path, tmp_path: Path, weights: Path
) -> None:
    def refused(*words: Any) -> str:
        outcome = ftddm("rerun", *words)
        assert outcome.code == 2
        assert outcome.err.count("\n") == 1
        return outcome.err

    sidecar, tiny = next(made.glob("*tNAA*.json")), ["--weights", weights]
    assert re.search(
        r"Inputs were not found in .*: mask.nii.gz, T1w.nii.gz, tCho.nii.gz, tNAA.nii.gz. Give the "
        r"folder that holds them \(--inputs FOLDER\)",
        refused(sidecar, *tiny),
    )
    assert "does not exist" in refused(sidecar, *tiny, "--inputs", tmp_path / "gone")
    assert "No weights called 'tiny'" in refused(sidecar, "--inputs", study)
    other = refused(sidecar, "--inputs", study, "--weights", "small")
    assert "made with the weights 'tiny'" in other
    assert "(--weights NAME|DIR)" in other
    assert "is not the sidecar of a result" in refused(_text(tmp_path / "a.json", b"{}"))
    assert "is not JSON" in refused(_text(tmp_path / "b.json", b"{"))
    record = json.loads(sidecar.read_text())
    for name, value in {
        "Inputs": 3, "Settings": [], "Scale": "1", "DegradedBy": -1, "Choices": {"roles": 3}
    }.items():  # fmt: skip
        damaged = encode_json(record | {name: value})
        assert f"its entry {name} is not as it" in refused(_text(tmp_path / "c.json", damaged))
    unsaid = encode_json({key: value for key, value in record.items() if key != "Scale"})
    assert "does not state Scale" in refused(_text(tmp_path / "d.json", unsaid))
    assert "holds no sidecar of a result" in refused(study)
    path = study / "tCho.nii.gz"
    path.write_bytes(path.read_bytes() + b"\0")
    assert "Inputs are not as they were" in refused(sidecar, *tiny, "--inputs", study)
    path = next(made.glob("*tNAA*.nii.gz"))
    path.write_bytes(path.read_bytes() + b"\0")
    assert "was changed after it was written" in refused(sidecar, *tiny, "--inputs", study)


def _text(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_verify_finds_what_was_changed(
    made: Path, ftddm: Ftddm, study: Path, tmp_path: Path
) -> None:
    shutil.copytree(made, tmp_path / "all" / "of" / "it")
    whole = ftddm("verify", tmp_path / "all", "--inputs", study)
    assert whole.code == 0
    assert "2 results are as they were written" in whole.out
    assert whole.out.count("| unchanged | unchanged |") == 2
    apart = ftddm("verify", made)
    assert apart.code == 0
    assert "Inputs of 2 were not found. Give the folder that holds them (--inputs" in apart.out
    before = files_in(tmp_path / "all")

    name = next(name for name in before if "tNAA" in name and name.endswith(".nii.gz"))
    path = tmp_path / "all" / name
    image = nib.load(path)
    nib.save(nib.Nifti1Image(image.get_fdata() * 2, image.affine, image.header), path)
    changed = ftddm("verify", tmp_path / "all", "--inputs", study)
    assert changed.code == 2
    assert "was changed after it was written" in changed.out
    assert "1 of 2 results are not as they were written" in changed.err
    path.with_name(path.name.replace(".nii.gz", ".json")).unlink()
    lonely = ftddm("verify", tmp_path / "all", "--inputs", study)
    assert "it has no sidecar beside it" in lonely.out
    path.write_bytes(before[name])
    (study / "mask.nii.gz").write_bytes(b"other")
    inputs = ftddm("verify", made, "--inputs", study)
    assert inputs.code == 2
    assert inputs.out.count("| unchanged | changed: mask.nii.gz |") == 2


def test_verify_tells_of_a_killed_program(made: Path, ftddm: Ftddm, study: Path) -> None:
    (made / ".ftddm-abc" / "new").mkdir(parents=True)
    outcome = ftddm("verify", made, "--inputs", study)
    assert outcome.code == 2
    assert "a program was killed while it wrote here" in outcome.out
    assert ftddm("verify", write_study(made.parent / "none")).code == 2
    assert "is not a folder" in ftddm("verify", next(made.glob("*.json"))).err


def test_the_commit_is_read_without_git(tmp_path: Path) -> None:
    hashed, other = "a" * 40, "b" * 40
    git = tmp_path / "one" / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    assert commit_of(tmp_path / "one") == ""
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(f"# pack-refs\n{other} refs/heads/x\n{hashed} refs/heads/main")
    assert commit_of(tmp_path / "one") == hashed
    (git / "refs" / "heads" / "main").write_text(f"{other}\n")
    assert commit_of(tmp_path / "one") == other
    (git / "HEAD").write_text(f"{hashed}\n")
    assert commit_of(tmp_path / "one") == hashed
    tree = git / "worktrees" / "two"
    tree.mkdir(parents=True)
    (tree / "HEAD").write_text("ref: refs/heads/main\n")
    (tree / "commondir").write_text("../..\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / ".git").write_text(f"gitdir: {tree}\n")
    assert commit_of(tmp_path / "two") == other
    (git / "HEAD").write_text("ref: ../../secret\n")
    assert commit_of(tmp_path / "one") == ""
    assert commit_of(tmp_path / "nothing") == ""
