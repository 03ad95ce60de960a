"""The pieces of one Gemma-style layer: norms, rotary positions, attention, gated feed-forward.

B batch, T queries, S keys (cached ones first), D width, N heads, K head size.
"""

import torch
import torch.nn.functional as F
from torch import nn

MASKED = -2.3819763e38  # Gemma's logit for "may not look": finite, so an all-masked row has no NaN


class RMSNorm(nn.Module):
    """x / rms(x) times (1 + weight); the weight starts at 0. Gemma, section 2."""

    def __init__(self, width, cond_width=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def start(self):
        """Back to where training starts: a plain unit norm."""
        nn.init.zeros_(self.weight)

    def forward(self, x, cond=None):
        """x (B, T, D) -> the normed x, and no gate."""
        return unit_rms(x) * (1 + self.weight), None


class AdaptiveRMSNorm(nn.Module):
    """An RMSNorm whose scale, shift and residual gate are read from the flow time (adaRMS).

    Its linear layer starts at 0: the gate is closed, so each expert layer starts as the identity.
    """

    def __init__(self, width, cond_width):
        super().__init__()
        self.modulation = nn.Linear(cond_width, 3 * width)
        self.start()

    def start(self):
        """Back to where training starts: a unit norm with the gate closed."""
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x, cond):
        """x (B, T, D), cond (B, D') -> the modulated x (B, T, D), the gate (B, 1, D)."""
        scale, shift, gate = self.modulation(cond)[:, None].chunk(3, dim=-1)  # each (B, 1, D)
        return torch.addcmul(shift, unit_rms(x), 1 + scale), gate


def unit_rms(x, eps=1e-6):
    """x / sqrt(mean(x^2) + eps) over the last dimension, in float32."""
    return F.rms_norm(x.float(), x.shape[-1:], eps=eps).type_as(x)


def rotary(positions, head_dim, theta=10_000.0):
    """Cosines and sines (B, T, 1, K/2) of RoPE for integer positions (B, T)."""
    steps = torch.arange(head_dim // 2, device=positions.device, dtype=torch.float32)
    angle = positions[..., None, None] / theta ** (2 * steps / head_dim)  # (B, T, 1, K/2)
    return angle.cos(), angle.sin()


def rotate(x, turn):
    """Turn the halves of each head of x (B, T, N, K) by its position (RoPE, split halves)."""
    cos, sin = turn
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).type_as(x)


def attention_bias(mask, dtype):
    """(B, T, S) bool, True = may look -> (B, 1, T, S) to add to the logits."""
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return bias.masked_fill_(~mask, max(MASKED, torch.finfo(dtype).min))[:, None]


def attention_weights(q, k, bias):
    """softmax(q k^T / sqrt(K) + bias) in float32; q (B, N, T, K), k (B, N, S, K)."""
    logits = q.float() @ k.float().transpose(-1, -2) * q.shape[-1] ** -0.5
    return (logits + bias).softmax(dim=-1)


class Attention(nn.Module):
    """Multi-query attention with RoPE; looks at cached keys and values in front of its own."""

    def __init__(self, width, heads, kv_heads, head_dim):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.q = nn.Linear(width, heads * head_dim, bias=False)
        self.k = nn.Linear(width, kv_heads * head_dim, bias=False)
        self.v = nn.Linear(width, kv_heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width, bias=False)

    def forward(self, x, bias, turn, past=None, record=None):
        """x (B, T, D), bias (B, 1, T, S) -> (B, T, D) and the keys and values, each (B, N', S, K).

        `past` is such a pair to look at in front of x's own; `record` (a dict) keeps the weights.
        """
        B, T, _ = x.shape
        q = rotate(self.q(x).view(B, T, self.heads, self.head_dim), turn).transpose(1, 2)
        k, v = self.keys_values(x, turn, past)
        group = self.heads // self.kv_heads
        keys, values = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        if record is None:
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
        else:
            record["attention"] = weights = attention_weights(q, keys, bias)
            y = weights.type_as(values) @ values
        return self.out(y.transpose(1, 2).reshape(B, T, -1)), (k, v)

    def keys_values(self, x, turn, past=None):
        """What others may look at: keys and values (B, N', S, K) of x behind those of `past`."""
        B, T, _ = x.shape
        k = rotate(self.k(x).view(B, T, self.kv_heads, self.head_dim), turn).transpose(1, 2)
        v = self.v(x).view(B, T, self.kv_heads, self.head_dim).transpose(1, 2)  # (B, N', T, K)
        if past is None:
            return k, v
        return torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)


class FeedForward(nn.Module):
    """down(gelu(gate(x)) * up(x)), the gated feed-forward of Gemma (tanh GELU, no biases)."""

    def __init__(self, width, hidden):
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        """x (B, T, D) -> (B, T, D)."""
        return self.down(F.gelu(self.gate(x), approximate="tanh") * self.up(x))
