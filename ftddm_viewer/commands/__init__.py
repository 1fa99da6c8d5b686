"""Implementation of the `ftddm` commands; `cli` parses their arguments and reports errors."""

from ftddm_viewer.commands.batch import batch
from ftddm_viewer.commands.bench import bench
from ftddm_viewer.commands.evaluate import evaluate, sweep
from ftddm_viewer.commands.front_ends import view, web
from ftddm_viewer.commands.inspect import inspect
from ftddm_viewer.commands.readers import readers
from ftddm_viewer.commands.rerun import rerun, verify
from ftddm_viewer.commands.restore import check, demo, run
from ftddm_viewer.commands.simulate import simulate
from ftddm_viewer.commands.train import train

__all__ = [
    "batch",
    "bench",
    "check",
    "demo",
    "evaluate",
    "inspect",
    "readers",
    "rerun",
    "run",
    "simulate",
    "sweep",
    "train",
    "verify",
    "view",
    "web",
]
