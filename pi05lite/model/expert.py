"""The action expert: a smaller transformer with weights of its own that looks at the VLM's keys
and values in every layer and says, for a noisy chunk, which way the actions lie."""

import torch.nn.functional as F
from torch import nn

from pi05lite.model.flow import time_embedding
from pi05lite.model.layers import AdaptiveRMSNorm, Attention, FeedForward
from pi05lite.model.transformer import Transformer


class ActionExpert(nn.Module):
    """Velocity of a noisy chunk at flow time tau, given the prefix (pi0.5, appendix E)."""

    def __init__(self, config, norm=AdaptiveRMSNorm, attention=Attention,
                 feed_forward=FeedForward):
        super().__init__()
        c = config.expert
        self.action_in = nn.Linear(config.action_size, c.width)
        self.time_in = nn.Linear(c.width, c.width)
        self.time_out = nn.Linear(c.width, c.width)
        self.transformer = Transformer(c, config.theta, c.width, norm, attention, feed_forward)
        self.action_out = nn.Linear(c.width, config.action_size)

    def condition(self, tau):
        """The vector (B, D') that the adaptive norms read: tau through a small MLP."""
        wave = time_embedding(tau, self.time_in.in_features).to(self.time_in.weight.dtype)
        return F.silu(self.time_out(F.silu(self.time_in(wave))))

    def forward(self, x, tau, bias, positions, past, record=None):
        """x (B, H, A), tau (B,), bias (B, 1, H, T + H), positions (B, H), past: the VLM's cache.

        Returns the velocity (B, H, A).
        """
        hidden, _ = self.transformer(self.action_in(x), bias, positions, past,
                                     self.condition(tau), record)
        return self.action_out(hidden)
