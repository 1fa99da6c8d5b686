"""The fast path gives the plain path's images: recalled, throttled, reordered, in less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import tiny_weights
from resolving import NAMES, QUICK, Spy, assert_equal, largest_difference, phantom, spy

from ftddm_core.errors import SettingsError
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.sampling.graphed import WARM_UP, Graphed
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Result, Update
from ftddm_core.settings import SamplerSettings

ONCE_MORE = {
    "tau_diffusion": {"tau_diffusion": 0.1},
    "sampler": {"sampler": "ddim"},
    "steps": {"steps": 5},
    "tau_flow": {"tau_flow": 0.1},
    "seed": {"seed": 3},
    "t_trunc": {"t_trunc": 90},
    "consistency": {"consistency": "exact"},
    "noise": {"noise": 20.0},
    "mri_weight": {"mri_weight": 0.0},
    "detail": {"detail": 0.4},
    "nothing": {},
}


@pytest.fixture
def conditions() -> list[Condition]:
    return list(form_conditions(phantom(), 2))


def drawn(
    resolver: SuperResolver, conditions: list[Condition], settings: SamplerSettings, **how: Any
) -> tuple[list[Update], Result]:
    *running, final = resolver.sample(conditions, settings, **how)
    assert final.result is not None
    return running, final.result


def images(result: Result) -> dict[str, Any]:
    return {name: volume.data for name, volume in result.maps.items()}


# ---- recalled


@pytest.mark.parametrize("moved", ONCE_MORE)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_that_recalls_is_the_image_to_the_last_bit(
    resolver: SuperResolver, conditions: list[Condition], sampler: str, moved: str
) -> None:
    first = QUICK.replace(sampler=sampler)
    second = first.replace(**ONCE_MORE[moved])
    recall, one = Recall(), conditions[:1]
    drawn(resolver, one, first, slices=[1], recall=recall)
    _, found = drawn(resolver, one, second, slices=[1], recall=recall)
    _, plain = drawn(resolver, one, second, slices=[1])
    assert_equal(images(found), images(plain))
    assert found.residual == plain.residual


@pytest.mark.parametrize(
    ("moved", "flow_told", "calls"),
    [
        ("nothing", False, 0),
        ("detail", False, 0),
        ("consistency", False, 3),
        ("noise", False, 3),
        ("mri_weight", True, 3),
        ("tau_diffusion", False, 2),  # the first estimate is made before any of its noise
        ("sampler", False, 2),
        ("steps", False, 4),
        ("tau_flow", False, 3),
        ("seed", False, 3),
        ("t_trunc", True, 3),
    ],
)
def test_only_what_depends_on_the_moved_control_is_computed(
    resolver: SuperResolver,
    conditions: list[Condition],
    monkeypatch: pytest.MonkeyPatch,
    moved: str,
    flow_told: bool,
    calls: int,
) -> None:
    recall, one = Recall(), conditions[:1]
    drawn(resolver, one, QUICK, slices=[1], recall=recall)
    encode = Spy(resolver.flow.encode)
    monkeypatch.setattr(resolver.flow, "encode", encode)
    counted = spy(resolver)
    running, _ = drawn(resolver, one, QUICK.replace(**ONCE_MORE[moved]), slices=[1], recall=recall)
    assert len(encode.inputs) == flow_told
    assert len(counted.inputs) == calls
    # What the user saw before is not shown again; the sample itself always is.
    assert len(running) == max(calls, 1)
    assert running[-1].stage == "sample"


def test_a_chain_that_was_stopped_goes_on_where_it_stopped(
    resolver: SuperResolver, conditions: list[Condition]
) -> None:
    settings, recall, one = QUICK.replace(steps=10), Recall(), conditions[:1]
    stream = resolver.sample(one, settings, slices=[1], recall=recall)
    for _ in range(6):
        next(stream)
    stream.close()
    counted = spy(resolver)
    _, found = drawn(resolver, one, settings, slices=[1], recall=recall)
    assert len(counted.inputs) == 4
    resolver.denoiser = counted.network
    assert_equal(images(found), images(drawn(resolver, one, settings, slices=[1])[1]))


def test_other_slices_metabolites_samples_and_conditions_are_not_confused(
    resolver: SuperResolver, conditions: list[Condition]
) -> None:
    recall = Recall()
    others = list(form_conditions(phantom(seed=1), 2))
    work: list[tuple[list[Condition], dict[str, Any], SamplerSettings]] = [
        (conditions[:1], {"slices": [1]}, QUICK),
        (conditions[:1], {"slices": [2]}, QUICK),
        (conditions[1:], {"slices": [1]}, QUICK),
        (others[:1], {"slices": [1]}, QUICK),
        (conditions[:1], {"slices": [1]}, QUICK.replace(samples=2)),
        (conditions[:1], {"slices": [1]}, QUICK),
    ]
    for given, how, settings in work:
        _, found = drawn(resolver, given, settings, recall=recall, **how)
        _, plain = drawn(resolver, given, settings, **how)
        assert_equal(images(found), images(plain))


def test_other_networks_recall_nothing(conditions: list[Condition]) -> None:
    recall = Recall()
    for _ in range(2):
        resolver = SuperResolver(tiny_weights(), "cpu")
        counted = spy(resolver)
        drawn(resolver, conditions[:1], QUICK, slices=[1], recall=recall)
        assert len(counted.inputs) == 3


# ---- throttled, and in another order


def test_images_come_no_faster_than_asked_and_none_that_matters_is_left_out(
    resolver: SuperResolver, conditions: list[Condition]
) -> None:
    resolver.batch = 4
    running, result = drawn(resolver, conditions, QUICK, every=1e9)
    assert [u.stage for u in running] == ["estimate", "sample", "sample"]
    every, plain = drawn(resolver, conditions, QUICK)
    assert [u.stage for u in every] == 2 * ["estimate", "estimate", "sample"]
    assert_equal(images(result), images(plain))


@pytest.mark.parametrize("first", [None, 0, 1, 2, 3])
def test_slices_go_outwards_from_the_first_and_stay_the_same(
    resolver: SuperResolver, conditions: list[Condition], first: int | None
) -> None:
    resolver.batch = 1
    running, result = drawn(resolver, conditions, QUICK, first=first)
    order = [u.keys[0] for u in running if u.stage == "sample"]
    expected = {None: [0, 1, 2], 0: [0, 1, 2], 1: [1, 0, 2], 2: [2, 1, 0], 3: [2, 1, 0]}[first]
    assert [key.metabolite for key in order] == [name for name in NAMES for _ in range(3)]
    assert [key.slice_index for key in order] == 2 * expected
    plain = drawn(resolver, conditions, QUICK)[1]
    assert largest_difference(images(result), images(plain)) <= 1e-4


# ---- in less memory


class Small:
    """A denoiser on a device that has memory for only so many slices."""

    def __init__(self, network: Any, most: int) -> None:
        self.network, self.most, self.sizes = network, most, [0][:0]

    def __call__(self, x_t: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x_t))
        if len(x_t) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")
        return self.network(x_t, *others)


@pytest.mark.parametrize(("most", "size"), [(1, 1), (2, 1), (3, 3), (5, 3)])
def test_where_memory_ends_smaller_batches_give_the_same_maps(
    resolver: SuperResolver, conditions: list[Condition], most: int, size: int
) -> None:
    plain = drawn(resolver, conditions, QUICK)[1]  # 6 slices at once
    small = Small(resolver.denoiser, most)
    resolver.denoiser = small
    running, result = drawn(resolver, conditions, QUICK)
    assert largest_difference(images(result), images(plain)) <= 1e-4
    done = [update.done for update in running]
    assert done == sorted(done)
    assert max(n for n in small.sizes if n <= most) == size


def test_no_memory_for_one_slice_is_said_in_words(
    resolver: SuperResolver, conditions: list[Condition]
) -> None:
    resolver.denoiser = Small(resolver.denoiser, 0)
    with pytest.raises(
        SettingsError, match=r"cpu does not have enough memory for one slice of 16 x 24"
    ):
        drawn(resolver, conditions, QUICK)


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    resolver: SuperResolver, conditions: list[Condition]
) -> None:
    def broken(*inputs: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    resolver.denoiser = broken
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        drawn(resolver, conditions, QUICK)


def test_a_deviation_needs_memory_only_where_there_is_one(
    resolver: SuperResolver, conditions: list[Condition]
) -> None:
    from ftddm_core.sampling.tally import Tally

    rng = np.random.default_rng(0)
    samples = rng.standard_normal((5, 3, 4))
    tally, plain = Tally((3, 4, 2), spread=True), Tally((3, 4, 2), spread=False)
    for sample in samples:
        tally.add(1, sample)
        plain.add(1, sample)
    np.testing.assert_allclose(tally.mean[..., 1], samples.mean(0))
    np.testing.assert_allclose(tally.deviation(5)[..., 1], samples.std(0, ddof=1))
    np.testing.assert_array_equal(plain.mean, tally.mean)
    assert plain.count.tolist() == [0, 5]


# ---- in half precision


def test_half_precision_is_nearly_the_same_image(
    resolver: SuperResolver, conditions: list[Condition]
) -> None:
    """As torch emulates it on a CPU; a GPU's float16 has as many digits."""
    plain = images(drawn(resolver, conditions, QUICK)[1])
    resolver.half = True
    running, result = drawn(resolver, conditions, QUICK)
    assert 0 < largest_difference(images(result), plain) <= 1e-2  # random weights are not gentle
    assert all(update.images.dtype == np.float32 for update in running)
    assert result.device == "cpu, float16"


