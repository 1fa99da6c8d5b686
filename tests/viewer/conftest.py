"""Fixtures for what the front ends share: an anatomy, a quick run, and a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heads import nested_head
from properties import save_nifti
from sessions import PATIENCE, done

from ftddm_core.phantom.anatomy import LABELS, TISSUES
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session


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


@pytest.fixture
def quick(study: Path, weights: Path, tmp_path: Path) -> list[Any]:
    """Return the words of a run that takes no time."""
    return ["run", study, "--out", tmp_path / "out", "--weights", weights, "--steps", 2]
