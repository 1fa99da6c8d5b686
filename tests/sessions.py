"""Waiting for sessions, watching and delaying them, for the tests of both front ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from ftddm_core.model.unet import UNet
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, State

PATIENCE = 60.0


def done(session: Session) -> State:
    """Wait for the work to end; return the state without an error."""
    assert session.wait(PATIENCE)
    assert session.state.error == ""
    assert session.state.activity is Activity.IDLE
    return session.state


class Recorder:
    """Every state that was announced, and where the chain was held up, if it was."""

    def __init__(self, session: Session) -> None:
        self.states: list[State] = []
        session.changed.connect(self.add)

    def add(self, old: State, new: State) -> None:
        self.states.append(new)


class Failing:
    """Networks that raise whatever a device does, while there is something to raise.

    Attributes
    ----------
    error
        What every call of the denoiser raises; None to let it work.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        original = UNet.forward

        def forward(network: UNet, *args: Any) -> Any:
            if self.error is not None:
                raise self.error
            return original(network, *args)

        monkeypatch.setattr(UNet, "forward", forward)


DEVICE_ERRORS = {
    "memory": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB. GPU 0 has a total"),
        "not have enough memory .*: choose a smaller upscaling, or another device",
    ),
    "lost": (
        RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be"),
        "the GPU does not work any more; start the program again, or compute on the CPU",
    ),
}
"""What torch raises -> what must be said."""


class Brake:
    """Holds every chain up after so many images, until it is released.

    Parameters
    ----------
    images
        After how many.
    of
        "sample" for the images of sessions, "sweep" for the points of sweeps.

    Attributes
    ----------
    runs, given
        How many chains began, and the conditions of each.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, images: int = 1, of: str = "sample"
    ) -> None:
        self.holding, self.released, self.runs = threading.Event(), threading.Event(), 0
        self.given: list[Any] = []
        original = getattr(SuperResolver, of)

        def hold(number: int) -> None:
            if number == images:
                self.holding.set()
                assert self.released.wait(PATIENCE)

        def held(
            resolver: SuperResolver, conditions: Any, *args: Any, **kwargs: Any
        ) -> Iterator[Any]:
            self.runs += 1
            self.given.append(conditions)
            hold(0)
            for number, update in enumerate(original(resolver, conditions, *args, **kwargs), 1):
                yield update
                hold(number)

        monkeypatch.setattr(SuperResolver, of, held)
