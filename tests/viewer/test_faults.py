"""What goes wrong outside the program ends in one clear line, and leaves no broken file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from killing import killed_runs
from tiny import Ftddm, files_in

ON_A_DISK_OF_ITS_OWN = """
import json, subprocess, sys
from pathlib import Path
from ftddm_viewer.cli import main
words, disk = json.loads(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "none", disk], check=True)
print("code", main(words))
print("left", sorted(path.name for path in Path(disk).iterdir()))
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
print("code", main(words))
"""


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    tried = unshare and subprocess.run(
        [unshare, "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return bool(tried) and tried.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount a small disk")
def test_a_full_disk_and_a_read_only_one(quick: list[Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    words = json.dumps([[str(word) for word in quick], str(tmp_path / "out")])
    command = ["unshare", "-rm", sys.executable, "-c", ON_A_DISK_OF_ITS_OWN, words]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.splitlines() == ["code 2", "left []", "code 2"]
    errors = [line for line in found.stderr.splitlines() if line.startswith("ftddm: ")]
    assert [error.partition("/out: ")[2] for error in errors] == [
        "No space left on device. Choose another folder.",
        "its disk is read-only. Choose another folder.",
    ]
    assert "Traceback" not in found.stderr


@pytest.mark.skipif(os.name != "posix", reason="the environment is that of POSIX")
def test_without_home_and_temporary_folder(quick: list[Any], tmp_path: Path) -> None:
    """Neither is needed for results, a report included."""
    code = (
        "import sys, tempfile\n"
        "tempfile._candidate_tempdir_list = lambda: ['/nonexistent']\n"
        "from ftddm_viewer.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = [*map(str, quick), "--report", str(tmp_path / "report.pdf")]
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    found = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=bare, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert len(files_in(tmp_path / "out")) == 4
    assert (tmp_path / "report.pdf").is_file()


def test_the_studys_own_files_are_never_replaced(
    quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    """A result that is enlarged again would take its own name."""
    assert ftddm(*quick).code == 0
    out = study.parent / "out"
    before = files_in(out)
    given = out / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz"
    words = ["run", given, *quick[2:], "--label", "patient", "--overwrite"]
    refused = ftddm(*words)
    assert refused.code == 2
    assert "is one of the files that were read, which are never replaced" in refused.err
    assert files_in(out) == before


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_killed_at_random_moments(quick: list[Any], tmp_path: Path) -> None:
    """The short version of `python tests/killing.py run`."""
    assert killed_runs([*map(str, quick), "--overwrite"], tmp_path / "out", moments=3) == 3
