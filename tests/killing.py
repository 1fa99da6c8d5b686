"""Runs that are killed at random moments: `python tests/killing.py run|batch [--moments 50]`.

Whatever the moment, the folder holds what was there before or all of the new result, and nothing
in between; the command that is run again afterwards makes the bytes of an undisturbed one.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiny import files_in, write_study, write_weights

SERVER = """
import json, os, select, sys, time
import ftddm_viewer.cli, ftddm_viewer.commands, ftddm_core.sampling.resolver
for line in sys.stdin:
    words, seconds = json.loads(line)
    start = time.monotonic()
    if not (child := os.fork()):
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(quiet, number)
        os._exit(ftddm_viewer.cli.main(words))
    watched = os.pidfd_open(child)
    if not select.select([watched], [], [], seconds)[0]:
        os.kill(child, 9)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(watched)
    print(json.dumps([code, time.monotonic() - start]), flush=True)
"""
"""Runs commands in processes of their own, forked after all is imported."""

KILLED = -9


class Runner:
    """Runs commands one after the other, and kills those that take longer than they may."""

    def __enter__(self) -> Runner:
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate(timeout=60)

    def run(self, words: Sequence[str], seconds: float | None = None) -> tuple[int, float]:
        """Return the exit code of a command, `KILLED` after some time, and how long it took."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps([list(words), seconds]), file=self._server.stdin, flush=True)
        code, taken = json.loads(self._server.stdout.readline())
        return code, taken


def visible(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder that a reader sees."""
    found = files_in(folder) if folder.is_dir() else {}
    return {name: data for name, data in found.items() if not name.startswith(".")}


def killed_runs(
    words: Sequence[str], out: Path, whole: Mapping[str, bytes], moments: int, seed: int = 0
) -> int:
    """Kill a run at random moments, half of them while it writes; return the number of kills.

    Parameters
    ----------
    words
        A command that writes into `out`, which it may overwrite.
    whole
        What it writes undisturbed.
    moments
        How often to kill it.
    """
    rng, kills = random.Random(seed), 0
    with Runner() as runner:
        code, usual = runner.run(words)
        assert code == 0
        while kills < moments:
            before = visible(out)
            late = rng.random() < 0.5
            code, _ = runner.run(words, usual * (rng.uniform(0.8, 1.02) if late else rng.random()))
            assert code in (0, KILLED)
            kills += code == KILLED
            assert visible(out) in (before, whole), sorted(visible(out))
            if rng.random() < 0.3:
                for path in out.glob("*"):  # the next one starts from nothing
                    if path.is_file():
                        path.unlink()
        assert runner.run(words)[0] == 0
    assert files_in(out) == whole
    return kills


def main() -> None:
    """Kill runs as asked, and print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run"])
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        study, weights = write_study(folder / "patient"), write_weights(folder / "tiny")
        out = folder / "out"
        words = ["run", str(study), "--out", str(out), "--weights", str(weights), "--steps", "2"]
        words.append("--overwrite")
        with Runner() as runner:
            assert runner.run(words)[0] == 0
        whole = files_in(out)
        kills = killed_runs(words, out, whole, options.moments, options.seed)
        print(f"{kills} runs killed: every folder held all of a result or what it held before.")


if __name__ == "__main__":
    main()
