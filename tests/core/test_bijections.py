"""Every bijection: inverse, and log-determinant against the Jacobian that autograd finds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ftddm_core.errors import GeometryError
from ftddm_core.model.bijections import (
    ActNorm,
    Bijection,
    ConditionalCoupling,
    Injector,
    InvertibleConv1x1,
    Sequence,
    Squeeze,
)

COND = 3


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def steps(channels: int) -> Sequence:
    parts = [
        ActNorm(channels),
        InvertibleConv1x1(channels, generator(5)),
        Injector(channels, COND),
        ConditionalCoupling(channels, COND, hidden=6),
    ]
    return Sequence(parts)


# Constructor, channels and grid: even and odd channels, square and oblong grids.
BIJECTIONS: dict[str, tuple[Callable[[int], Bijection], int, tuple[int, int]]] = {
    "actnorm": (ActNorm, 3, (4, 2)),
    "convolution": (lambda c: InvertibleConv1x1(c, generator(1)), 5, (2, 4)),
    "convolution of one channel": (lambda c: InvertibleConv1x1(c, generator(2)), 1, (2, 2)),
    "squeeze": (lambda c: Squeeze(), 2, (4, 6)),
    "injector": (lambda c: Injector(c, COND), 3, (4, 2)),
    "coupling, even": (lambda c: ConditionalCoupling(c, COND, hidden=5), 4, (2, 4)),
    "coupling, odd": (lambda c: ConditionalCoupling(c, COND, hidden=5), 3, (4, 4)),
    "sequence": (steps, 4, (2, 4)),
    "nested sequence": (lambda c: Sequence([steps(c), Squeeze()]), 2, (4, 2)),
    "empty sequence": (lambda c: Sequence([]), 2, (2, 2)),
}


def make(name: str) -> tuple[Bijection, Tensor, Tensor]:
    """In float64 with weights far from the identity, a batch of two and its condition."""
    build, channels, grid = BIJECTIONS[name]
    bijection = build(channels).double().eval()
    with torch.no_grad():
        for index, parameter in enumerate(bijection.parameters()):
            parameter.copy_(0.4 * randn(*parameter.shape, seed=100 + index))
    return bijection, randn(2, channels, *grid, seed=0), randn(2, COND, *grid, seed=1)


@pytest.mark.parametrize("name", BIJECTIONS)
def test_inverse_undoes_forward(name: str) -> None:
    bijection, x, cond = make(name)
    y, logdet = bijection(x, cond)
    back, inverse_logdet = bijection.inverse(y, cond)
    torch.testing.assert_close(back, x, rtol=1e-9, atol=1e-9)
    assert logdet.shape == (2,)
    torch.testing.assert_close(inverse_logdet, -logdet, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", BIJECTIONS)
def test_logdet_is_that_of_the_jacobian(name: str) -> None:
    bijection, x, cond = make(name)
    y, logdet = bijection(x, cond)
    _, inverse_logdet = bijection.inverse(y, cond)
    for item in range(2):
        c = cond[item : item + 1]

        def forward(values: Tensor, c: Tensor = c) -> Tensor:
            found: Tensor = bijection(values.view_as(x[:1]), c)[0]
            return found.flatten()

        def inverse(values: Tensor, c: Tensor = c) -> Tensor:
            return bijection.inverse(values.view_as(y[:1]), c)[0].flatten()

        jacobian = torch.func.jacrev(forward)(x[item].flatten())
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, logdet[item])
        jacobian = torch.func.jacrev(inverse)(y[item].flatten())
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, inverse_logdet[item])


@pytest.mark.parametrize("name", [name for name in BIJECTIONS if list(make(name)[0].parameters())])
def test_every_weight_learns(name: str) -> None:
    bijection, x, cond = make(name)
    y, logdet = bijection(x, cond)
    ((y**3).sum() + logdet.sum() + bijection.inverse(x.view_as(y), cond)[0].sum()).backward()
    for key, parameter in bijection.named_parameters():
        assert parameter.grad is not None, key
        if parameter.numel() > 1:  # one channel has no strict triangles
            assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["injector", "coupling, even", "coupling, odd", "sequence"])
def test_condition_matters_and_only_to_its_own_item(name: str) -> None:
    bijection, x, cond = make(name)
    y, logdet = bijection(x, cond)
    other = cond.clone()
    other[1] += 0.5
    changed, changed_logdet = bijection(x, other)
    assert torch.equal(changed[0], y[0])
    assert (changed[1] - y[1]).abs().max() > 1e-3
    assert abs(changed_logdet[1] - logdet[1]) > 1e-3


@pytest.mark.parametrize("name", ["injector", "coupling, even", "coupling, odd", "actnorm"])
def test_starts_as_the_identity(name: str) -> None:
    build, channels, grid = BIJECTIONS[name]
    x, cond = randn(2, channels, *grid, seed=0), randn(2, COND, *grid, seed=1)
    y, logdet = build(channels).double().eval()(x, cond)
    assert torch.equal(y, x)
    assert torch.equal(logdet, torch.zeros(2).double())


@pytest.mark.parametrize("channels", [1, 2, 3, 16])
def test_convolution_starts_as_a_rotation_of_its_generator(channels: int) -> None:
    voxel, cond = torch.eye(channels)[:, :, None, None], torch.zeros(channels, COND, 1, 1)
    rotation, logdet = InvertibleConv1x1(channels, generator(3))(voxel, cond)
    rotation = rotation[:, :, 0, 0].detach()
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(channels), rtol=0, atol=1e-5)
    assert float(torch.linalg.det(rotation)) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(logdet, torch.zeros(channels), rtol=0, atol=1e-5)
    again = InvertibleConv1x1(channels, generator(3))(voxel, cond)[0][:, :, 0, 0]
    assert torch.equal(again, rotation)


def test_actnorm_normalises_its_first_training_batch_and_no_other() -> None:
    scale, offset = torch.tensor([2.0, 0.1, 7.0]).view(1, 3, 1, 1), 5.0
    x, cond = randn(4, 3, 6, 6, seed=0) * scale + offset, randn(4, COND, 6, 6, seed=1)
    layer = ActNorm(3).double().eval()
    assert torch.equal(layer(x, cond)[0], x)
    y, logdet = layer.train()(x, cond)
    std, mean = torch.std_mean(y, dim=(0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros(3).double())
    torch.testing.assert_close(std, torch.ones(3).double())
    spread = torch.std(x, dim=(0, 2, 3)).log().sum()
    torch.testing.assert_close(logdet, (-36 * spread).expand(4))
    torch.testing.assert_close(layer(10 * x, cond)[0] - layer.shift, 10 * (y - layer.shift))


def test_actnorm_keeps_loaded_weights_and_bears_an_empty_channel() -> None:
    x, cond = randn(4, 3, 6, 6, seed=0), randn(4, COND, 6, 6, seed=1)
    trained, fresh = ActNorm(3).double(), ActNorm(3).double()
    trained(x, cond)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh(5 * x, cond)[0], trained(5 * x, cond)[0])
    empty = ActNorm(3).double()
    y, _ = empty(torch.zeros_like(x), cond)
    assert torch.equal(y, torch.zeros_like(x))
    assert float(empty.log_scale.detach().max()) == pytest.approx(math.log(1e3))


@pytest.mark.parametrize("name", ["injector", "coupling, even"])
def test_log_scales_are_bounded_however_wild_the_condition(name: str) -> None:
    build, channels, grid = BIJECTIONS[name]
    bijection = build(channels).double()
    with torch.no_grad():
        for index, parameter in enumerate(bijection.parameters()):
            if parameter.ndim == 4 and parameter.shape[0] > 1:
                parameter.copy_(randn(*parameter.shape, seed=index))
    x, cond = randn(2, channels, *grid, seed=0), 1e4 * randn(2, COND, *grid, seed=1)
    y, logdet = bijection(x, cond)
    assert logdet.abs().max() <= channels * math.prod(grid)
    back = bijection.inverse(y, cond)[0]
    assert torch.isfinite(back).all()
    # Digits are lost to the size of the shift, never to the scale.
    assert (back - x).abs().max() <= 1e-14 * y.abs().max() * math.e


def test_squeeze_puts_neighbours_into_channels() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    y, _ = Squeeze()(x, x)
    assert y.shape == (1, 4, 2, 2)
    assert y[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    with pytest.raises(GeometryError, match="3 x 4"):
        Squeeze()(torch.zeros(1, 1, 3, 4), x)


def test_coupling_needs_two_channels() -> None:
    with pytest.raises(ValueError, match="found 1"):
        ConditionalCoupling(1, COND, hidden=4)
