"""The networks in words, and other ones in place of them."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sessions import PATIENCE, done
from tiny import TINY_FLOW, TINY_UNET

from ftddm_core.errors import CheckpointError
from ftddm_core.model.checkpoint import load_weights, save_weights
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.unet import UNet
from ftddm_core.sampling.device import BYTES_PER_VOXEL
from ftddm_viewer.session.messages import OUT_OF_MEMORY
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.model_card import advice, card_of, device_words, devices, facts
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import State


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return weights that differ from those of the other tests."""
    denoiser, flow = UNet(TINY_UNET), ConditionalGlow(TINY_FLOW)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for network in (denoiser, flow):
            for parameter in network.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    folder = tmp_path / "other"
    save_weights(folder, denoiser, flow, {"steps": {"denoiser": 12}})
    return folder


@pytest.fixture
def own(weights: Path, study: Path) -> Iterator[Session]:
    """Return a session with networks of its own, on the tiny study."""
    session = Session(Model(str(weights), "cpu"), checks_itself=False)
    session.open(study)
    done(session)
    yield session
    assert session.close(PATIENCE)


def test_the_card_of_the_bundled_weights_is_their_page() -> None:
    text = card_of("small")
    assert text.startswith("# Weights `small`")
    assert "Trained on simulated patients only" in text


def test_own_weights_without_a_page_say_what_their_record_states(other: Path) -> None:
    text = card_of(str(other))
    assert "They have no card" in text
    assert "- trained for voxels of 3.4 mm" in text
    assert "- denoiser: 12 optimiser steps" in text
    (other / "README.md").write_text("# Mine\n")
    assert card_of(str(other)) == "# Mine\n"


def test_a_folder_without_weights_is_refused(study: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights: choose the folder with"):
        card_of(str(study))


def test_the_digest_is_that_of_the_files_and_of_the_memory(weights: Path) -> None:
    model, wanted = Model(str(weights), "cpu"), load_weights(weights).digest
    assert model.digest == wanted
    assert not model.loaded
    model.load()
    assert model.digest == wanted


def test_missing_weights_have_no_digest(other: Path) -> None:
    shutil.copytree(other, other.parent / "part")
    (other.parent / "part" / "flow.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"flow.safetensors cannot be read"):
        _ = Model(str(other.parent / "part")).digest


def test_why_the_device_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_words(Model("small", "cpu")) == "cpu, as asked for"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert device_words(Model()) == "cpu: torch finds no GPU on this machine"
    assert devices() == ["auto", "cpu"]
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    assert device_words(Model()) == "cpu: the installed torch has no support for a GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Big GPU")
    assert device_words(Model()) == "cuda, the fastest here: Big GPU"
    assert devices() == ["auto", "cpu", "cuda"]


def test_facts_hold_the_memory_in_numbers(own: Session) -> None:
    state = own.state
    assert state.view is not None
    found = facts(own.model, state)
    loaded = own.model.load().weights
    held = 4 * sum(p.numel() for n in (loaded.denoiser, loaded.flow) for p in n.parameters())
    assert found["Memory of the networks"] == f"{held / 1e6:.0f} MB"
    height, width = state.view.prepared.conditions["tNAA"].channels.shape[1:3]
    need = BYTES_PER_VOXEL * height * width
    assert found["Memory of one slice at work"] == f"about {need / 1e6:.0f} MB"
    assert found["State"] == "in memory"
    assert found["Weights"] == f"tiny (SHA-256 {own.model.digest[:12]}…)"


def test_lack_of_memory_becomes_advice(own: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftddm_viewer.session.model_card as module

    monkeypatch.setattr(module, "_free", lambda model: 10**12)
    assert advice(own.model, own.state) == ""
    failed = replace(own.state, error=OUT_OF_MEMORY)
    assert advice(own.model, failed) == (
        "The memory did not suffice: choose a smaller upscaling, or close other programs and "
        "studies."
    )
    assert "compute on the CPU" in advice(Model("small", "cuda"), failed)
    monkeypatch.setattr(module, "_free", lambda model: 1000)
    assert advice(own.model, own.state).startswith("The free memory may not suffice")
    assert advice(own.model, State()) == ""


def test_unloading_frees_the_networks(weights: Path) -> None:
    model = Model(str(weights), "cpu")
    network = weakref.ref(model.load().weights.denoiser)
    model.unload()
    gc.collect()
    assert network() is None
    assert not model.loaded
    assert model.place == ""
    model.unload()
    assert model.load().weights.name == "tiny"


def test_an_image_after_unloading_is_the_same(own: Session) -> None:
    before = own.state.image
    own.model.unload()
    own.update(seed=1)
    done(own)
    own.update(seed=0)
    after = done(own).image
    assert before is not None
    assert after is not None
    assert np.array_equal(after.drawn, before.drawn)


def test_other_weights_start_the_study_over(own: Session, other: Path, study: Path) -> None:
    own.choose(mode="restore", metabolite="tCho", slice_index=1)
    done(own)
    own.compute_volume()
    before = done(own)
    assert before.finished is not None
    model = Model(str(other), "cpu")
    own.use(model)
    after = done(own)
    assert after.place == before.place
    assert after.finished is None
    assert after.image is not None
    assert before.image is not None
    assert after.image.final
    assert not np.allclose(after.image.drawn, before.image.drawn)
    fresh = Session(model, checks_itself=False)
    fresh.open(study)
    done(fresh)
    fresh.choose(mode="restore", metabolite="tCho", slice_index=1)
    wanted = done(fresh).image
    assert wanted is not None
    assert np.array_equal(after.image.drawn, wanted.drawn)
