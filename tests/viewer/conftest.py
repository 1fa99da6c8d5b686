"""Fixtures for front ends: tiny weights, a tiny study, and `ftddm` in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from heads import nested_head
from properties import save_nifti
from sessions import PATIENCE, done
from tiny import TINY_FLOW, TINY_UNET, Ftddm, Outcome, write_study

from ftddm_core.model.checkpoint import save_weights
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.unet import UNet
from ftddm_core.phantom.anatomy import LABELS, TISSUES
from ftddm_viewer.cli import main
from ftddm_viewer.model import Model
from ftddm_viewer.session import Session


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are quickest on one thread, and other work on the machine is left alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of a few kB: not trained, but every layer has its say."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    denoiser, flow = UNet(TINY_UNET), ConditionalGlow(TINY_FLOW)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for network in (denoiser, flow):
            for parameter in network.parameters():
                parameter += 0.03 * torch.randn(parameter.shape, generator=generator)
    save_weights(folder, denoiser, flow, {"data": "none"})
    return folder


@pytest.fixture
def ftddm(capsys: pytest.CaptureFixture[str]) -> Ftddm:
    """Return the command: words -> exit code, stdout, stderr."""

    def run(*words: Any) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # from argparse
            code = end.code if isinstance(end.code, int) else 1
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return the folder of a study with maps, mask and T1."""
    return write_study(tmp_path / "patient")


@pytest.fixture(scope="session")
def label_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a FreeSurfer label map of a head of nested ellipsoids."""
    anatomy = nested_head(4.0)
    number = np.array([LABELS[tissue][0] for tissue in TISSUES], np.int16)
    path = tmp_path_factory.mktemp("anatomy") / "nested.nii.gz"
    return save_nifti(path, number[anatomy.tissue], anatomy.affine)


@pytest.fixture(scope="session")
def model(weights: Path) -> Model:
    return Model(str(weights), "cpu")


@pytest.fixture
def session(model: Model) -> Iterator[Session]:
    session = Session(model)
    yield session
    assert session.close(PATIENCE)


@pytest.fixture
def opened(session: Session, study: Path) -> Session:
    session.open(study)
    done(session)
    return session
