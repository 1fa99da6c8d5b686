"""An image that takes long is computed when it is asked for, and how long is known before."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.pace import FIRST, MEASURED, Pace, in_words, work_of
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.tips import volume_tip

PATIENCE = 120.0


def test_work_is_voxels_times_steps_times_samples() -> None:
    assert work_of(SamplerSettings(steps=10), (64, 48)) == 10 * 64 * 48
    whole = SamplerSettings(t_trunc=1000, steps=None, samples=64)
    assert work_of(whole, (64, 64), slices=3) == 1000 * 64 * 64 * 64 * 3
    assert work_of(SamplerSettings(t_trunc=0, steps=None), (8, 8)) == 64


def test_recent_images_count_by_their_work() -> None:
    """The first does not, and each is forgotten in time."""
    pace = Pace()
    assert pace.seconds(100.0, "cuda:0") == pytest.approx(100 * FIRST["cuda"])
    pace.measured(50.0, 10.0)
    assert pace.seconds(100.0) == pytest.approx(100 * FIRST["cpu"])
    pace.measured(1.0, 1.0)
    pace.measured(9.0, 99.0)
    assert pace.seconds(100.0) == pytest.approx(10.0)
    for _ in range(MEASURED):
        pace.measured(2.0, 10.0)
    assert pace.seconds(100.0) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(31, "about 31 s"), (2820, "about 47 min"), (90_000, "about 25 h")]
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_volume_says_how_long_it_takes_before_it_is_begun(weights: Path, study: Path) -> None:
    """Every slice of every map, with the samples of each."""
    model = Model(str(weights), "cpu")
    session = Session(model, checks_itself=False)
    assert session.volume_takes == 0
    session.open(study)
    assert session.wait(PATIENCE)
    assert session.state.view is not None
    plane = session.state.view.prepared.conditions.plane
    for samples in (1, 4):
        session.update(samples=samples)
        assert session.wait(PATIENCE)
        work = work_of(session.state.settings, plane, slices=2 * 2)  # maps and slices
        assert session.volume_takes == pytest.approx(model.pace.seconds(work))
    assert session.close(PATIENCE)


def test_only_a_long_time_is_told() -> None:
    assert "Takes" not in volume_tip(12.0)
    assert volume_tip(2820).endswith("Takes about 47 min here.")


def test_a_live_session_asks_before_it_works_for_long(weights: Path, study: Path) -> None:
    model = Model(str(weights), "cpu")
    session = Session(model, checks_itself=False, longest_unasked=30.0)
    session.open(study)
    assert session.wait(PATIENCE)
    assert session.state.up_to_date
    assert session.long_wait == 0
    for _ in range(MEASURED):  # a second an image
        model.pace.measured(1.0, work_of(SamplerSettings(steps=10), (24, 20)))
    session.update(t_trunc=1000, steps=None, samples=64)
    assert session.wait(PATIENCE)
    assert not session.state.up_to_date
    assert session.long_wait > 3600
    session.update(t_trunc=20, steps=2, samples=1)
    assert session.wait(PATIENCE)
    assert session.state.up_to_date
    for _ in range(MEASURED):
        model.pace.measured(1.0, work_of(SamplerSettings(steps=10), (24, 20)))
    session.update(samples=64, steps=20)
    assert session.wait(PATIENCE)
    assert session.long_wait > 30
    session.refresh()  # asked for
    assert session.wait(PATIENCE)
    assert session.state.up_to_date
    assert session.long_wait == 0


def test_a_link_starts_no_long_work(weights: Path, study: Path) -> None:
    session = Session(Model(str(weights), "cpu"), checks_itself=False, longest_unasked=1e-9)
    session.update(t_trunc=1000, steps=None, samples=64)
    session.open(study)
    assert session.wait(PATIENCE)
    assert session.state.case is not None
    assert session.state.error == ""
    assert session.state.image is None
    assert session.long_wait > 0
