"""The schedule against its closed form, diffusers', and the moments of the forward process."""

from __future__ import annotations

import math

import pytest
import torch

from ftddm_core.model.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule()
T = SCHEDULE.n_train_steps
PAIRS = [(1000, 999), (1000, 0), (250, 100), (100, 99), (2, 1), (1, 0)]


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_matches_closed_form() -> None:
    def f(t: int) -> float:
        return math.cos(math.pi / 2 * (t / T + 0.008) / 1.008) ** 2

    # The products telescope, except in the last step, whose beta would be 1 without its bound.
    expected = torch.tensor([f(t) / f(0) for t in range(T)], dtype=torch.float64)
    torch.testing.assert_close(SCHEDULE.alpha_bar[:T], expected, rtol=1e-12, atol=0)
    assert float(SCHEDULE.alpha_bar[T] / SCHEDULE.alpha_bar[T - 1]) == pytest.approx(1e-3)


def test_begins_clean_and_only_fades() -> None:
    assert SCHEDULE.alpha_bar.dtype == torch.float64
    assert SCHEDULE.alpha_bar.shape == (T + 1,)
    assert SCHEDULE.alpha_bar[0] == 1
    assert (SCHEDULE.alpha_bar.diff() < 0).all()
    assert SCHEDULE.alpha_bar[T] > 0
    assert float(SCHEDULE.noise(1)) == pytest.approx(0.006, abs=5e-4)
    assert float(SCHEDULE.noise(100)) == pytest.approx(0.167, abs=5e-4)
    assert float(SCHEDULE.noise(200)) == pytest.approx(0.318, abs=5e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_is_the_schedule_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    torch.testing.assert_close(SCHEDULE.alpha_bar[1:].float(), theirs, rtol=2e-5, atol=1e-7)


def test_int_and_tensor_timesteps_agree() -> None:
    t = torch.tensor([0, 1, 500, T])
    for coefficient in (SCHEDULE.signal, SCHEDULE.noise):
        batch = coefficient(t)
        assert batch.shape == (4, 1, 1, 1)
        assert batch.dtype == torch.float32
        assert batch.flatten().tolist() == [float(coefficient(int(item))) for item in t]
    torch.testing.assert_close(
        SCHEDULE.signal(t) ** 2 + SCHEDULE.noise(t) ** 2, torch.ones(4, 1, 1, 1)
    )
    x0, eps = randn(4, 1, 3, 2), randn(4, 1, 3, 2, seed=1)
    single = [SCHEDULE.add_noise(x0[i], int(t[i]), eps[i]) for i in range(4)]
    torch.testing.assert_close(SCHEDULE.add_noise(x0, t, eps), torch.stack(single))


def test_small_noise_keeps_its_digits() -> None:
    # In float32, 1 - ab_1 = 4e-5 would carry three digits.
    exact = 1 - SCHEDULE.alpha_bar[1]
    assert float(SCHEDULE.noise(1)) == pytest.approx(float(exact.sqrt()), rel=1e-7)


def test_x0_survives_velocity() -> None:
    x0, eps = randn(5, 1, 4, 3), randn(5, 1, 4, 3, seed=1)
    t = torch.tensor([1, 20, 250, 800, T])
    v = SCHEDULE.velocity(x0, eps, t)
    x_t = SCHEDULE.add_noise(x0, t, eps)
    torch.testing.assert_close(SCHEDULE.x0_from_velocity(x_t, v, t), x0)
    # (x_t, v) is (x0, eps) turned by an angle, so the length is kept.
    torch.testing.assert_close(x_t**2 + v**2, x0**2 + eps**2)


@pytest.mark.parametrize(("t", "u"), PAIRS)
def test_jump_continues_add_noise_exactly_in_distribution(t: int, u: int) -> None:
    one, zero = torch.ones(1).double(), torch.zeros(1).double()

    def x_t(x0: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return SCHEDULE.jump(SCHEDULE.add_noise(x0, u, first), u, t, second)

    # Linear in (x0, first, second): its three coefficients are the mean and the two deviations.
    ab_t = SCHEDULE.alpha_bar[t]
    assert float(x_t(one, zero, zero)) == pytest.approx(float(ab_t.sqrt()), rel=1e-12)
    variance = x_t(zero, one, zero) ** 2 + x_t(zero, zero, one) ** 2
    assert float(variance) == pytest.approx(float(1 - ab_t), rel=1e-12)


def test_jump_of_no_steps_changes_nothing() -> None:
    x, eps = randn(2, 1, 3, 3), randn(2, 1, 3, 3, seed=1)
    assert torch.equal(SCHEDULE.jump(x, 250, 250, eps), x)


@pytest.mark.parametrize(("t", "r"), PAIRS)
def test_posterior_reproduces_the_marginal(t: int, r: int) -> None:
    """With x_t ~ q(x_t | x0), a draw from q(x_r | x_t, x0) must be one from q(x_r | x0)."""
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    from_x_t, sigma = SCHEDULE.posterior(one, zero, t, r)
    from_x0, _ = SCHEDULE.posterior(zero, one, t, r)
    ab_t, ab_r = SCHEDULE.alpha_bar[t], SCHEDULE.alpha_bar[r]
    torch.testing.assert_close(from_x0 + from_x_t * ab_t.sqrt(), ab_r.sqrt().view(1))
    variance = from_x_t**2 * (1 - ab_t) + sigma**2
    torch.testing.assert_close(variance, (1 - ab_r).view(1), rtol=1e-10, atol=0)


def test_posterior_at_zero_is_x0() -> None:
    x_t, x0 = randn(2, 1, 3, 3), randn(2, 1, 3, 3, seed=1)
    mean, sigma = SCHEDULE.posterior(x_t, x0, 40, 0)
    assert torch.equal(mean, x0)
    assert sigma == 0


def test_results_keep_the_dtype_of_the_map() -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, 1, 2, 2, dtype=dtype)
        t = torch.tensor([3, 4])
        assert SCHEDULE.add_noise(x, t, x).dtype == dtype
        assert SCHEDULE.posterior(x, x, t, t - 1)[0].dtype == dtype


@pytest.mark.parametrize("t", [-1, T + 1, 1.5, True, torch.tensor([0, -1]), torch.tensor([0.0])])
def test_refuses_timesteps_that_do_not_exist(t: object) -> None:
    with pytest.raises(ValueError, match="timesteps"):
        SCHEDULE.signal(t)  # type: ignore[arg-type]


def test_refuses_the_wrong_direction_and_impossible_schedules() -> None:
    x = torch.zeros(1)
    with pytest.raises(ValueError, match="u=3, t=2"):
        SCHEDULE.jump(x, 3, 2, x)
    with pytest.raises(ValueError, match="t=2, r=2"):
        SCHEDULE.posterior(x, x, 2, 2)
    with pytest.raises(ValueError, match="max_beta"):
        NoiseSchedule(max_beta=1.0)
