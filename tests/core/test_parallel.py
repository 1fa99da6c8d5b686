"""Several processes: the gradients of all of them are those of one that has all their slices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import TINY_FLOW, TINY_UNET

from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.unet import UNet
from ftddm_core.training import loop, parallel
from ftddm_core.training.batches import draw
from ftddm_core.training.dataset import Batch
from ftddm_core.training.fit_denoiser import denoiser_loss
from ftddm_core.training.fit_flow import flow_loss
from ftddm_core.training.loop import FitConfig, fit

CONFIG = FitConfig(steps=2, batch=2, warmup=1, clip=1e9, decay=0.0, average=0.0)
LOSSES = {"denoiser": denoiser_loss, "flow": flow_loss}


class Images:
    """A pool of random images on one grid."""

    def draw(self, rng, size):
        channels = 1 + TINY_UNET.condition_channels
        images = torch.from_numpy(rng.random((size, channels, 32, 32)).astype(np.float32))
        images[:, 2] = 1  # a full mask: every slice weighs the same in any batch
        return Batch(images[:, :1], images[:, 1:], torch.full((size,), 4.0))


def network(which):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConditionalGlow(TINY_FLOW) if which == "flow" else UNet(TINY_UNET)


def together(which, config):
    """Fit on every process's batch at once, and each with the noise that its process draws."""

    def joint(network, batch, generator):
        parts = [draw(Images(), config.batch, seed) for seed in seeds.pop(0)]
        losses = [LOSSES[which](network, *part)["loss"] for part in parts]
        return {"loss": torch.stack(losses).mean()}

    seeds = [[[config.seed, step], [config.seed, step, 1]] for step in range(config.steps)]
    fitted = network(which)
    if which == "flow":  # activation norms learn from the first process's first batch
        with torch.no_grad():
            flow_loss(fitted.train(), *draw(Images(), config.batch, [config.seed, 0]))
    optimiser = torch.optim.Adam(fitted.parameters(), lr=config.learning_rate)
    gradients = []
    for _ in range(config.steps):
        optimiser.zero_grad()
        joint(fitted, None, None)["loss"].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in fitted.parameters()]))
        optimiser.step()
    return torch.stack(gradients)


def worker(which, folder):
    """Fit as one of the processes; keep the gradients that the optimiser was given."""
    kept = []
    original = loop.nn.utils.clip_grad_norm_

    def keep(parameters, norm):
        held = list(parameters)
        kept.append(torch.cat([p.grad.flatten() for p in held]).clone())
        return original(held, norm)

    loop.nn.utils.clip_grad_norm_ = keep
    torch.set_num_threads(1)
    with parallel.group("cpu") as device:
        own = folder / f"rank{parallel.rank()}"
        logged = []
        fit(
            network(which),
            LOSSES[which],
            Images(),
            Images(),
            CONFIG,
            own,
            device=device,
            progress=lambda step, _: logged.append(step),
        )
        torch.save(torch.stack(kept), folder / f"gradients-{parallel.rank()}.pt")
        found = {"size": parallel.size(), "logged": logged}
        (folder / f"rank-{parallel.rank()}.json").write_text(json.dumps(found))


@pytest.mark.parametrize("which", list(LOSSES))
def test_the_gradients_of_two_processes_are_those_of_their_joint_batch(which, tmp_path):
    environment = dict(os.environ, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", OMP_NUM_THREADS="1")
    environment["MASTER_PORT"] = str(free_port())
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, which, str(tmp_path)],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, words = process.communicate(timeout=300)
        assert process.returncode == 0, words
    one, two = (torch.load(tmp_path / f"gradients-{rank}.pt") for rank in range(2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    expected = together(which, CONFIG)
    assert expected.abs().max() > 0
    scale = float(expected.abs().max())
    torch.testing.assert_close(one[0], expected[0], rtol=1e-3, atol=1e-5 * scale)
    torch.testing.assert_close(one[1], expected[1], rtol=1e-2, atol=1e-3 * scale)

    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert [f["size"] for f in found] == [2, 2]
    assert [f["logged"] for f in found] == [[1, 2], []]
    assert (tmp_path / "rank0" / "state.pt").is_file()
    assert not any((tmp_path / "rank1").glob("*.pt"))


def test_alone_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with parallel.group("cpu") as device:
        assert (device, parallel.rank(), parallel.size()) == ("cpu", 0, 1)
        module = torch.nn.Linear(1, 1)
        assert parallel.averaged(module) is module


def free_port():
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


if __name__ == "__main__":
    worker(sys.argv[1], Path(sys.argv[2]))
