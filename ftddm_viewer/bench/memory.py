"""Memory of a whole volume beyond that of the loaded networks, measured in a separate process.

``python -m ftddm_viewer.bench.memory`` prints it as JSON. A separate process is needed because the
system reports only the peak of a process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch

from ftddm_core.errors import FtddmError
from ftddm_core.sampling.device import use_cores
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer import live_settings
from ftddm_viewer.bench.inputs import Inputs, bundled_study
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import sampling

STATM = Path("/proc/self/statm")

TINY = 16
"""Matrix of the slice that the networks are called with before the measurement."""

LAST_LINES = 5
"""Number of the last lines on stderr that are repeated in the error of a failed process."""


def memory(weights: str, device: str, plan: Plan) -> Line | None:
    """Measure in a fresh process.

    Returns
    -------
    dict or None
        `slices` of all metabolites; `model`, memory held after the first call of the networks, and
        `above`, the peak beyond that, both in bytes. None where the system does not report memory,
        or ended the process.

    Raises
    ------
    FtddmError
        If the process failed, with the last lines that it wrote to stderr.
    """
    if sys.platform == "win32" and not device.startswith("cuda"):  # not reported
        return None
    words = ["--weights", weights, "--device", device]
    words += ["--slices", str(plan.volume_slices), "--metabolites", str(plan.volume_metabolites)]
    command = [sys.executable, "-m", __name__, *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode < 0:  # a signal
        return None
    if found.returncode:
        last = "\n".join(found.stderr.strip().splitlines()[-LAST_LINES:])
        raise FtddmError(
            "The memory that a whole volume takes could not be measured; the process that measures "
            f"it failed with code {found.returncode}:\n{last}"
        )
    line: Line = json.loads(found.stdout)
    return line


def main() -> None:
    """Print the measurement."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--slices", type=int, required=True)
    parser.add_argument("--metabolites", type=int, required=True)
    options = parser.parse_args()
    use_cores()
    resolver = SuperResolver.load(options.weights, options.device)
    inputs = Inputs(bundled_study())
    sampling(resolver, [inputs.at_matrix(TINY)], live_settings())()
    before = _held(resolver.device)
    whole = inputs.volume(options.slices, options.metabolites)
    sampling(resolver, whole, live_settings())()
    above = _most(resolver.device) - before
    slices = options.slices * options.metabolites
    print(json.dumps({"slices": slices, "model": before, "above": above}))


def _held(device: torch.device) -> int:
    """Return the bytes held now, or the peak so far where the system reports only that."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    if STATM.is_file():
        import resource

        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    return _most(device)


def _most(device: torch.device) -> int:
    """Return the peak in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource  # not available on Windows, where memory is not measured

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
