"""`ftddm batch --workers`: several processes give the results of one, whoever of them is killed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from killing import killed_workers
from tiny import Ftddm, files_in, write_study

from ftddm_viewer.cohort import cluster

pytest.importorskip("distributed")
posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


@pytest.fixture
def words(tmp_path: Path, weights: Path) -> list[str]:
    for number in range(5):
        write_study(tmp_path / "all" / f"p{number}", voxel=(10.0 - number / 4, 10.0, 12.0))
    (tmp_path / "all" / "p2b").mkdir()
    (tmp_path / "all" / "p2b" / "tNAA.nii.gz").write_bytes(b"damaged")
    found = ["batch", tmp_path / "all", "--out", tmp_path / "out", "--weights", weights]
    return [str(word) for word in (*found, "--upscale", 2, "--steps", 2)]


@pytest.mark.long
@posix
def test_workers_killed_in_mid_run(words: list[str], ftddm: Ftddm, tmp_path: Path) -> None:
    """The short version of `python tests/killing.py workers`: three processes, two killed."""
    assert ftddm(*words).code == 2
    whole = files_in(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    code, kills = killed_workers([*words, "--workers", "3"], kills=2, rng=random.Random(1))
    assert (code, kills) == (2, 2)
    assert files_in(tmp_path / "out") == whole


def test_a_scheduler_of_a_cluster(words: list[str], ftddm: Ftddm, tmp_path: Path) -> None:
    """One that runs elsewhere; one that does not answer is named."""
    code = (
        "import sys\n"
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as c:\n"
        "        print(c.scheduler_address, flush=True)\n"
        "        sys.stdin.read()\n"
    )
    script = tmp_path / "cluster.py"
    script.write_text(code)
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as elsewhere:
        assert elsewhere.stdout is not None
        address = elsewhere.stdout.readline().strip()
        outcome: Any = ftddm(*words, "--scheduler", address)
        elsewhere.communicate(timeout=60)
    assert outcome.code == 2
    assert "1 of 6 studies failed, the first is p2b" in outcome.err
    assert len(list((tmp_path / "out").rglob("*_mrsi.nii.gz"))) == 10
    refused = ftddm(*words[:3], str(tmp_path / "other"), *words[4:], "--scheduler", "tcp://x")
    assert refused.code == 2
    assert "scheduler" in refused.err
    assert refused.err.count("\n") == 1


@posix
def test_a_study_that_ends_its_workers_fails_alone(
    words: list[str], ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that needs too much memory: the others are done."""

    def deadly(plain: Any, key: str, path: str, session: str) -> Any:
        from ftddm_viewer.cohort.cluster import on_worker

        if key == "p1":
            os.kill(os.getpid(), 9)
        return on_worker(plain, key, path, session)

    monkeypatch.setattr(cluster, "on_worker", deadly)
    monkeypatch.setattr(cluster, "DEATHS", 0)
    outcome = ftddm(*words, "--workers", 1)
    assert outcome.code == 2
    assert (
        "2 of 6 studies failed, the first is p1: The processes that restored it were ended by "
        in (outcome.err)
    )


@pytest.mark.parametrize(
    ("asked", "gpus", "name", "device"),
    [
        ("auto", 4, 6, "cuda:2"),
        ("cuda", 4, 3, "cuda:3"),
        ("auto", 1, 3, "auto"),  # its only one, or the one that the cluster gave it
        ("auto", 0, 3, "auto"),
        ("auto", 4, "tcp://x", "auto"),  # a cluster's worker, whose scheduler gives out GPUs
        ("cuda:1", 4, 0, "cuda:1"),
        ("cpu", 4, 0, "cpu"),
    ],
)
def test_each_worker_has_a_gpu_of_its_own(
    asked: str, gpus: int, name: Any, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("distributed.get_worker", lambda: SimpleNamespace(name=name))
    assert cluster._device(asked) == device
