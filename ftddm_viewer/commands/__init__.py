"""What each `ftddm` command does; `cli` parses its arguments and turns errors into one line."""

from ftddm_viewer.commands.bench import bench
from ftddm_viewer.commands.evaluate import evaluate, sweep
from ftddm_viewer.commands.faces import view, web
from ftddm_viewer.commands.restore import check, demo, run
from ftddm_viewer.commands.simulate import simulate
from ftddm_viewer.commands.train import train

__all__ = ["bench", "check", "demo", "evaluate", "run", "simulate", "sweep", "train", "view", "web"]
