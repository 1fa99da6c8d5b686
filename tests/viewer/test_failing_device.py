"""A device that runs out of memory or is lost: one clear line, and the next image as before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sessions import DEVICE_ERRORS, Failing, done
from tiny import Ftddm, files_in, write_study

from ftddm_viewer.cohort import one
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity

either = pytest.mark.parametrize(("error", "said"), DEVICE_ERRORS.values(), ids=DEVICE_ERRORS)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Failing:
    return Failing(monkeypatch)


def judge(words: str, said: str) -> None:
    assert re.search(said, words)
    assert len(words) < 250
    assert "\n" not in words.strip()
    assert "Unexpected" not in words


@either
def test_a_session_stays_usable(
    error: Exception, said: str, opened: Session, device: Failing, caplog: Any
) -> None:
    """The image and the whole volume fail; each comes once the device works."""
    for ask in (lambda: opened.update(tau_flow=0.3), opened.compute_volume):
        device.error = error
        ask()
        assert opened.wait(60)
        judge(opened.state.error, said)
        assert opened.state.activity is Activity.IDLE
        device.error = None
        opened.update(seed=opened.state.settings.seed + 1)
        assert done(opened).up_to_date
        opened.compute_volume()
        assert done(opened).finished is not None
    assert not caplog.records


@either
def test_a_run_ends_in_one_line(
    error: Exception, said: str, quick: list[Any], ftddm: Ftddm, tmp_path: Path, device: Failing
) -> None:
    device.error = error
    outcome = ftddm(*quick)
    assert (outcome.code, outcome.out) == (2, "")
    judge(outcome.err, said)
    assert not (tmp_path / "out").exists()
    device.error = None
    assert ftddm(*quick).code == 0


@either
def test_a_batch_goes_on(
    error: Exception, said: str, weights: Path, ftddm: Ftddm, tmp_path: Path, device: Failing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The second of three studies fails; the same command restores it, too."""
    real = one.restored

    def restored(model: Any, study: Any, *args: Any, **options: Any) -> Any:
        second = Path(study.source["tNAA"]).parent.name == "p1"
        with monkeypatch.context() as patch:
            patch.setattr(device, "error", error if second else None)
            return real(model, study, *args, **options)

    for name in ("p0", "p1", "p2"):
        write_study(tmp_path / "all" / name)
    words = ["batch", tmp_path / "all", "--out", tmp_path / "out", "--weights", weights]
    with monkeypatch.context() as patch:
        patch.setattr(one, "restored", restored)
        outcome = ftddm(*words, "--steps", 2)
    assert outcome.code == 2
    judge(outcome.err, "1 of 3 studies failed, the first is p1: .*" + said)
    assert [line.split(":")[0] for line in outcome.out.splitlines()[:3]] == [
        "1/3 p0", "2/3 p1", "3/3 p2",
    ]  # fmt: skip
    assert ftddm(*words, "--steps", 2).code == 0
    found = files_in(tmp_path / "out")
    assert sum(name.endswith(".nii.gz") for name in found) == 6
