"""`ftddm batch`: each study as by `ftddm run`, resumed as if never interrupted."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killing import KILLED, Runner
from tiny import Ftddm, files_in, write_study

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.saving.turns import alone_in
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.cohort.job import Job
from ftddm_viewer.cohort.one import Outcome, no_bar
from ftddm_viewer.cohort.plan import Item, studies_in
from ftddm_viewer.cohort.run import LOCK, in_turn, run
from ftddm_viewer.cohort.summary import COLUMNS, table
from ftddm_viewer.session.model import Model

Cohort = Callable[..., list[Any]]


@pytest.fixture
def cohort(tmp_path: Path, weights: Path) -> list[Any]:
    """Return the words of a batch of three studies and a damaged one."""
    for number, voxel in enumerate((10.0, 9.0, 8.0)):
        write_study(tmp_path / "all" / f"p{number}", voxel=(voxel, voxel, 12.0))
    (tmp_path / "all" / "p1b").mkdir()
    (tmp_path / "all" / "p1b" / "tNAA.nii.gz").write_bytes(b"damaged")
    words = ["batch", tmp_path / "all", "--out", tmp_path / "out", "--weights", weights]
    return [*words, "--upscale", 2, "--steps", 2]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_every_study_as_by_run(
    cohort: list[Any], ftddm: Ftddm, tmp_path: Path, weights: Path
) -> None:
    outcome = ftddm(*cohort)
    assert outcome.code == 2
    assert outcome.err.startswith("ftddm: 1 of 4 studies failed, the first is p1b: ")
    assert "is not a NIfTI image" in outcome.err
    assert "3 studies in" in outcome.out
    assert [line.partition(".")[0] for line in outcome.out.splitlines()[:4]] == [
        "1/4 p0: done", "2/4 p1: done", "3/4 p1b: failed", "4/4 p2: done",
    ]  # fmt: skip
    out = tmp_path / "out"
    for name in ("p0", "p1", "p2"):
        words = ["--weights", weights, "--upscale", 2, "--steps", 2]
        assert ftddm("run", tmp_path / "all" / name, "--out", tmp_path / name, *words).code == 0
        alone, found = files_in(tmp_path / name), files_in(out / name)
        assert {key: found[key] for key in alone} == alone
        assert set(found) - set(alone) == {"study.json", "thumbnail.png"}
    assert set(files_in(out / "p1b")) == {"study.json"}
    table = rows(out)
    assert [row["Status"] for row in table] == ["done", "done", "failed", "done"]
    assert "not a NIfTI image" in table[2]["Problem"]
    assert table[0]["Matrix"] == "12 x 10 x 2"
    assert table[0]["RestoredMatrix"] == "24 x 20 x 2"
    assert "No FLAIR provided" in table[0]["Warnings"]
    assert "too small to be halved" in table[0]["SelfCheck"]
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "3 of 4 studies done, 1 failed." in page
    assert '<img loading="lazy" src="p0/thumbnail.png"' in page
    assert "Research use only" in page
    verified = ftddm(
        "verify", out, *(w for n in "012" for w in ("--inputs", tmp_path / f"all/p{n}"))
    )
    assert verified.code == 0, verified.out


def test_resumed_as_if_never_interrupted(
    cohort: list[Any], ftddm: Ftddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished studies are not computed again; a failed one is tried again."""
    assert ftddm(*cohort).code == 2
    whole = files_in(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    calls: list[str] = []
    real = SuperResolver.run

    def run(self: SuperResolver, study: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(study.source["tNAA"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, study, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(SuperResolver, "run", run)
        stopped = ftddm(*cohort)
        assert stopped.code == 130
        assert stopped.err == (
            "ftddm: cancelled; the same command resumes from the finished studies.\n"
        )
        assert [row["Status"] for row in rows(tmp_path / "out")] == ["done"] + ["not yet"] * 3
        assert ftddm(*cohort).code == 2
    assert [Path(path).parent.name for path in calls] == ["p0", "p1", "p1", "p2"]
    assert files_in(tmp_path / "out") == whole
    # Mended, and one more.
    shutil.rmtree(tmp_path / "all" / "p1b")
    write_study(tmp_path / "all" / "p1b")
    for name in ("p0", "p9"):
        write_study(tmp_path / "more" / name)
    assert ftddm(*cohort[:2], tmp_path / "more", *cohort[2:]).code == 0
    table = rows(tmp_path / "out")
    assert [row["Study"] for row in table] == ["p0", "p1", "p1b", "p2", "more_p0", "p9"]
    assert {row["Status"] for row in table} == {"done"}


def test_a_study_whose_files_were_changed_is_restored_again(
    cohort: list[Any], ftddm: Ftddm, tmp_path: Path
) -> None:
    """To the bytes of a batch that began with them; one that opens no more keeps its results."""
    shutil.rmtree(tmp_path / "all" / "p1b")
    assert ftddm(*cohort).code == 0
    before = files_in(tmp_path / "out")
    assert "restored again" not in ftddm(*cohort).out
    assert files_in(tmp_path / "out") == before
    (tmp_path / "out" / "p0" / "mine.txt").write_bytes(b"notes")
    shutil.copy(tmp_path / "all" / "p1" / "tCho.nii.gz", tmp_path / "all" / "p1" / "tNAA.nii.gz")
    (tmp_path / "all" / "p0" / "T1w.nii.gz").unlink()
    (tmp_path / "all" / "p2" / "tNAA.nii.gz").write_bytes(b"damaged")
    again = ftddm(*cohort)
    assert again.code == 0, again.err
    lines = again.out.splitlines()
    assert lines[:2] == [
        f"{name}: its files were changed since, so it is restored again." for name in ("p0", "p1")
    ]
    assert [line.partition(".")[0] for line in lines[2:4]] == ["2/3 p0: done", "3/3 p1: done"]
    after = files_in(tmp_path / "out")
    assert after.pop("p0/mine.txt") == b"notes"
    assert {
        name for name in after if name.startswith("p2/") and after[name] != before[name]
    } == set()
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(tmp_path / "all" / "p2")
    assert ftddm(*cohort).code == 0
    fresh = files_in(tmp_path / "out")
    for name in ("p0", "p1"):
        assert {k: v for k, v in after.items() if k.startswith(f"{name}/")} == {
            k: v for k, v in fresh.items() if k.startswith(f"{name}/")
        }


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_killed_and_resumed(cohort: list[Any], tmp_path: Path) -> None:
    """Whatever the moment; the short version of `python tests/killing.py batch`."""
    shutil.rmtree(tmp_path / "all" / "p1b")
    words = [str(word) for word in cohort]
    with Runner() as runner:
        assert runner.run(words)[0] == 0
        whole = files_in(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
        for seconds in (0.2, 0.4, 0.6, 0.8):
            assert runner.run(words, seconds)[0] in (0, KILLED)
        assert runner.run(words)[0] == 0
    assert files_in(tmp_path / "out") == whole


def test_other_settings_are_refused_and_replaced_on_demand(
    cohort: list[Any], ftddm: Ftddm, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert ftddm(*cohort).code == 2
    (out / "p0" / "mine.txt").write_bytes(b"notes")
    before = files_in(out)
    refused = ftddm(*cohort, "--seed", 1)
    assert refused.code == 2
    assert "holds a batch with other settings: its studies would be mixed" in refused.err
    assert files_in(out) == before
    assert ftddm(*cohort, "--seed", 1, "--overwrite").code == 2
    after = files_in(out)
    assert set(after) == set(before)
    same = {name for name in after if after[name] == before[name]}
    assert same == {"p0/mine.txt", "p1b/study.json"}


def test_results_of_others_stay(cohort: list[Any], ftddm: Ftddm, tmp_path: Path) -> None:
    """A map that no batch wrote is not replaced: the study fails, the others do not."""
    other = tmp_path / "out" / "p0" / "p0_met-tNAA_desc-ftddm_mrsi.nii.gz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of an earlier run")
    assert ftddm(*cohort).code == 2
    table = rows(tmp_path / "out")
    assert [row["Status"] for row in table] == ["failed", "done", "failed", "done"]
    assert "exists already" in table[0]["Problem"]
    assert other.read_bytes() == b"of an earlier run"


def test_one_batch_at_a_time(cohort: list[Any], ftddm: Ftddm, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with alone_in(tmp_path / "out", name=LOCK):
        refused = ftddm(*cohort)
    assert refused.code == 2
    assert "Another batch is running in" in refused.err
    assert files_in(tmp_path / "out") == {}


def test_what_is_not_possible_is_told(
    cohort: list[Any], ftddm: Ftddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--t1 is about one study" in ftddm(*cohort, "--t1", tmp_path / "x.nii").err
    both = ftddm(*cohort, "--workers", 2, "--scheduler", "tcp://x:1")
    assert "either --workers or --scheduler" in both.err
    (tmp_path / "none").mkdir()
    none = ftddm("batch", tmp_path / "none", "--out", tmp_path / "nothing", *cohort[4:])
    assert none.code == 2
    assert "1 of 1 studies failed, the first is none: " in none.err
    assert "holds no metabolite map" in none.err
    monkeypatch.setattr("ftddm_viewer.cohort.cluster.find_spec", lambda name: None)
    missing = ftddm(*cohort, "--workers", 2)
    assert missing.code == 2
    assert "pip install 'ftddm-viewer[cluster]'" in missing.err
    assert not (tmp_path / "out").exists()


def test_a_lost_disk_ends_the_batch_in_one_line(
    cohort: list[Any], ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot even be recorded is no fault of one study."""
    calls: list[Path] = []

    def full(files: Any, folder: Path, **kwargs: Any) -> None:
        calls.append(folder)
        raise FormatError(f"Cannot write to {folder}: No space left on device. Choose another.")

    monkeypatch.setattr("ftddm_viewer.cohort.one.save_files", full)
    outcome = ftddm(*cohort)
    assert outcome.code == 2
    assert "p0: No space left on device" in outcome.err
    assert outcome.err.count("\n") == 1
    assert {folder.name for folder in calls} == {"p0"}


def test_the_summary_while_it_runs(
    cohort: list[Any], tmp_path: Path, weights: Path, model: Model
) -> None:
    """Written at most every ten seconds, with the time left; at the end without a time."""
    now, seen = [0.0], []

    def clock() -> float:
        now[0] += 6.0
        return now[0]

    def tell(outcome: Outcome, done: int, every: int, left: float | None) -> None:
        page = tmp_path / "out" / "summary.html"
        seen.append((done, every, page.read_text() if page.exists() else ""))

    job = Job(
        str(tmp_path / "out"), SamplerSettings(upscale=2, steps=1), Choices(), str(weights),
        model.digest, "cpu",
    )  # fmt: skip
    run(job, [tmp_path / "all"], in_turn(no_bar), tell, clock=clock)
    assert [(done, every) for done, every, _ in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[0][2] == ""
    assert re.search(r"1 of 4 studies done, 0 failed, 3 not yet; about \d+ s left", seen[1][2])
    assert "s left" not in (tmp_path / "out" / "summary.html").read_text()


def bids(root: Path, subject: str, session: str = "") -> None:
    """Write a subject's folder, with a session of its own if it has one."""
    start = f"sub-{subject}_" + (f"ses-{session}_" if session else "")
    place = root / f"sub-{subject}" / (f"ses-{session}" if session else "") / "mrsi"
    write_study(place, prefix=f"{start}met-", ending="_desc-signal_mrsi")


def test_a_tree_of_subjects_and_sessions(tmp_path: Path, ftddm: Ftddm, weights: Path) -> None:
    root = tmp_path / "derivatives" / "mrsiprep"
    bids(root, "01", "V1")
    bids(root, "01", "V2")
    bids(root, "02")
    (root / "logs").mkdir()
    found = studies_in([root], Choices(), tmp_path / "out")
    assert [item.key for item in found] == ["sub-01_ses-V1", "sub-01_ses-V2", "sub-02"]
    one = studies_in([root], Choices(subject="01", session="V2"), tmp_path / "out")
    assert [item.key for item in one] == ["sub-01_ses-V2"]
    words = ["--out", tmp_path / "out", "--weights", weights, "--upscale", 2, "--steps", 2]
    outcome = ftddm("batch", root, *words)
    assert outcome.code == 0, outcome.err
    assert {row["Study"]: row["Session"] for row in rows(tmp_path / "out")} == {
        "sub-01_ses-V1": "V1", "sub-01_ses-V2": "V2", "sub-02": "",
    }  # fmt: skip
    names = {path.name for path in (tmp_path / "out" / "sub-01_ses-V2").glob("*.nii.gz")}
    assert "sub-01_ses-V2_met-tNAA_desc-ftddm_mrsi.nii.gz" in names


def test_keys_are_their_own_and_stay(tmp_path: Path) -> None:
    for site in ("a", "b"):
        write_study(tmp_path / site / "P 1")
        write_study(tmp_path / site / f"of {site}")
    first = studies_in([tmp_path / "b" / "P 1"], Choices(), tmp_path / "out")
    assert [item.key for item in first] == ["P-1"]
    both = studies_in([tmp_path / "a", tmp_path / "b"], Choices(), tmp_path / "out", first)
    assert [(item.key, Path(item.path).parent.name) for item in both] == [
        ("a_P-1", "a"), ("of-a", "a"), ("P-1", "b"), ("of-b", "b"),
    ]  # fmt: skip
    assert Item("x", "y").to_dict() == {"Path": "y"}


def test_no_cell_is_a_formula() -> None:
    """A spreadsheet would compute what begins like one."""
    text = table([{"Study": "=HYPERLINK(1)", "Path": "@x", "Status": "done", "Warnings": ["a"]}])
    row = next(csv.DictReader(text.splitlines()))
    assert (row["Study"], row["Path"], row["Warnings"]) == ("'=HYPERLINK(1)", "'@x", "a")
    assert set(row) == set(COLUMNS)
