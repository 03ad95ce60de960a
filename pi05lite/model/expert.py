"""The action expert: a smaller transformer with weights of its own that looks at the VLM's keys
and values in every layer and says, for a noisy chunk, which way the actions lie.

How it is told the flow time and the state are parts of it: pi0.5 modulates every norm by the time
and reads the state in the prompt; pi0 mixes the time into each action token and has a state token.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from pi05lite.errors import ConfigError, say
from pi05lite.model.flow import time_embedding
from pi05lite.model.layers import AdaptiveRMSNorm, Attention, FeedForward, RMSNorm
from pi05lite.model.linear import Linear
from pi05lite.model.transformer import Transformer
from pi05lite.tokens.kind import Kind


@dataclass
class Context:
    """What stays the same in every flow step on one prefix; S tokens of the expert."""

    bias: torch.Tensor  # (B, 1, S, T + S) added to the logits
    turn: tuple  # rotary cosines and sines of the S tokens
    past: list  # the VLM's keys and values, a pair a layer
    state: torch.Tensor | None = None  # (B, A) normalised, for experts with a state token


class AdaptiveTime(nn.Module):
    """pi0.5: the time through an MLP is the condition of every norm (adaRMS; appendix E)."""

    norm = AdaptiveRMSNorm

    def __init__(self, width):
        super().__init__()
        self.first = Linear(width, width)
        self.second = Linear(width, width)

    def forward(self, tokens, wave):
        """tokens (B, H, D'), wave (B, D') -> the tokens, the condition (B, D')."""
        return tokens, F.silu(self.second(F.silu(self.first(wave))))


class MixedTime(nn.Module):
    """pi0: the time is appended to every action token and mixed in by an MLP (arXiv 2410.24164)."""

    norm = RMSNorm

    def __init__(self, width):
        super().__init__()
        self.first = Linear(2 * width, width)
        self.second = Linear(width, width)

    def forward(self, tokens, wave):
        """tokens (B, H, D'), wave (B, D') -> the mixed tokens, no condition."""
        wave = wave[:, None].expand_as(tokens)
        return self.second(F.silu(self.first(torch.cat([tokens, wave], dim=-1)))), None


class ActionExpert(nn.Module):
    """Velocity of a noisy chunk at flow time tau, given the prefix (pi0.5, appendix E).

    time: how the flow time comes in; state_token: whether the state is a token before the actions.
    """

    def __init__(self, config, time=AdaptiveTime, state_token=False, attention=Attention,
                 feed_forward=FeedForward):
        super().__init__()
        c, self.steps = config.expert, config.steps_per_token
        self.state_in = Linear(config.action_size, c.width) if state_token else None
        self.action_in = Linear(self.steps * config.action_size, c.width)
        self.time = time(c.width)
        self.transformer = Transformer(c, config.theta, c.width, time.norm, attention,
                                       feed_forward)
        self.action_out = Linear(c.width, self.steps * config.action_size)

    def kinds(self, horizon):
        """The kinds of its tokens for a chunk of `horizon` steps, a list of S."""
        return [Kind.STATE] * (self.state_in is not None) + [Kind.FLOW] * (horizon // self.steps)

    def embed(self, x, tau, state=None):
        """x (B, H, A), tau (B,), state (B, A) -> tokens (B, S, D') and the norms' condition."""
        kind = self.action_in.weight.dtype
        wave = time_embedding(tau, self.action_in.out_features).to(kind)
        together = x.unflatten(1, (-1, self.steps)).flatten(2)  # (B, tokens, steps A)
        tokens, condition = self.time(self.action_in(together.to(kind)), wave)
        if self.state_in is not None:
            if state is None:
                raise ConfigError(say("batch.state", "(B, A), since this expert has a state token",
                                      None, "make the batch with a Processor whose robots' states "
                                      "are at most config.action_size long"))
            tokens = torch.cat([self.state_in(state.to(kind))[:, None], tokens], dim=1)
        return tokens, condition

    def forward(self, x, tau, context, record=None):
        """x (B, H, A) at flow time tau (B,) on a Context -> velocity (B, H, A)."""
        tokens, condition = self.embed(x, tau, context.state)
        hidden, _ = self.transformer(tokens, context.bias, context.turn, context.past, condition,
                                     record)
        out = self.action_out(hidden[:, -x.shape[1] // self.steps:])  # (B, tokens, steps A)
        return out.unflatten(2, (self.steps, -1)).flatten(1, 2).to(x.dtype)


Pi0Expert = partial(ActionExpert, time=MixedTime, state_token=True)  # Pi05(config, expert=...)
