"""Image losses, the levels they are drawn at, and the denoiser's and the flow's loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ftddm_core.training import fit_denoiser, fit_flow, fit_regression
from ftddm_core.training.dataset import Batch
from ftddm_core.training.losses import SCALE_WEIGHTS, l1_ms_ssim, ms_ssim


def images(size=(48, 56), batch=3, seed=0):
    """Return smooth images in 0..1 with an empty border, as maps have."""
    noise = torch.randn(batch, 1, *size, generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.avg_pool2d(noise, 7, 1, 3)
    image = (0.5 + smooth / (4 * smooth.std())).clamp(0, 1)
    image[..., :8] = 0
    return image


def slow_ms_ssim(x, y):
    """Return the structural similarity of two images, voxel by voxel, in double precision."""
    axis = np.arange(-3, 4)
    window = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2, result = 0.01**2, 0.03**2, 1.0
    x, y = x.astype(float), y.astype(float)
    weights = [w for scale, w in enumerate(SCALE_WEIGHTS) if min(x.shape) // 2**scale >= 7]
    for scale, weight in enumerate(weights):
        if scale:
            x, y = (a.reshape(a.shape[0] // 2, 2, a.shape[1] // 2, 2).mean((1, 3)) for a in (x, y))
        values = []
        for i in range(x.shape[0] - 6):
            for j in range(x.shape[1] - 6):
                a, b = x[i : i + 7, j : j + 7], y[i : i + 7, j : j + 7]
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
                cov = (window * (a - ma) * (b - mb)).sum()
                value = (2 * cov + c2) / (va + vb + c2)
                if scale == len(weights) - 1:
                    value *= (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
                values.append(value)
        result *= max(np.mean(values), 1e-3) ** (weight / sum(weights))
    return result


def test_an_image_is_similar_to_itself():
    x = images()
    torch.testing.assert_close(ms_ssim(x, x), torch.ones(3))
    assert float(l1_ms_ssim(x, x)) == pytest.approx(0, abs=1e-6)
    assert ms_ssim(0 * x, 0 * x).tolist() == [1, 1, 1]


def test_similarity_falls_with_noise_and_knows_no_order():
    x = images()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found = torch.stack([ms_ssim(x + level * noise, x) for level in (0, 0.02, 0.05, 0.1, 0.3)])
    assert bool((found.diff(dim=0) < 0).all())
    torch.testing.assert_close(ms_ssim(x + noise, x), ms_ssim(x, x + noise))


@pytest.mark.parametrize("size", [(48, 48), (64, 48), (24, 16), (8, 8)])
@pytest.mark.parametrize("level", [0.03, 0.3])
def test_similarity_agrees_with_a_slow_reference(size, level):
    x = images(size, 2)
    y = 0.9 * x + level * torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) + 0.02
    expected = [slow_ms_ssim(a[0].numpy(), b[0].numpy()) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ms_ssim(x, y).numpy(), expected, atol=1e-4)


def test_the_similarity_of_a_batch_is_that_of_its_images():
    x, y = images(seed=0), images(seed=1)
    torch.testing.assert_close(
        ms_ssim(x, y), torch.cat([ms_ssim(a[None], b[None]) for a, b in zip(x, y, strict=True)])
    )


def test_the_image_loss_is_the_weighted_sum_and_can_be_learned_from():
    x = images().requires_grad_()
    y = images(seed=1)
    loss = l1_ms_ssim(x, y)
    expected = 0.16 * (x - y).abs().mean() + 0.84 * (1 - ms_ssim(x, y)).mean()
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, x)
    assert bool(gradient.isfinite().all())
    moved = x.detach() - 0.01 * gradient / gradient.abs().max()
    assert l1_ms_ssim(moved, y) < loss
    # A flat image has no structure to divide by.
    flat = torch.zeros_like(x, requires_grad=True)
    (gradient,) = torch.autograd.grad(l1_ms_ssim(flat, y), flat)
    assert bool(gradient.isfinite().all())


def test_the_denoiser_s_levels_lean_towards_the_truncated_chain():
    """Even items are uniform on 1..200, odd ones on 1..1000."""
    t = fit_denoiser.draw_levels(200_000, torch.Generator().manual_seed(0))
    for levels, top in ((t[::2], 200), (t[1::2], 1000)):
        assert int(levels.min()) == 1
        assert int(levels.max()) == top
        counts = np.bincount(levels.numpy(), minlength=top + 1)[1:]
        expected = len(levels) / top
        np.testing.assert_allclose(counts, expected, atol=6 * np.sqrt(expected))


def test_the_flow_s_levels_lean_towards_1_and_reach_the_end():
    """Even items follow 250 u^2.5, odd ones are uniform on 1..250."""
    t = fit_flow.draw_levels(200_000, 250, torch.Generator().manual_seed(0))
    assert int(t.min()) == 1
    assert int(t.max()) == 250
    assert float(t[1::2].float().mean()) == pytest.approx(125.5, abs=1)
    assert float(t[::2].float().mean()) == pytest.approx(250 / 3.5 + 0.5, abs=1)


class Fixed(nn.Module):
    """A network that returns a given output and records its inputs."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x_t, condition, t, upscale):
        self.asked = (x_t, condition, t, upscale)
        return self.answer(x_t, t)


