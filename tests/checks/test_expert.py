"""The checks of chapter 07 on right answers, and on wrong ones that they must name."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pi05lite.checks import expert as checks
from tests.checks.tools import verdict


def shared(prefix_sees=False, own=True, prefix=True, pad=True, causal=False, softmaxes=None,
           swap=False, scale=True):
    """Two sets of weights in one attention, right or with one thing wrong."""
    def attention(x, y, vlm, expert, valid):
        q, k, v = (x @ w for w in vlm)
        eq, ek, ev = (y @ w for w in expert)
        T, S = len(x), len(y)
        if swap:
            k, v, ek, ev = v, k, ev, ek
        keys, values = torch.cat([k, ek]), torch.cat([v, ev])
        mask = torch.zeros(T + S, T + S, dtype=torch.bool)
        mask[:, :T] = valid if pad else True
        mask[:T, T:] = prefix_sees
        mask[T:, T:] = torch.ones(S, S).tril() if causal else own
        mask[T:, :T] &= prefix
        scores = torch.cat([q, eq]) @ keys.T * (q.shape[1] ** -0.5 if scale else 1)
        if softmaxes:
            parts = [scores[T:, :T].masked_fill(~valid, -1e30).softmax(-1) @ v,
                     scores[T:, T:].softmax(-1) @ ev]
            return read(scores, mask, values)[:T], softmaxes(*parts)
        return read(scores, mask, values).split([T, S])
    return attention


def read(scores, mask, values):
    """One softmax a row."""
    return scores.masked_fill(~mask, -1e30).softmax(-1) @ values


def fused(x, y, vlm, expert, valid):
    """The same by PyTorch's own attention, in two calls."""
    q, k, v = (x @ w for w in vlm)
    eq, ek, ev = (y @ w for w in expert)
    sees = torch.cat([valid, torch.ones(len(y), dtype=torch.bool)])
    one = F.scaled_dot_product_attention(q[None], k[None], v[None], valid[None, None])
    two = F.scaled_dot_product_attention(eq[None], torch.cat([k, ek])[None],
                                         torch.cat([v, ev])[None], sees[None, None])
    return [one[0], two[0]]


@pytest.mark.parametrize("mine", [shared(), fused])
def test_right_attention(mine, capsys):
    assert verdict(checks.check_shared_attention, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (shared(prefix_sees=True), 2, "the prefix sees the flow tokens: then"),
    (shared(own=False), 2, "the prefix alone"), (shared(prefix=False), 2, "its own tokens alone"),
    (shared(softmaxes=lambda a, b: a + b), 2, "shares out 2"),
    (shared(softmaxes=lambda a, b: (a + b) / 2), 2, "averaged"),
    (shared(causal=True), 2, "read causally"), (shared(pad=False), 0, "padding is attended"),
    (shared(swap=True), 0, "keys and values are swapped"), (shared(scale=False), 0, "not scaled"),
    (lambda x, y, vlm, expert, valid: x @ vlm[0], 0, "expected 2 values"),
    (lambda *a: (shared()(*a)[1],) * 2, 0, "expected 6 rows"), (lambda *a: None, 0, "NoneType")])
def test_wrong_attention_is_named(mine, points, says, capsys):
    got, text = verdict(checks.check_shared_attention, mine, capsys)
    assert got == points and says in text


def unit(x):
    """x over its root mean square."""
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6)


def adaptive(rule, start=nn.init.zeros_, norm=unit):
    """A block class by its rule(x, normed x, scale, shift, gate, branch)."""
    class Block(nn.Module):
        def __init__(self, width, cond_width, branch):
            super().__init__()
            self.branch, self.read = branch, nn.Linear(cond_width, 3 * width)
            start(self.read.weight)
            start(self.read.bias)

        def forward(self, x, cond):
            scale, shift, gate = self.read(cond)[:, None].chunk(3, dim=-1)
            return rule(x, norm(x), scale, shift, gate, self.branch)
    return Block


def right(x, n, scale, shift, gate, branch):
    """The rule."""
    return x + gate * branch(n * (1 + scale) + shift)


@pytest.mark.parametrize("mine", [adaptive(right), adaptive(
    right, norm=lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-6))])
def test_right_blocks(mine, capsys):
    assert verdict(checks.check_adaptive_block, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (adaptive(lambda x, n, s, t, g, f: x + g + f(n * (1 + s) + t)), 0, "added, not multiplied"),
    (adaptive(lambda x, n, s, t, g, f: x + (1 + g) * f(n * (1 + s) + t)), 0,
     "adds the whole branch"),
    (adaptive(lambda x, n, s, t, g, f: x + g * f(n * s + t)), 2, "1 + scale"),
    (adaptive(lambda x, n, s, t, g, f: x + g * f((n + t) * (1 + s))), 2, "scale first"),
    (adaptive(lambda x, n, s, t, g, f: x + g * f(x * (1 + s) + t)), 2, "not normed"),
    (adaptive(lambda x, n, s, t, g, f: n + g * f(n * (1 + s) + t)), 0, "x itself is lost"),
    (adaptive(lambda x, n, s, t, g, f: g * f(n * (1 + s) + t)), 0, "must pass by the gate"),
    (adaptive(lambda x, n, s, t, g, f: g * x + f(n * (1 + s) + t)), 0, "gate is on x"),
    (adaptive(lambda x, n, s, t, g, f: x + g.sigmoid() * f(n * (1 + s) + t)), 0, "sigmoid"),
    (adaptive(lambda x, n, s, t, g, f: right(x, n, t, s, g, f)), 2, "swapped"),
    (adaptive(lambda x, n, s, t, g, f: right(x, n, t, g, s, f)), 1, "scale, shift, gate"),
    (adaptive(right, start=lambda w: None), 2, "start the weight and the bias"),
    (adaptive(right, start=lambda w: w.dim() > 1 and nn.init.zeros_(w)), 2, "and the bias"),
    (adaptive(right, norm=lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-6)), 2, "LayerNorm"),
    (adaptive(lambda *a: None), 0, "return"), (nn.Linear, 0, "leave self.read")])
