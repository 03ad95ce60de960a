"""Norms, rotary positions and attention, each against its plain definition."""

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


def test_explicit_weights_equal_fused_attention():
    q, k, v = torch.randn(3, 2, 4, 5, 8)
    mask = torch.rand(2, 5, 5) > 0.3
    mask[:, :, 0] = True
    bias = layers.attention_bias(mask, q.dtype)
    weights = layers.attention_weights(q, k, bias)
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(weights @ v, fused, atol=1e-6, rtol=1e-5)
    assert (weights.transpose(0, 1)[:, ~mask] == 0).all()


def test_a_row_that_may_look_nowhere_has_no_nan():
    mask = torch.zeros(1, 2, 3, dtype=torch.bool)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        bias = layers.attention_bias(mask, dtype)
        q, k = torch.randn(2, 1, 1, 3, 4).to(dtype)
        assert torch.isfinite(layers.attention_weights(q[:, :, :2], k, bias)).all()
