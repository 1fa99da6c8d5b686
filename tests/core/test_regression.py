"""The regression's maps: its x0 in the map's unit, on the map's grid, slice by slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import tiny_unet
from numpy.typing import NDArray

from ftddm_core.errors import SettingsError
from ftddm_core.evaluation import regression
from ftddm_core.evaluation.regression import regress
from ftddm_core.sampling.condition import Condition, form_condition

MATRIX, ACQUIRED, N_SLICES = (22, 18), (9, 7), 5


def condition(name: str = "tNAA", gain: float = 1.0) -> Condition:
    rng = np.random.default_rng(0)
    mask = rng.random((*MATRIX, N_SLICES)) < 0.7
    mask[..., 3] = False
    acquired = gain * rng.uniform(1, 2, (*ACQUIRED, N_SLICES)).astype(np.float32)
    mri = [rng.random((*MATRIX, N_SLICES)).astype(np.float32) for _ in range(2)]
    return form_condition(name, acquired, mask, mri[0], mri[1], np.diag([2, 3, 4, 1.0]), "mM")


def by_hand(network: Any, made: Condition, k: int) -> NDArray[Any]:
    """Ask the network at t = 1000 and x_t = 0, where x0 = -sqrt(1 - ab) v and ab is nearly 0."""
    channels = torch.from_numpy(np.ascontiguousarray(made.channels[..., k]))[None]
    zero = torch.zeros_like(channels[:, :1])
    v = network(zero, channels, torch.tensor([1000]), torch.tensor([made.upscale]).float())
    x0 = (-v * channels[:, 1:2])[0, 0, : MATRIX[0], : MATRIX[1]].numpy()
    return np.maximum(x0, 0) * made.scale


def test_every_slice_is_the_networks_answer_in_the_maps_unit() -> None:
    network, made = tiny_unet(), condition()
    found = regress(network, [made])["tNAA"]
    assert found.unit == "mM"
    np.testing.assert_array_equal(found.affine, made.affine)
    for k in range(N_SLICES):
        expected = by_hand(network, made, k)
        np.testing.assert_allclose(found.data[..., k], expected, atol=1e-4 * made.scale)
        assert (found.data[..., k].max() > 0) == (k != 3)
    assert found.data.min() == 0
    assert not found.data[~made.mask].any()


def test_slices_alone_and_in_other_batches_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, made = tiny_unet(), condition()
    whole = regress(network, [made])["tNAA"].data
    few = regress(network, [made], slices={4, 1, 3})["tNAA"].data
    np.testing.assert_allclose(few[..., [1, 4]], whole[..., [1, 4]], atol=1e-5)
    assert not few[..., [0, 2, 3]].any()
    monkeypatch.setattr(regression, "slices_together", lambda *where: 2)
    np.testing.assert_allclose(regress(network, [made])["tNAA"].data, whole, atol=1e-5)


def test_metabolites_keep_their_own_scale() -> None:
    found = regress(tiny_unet(), iter([condition(), condition("tCho", gain=7.0)]))
    assert list(found) == ["tNAA", "tCho"]
    np.testing.assert_allclose(found["tCho"].data, 7 * found["tNAA"].data, rtol=1e-3, atol=1e-4)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="device"):
        regress(tiny_unet(), [condition()], device="meta")