def test_wrong_blocks_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_adaptive_block, mine, capsys)
    assert got == points and says in text


def test_a_branch_that_starts_at_0_is_no_identity_start(capsys):
    class Block(adaptive(right, start=nn.init.ones_)):
        def __init__(self, width, cond_width, branch):
            super().__init__(width, cond_width, branch)
            nn.init.zeros_(branch.weight)
            nn.init.zeros_(branch.bias)
    got, text = verdict(checks.check_adaptive_block, Block, capsys)
    assert got == 3 and "the gate gets no gradient" in text


def denoise(once=True, on=False, sign=1, tau=lambda k, n: k / n, width=lambda n: 1 / n):
    """Euler steps on a cached prefix, right or with one thing wrong."""
    def run(prefix, expert, noise, steps):
        cache, x = prefix(), noise
        for k in range(steps):
            cache = cache if once else prefix()
            velocity, longer = expert(x, tau(k, steps), cache)
            cache = longer if on else cache
            x = x + sign * width(steps) * velocity
        return x
    return run


def in_place(prefix, expert, noise, steps):
    """The same, tau as a tensor, changing the noise."""
    keys_values = prefix()
    for tau in torch.linspace(0, 1, steps + 1)[:-1]:
        noise += expert(noise, tau, keys_values)[0] / steps
    return noise


@pytest.mark.parametrize("mine", [denoise(), in_place])
def test_right_denoising(mine, capsys):
    assert verdict(checks.check_denoise, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (denoise(once=False), 3, "the prefix ran 5 times"), (denoise(on=True), 1, "longer cache"),
    (denoise(on=True), 1, "grew"), (denoise(sign=-1), 2, "subtracted"),
    (denoise(width=lambda n: 1), 2, "N steps share it"),
    (denoise(tau=lambda k, n: 1 - k / n), 2, "from 1 to 0"),
    (denoise(tau=lambda k, n: (k + 1) / n), 2, "where it starts"),
    (denoise(tau=lambda k, n: 0.0), 2, "stands still"),
    (lambda p, e, x, n: denoise(width=lambda m: 1 / n)(p, e, x, 1), 1, "only one step"),
    (lambda p, e, x, n: x + e(x, 0.0, (x[:0], x[:0]))[0], 0, "not handed the cache"),
    (lambda p, e, x, n: None, 0, "return")])
def test_wrong_denoising_is_named(mine, points, says, capsys):
    got, text = verdict(checks.check_denoise, mine, capsys)
    assert got == points and says in text


def both(k, v, last):
    """Keys and values cut."""
    return k.detach(), v.detach()


def insulated(cut=both, hide=lambda h: h, of=lambda t, a, f: t + a * f):
    """Text and insulated flow loss, right or with one thing wrong."""
    def loss(hidden, cache, text_loss, flow_loss, alpha):
        kept = [cut(k, v, i == len(cache) - 1) for i, (k, v) in enumerate(cache)]
        return of(text_loss(hide(hidden)), alpha, flow_loss(kept))
    return loss


def by_data(hidden, cache, text_loss, flow_loss, alpha):
    """The same with other words."""
    still = [tuple(torch.stack(pair).clone().detach()) for pair in cache]
    return alpha * flow_loss(still) + text_loss(hidden)


def no_gradient(hidden, cache, text_loss, flow_loss, alpha):
    """All of it without gradient."""
    with torch.no_grad():
        return text_loss(hidden) + alpha * flow_loss(cache)


@pytest.mark.parametrize("mine", [insulated(), by_data])
def test_right_insulation(mine, capsys):
    assert verdict(checks.check_insulated_loss, mine, capsys)[0] == 4


def whole(k, v, last):
    """Nothing cut."""
    return k, v


@pytest.mark.parametrize("mine, points, says", [
    (insulated(whole), 2, "nothing was cut"),
    (insulated(whole, hide=lambda h: h.detach()), 2, "hidden states were detached"),
    (insulated(lambda k, v, last: (k, v.detach())), 2, "only the values"),
    (insulated(lambda k, v, last: (k.detach(), v)), 2, "only the keys"),
    (insulated(lambda k, v, last: both(k, v, last) if last else (k, v)), 2, "the last layer"),
    (insulated(lambda k, v, last: (k, v) if last else both(k, v, last)), 2, "the first layer"),
    (insulated(hide=lambda h: h.detach()), 2, "no gradient at all"),
    (insulated(lambda k, v, last: (0 * k, 0 * v)), 2, "became 0"),
    (insulated(of=lambda t, a, f: t + a * f.detach()), 3, "the flow loss itself was detached"),
    (insulated(of=lambda t, a, f: t + f), 2, "alpha is missing"),
    (insulated(of=lambda t, a, f: a * f), 1, "the text loss is missing"),
    (insulated(of=lambda t, a, f: a * t + f), 0, "not the flow"),
    (no_gradient, 1, "no gradient at all, so nothing"), (lambda *a: None, 0, "return")])
def test_wrong_insulation_is_named(mine, points, says, capsys):
    got, text = verdict(checks.check_insulated_loss, mine, capsys)
    assert got == points and says in text
