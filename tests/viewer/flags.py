"""The flag of every control, for the tests of the command `ftddm`."""

from __future__ import annotations

from typing import Any

OTHER: dict[str, tuple[list[str], Any]] = {
    "upscale": (["--upscale", "2.5"], 2.5),
    "tau_flow": (["--tau-flow", "0.3"], 0.3),
    "tau_diffusion": (["--tau-diffusion", "0.25"], 0.25),
    "t_trunc": (["--t-trunc", "40"], 40),
    "steps": (["--steps", "3"], 3),
    "samples": (["--samples", "2"], 2),
    "seed": (["--seed", "7"], 7),
    "consistency": (["--consistency"], "exact"),
    "noise": (["--noise", "4"], 4.0),
    "mri_weight": (["--mri-weight", "0.4"], 0.4),
    "detail": (["--detail", "0.7"], 0.7),
    "sampler": (["--sampler", "ddim"], "ddim"),
}
"""A value of every control that is not its default, as a flag and in a sidecar."""
