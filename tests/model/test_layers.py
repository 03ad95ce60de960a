"""Norms, rotary positions and attention, each against its plain definition."""

import pytest
import torch

from pi05lite.model import layers


def test_plain_norm_keeps_a_unit_rms_input():
    x = torch.randn(2, 3, 16)
    x = x / x.square().mean(-1, keepdim=True).sqrt()
    y, gate = layers.RMSNorm(16)(x)
    torch.testing.assert_close(y, x, atol=1e-5, rtol=1e-5)
    assert gate is None


def test_rotation_depends_on_distance_only():
    q, k = torch.randn(2, 1, 1, 1, 8)
    def score(i, j):
        a = layers.rotate(q, layers.rotary(torch.tensor([[i]]), 8))
        b = layers.rotate(k, layers.rotary(torch.tensor([[j]]), 8))
        return (a * b).sum()
    torch.testing.assert_close(score(3, 1), score(12, 10), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(score(3, 1), score(3, 2), atol=1e-3)


def test_attention_with_a_cache_equals_attention_over_all():
    torch.manual_seed(0)
    attention = layers.Attention(16, heads=4, kv_heads=2, head_dim=4)
    x = torch.randn(1, 6, 16)
    causal = torch.ones(1, 6, 6).tril().bool()
    turn = layers.rotary(torch.arange(6)[None], 4)
    whole, _ = attention(x, layers.attention_bias(causal, x.dtype), turn)
    start, end = ([t[:, part] for t in turn] for part in (slice(4), slice(4, None)))
    bias = layers.attention_bias(causal, x.dtype)
    _, cache = attention(x[:, :4], bias[:, :, :4, :4], start)
    rest, cache = attention(x[:, 4:], bias[:, :, 4:], end, cache)
    torch.testing.assert_close(rest, whole[:, 4:], atol=1e-6, rtol=1e-5)
    assert cache[0].shape == (1, 2, 6, 4)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attention_equals_the_fused_kernel(kv_heads):
    q = torch.randn(2, 5, 4, 8)
    k, v = torch.randn(2, 2, kv_heads, 7, 8)
    mask = torch.rand(2, 5, 7) > 0.3
    mask[:, :, 0] = True
    bias, kept = layers.attention_bias(mask, q.dtype), {}
    ours = layers.attend(q, k, v, bias, kept)
    keys, values = (x.repeat_interleave(4 // kv_heads, 1) for x in (k, v))
    fused = torch.nn.functional.scaled_dot_product_attention(q.transpose(1, 2), keys, values,
                                                             attn_mask=bias)
    torch.testing.assert_close(ours, fused.transpose(1, 2).flatten(2), atol=1e-6, rtol=1e-5)
    weights = kept["attention"]  # (B, N, T, S)
    torch.testing.assert_close(weights @ values, fused, atol=1e-6, rtol=1e-5)
    assert (weights.transpose(0, 1)[:, ~mask] == 0).all()


def test_a_row_that_may_look_nowhere_has_no_nan():
    mask = torch.zeros(1, 2, 3, dtype=torch.bool)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        bias = layers.attention_bias(mask, dtype)
        q, k = torch.randn(1, 2, 1, 4).to(dtype), torch.randn(1, 1, 3, 4).to(dtype)
        assert torch.isfinite(layers.attention_weights(q, k, bias)).all()
