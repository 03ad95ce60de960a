"""A stack of layers: the VLM's decoder and the action expert are both made of it."""

import torch
from torch import nn

from pi05lite.model.layers import Attention, FeedForward, Modulation, RMSNorm, rotary


def add(x, branch, gate):
    """The residual sum; a gate (adaptive norms only) scales what the branch adds."""
    return x + branch if gate is None else torch.addcmul(x, gate, branch)


class Layer(nn.Module):
    """Norm, attention, norm, feed-forward, each added to the stream."""

    def __init__(self, c, norm=RMSNorm, attention=Attention, feed_forward=FeedForward):
        super().__init__()
        self.attention_norm = norm(c.width)
        self.attention = attention(c.width, c.heads, c.kv_heads, c.head_dim)
        self.feed_forward_norm = norm(c.width)
        self.feed_forward = feed_forward(c.width, c.mlp)

    def forward(self, x, bias, turn, past=None, reads=((), ()), record=None):
        """x (B, T, D) -> (B, T, D), and the layer's keys and values (cached ones included).

        reads: what its two norms take from the condition.
        """
        y, gate = self.attention_norm(x, *reads[0])
        y, keys_values = self.attention(y, bias, turn, past, record)
        x = add(x, y, gate)
        y, gate = self.feed_forward_norm(x, *reads[1])
        return add(x, self.feed_forward(y), gate), keys_values

    def read(self, x, turn, past=None, reads=()):
        """The layer's keys and values (cached ones included), and nothing that x becomes."""
        pair = self.attention.project(self.attention_norm(x, *reads)[0], turn)[1:]
        return pair if past is None else [torch.cat(both, 2) for both in zip(past, pair)]


class Transformer(nn.Module):
    """`depth` layers and a final norm; keys and values of a prefix may be handed in per layer."""

    def __init__(self, c, theta=10_000.0, cond_width=None, norm=RMSNorm, attention=Attention,
                 feed_forward=FeedForward):
        super().__init__()
        self.head_dim, self.theta, self.norms = c.head_dim, theta, 2 * c.depth + 1
        self.layers = nn.ModuleList(
            Layer(c, norm, attention, feed_forward) for _ in range(c.depth))
        self.norm = norm(c.width)
        self.modulation = (Modulation(cond_width, c.width, self.norms, norm.reads)
                           if norm.reads else None)

    def forward(self, x, bias, turn, past=None, cond=None, record=None, hidden=True):
        """Run the stack.

        x (B, T, D); bias (B, 1, T, S); turn: `self.turn(positions)`; past: a (keys, values) pair
        for each layer, or None; cond (B, D') for adaptive norms; record: a list that gets a dict
        for each layer. Returns the normed hidden states (B, T, D) and a (keys, values) pair for
        each layer. hidden: of how many of the last tokens hidden states are needed, True for all:
        the last layer leaves out what only the others' need. Of none (False) they are None.
        """
        reads = [()] * self.norms if self.modulation is None else self.modulation(cond)
        cache = []
        for i, layer in enumerate(self.layers):
            before = past[i] if past else None
            if i == len(self.layers) - 1 and hidden is not True:
                end = x.shape[1] - hidden
                before = layer.read(x[:, :end], [part[:, :end] for part in turn], before,
                                    reads[2 * i])
                if not hidden:
                    return None, [*cache, before]
                x, bias, turn = x[:, end:], bias[:, :, end:], [part[:, end:] for part in turn]
            notes = None if record is None else {"input": x}
            x, keys_values = layer(x, bias, turn, before, reads[2 * i:2 * i + 2], notes)
            cache.append(keys_values)
            if record is not None:
                record.append(notes)
        return self.norm(x, *reads[-1])[0], cache

    def turn(self, positions):
        """Rotary cosines and sines of positions (B, T), for `forward`."""
        return rotary(positions, self.head_dim, self.theta)


@torch.no_grad()
def start(module):
    """Draw every linear weight from N(0, 1/inputs), biases 0, as openpi's JAX code starts them.

    Parts with a start of their own (norms) make it.
    """
    for m in module.modules():
        if isinstance(m, nn.Linear):
            m.weight.normal_(0, m.in_features**-0.5)
            if m.bias is not None:
                m.bias.zero_()
    for m in module.modules():
        if hasattr(m, "start"):
            m.start()
