"""Which end of flow time is noise, and which way the velocity points."""

import dataclasses
import math

import pytest
import torch

from pi05lite import config
from pi05lite.errors import ConfigError
from pi05lite.model import flow

C = config.nano()


def test_tau_weighs_the_noisy_end():
    tau = flow.sample_tau(200_000, C, torch.Generator().manual_seed(0))
    assert 0 <= tau.min() and tau.max() < 0.999
    assert abs(tau.mean() - 0.999 * 0.4) < 0.002  # openpi: 0.6, mirrored
    # the law itself: P(u < 0.5) of Beta(1.5, 1) is 0.5 ** 1.5
    assert abs((tau > 0.999 * 0.5).float().mean() - 0.5**1.5) < 0.004


def test_tau_is_the_same_for_a_seed():
    a, b = (flow.sample_tau(5, C, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)


def test_another_beta_law_is_refused():
    with pytest.raises(ConfigError, match="tau_beta"):
        flow.sample_tau(3, dataclasses.replace(C, tau_beta=2.0))


def test_path_goes_from_noise_to_action():
    noise, actions = torch.randn(2, 3, 4, 5)
    start, velocity = flow.path(noise, actions, torch.zeros(3))
    end, _ = flow.path(noise, actions, torch.ones(3))
    assert torch.equal(start, noise) and torch.equal(end, actions)
    torch.testing.assert_close(start + velocity, actions)
    quarter, _ = flow.path(noise, actions, torch.full((3,), 0.25))
    torch.testing.assert_close(quarter, noise + 0.25 * velocity)


@pytest.mark.parametrize("steps", [1, 7, 10])
def test_euler_follows_a_straight_line_exactly(steps):
    noise, actions = torch.randn(2, 3, 4, 5)
    seen = []
    def velocity(x, tau):
        seen.append(float(tau[0]))
        torch.testing.assert_close(x, flow.path(noise, actions, tau)[0], atol=1e-5, rtol=1e-5)
        return actions - noise
    points = flow.euler(velocity, noise, steps)
    torch.testing.assert_close(points[-1], actions, atol=1e-5, rtol=1e-5)
    assert torch.equal(points[0], noise) and len(points) == steps + 1
    assert seen == pytest.approx([k / steps for k in range(steps)])


def test_time_embedding_tells_times_apart_at_all_scales():
    e = flow.time_embedding(torch.tensor([0.5, 0.501, 0.6]), 64)
    assert e.shape == (3, 64) and e.abs().max() <= 1
    assert (e[0] - e[1]).norm() > 0.5 and (e[0] - e[2]).norm() > 0.5


def test_solvers_of_second_order_are_nearer_to_a_curved_path():
    """dx/dtau = x has the answer e * noise."""
    noise = torch.ones(1, 2, 3, dtype=torch.float64)
    error = {name: abs(float(solve(lambda x, tau: x, noise, 10)[-1][0, 0, 0]) - math.e)
             for name, solve in flow.SOLVERS.items()}
    assert error["midpoint"] < error["euler"] / 10 and error["heun"] < error["euler"] / 10
    for solve in flow.SOLVERS.values():
        points = solve(lambda x, tau: torch.ones_like(x), noise, 4)
        assert len(points) == 5 and points[0] is noise
        assert torch.allclose(points[-1], noise + 1)
