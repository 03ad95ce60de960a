"""Diffusion in place of flow: DDPM in training (arXiv 2006.11239), DDIM in sampling (2010.02502).

The expert is asked for the noise. x = sqrt(kept) action + sqrt(1 - kept) noise, by a cosine law.
"""

import torch

from pi05lite.lab.variant import part
from pi05lite.model.flow import FlowMatching

K = 100  # noise levels; level 0 of K is pure noise here, as flow time 0 is


class Diffusion(FlowMatching):
    linear = False  # its answer is no velocity

    def times(self, count, generator=None):
        return torch.randint(K, (count,), generator=generator) / K

    def path(self, noise, actions, tau):
        a, n = shares(tau.to(noise))
        return a * actions + n * noise, noise

    def solve(self, answer, noise, steps):
        x, points, tau = noise, [noise], torch.linspace(0, 1, steps + 1).tolist()
        for now, then in zip(tau, tau[1:]):
            (a, n), (a2, n2) = (shares(x.new_full(x.shape[:1], t)) for t in (now, then))
            said = answer(x, x.new_full(x.shape[:1], now))
            clean = ((x - n * said) / a).clamp(-1.5, 1.5)
            x = a2 * clean + n2 * (x - a * clean) / n
            points.append(x)
        return points


def shares(tau):
    """Shares of action and noise, each (B, 1, 1), at flow times (B,)."""
    angle = (1 - tau[:, None, None] * 0.99 - 0.01) * torch.pi / 2
    return angle.cos(), angle.sin()


diffusion = part(objective=Diffusion)
