"""The pieces of one Gemma-style layer: norms, rotary positions, attention, gated feed-forward.

B batch, T queries, S keys (cached ones first), D width, N heads, K head size.
"""

import torch
import torch.nn.functional as F
from torch import nn

from pi05lite.model.linear import Linear

MASKED = -2.3819763e38  # Gemma's logit for "may not look": finite, so an all-masked row has no NaN


class RMSNorm(nn.Module):
    """x / rms(x) times (1 + weight); the weight starts at 0. Gemma, section 2."""

    reads = 0  # vectors (B, 1, D) that it takes from a condition

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def start(self):
        """Back to where training starts: a plain unit norm."""
        nn.init.zeros_(self.weight)

    def forward(self, x):
        """x (B, T, D) -> the normed x, and no gate."""
        return unit_rms(x) * (1 + self.weight), None


class AdaptiveRMSNorm(nn.Module):
    """An RMSNorm whose scale, shift and residual gate are read from the flow time (adaRMS)."""

    reads = 3

    def __init__(self, width):
        super().__init__()

    def forward(self, x, scale, shift, gate):
        """x (B, T, D), the rest (B, 1, D) -> the modulated x and the gate."""
        return torch.addcmul(shift, unit_rms(x), 1 + scale), gate


class Modulation(Linear):
    """Reads what all adaptive norms of a stack need from one condition, in one product.

    It starts at 0: the gates are closed, so each layer starts as the identity.
    """

    def __init__(self, cond_width, width, norms, reads):
        super().__init__(cond_width, norms * reads * width)
        self.width, self.reads = width, reads
        self.start()

    def start(self):
        """Back to where training starts: unit norms with the gates closed."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, cond):
        """cond (B, D') -> for each norm in turn its vectors (B, 1, D), a list of tuples."""
        vectors = super().forward(cond).view(len(cond), 1, -1, self.width).unbind(2)
        return [vectors[i:i + self.reads] for i in range(0, len(vectors), self.reads)]


def unit_rms(x, eps=1e-6):
    """x / sqrt(mean(x^2) + eps) over the last dimension, in float32."""
    return F.rms_norm(x.float(), x.shape[-1:], eps=eps).type_as(x)


def rotary(positions, head_dim, theta=10_000.0):
    """Cosines and signed sines, each (B, T, 1, K), of RoPE for integer positions (B, T)."""
    steps = torch.arange(head_dim // 2, device=positions.device, dtype=torch.float32)
    angle = positions[..., None, None] / theta ** (2 * steps / head_dim)  # (B, T, 1, K/2)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x, turn):
    """Turn each head of x (B, T, N, K) by its position: pairs (a, b) are its two halves (RoPE).

    (a, b) -> (a cos - b sin, b cos + a sin): the swapped halves times the signed sines.
    """
    cos, sin = turn
    wide = x.float()
    return torch.addcmul(wide * cos, wide.roll(x.shape[-1] // 2, -1), sin).type_as(x)


def attention_bias(mask, dtype):
    """(B, T, S) bool, True = may look -> (B, 1, T, S) to add to the logits."""
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return bias.masked_fill_(~mask, max(MASKED, torch.finfo(dtype).min))[:, None]


def attention_weights(q, k, bias):
    """softmax(q k^T / sqrt(K) + bias) in float32: (B, N', T, G, S), G query heads a key head.

    q (B, T, N, K), k (B, N', S, K), bias (B, 1, T, S); N = N' G. The G heads that share keys are
    but more queries of one product, so keys are never copied for them.
    """
    B, T, N, K = q.shape
    kv = k.shape[1]
    rows = q.float().reshape(B, T, kv, -1, K).transpose(1, 2).reshape(B * kv, -1, K)
    logits = torch.bmm(rows, k.float().flatten(0, 1).transpose(1, 2))  # (B N', T G, S)
    return torch.add(bias.unsqueeze(3), logits.view(B, kv, T, N // kv, -1),
                     alpha=K**-0.5).softmax(dim=-1)


def attend(q, k, v, bias, record=None):
    """What the queries read: (B, T, N K); q (B, T, N, K), k and v (B, N', S, K), bias (B, 1, T, S).

    `record` (a dict) keeps the weights as (B, N, T, S); they are written out then.
    """
    B, T, N, K = q.shape
    kv = k.shape[1]
    if record is None and fused_pays(q):
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.repeat_interleave(N // kv, 1), v.repeat_interleave(N // kv, 1),
            attn_mask=bias)
        return y.transpose(1, 2).reshape(B, T, N * K)
    weights = attention_weights(q, k, bias)
    if record is not None:
        record["attention"] = weights.transpose(2, 3).flatten(1, 2)
    y = torch.bmm(weights.to(v.dtype).view(B * kv, -1, v.shape[2]), v.flatten(0, 1))
    return y.view(B, kv, T, -1).transpose(1, 2).reshape(B, T, N * K)


def fused_pays(q):
    """Whether to use PyTorch's fused attention: on a CPU not for few queries.

    Plain products are twice as quick for 50. At some 290 a training step is a quarter quicker
    fused, its weights not written out; where between the two it turns was not measured.
    """
    return q.device.type != "cpu" or q.shape[1] >= 128


class Attention(nn.Module):
    """Multi-query attention with RoPE; looks at cached keys and values in front of its own."""

    def __init__(self, width, heads, kv_heads, head_dim):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.qkv = Linear(width, (heads + 2 * kv_heads) * head_dim, bias=False)  # rows: q, k, v
        self.out = Linear(heads * head_dim, width, bias=False)

    def forward(self, x, bias, turn, past=None, record=None):
        """x (B, T, D), bias (B, 1, T, S) -> (B, T, D) and the keys and values, each (B, N', S, K).

        `past` is such a pair to look at in front of x's own; `record` (a dict) keeps the weights.
        """
        q, k, v = self.project(x, turn)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        return self.out(attend(q, k, v, bias, record)), (k, v)

    def project(self, x, turn):
        """x (B, T, D) -> queries (B, T, N, K), keys and values (B, N', T, K); RoPE applied."""
        N, kv = self.heads, self.kv_heads
        heads = self.qkv(x).view(*x.shape[:2], N + 2 * kv, self.head_dim)
        qk, v = heads.split([N + kv, kv], dim=2)
        q, k = rotate(qk, turn).split([N, kv], dim=2)
        return q, k.transpose(1, 2), v.transpose(1, 2)


class FeedForward(nn.Module):
    """down(gelu(gate(x)) * up(x)), the gated feed-forward of Gemma (tanh GELU, no biases)."""

    def __init__(self, width, hidden):
        super().__init__()
        self.gate_up = Linear(width, 2 * hidden, bias=False)  # rows: gate, up
        self.down = Linear(hidden, width, bias=False)

    def forward(self, x):
        """x (B, T, D) -> (B, T, D)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.gelu(gate, approximate="tanh") * up)