@pytest.fixture
def batch():
    x0 = images((48, 48), 4)
    condition = torch.rand(4, 5, 48, 48, generator=torch.Generator().manual_seed(3))
    condition[:, 1] = (x0[:, 0] > 0.4).float()
    return Batch(x0 * condition[:, 1:2], condition, torch.tensor([2.0, 3.0, 4.0, 8.0]))


def generator():
    return torch.Generator().manual_seed(11)


def test_the_velocity_itself_has_no_loss_and_what_lies_outside_does_not_count(batch):
    schedule = fit_denoiser.SCHEDULE

    def velocity(x_t, t):
        """Return the velocity that x_t and the true x0 amount to."""
        eps = (x_t - schedule.signal(t) * batch.x0) / schedule.noise(t)
        return schedule.velocity(batch.x0, eps, t) + 1000 * (1 - batch.mask)

    losses = fit_denoiser.denoiser_loss(Fixed(velocity), batch, generator())
    assert float(losses["loss"]) == pytest.approx(0, abs=1e-3)
    network = Fixed(lambda x_t, t: velocity(x_t, t) + 2 * batch.mask)
    losses = fit_denoiser.denoiser_loss(network, batch, generator())
    assert float(losses["loss"]) == pytest.approx(4, abs=1e-2)
    assert network.asked[1] is batch.condition
    assert network.asked[3] is batch.upscale


def test_the_loss_is_the_mean_of_slices_and_its_low_part_that_of_even_ones(batch):
    size = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None, None]
    schedule = fit_denoiser.SCHEDULE

    def wrong(x_t, t):
        eps = (x_t - schedule.signal(t) * batch.x0) / schedule.noise(t)
        return schedule.velocity(batch.x0, eps, t) + size

    losses = fit_denoiser.denoiser_loss(Fixed(wrong), batch, generator())
    assert float(losses["loss"]) == pytest.approx((1 + 4 + 9 + 16) / 4, rel=1e-3)
    assert float(losses["low"]) == pytest.approx((1 + 9) / 2, rel=1e-3)


def test_the_noise_covers_the_whole_grid_and_depends_on_the_generator(batch):
    network = Fixed(lambda x_t, t: 0 * x_t)
    fit_denoiser.denoiser_loss(network, batch, generator())
    first = network.asked[0]
    outside = first[batch.mask == 0]
    assert bool((outside != 0).all())
    fit_denoiser.denoiser_loss(network, batch, generator())
    assert bool((network.asked[0] == first).all())
    fit_denoiser.denoiser_loss(network, batch, torch.Generator().manual_seed(12))
    assert not bool((network.asked[0] == first).any())


def test_other_levels_are_uniform_over_the_chain():
    for levels in ("uniform", "min-snr"):
        t = fit_denoiser.draw_levels(100_000, torch.Generator().manual_seed(0), levels)
        counts = np.bincount(t.numpy(), minlength=1001)[1:]
        np.testing.assert_allclose(counts, 100, atol=60)


@pytest.mark.parametrize("prediction", ["v", "eps"])
def test_min_snr_weighs_an_x0_by_its_snr_but_never_above_5(prediction):
    """w |output - target|^2 = min(SNR, 5) |x0 - true x0|^2, whatever is predicted."""
    t = torch.tensor([1, 50, 300, 600, 950])
    ab = fit_denoiser.SCHEDULE.alpha_bar[t]
    error = 0.1
    # An output that is off by `error` is off by this in terms of x0.
    of_x0 = error * (1 - ab).sqrt() / (1 if prediction == "v" else ab.sqrt())
    weighed = fit_denoiser.weight_of(t, prediction, "min-snr").double() * error**2
    torch.testing.assert_close(weighed, (ab / (1 - ab)).clamp_max(5) * of_x0**2, rtol=1e-4, atol=0)
    assert fit_denoiser.weight_of(t, prediction, "low").tolist() == [1] * 5


@pytest.mark.parametrize("levels", ["low", "uniform", "min-snr"])
def test_the_noise_itself_has_no_loss_where_it_is_predicted(batch, levels):
    schedule = fit_denoiser.SCHEDULE

    def noise(x_t, t):
        return (x_t - schedule.signal(t) * batch.x0) / schedule.noise(t)

    losses = fit_denoiser.denoiser_loss(Fixed(noise), batch, generator(), "eps", levels)
    assert float(losses["loss"]) == pytest.approx(0, abs=1e-3)


def test_the_regression_is_asked_at_the_end_of_the_chain_and_judged_inside_the_mask(batch):
    schedule = fit_denoiser.SCHEDULE

    def right(x_t, t):
        assert not x_t.any()
        assert set(t.tolist()) == {1000}
        return -batch.x0 / schedule.noise(t) + 1000 * (1 - batch.mask)

    network = Fixed(right)
    losses = fit_regression.regression_loss(network, batch, generator())
    assert float(losses["loss"]) == pytest.approx(0, abs=1e-5)
    assert network.asked[3] is batch.upscale
    network = Fixed(lambda x_t, t: right(x_t, t) - 0.1)
    losses = fit_regression.regression_loss(network, batch, generator())
    assert float(losses["mse"]) == pytest.approx(0.01, rel=1e-3)
    off = batch.x0 + 0.1 * batch.mask
    torch.testing.assert_close(losses["loss"], l1_ms_ssim(off, batch.x0))
