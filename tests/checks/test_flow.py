"""The checks of chapter 06 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest
import torch

from pi05lite.checks import flow as checks
from pi05lite.model import flow
from tests.checks.tools import verdict


def b(tau):
    return tau.view(-1, 1, 1)


RIGHT_PAIRS = [
    lambda n, a, t: ((1 - b(t)) * n + b(t) * a, a - n),
    lambda n, a, t: (torch.lerp(n, a, b(t).expand_as(n)), a.sub(n)),
    lambda n, a, t: (torch.stack([n[i] + t[i] * (a[i] - n[i]) for i in range(len(t))]), -(n - a)),
]
WRONG_PAIRS = [
    (lambda n, a, t: (b(t) * n + (1 - b(t)) * a, a - n), 1, "time runs the other way"),
    (lambda n, a, t: ((1 - b(t)) * n + b(t) * a, n - a), 1, "points the wrong way"),
    (lambda n, a, t: (b(t) * n + (1 - b(t)) * a, n - a), 0, "time runs the other way"),
    (lambda n, a, t: ((1 - b(t)) * n + b(t) * a, n), 1, "what diffusion predicts"),
    (lambda n, a, t: ((1 - b(t) ** 2).sqrt() * n + b(t) * a, a - n), 1, "the path is bent"),
    (lambda n, a, t: (n + b(t) * a, a - n), 1, "not faded out"),
    (lambda n, a, t: ((1 - b(t)) * n + b(t) * a, a - ((1 - b(t)) * n + b(t) * a)), 1, "way left"),
    (lambda n, a, t: ((1 - t[0]) * n + t[0] * a, a - n), 1, "tau of its own"),
    (lambda n, a, t: (1 - b(t)) * n + b(t) * a, 0, "expected 2 values"),
    (lambda n, a, t: ((1 - t) * n + t * a, a - n), 0, "RuntimeError"),
    (flow.path, 0, "without the package's own"),
]


@pytest.mark.parametrize("mine", RIGHT_PAIRS)
def test_right_pairs(mine, capsys):
    assert verdict(checks.check_flow_pair, mine, capsys)[0] == 2


@pytest.mark.parametrize("mine, points, says", WRONG_PAIRS, ids=lambda x: x if isinstance(x, str)
                         else None)
def test_wrong_pairs_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_flow_pair, mine, capsys)
    assert got == points and says in text


RIGHT_TAUS = [
    lambda n: 0.999 * (1 - torch.distributions.Beta(1.5, 1.0).sample((n,))),
    lambda n: 0.999 * (1 - torch.rand(n) ** (2 / 3)),
    lambda n: 0.999 * np.random.default_rng(3).beta(1.0, 1.5, n),
]
WRONG_TAUS = [
    (lambda n: 0.999 * torch.rand(n) ** (2 / 3), 1, "wrong end"),
    (lambda n: 0.999 * torch.rand(n), 1, "uniform"),
    (lambda n: 1 - torch.rand(n) ** (2 / 3), 1, "forgot s?"),
    (lambda n: 0.999 * torch.distributions.Beta(1.5, 1.5).sample((n,)), 1, "in the middle"),
    (lambda n: 0.999 * (1 - torch.rand(n) ** 1.5), 1, "the mean is 0.60"),
    (lambda n: 0.001 + 0.999 * torch.rand(n) ** (2 / 3), 0, "must stay between"),
    (lambda n: 0.999 * torch.rand(()), 0, "expected the shape"),
    (lambda n: torch.sigmoid(torch.randn(n)), 0, "in the middle"),
]


@pytest.mark.parametrize("mine", RIGHT_TAUS)
def test_right_taus(mine, capsys):
    assert verdict(checks.check_draw_tau, mine, capsys)[0] == 2


@pytest.mark.parametrize("mine, points, says", WRONG_TAUS)
def test_wrong_taus_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_draw_tau, mine, capsys)
    assert got == points and says in text


def walk(taus=lambda k, n: k / n, size=lambda n: 1 / n, tensor=True, first=True, sign=1):
    """An Euler loop, right or with one thing wrong."""
    def follow(velocity, noise, steps):
        x, points = noise, [noise] if first else []
        for k in range(steps):
            tau = taus(k, steps)
            tau = torch.full((len(x),), tau) if tensor else tau
            x = x + sign * size(steps) * velocity(x, tau)
            points.append(x)
        return points
    return follow


def by_time(velocity, noise, steps):
    """The same loop over times instead of steps."""
    points = [noise.clone()]
    times = torch.linspace(0, 1, steps + 1)
    for now, then in zip(times[:-1], times[1:]):
        points.append(points[-1] + (then - now) * velocity(points[-1], now.repeat(len(noise))))
    return torch.stack(points)


def in_place(velocity, noise, steps):
    points = [noise]
    for k in range(steps):
        noise += velocity(noise, torch.full((len(noise),), k / steps)) / steps
        points.append(noise)
    return points


@pytest.mark.parametrize("mine", [walk(), by_time])
def test_right_walks(mine, capsys):
    assert verdict(checks.check_follow, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (walk(sign=-1), 1, "steps add"), (walk(size=lambda n: 1.0), 1, "as long as the whole way"),
    (walk(taus=lambda k, n: (k + 1) / n), 0, "where the step ends"),
    (walk(taus=lambda k, n: 1 - k / n), 0, "time runs the other way"),
    (walk(taus=lambda k, n: 0.0), 0, "tau stays at 0"),
    (walk(taus=lambda k, n: k / (n - 1)), 0, "reaches 1"),
    (walk(tensor=False), 0, "as a tensor (B,)"), (walk(first=False), 0, "the noise included"),
    (lambda v, n, s: walk()(v, n, s)[-1], 0, "only one point"), (in_place, 1, "in place"),
    (flow.euler, 0, "without the package's own")])
def test_wrong_walks_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_follow, mine, capsys)
    assert got == points and says in text


def flipped(theirs):
    """Right, written as a named function."""
    def velocity(x, tau):
        return theirs(x, 1 - tau) * -1
    return velocity


@pytest.mark.parametrize("mine", [lambda f: lambda x, tau: -f(x, 1 - tau), flipped])
def test_right_translations(mine, capsys):
    assert verdict(checks.check_from_openpi, mine, capsys)[0] == 2


@pytest.mark.parametrize("mine, says", [
    (lambda f: f, "nothing is translated"), (lambda f: lambda x, t: -f(x, t), "but not the time"),
    (lambda f: lambda x, t: f(x, 1 - t), "but not the sign"),
    (lambda f: lambda x, t: -f(-x, 1 - t), "x is turned too"),
    (lambda f: lambda x, t: -f(x, t - 1), "twice"), (lambda f: 3, "must return a function")])
def test_wrong_translations_are_named(mine, says, capsys):
    got, text = verdict(checks.check_from_openpi, mine, capsys)
    assert got == 0 and says in text