def test_half_precision_is_refused_on_a_cpu() -> None:
    with pytest.raises(SettingsError, match="Half precision is for GPUs"):
        SuperResolver(tiny_weights(), "cpu", half=True)


# ---- on a GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("settings", [QUICK, QUICK.replace(sampler="dpm_solver_2m_sde", samples=2)])
def test_cuda_gives_the_cpus_maps(
    resolver: SuperResolver, conditions: list[Condition], settings: SamplerSettings
) -> None:
    plain = images(drawn(resolver, conditions, settings)[1])
    gpu = SuperResolver(tiny_weights(), "cuda")
    for size in (None, 4, 1, 1):  # plain at first, then recorded and replayed
        gpu.batch = size
        assert largest_difference(images(drawn(gpu, conditions, settings)[1]), plain) <= 1e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_records_its_steps_and_repeats_itself(conditions: list[Condition]) -> None:
    gpu = SuperResolver(tiny_weights(), "cuda")
    assert isinstance(gpu.denoiser, Graphed)
    settings = QUICK.replace(steps=2 * WARM_UP)  # recorded on the way
    first = images(drawn(gpu, conditions, settings)[1])
    assert len(gpu.denoiser._recordings) == 1
    assert_equal(images(drawn(gpu, conditions, settings)[1]), first)
    gpu.denoiser.forget()
    assert_equal(images(drawn(gpu, conditions, settings)[1]), first)
    half = SuperResolver(tiny_weights(), "cuda", half=True)
    assert 0 < largest_difference(images(drawn(half, conditions, settings)[1]), first) <= 1e-2
