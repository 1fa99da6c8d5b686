"""The stream of updates: its order, its end, and how it is cancelled or dropped."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from resolving import DRAWN, NAMES, QUICK, assert_equal, images, phantom, spy

from ftddm_core.errors import Cancelled
from ftddm_core.sampling.noise import NoiseKey
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Update

# ---- the stream


@pytest.mark.parametrize("t_trunc", [0, 100])
def test_updates_come_in_order_and_end_with_the_result(
    resolver: SuperResolver, t_trunc: int
) -> None:
    resolver.batch = 4
    settings = QUICK.replace(t_trunc=t_trunc, steps=3 if t_trunc else None)
    updates = list(resolver.stream(phantom(), settings.replace(samples=2)))
    *running, final = updates
    one_batch = [("estimate", 100), ("estimate", 67), ("sample", 33)]
    expected = one_batch if t_trunc else [("sample", 0)]
    assert [(u.stage, u.t) for u in running] == 3 * expected
    done = [update.done for update in updates]
    assert done[0] > 0
    assert all(earlier < later for earlier, later in pairwise(done[:-1]))
    assert done[-2] == pytest.approx(1)
    assert (final.stage, final.done) == ("result", 1.0)
    assert final.images.size == 0
    assert all(update.result is None for update in running)
    keys = [key for update in running if update.stage == "sample" for key in update.keys]
    assert len(set(keys)) == len(keys) == 12
    assert {(k.metabolite, k.slice_index, k.sample) for k in keys} == {
        (name, k, sample) for name in NAMES for k in range(3) for sample in range(2)
    }
    for update in running:
        assert update.images.shape == (4, 16, 20)
        assert (update.images >= 0).all()


def test_the_last_image_of_a_slice_is_its_result(resolver: SuperResolver) -> None:
    last: dict[NoiseKey, NDArray[Any]] = {}
    for update in resolver.stream(phantom(), QUICK):
        last.update(zip(update.keys, update.images, strict=True))
        if update.result is not None:
            for key, image in last.items():
                found = update.result.maps[key.metabolite].data[..., key.slice_index]
                assert np.array_equal(found, image)
    assert len(last) == 6


def test_run_reports_progress_and_returns_what_the_stream_ends_with(
    resolver: SuperResolver,
) -> None:
    seen: list[float] = []
    result = resolver.run(phantom(), QUICK, progress=seen.append)
    assert seen == sorted(seen)
    assert 3 <= len(seen) <= 4  # of two estimates one at least, the sample, and the result
    assert seen[-1] == 1
    assert result.settings == QUICK.exact(2)
    assert (result.weights, result.digest, result.device) == ("tiny", "0" * 64, "cpu")
    assert result.seconds > 0


# ---- cancelling


@pytest.mark.parametrize("after", [0, 1, 2])
def test_cancelling_stops_before_the_next_step_and_leaves_no_trace(
    resolver: SuperResolver, after: int
) -> None:
    expected = images(resolver, phantom(), QUICK)
    before = {k: v.clone() for k, v in resolver.weights.denoiser.state_dict().items()}
    real = resolver.denoiser
    counted = spy(resolver)
    with pytest.raises(Cancelled):
        resolver.run(phantom(), QUICK, cancelled=lambda: len(counted.inputs) >= after)
    assert len(counted.inputs) == after
    resolver.denoiser = real
    assert all(torch.equal(v, before[k]) for k, v in real.state_dict().items())
    assert_equal(images(resolver, phantom(), QUICK), expected)


def test_the_flow_alone_can_be_cancelled_between_batches(resolver: SuperResolver) -> None:
    resolver.batch = 2
    settings = DRAWN.replace(t_trunc=0)
    seen: list[Update] = []
    stream = resolver.stream(phantom(), settings, cancelled=lambda: len(seen) == 1)
    with pytest.raises(Cancelled):
        seen.extend(stream)
    assert [update.stage for update in seen] == ["sample"]


def test_a_stream_that_is_dropped_leaves_no_trace(resolver: SuperResolver) -> None:
    expected = images(resolver, phantom(), QUICK)
    stream = resolver.stream(phantom(), QUICK)
    next(stream)
    next(stream)
    stream.close()
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    assert_equal(images(resolver, phantom(), QUICK), expected)


def test_two_streams_may_take_turns(resolver: SuperResolver) -> None:
    expected = images(resolver, phantom(), QUICK)
    streams = [resolver.stream(phantom(), QUICK.replace(seed=seed)) for seed in (0, 1)]
    for pair in zip(*streams, strict=True):
        results = [update.result for update in pair]
    assert results[0] is not None
    assert_equal({n: v.data for n, v in results[0].maps.items()}, expected)
