"""Programs that are killed at random moments: `python tests/killing.py run|batch|workers`.

`run --moments 50` and `batch --moments 50` kill the command itself. Whatever the moment, the folder
holds what was there before or all of the new result; while files change places, no map without its
own sidecar, and a journal by which the next program completes the result. The command that is run
again afterwards makes the bytes of an undisturbed one. `workers --studies 200 --moments 6` kills
workers of a batch on three processes, which ends with the bytes of a single process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from tiny import files_in, write_study, write_weights

from ftddm_core.saving.exchange import FORWARD, unfinished

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
MAP = ".nii.gz"


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


def changing_places(out: Path, shown: Mapping[str, bytes], whole: Mapping[str, bytes]) -> bool:
    """Return whether a journal tells how to complete what a folder shows: files of the result
    alone, each map with its sidecar."""
    journals = [left for left in unfinished(out) if (left.staging / FORWARD).is_file()]
    maps = {name.removesuffix(MAP) for name in shown if name.endswith(MAP)}
    return (
        bool(journals)
        and shown.items() <= whole.items()
        and {f"{m}.json" for m in maps} <= {*shown}
    )


def killed_runs(words: Sequence[str], out: Path, moments: int, seed: int = 0) -> int:
    """Kill a run at random moments, half of them while it writes; return the number of kills.

    Parameters
    ----------
    words
        A command that writes into `out`, which it may overwrite.
    moments
        How often to kill it.
    """
    rng, kills = random.Random(seed), 0
    with Runner() as runner:
        code, usual = runner.run(words)
        assert code == 0
        whole = files_in(out)
        while kills < moments:
            before = visible(out)
            late = rng.random() < 0.5
            code, _ = runner.run(words, usual * (rng.uniform(0.8, 1.02) if late else rng.random()))
            assert code in (0, KILLED)
            kills += code == KILLED
            shown = visible(out)
            assert shown in (before, whole) or changing_places(out, shown, whole), sorted(shown)
            if rng.random() < 0.3:
                for path in out.glob("*"):  # the next one starts from nothing
                    if path.is_file():
                        path.unlink()
        assert runner.run(words)[0] == 0
    assert files_in(out) == whole
    return kills


def killed_batches(words: Sequence[str], out: Path, moments: int, seed: int = 0) -> int:
    """Kill a batch at random moments until it is done, again and again; return the kills."""
    rng, kills = random.Random(seed), 0
    with Runner() as runner:
        code, usual = runner.run(words)
        assert code == 0
        whole = files_in(out)
        while kills < moments:
            shutil.rmtree(out)
            code = KILLED
            while code == KILLED and kills < moments:
                code, _ = runner.run(words, usual * rng.uniform(0.05, 0.6))
                assert code in (0, KILLED)
                kills += code == KILLED
                for study in {path.parent for path in out.glob("*/*.nii.gz")}:
                    name = study.name
                    found = {f"{name}/{key}": data for key, data in visible(study).items()}
                    expected = {k: d for k, d in whole.items() if k.startswith(f"{name}/")}
                    assert found.items() <= expected.items()
            assert runner.run(words)[0] == 0
            assert files_in(out) == whole
    return kills


def killed_workers(words: Sequence[str], kills: int, rng: random.Random) -> tuple[int, int]:
    """Run a batch with workers, and kill some from its first study to its last; return its exit
    code, and how many died."""
    command = [sys.executable, "-m", "ftddm_viewer", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as batch:
        killed = 0
        assert batch.stdout is not None
        for line in batch.stdout:
            if found := re.match(rb"(\d+)/(\d+) ", line):
                done, every = map(int, found.groups())
                workers = _workers_of(batch.pid)
                if workers and killed < kills and done > killed * every // (kills + 1):
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    killed += 1
        return batch.wait(60), killed


def _workers_of(parent: int) -> list[int]:
    """Return the processes of dask's workers, which are those that compute."""
    found = []
    for process in psutil.Process(parent).children():
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def main() -> None:
    """Kill programs as asked, and print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "batch", "workers"])
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        print(killed(options, Path(temporary)))


def killed(options: argparse.Namespace, folder: Path) -> str:
    """Do as asked in a folder; return the outcome in words."""
    weights, out = write_weights(folder / "tiny"), folder / "out"
    rest = ["--out", str(out), "--weights", str(weights), "--steps", "2"]
    if options.what == "run":
        words = ["run", str(write_study(folder / "patient")), *rest, "--overwrite"]
        kills = killed_runs(words, out, options.moments, options.seed)
        return f"{kills} runs killed: every folder held all of a result or what it held before."
    for number in range(options.studies):
        voxel = (10.0 - number / options.studies, 10.0, 12.0)
        write_study(folder / "all" / f"p{number:03d}", voxel=voxel)
    words = ["batch", str(folder / "all"), *rest]
    if options.what == "batch":
        kills = killed_batches(words, out, options.moments, options.seed)
        return f"{kills} batches killed: resumed ones hold the bytes of an undisturbed one."
    with Runner() as runner:
        code, alone = runner.run(words)
        assert code == 0
    whole = files_in(out)
    shutil.rmtree(out)
    start, rng = time.monotonic(), random.Random(options.seed)
    code, kills = killed_workers([*words, "--workers", "3"], options.moments, rng)
    assert code == 0
    found = files_in(out)
    assert found == whole, [name for name in {**found, **whole}
                            if found.get(name) != whole.get(name)]  # fmt: skip
    return (
        f"{options.studies} studies, {kills} of the workers killed: the bytes of a single process. "
        f"One process {alone:.0f} s, three {time.monotonic() - start:.0f} s."
    )


if __name__ == "__main__":
    main()
