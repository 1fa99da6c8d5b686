"""`python -m ftddm_core.training`: fit a network on existing patients.

For GPU machines: needs only torch and numpy (and safetensors for --start-from), and runs in several
processes under torchrun. `ftddm train pool` makes the patients, `ftddm train export` exports the
networks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ftddm_core.errors import FtddmError
from ftddm_core.training import parallel
from ftddm_core.training.fitting import fit_network
from ftddm_core.training.plan import NETWORKS, FitPlan
from ftddm_core.training.pools import read_pools

EVERY = 50
"""Steps between lines of progress."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit a network; return the exit code."""
    options = parser().parse_args(arguments)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")

    def progress(step: int, losses: dict[str, float]) -> None:
        if step % EVERY == 0:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
            sys.stderr.write(f"{options.which} {step}: {shown}\n")

    try:
        plan = FitPlan.load(options.config)
        changes = {} if options.steps is None else {"steps": options.steps}
        changes |= {"bf16": True} if options.bf16 else {}
        plan = plan.changed(options.which, **changes)
        training, validation, records = read_pools(options.pool)
        with parallel.group(device) as own_device:
            fit_network(
                options.which,
                plan,
                training,
                validation,
                options.out or options.pool,
                records,
                start_from=options.start_from,
                device=own_device,
                workers=options.workers,
                progress=progress,
            )
    except FtddmError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    result = argparse.ArgumentParser(
        prog="python -m ftddm_core.training", description="Fit a network on rendered patients."
    )
    result.add_argument("which", choices=NETWORKS)
    result.add_argument(
        "--pool", type=Path, required=True, help="folder with pool-training and pool-validation"
    )
    result.add_argument("--out", type=Path, help="run folder (that of the pool)")
    result.add_argument(
        "--config", default="small", help="a TOML file, small, literature or paper (small)"
    )
    result.add_argument("--start-from", help="exported weights that the network starts from")
    result.add_argument("--steps", type=int, help="optimiser steps (as the configuration says)")
    result.add_argument("--device", help="cpu, cuda or mps (cuda where there is one)")
    result.add_argument("--workers", type=int, default=0, help="processes that draw batches (0)")
    result.add_argument("--bf16", action="store_true", help="compute the network in bfloat16")
    return result


if __name__ == "__main__":
    sys.exit(main())
