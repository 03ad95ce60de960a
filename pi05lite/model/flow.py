"""Flow matching: from noise (tau = 0) to the action (tau = 1) along a straight line.

x_tau = (1 - tau) noise + tau action, velocity = action - noise; Euler steps add.
"""

import math

import torch

from pi05lite.errors import ConfigError, say


def sample_tau(count, c, generator=None, device=None):
    """`count` flow times in [0, tau_max), more of them at the noisy end.

    tau = tau_max (1 - u) with u ~ Beta(alpha, beta), so its mean is close to 0.4 (pi0, section IV).
    With beta = 1 the beta law's inverse is u^(1/alpha), which any seeded generator can feed.
    """
    if c.tau_beta != 1:
        raise ConfigError(say("config.tau_beta", 1.0, c.tau_beta,
                              "give the model your own sample_tau for another law"))
    u = torch.rand(count, generator=generator, device=device) ** (1 / c.tau_alpha)
    return c.tau_max * (1 - u)


def path(noise, actions, tau):
    """The point x_tau on the line and the velocity along it; all (B, H, A), tau (B,)."""
    t = tau.to(noise.dtype)[:, None, None]
    return (1 - t) * noise + t * actions, actions - noise


def time_embedding(tau, width, shortest=4e-3, longest=4.0):
    """Sines then cosines (B, width) of the noise left, 1 - tau, for tau (B,).

    Waves of the noise share, not of tau, so that published weights fit as they are. Periods run
    from `shortest` to `longest`: the angles reach 1571 radians, so they are taken in float64
    (openpi, posemb_sincos).
    """
    double = torch.float32 if tau.device.type == "mps" else torch.float64
    share = torch.linspace(0, 1, width // 2, dtype=double, device=tau.device)
    period = shortest * (longest / shortest) ** share
    angle = 2 * math.pi * (1 - tau.to(double))[:, None] / period
    return torch.cat([angle.sin(), angle.cos()], dim=-1).float()


class FlowMatching:
    """What the expert is asked for in training, and how a chunk is drawn from what it says.

    Another objective is another class with these four methods: `Pi05(config, objective=...)`.
    `linear`: whether the answer is the velocity of a straight line, which guidance counts on.
    """

    linear = True

    def __init__(self, config):
        self.config = config

    def times(self, count, generator=None):
        """`count` flow times to train at, in [0, 1]: 0 is noise, 1 the action."""
        return sample_tau(count, self.config, generator)

    def path(self, noise, actions, tau):
        """What the expert is shown at tau (B,), and what it is to answer; all (B, H, A)."""
        return path(noise, actions, tau)

    def error(self, answer, target):
        """How wrong each number of an answer is, (B, H, A)."""
        return (answer - target).square()

    def solve(self, answer, noise, steps):
        """Chunks from noise (B, H, A) by asking answer(x, tau): all points on the way."""
        return euler(answer, noise, steps)


def euler(velocity, noise, steps=10):
    """Follow velocity(x, tau) from noise (B, H, A); returns all N + 1 points on the way."""
    return _march(noise, steps, lambda x, tau, width: velocity(x, tau))


def midpoint(velocity, noise, steps=10):
    """As `euler`, each step along the velocity half a step ahead: two evaluations a step."""
    return _march(noise, steps, lambda x, tau, width: velocity(
        x + width / 2 * velocity(x, tau), tau + width / 2))


def heun(velocity, noise, steps=10):
    """As `euler`, each step along the mean of the velocities at its two ends."""
    def slope(x, tau, width):
        first = velocity(x, tau)
        return (first + velocity(x + width * first, tau + width)) / 2
    return _march(noise, steps, slope)


def _march(noise, steps, slope):
    """N steps of 1 / N along slope(x, tau (B,), width); all N + 1 points (B, H, A)."""
    points = [noise]
    for k in range(steps):
        tau = torch.full(noise.shape[:1], k / steps, device=noise.device)
        points.append(points[-1] + slope(points[-1], tau, 1 / steps) / steps)
    return points


SOLVERS = {"euler": euler, "midpoint": midpoint, "heun": heun}
