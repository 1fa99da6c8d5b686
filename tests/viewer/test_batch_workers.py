"""`ftddm batch --workers`: several processes give the results of one, whoever of them is killed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from killing import killed_workers
from tiny import Ftddm, files_in, write_study

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
    ) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        outcome: Any = ftddm(*words, "--scheduler", address)
        cluster.communicate(timeout=60)
    assert outcome.code == 2
    assert "1 of 6 studies failed, the first is p2b" in outcome.err
    assert len(list((tmp_path / "out").rglob("*_mrsi.nii.gz"))) == 10
    refused = ftddm(*words[:3], str(tmp_path / "other"), *words[4:], "--scheduler", "tcp://x")
    assert refused.code == 2
    assert "scheduler" in refused.err
    assert refused.err.count("\n") == 1
