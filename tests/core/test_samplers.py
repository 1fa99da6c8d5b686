"""The chain against its own linear recursion, the data's moments, DDIM's formula and diffusers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ftddm_core.errors import Cancelled, SettingsError
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.samplers import SAMPLERS, Transition, log_snr_timesteps, timesteps
from ftddm_core.sampling.chain import truncated_chain

Array = npt.NDArray[np.float64]
SCHEDULE = NoiseSchedule()
AB = SCHEDULE.alpha_bar.numpy()
MEAN = np.array([0.8, 0.1, -0.4])
COVARIANCES = {
    "diagonal": np.diag([1.0, 0.25, 0.02]),
    "correlated": np.array([[0.5, 0.3, -0.1], [0.3, 0.4, 0.0], [-0.1, 0.0, 0.1]]),
}
FIRST_ORDER = {"dpm_solver_2m": "ddim", "dpm_solver_2m_sde": "ancestral"}
NO_NOISE = {"ddim", "dpm_solver_2m"}
EVERY_SAMPLER = pytest.mark.parametrize("name", SAMPLERS)
EVERY_COVARIANCE = pytest.mark.parametrize("C", COVARIANCES.values(), ids=COVARIANCES)


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def step_of(name: str, *arguments: Any) -> Tensor:
    return SAMPLERS[name].step(Transition(*arguments))


def refuse(t: int) -> Tensor:
    raise AssertionError(f"noise was drawn at t = {t}")


def run(
    denoise: Callable[[Tensor, int], Tensor],
    x_start: Tensor,
    t_trunc: int,
    *,
    steps: int | None = None,
    noise: Callable[[int], Tensor] = refuse,
    tau: float = 1.0,
    name: str = "ancestral",
    schedule: NoiseSchedule = SCHEDULE,
    mask: Tensor | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[tuple[int, Tensor]]:
    mask = torch.ones(1).double() if mask is None else mask
    sampler = SAMPLERS[name]
    return list(
        truncated_chain(
            denoise, x_start, t_trunc, steps, noise, tau, schedule, sampler, mask, cancelled
        )
    )


# The oracle: for x0 ~ N(m, C) the best denoiser is E[x0 | x_t] = D x_t + e, in closed form.
def gaussian(C: Array, t: int, ab: Array = AB) -> tuple[Array, Array]:
    D = math.sqrt(ab[t]) * C @ np.linalg.inv(ab[t] * C + (1 - ab[t]) * np.eye(3))
    return D, MEAN - math.sqrt(ab[t]) * D @ MEAN


def denoiser(C: Array, ab: Array = AB) -> Callable[[Tensor, int], Tensor]:
    def denoise(x_t: Tensor, t: int) -> Tensor:
        D, e = gaussian(C, t, ab)
        return x_t @ torch.from_numpy(D).mT + torch.from_numpy(e)

    return denoise


def marginal(C: Array, t: int, ab: Array = AB) -> tuple[Array, Array]:
    return math.sqrt(ab[t]) * MEAN, ab[t] * C + (1 - ab[t]) * np.eye(3)


def coefficients(name: str, t: int, r: int) -> tuple[float, float, float]:
    """Of x_t, x0 and z, by the general formula of DDIM (Song et al. 2021, eq. 12 and 16)."""
    eta = 0.0 if name in NO_NOISE else 1.0
    posterior = eta**2 * (1 - AB[r]) / (1 - AB[t]) * (1 - AB[t] / AB[r])
    on_eps = math.sqrt(1 - AB[r] - posterior)
    on_x_t = on_eps / math.sqrt(1 - AB[t])
    on_x0 = math.sqrt(AB[r]) - on_x_t * math.sqrt(AB[t])
    fixed_large = name == "ancestral_fixed_large" and r > 0
    return on_x_t, on_x0, math.sqrt(1 - AB[t] / AB[r] if fixed_large else posterior)


def log_snr(t: int) -> float:
    return 0.5 * math.log(AB[t] / (1 - AB[t]))


def ahead(name: str, u: int | None, t: int, r: int) -> float:
    """Of x0 minus the one before, at u, in DPM-Solver++(2M) (Lu et al. 2022, algorithm 2)."""
    if u is None or r == 0 or name not in FIRST_ORDER:
        return 0.0
    ratio = (log_snr(t) - log_snr(u)) / (log_snr(r) - log_snr(t))
    return 1 / (2 * ratio)


def moments_by_recursion(
    name: str, C: Array, t_trunc: int, steps: int | None, tau: float
) -> tuple[Array, Array]:
    """Of x_0, by the recursion of (x_t, the estimate before)."""
    mean, cov = np.zeros(6), np.zeros((6, 6))
    mean[:3], cov[:3, :3] = marginal(C, t_trunc)
    eye, u = np.eye(3), None
    for t, r in pairwise(SAMPLERS[name].levels(t_trunc, steps, SCHEDULE)):
        D, e = gaussian(C, t)
        on_x_t, on_x0, on_z = coefficients(name, t, r)
        k = ahead(name, u, t, r)
        top = [on_x_t * eye + on_x0 * (1 + k) * D, -on_x0 * k * eye]
        M = np.block([top, [D, 0 * eye]])
        offset = np.concatenate([on_x0 * (1 + k) * e, e])
        mean, cov = M @ mean + offset, M @ cov @ M.T
        cov[:3, :3] += tau * on_z**2 * eye
        u = t
    return mean[:3], cov[:3, :3]


def moments_of_chain(
    name: str,
    C: Array,
    t_trunc: int,
    steps: int | None,
    tau: float,
    schedule: NoiseSchedule = SCHEDULE,
) -> tuple[Array, Array]:
    """Exactly, without sampling: the chain is affine, so basis vectors reveal its matrix.

    One batch holds the zero input, each unit vector of x_start, and each unit vector of each z_t.
    """
    levels = SAMPLERS[name].levels(t_trunc, steps, schedule)[:-1]
    inputs = torch.zeros(4 + 3 * len(levels), 1, 1, 3).double()
    start, eye = inputs.clone(), torch.eye(3).double()
    start[1:4, 0, 0] = eye

    def noise(t: int) -> Tensor:
        z, first = inputs.clone(), 4 + 3 * levels.index(t)
        z[first : first + 3, 0, 0] = eye
        return z

    ab = schedule.alpha_bar.numpy()
    chain = run(
        denoiser(C, ab),
        start,
        t_trunc,
        steps=steps,
        noise=noise,
        tau=tau,
        name=name,
        schedule=schedule,
    )
    out = chain[-1][1][:, 0, 0].numpy()
    from_start, from_noise = (out[1:4] - out[0]).T, (out[4:] - out[0]).T
    mean, cov = marginal(C, t_trunc, ab)
    return out[0] + from_start @ mean, from_start @ cov @ from_start.T + from_noise @ from_noise.T


@EVERY_SAMPLER
@EVERY_COVARIANCE
@pytest.mark.parametrize(("t_trunc", "steps"), [(1, None), (100, None), (100, 10), (1000, 7)])
@pytest.mark.parametrize("tau", [0.0, 0.81])
def test_chain_is_its_linear_recursion(
    name: str, C: Array, t_trunc: int, steps: int | None, tau: float
) -> None:
    mean, cov = moments_of_chain(name, C, t_trunc, steps, tau)
    expected_mean, expected_cov = moments_by_recursion(name, C, t_trunc, steps, tau)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-10)
    np.testing.assert_allclose(cov, expected_cov, atol=1e-10)


@pytest.mark.parametrize("name", ["ancestral", "ddim", *FIRST_ORDER])
@EVERY_COVARIANCE
@pytest.mark.parametrize("t_trunc", [100, 1000])
def test_chain_converges_to_the_data(name: str, C: Array, t_trunc: int) -> None:
    errors = []
    for steps in (2, 10, 50, t_trunc):
        mean, cov = moments_of_chain(name, C, t_trunc, steps, tau=1)
        # E[x0 | x_t] averages to m at every level, so the mean is right however long the steps.
        np.testing.assert_allclose(mean, MEAN, atol=1e-9)
        errors.append(float(np.abs(cov - C).max()))
    assert all(after < before for before, after in pairwise(errors)), errors
    assert errors[-1] < 0.01, errors


@pytest.mark.parametrize("name", FIRST_ORDER)
@EVERY_COVARIANCE
@pytest.mark.parametrize("steps", [8, 10, 20])
def test_the_second_order_is_nearer_to_the_data_in_as_few_steps(
    name: str, C: Array, steps: int
) -> None:
    errors = []
    for sampler in (name, FIRST_ORDER[name]):
        _, cov = moments_of_chain(sampler, C, 100, steps, tau=1)
        errors.append(float(np.abs(cov - C).max()))
    assert errors[0] < 0.8 * errors[1], errors


def test_error_of_the_full_chain_vanishes_with_finer_schedules() -> None:
    C = COVARIANCES["correlated"]
    errors = []
    for n_train_steps in (100, 200, 400):
        schedule = NoiseSchedule(n_train_steps)
        _, cov = moments_of_chain("ancestral", C, n_train_steps, None, 1.0, schedule)
        errors.append(float(np.abs(cov - C).max()))
    for before, after in pairwise(errors):
        assert after < 0.6 * before, errors  # first order: about half


def test_the_two_variances_are_exact_at_their_extremes() -> None:
    """Ho et al. 2020, section 3.2: the posterior for a point, fixed large for N(0, I)."""
    point, unit = np.zeros((3, 3)), np.eye(3)
    for t, r in [(1000, 500), (100, 90), (2, 1)]:
        on_x_t, on_x0, _ = coefficients("ancestral", t, r)
        z = torch.ones(1).double()
        for name, C in (("ancestral", point), ("ancestral_fixed_large", unit)):
            sigma = float(step_of(name, 0 * z, 0 * z, t, r, z, 1.0, SCHEDULE))
            M = on_x_t * unit + on_x0 * gaussian(C, t)[0]
            cov = M @ marginal(C, t)[1] @ M.T + sigma**2 * unit
            np.testing.assert_allclose(cov, marginal(C, r)[1], rtol=1e-9, atol=1e-14)


@EVERY_SAMPLER
@pytest.mark.parametrize(("t", "r"), [(1000, 999), (1000, 0), (100, 90), (2, 1), (1, 0)])
@pytest.mark.parametrize("tau", [0.0, 0.25, 1.0])
def test_a_first_step_is_ddim_with_eta_0_or_1(name: str, t: int, r: int, tau: float) -> None:
    x_t, x0, z = (randn(2, 1, 3, 4, seed=seed) for seed in range(3))
    on_x_t, on_x0, on_z = coefficients(name, t, r)
    expected = on_x_t * x_t + on_x0 * x0 + math.sqrt(tau) * on_z * z
    x_r = step_of(name, x_t, x0, t, r, z, tau, SCHEDULE)
    torch.testing.assert_close(x_r, expected, rtol=1e-9, atol=1e-10)


DIFFUSERS_WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def theirs(kind: str, prediction: str, **options: Any) -> Any:
    import diffusers

    betas = 1 - AB[1:] / AB[:-1]
    if kind != "DPMSolverMultistepScheduler":
        options["clip_sample"] = False
    common = {"trained_betas": betas, "prediction_type": prediction}
    scheduler = getattr(diffusers, kind)(**common, **options)
    np.testing.assert_allclose(scheduler.alphas_cumprod, AB[1:], rtol=2e-4)
    # They multiply up in float32, good for three digits of 1 - ab_1: compare the steps, not that.
    scheduler.alphas_cumprod = SCHEDULE.alpha_bar[1:]
    return scheduler


@DIFFUSERS_WARNS
@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
@pytest.mark.parametrize(
    ("name", "variance"), [("ancestral", "fixed_small"), ("ancestral_fixed_large", "fixed_large")]
)
@pytest.mark.parametrize(("t_trunc", "steps"), [(100, 10), (100, 100), (1000, 7), (1, 1)])
def test_agrees_with_ddpm_of_diffusers(
    prediction: str, name: str, variance: str, t_trunc: int, steps: int
) -> None:
    scheduler = theirs("DDPMScheduler", prediction, variance_type=variance)
    levels = timesteps(t_trunc, steps)
    scheduler.set_timesteps(timesteps=[t - 1 for t in levels[:-1]])
    for index, (t, r) in enumerate(pairwise(levels)):
        x_t, output = randn(2, 1, 3, 4, seed=index), randn(2, 1, 3, 4, seed=index + 1000)
        x0 = output if prediction == "sample" else SCHEDULE.x0_from_velocity(x_t, output, t)
        generator = torch.Generator().manual_seed(index)  # draws there what randn draws here
        step = scheduler.step(output, t - 1, x_t, generator=generator)
        if r == 0:  # where they still add noise to a strided chain's result
            torch.testing.assert_close(step.pred_original_sample, x0)
            continue
        z = randn(2, 1, 3, 4, seed=index)
        ours = step_of(name, x_t, x0, t, r, z, 1.0, SCHEDULE)
        torch.testing.assert_close(ours, step.prev_sample, rtol=1e-6, atol=1e-6)


@DIFFUSERS_WARNS
@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
@pytest.mark.parametrize(("name", "eta"), [("ancestral", 1.0), ("ddim", 0.0)])
@pytest.mark.parametrize("steps", [10, 1000])
def test_agrees_with_ddim_of_diffusers(prediction: str, name: str, eta: float, steps: int) -> None:
    scheduler = theirs("DDIMScheduler", prediction)
    scheduler.set_timesteps(steps)
    for t, r in [*pairwise(timesteps(1000, steps))][:: max(1, steps // 25)]:
        x_t, output, z = (randn(2, 1, 3, 4, seed=seed) for seed in range(3))
        x0 = output if prediction == "sample" else SCHEDULE.x0_from_velocity(x_t, output, t)
        expected = scheduler.step(output, t - 1, x_t, eta=eta, variance_noise=z).prev_sample
        ours = step_of(name, x_t, x0, t, r, z, 1.0, SCHEDULE)
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


@DIFFUSERS_WARNS
@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("dpm_solver_2m", "dpmsolver++"), ("dpm_solver_2m_sde", "sde-dpmsolver++")],
)
@pytest.mark.parametrize("t_trunc", [100, 1000])
def test_agrees_with_dpm_solver_of_diffusers(name: str, algorithm: str, t_trunc: int) -> None:
    options: dict[str, Any] = {"algorithm_type": algorithm, "solver_type": "midpoint"}
    scheduler = theirs("DPMSolverMultistepScheduler", "sample", solver_order=2, **options)
    levels = log_snr_timesteps(t_trunc, 10, SCHEDULE)[:-1]
    scheduler.set_timesteps(10)
    scheduler.sigmas = torch.from_numpy(np.sqrt((1 - AB) / AB)[list(levels)])
    for index, (u, t, r) in enumerate(zip(levels, levels[1:], levels[2:], strict=False), 1):
        x_t, x0, before, z = (randn(2, 1, 3, 4, seed=10 * index + seed) for seed in range(4))
        scheduler._step_index = index
        expected = scheduler.multistep_dpm_solver_second_order_update(
            [before, x0], sample=x_t, noise=z
        )
        ours = step_of(name, x_t, x0, t, r, z, 1.0, SCHEDULE, (u, before))
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("t_trunc", "steps"), [(100, 10), (250, 7), (40, 5), (1000, 10)])
def test_levels_of_the_second_order_are_even_in_log_snr(t_trunc: int, steps: int) -> None:
    """As far as integers go, from 3 up to the last that holds some signal."""
    levels = log_snr_timesteps(t_trunc, steps, SCHEDULE)
    assert (levels[0], levels[-2:], len(levels)) == (t_trunc, (3, 0), steps + 1)
    known = np.array([max(log_snr(t), -5.1) for t in levels[:-1]])
    strides = np.diff(known)
    for t, stride in zip(levels[1:-1], strides, strict=True):
        rounding = log_snr(max(t - 1, 1)) - log_snr(t + 1)  # where t itself is one off
        assert abs(stride - strides.mean()) <= rounding + 1e-9


def test_levels_of_the_second_order_always_fit() -> None:
    for t_trunc in [*range(1, 41), 250, 1000]:
        assert log_snr_timesteps(t_trunc, None, SCHEDULE) == timesteps(t_trunc)
        for steps in {*range(1, min(t_trunc, 12) + 1), t_trunc // 2 + 1, t_trunc}:
            levels = log_snr_timesteps(t_trunc, steps, SCHEDULE)
            assert (levels[0], levels[-1], len(levels)) == (t_trunc, 0, steps + 1)
            assert (np.diff(levels) <= -1).all()
    assert log_snr_timesteps(0, None, SCHEDULE) == (0,)
    with pytest.raises(SettingsError, match="t_trunc = 5"):
        log_snr_timesteps(5, 6, SCHEDULE)


def test_levels_are_even_and_strictly_decreasing() -> None:
    chains = [(t, n) for t in range(1, 41) for n in range(1, t + 1)]
    for t_trunc, steps in [*chains, *((1000, n) for n in range(1, 1001))]:
        levels = np.array(timesteps(t_trunc, steps))
        assert (levels[0], levels[-1], len(levels)) == (t_trunc, 0, steps + 1)
        strides = -np.diff(levels)
        assert strides.min() >= 1
        assert strides.max() - strides.min() <= 1
    assert timesteps(100, 10) == (100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0)
    assert timesteps(5, 2) == (5, 3, 0)


def test_truncation_at_both_ends() -> None:
    assert timesteps(0) == (0,)
    assert timesteps(1000) == tuple(range(1000, -1, -1))
    x = randn(1, 1, 2, 2, seed=0)
    assert run(lambda x_t, t: x_t, x, 0) == []
    visited = run(lambda x_t, t: x_t, x, 1000, noise=lambda t: x)
    assert [t for t, _ in visited] == list(range(1000, 0, -1))
    for t_trunc, steps in [(-1, None), (0, 1), (5, 6), (5, 0), (5, -1)]:
        with pytest.raises(SettingsError, match=f"t_trunc = {t_trunc}"):
            timesteps(t_trunc, steps)


@EVERY_SAMPLER
def test_a_step_to_zero_is_x0_and_a_step_up_is_refused(name: str) -> None:
    x_t, x0, z = (randn(2, 1, 3, 4, seed=seed) for seed in range(3))
    for t in (1, 10, 1000):
        torch.testing.assert_close(step_of(name, x_t, x0, t, 0, z, 1.0, SCHEDULE), x0)
    for t, r in [(5, 5), (5, 6)]:
        with pytest.raises(ValueError, match=f"t={t}, r={r}"):
            step_of(name, x_t, x0, t, r, z, 1.0, SCHEDULE)


@EVERY_SAMPLER
def test_zero_temperature_ignores_the_noise(name: str) -> None:
    x_t, x0 = randn(2, 1, 3, 4, seed=0), randn(2, 1, 3, 4, seed=1)
    steps = [step_of(name, x_t, x0, 60, 50, z, 0.0, SCHEDULE) for z in (None, x_t, 1e6 * x0)]
    assert torch.equal(steps[0], steps[1])
    assert torch.equal(steps[0], steps[2])
    C = COVARIANCES["correlated"]
    run(denoiser(C), randn(1, 1, 1, 3, seed=0), 20, tau=0.0, name=name)  # `refuse` is not called


@EVERY_SAMPLER
def test_temperature_scales_one_and_the_same_noise(name: str) -> None:
    x_t, x0, z = (randn(2, 1, 3, 4, seed=seed) for seed in range(3))

    def x_r(tau: float) -> Tensor:
        return step_of(name, x_t, x0, 60, 50, z, tau, SCHEDULE)

    for tau in (0.01, 0.25, 0.81):
        torch.testing.assert_close(x_r(tau) - x_r(0), math.sqrt(tau) * (x_r(1) - x_r(0)))
    assert torch.equal(x_r(1), x_r(0)) == (name in NO_NOISE)


@EVERY_SAMPLER
def test_noise_is_drawn_only_where_a_step_uses_it(name: str) -> None:
    asked = []

    def noise(t: int) -> Tensor:
        asked.append(t)
        return randn(1, 1, 1, 3, seed=t)

    run(
        denoiser(COVARIANCES["diagonal"]),
        randn(1, 1, 1, 3, seed=0),
        20,
        steps=4,
        noise=noise,
        name=name,
    )
    levels = SAMPLERS[name].levels(20, 4, SCHEDULE)
    assert asked == ([] if name in NO_NOISE else [*levels[:3]])


def test_mask_multiplies_predictions_and_never_x_t() -> None:
    x_start, z = randn(2, 1, 3, 4, seed=0), randn(2, 1, 3, 4, seed=1)
    mask = (randn(1, 1, 3, 4, seed=2) > 0).double()
    seen = []

    def denoise(x_t: Tensor, t: int) -> Tensor:
        seen.append(x_t)
        return torch.full_like(x_t, 0.7)

    for _, x0 in run(denoise, x_start, 30, steps=3, noise=lambda t: z, mask=mask):
        assert torch.equal(x0, 0.7 * mask.expand_as(x0))
    assert torch.equal(seen[0], x_start)
    torch.testing.assert_close(
        seen[1], step_of("ancestral", x_start, 0.7 * mask, 30, 20, z, 1.0, SCHEDULE)
    )
    assert (seen[1] * (1 - mask)).std() > 0


@pytest.mark.parametrize("name", sorted(NO_NOISE))
def test_whoever_receives_an_estimate_may_change_it(name: str) -> None:
    C, start = COVARIANCES["correlated"], randn(1, 1, 1, 3, seed=0)
    expected = run(denoiser(C), start, 20, name=name)[-1][1]
    ones, sampler = torch.ones(1).double(), SAMPLERS[name]
    for _, x0 in truncated_chain(
        denoiser(C), start, 20, None, refuse, 1.0, SCHEDULE, sampler, ones
    ):
        result = x0.clone()
        x0.zero_()
    assert torch.equal(result, expected)


def test_cancelling_stops_before_the_next_call_of_the_denoiser() -> None:
    calls: list[int] = []

    def denoise(x_t: Tensor, t: int) -> Tensor:
        calls.append(t)
        return x_t

    with pytest.raises(Cancelled, match="timestep 7 of 10"):
        run(denoise, randn(1, 1, 2, 2, seed=0), 10, name="ddim", cancelled=lambda: len(calls) == 3)
    assert calls == [10, 9, 8]
