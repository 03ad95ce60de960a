"""The checks of chapter 03 on right answers, and on wrong ones that they must name."""

import pytest
import torch
import torch.nn.functional as F

from pi05lite.checks import transformer as checks
from tests.checks.tools import verdict


def attention(scale=lambda K: K**0.5, hide=None, after=None, dim=-1):
    """One head, right or with one thing wrong."""
    hide = hide or (lambda s, m: s.masked_fill(~m, -1e9))

    def read(q, k, v, mask):
        weights = hide(q @ k.T / scale(q.shape[-1]), mask).softmax(dim)
        return (weights if after is None else after(weights, mask)) @ v
    return read


def by_rows(q, k, v, mask):
    """The same, one query at a time."""
    rows = []
    for i in range(len(q)):
        scores = (k @ q[i]) / len(q[i]) ** 0.5 + torch.where(mask[i], 0.0, -1e9)
        weights = scores.exp() / scores.exp().sum().clamp(min=1e-20)
        rows.append((weights[:, None] * v).sum(0))
    return torch.stack(rows)


@pytest.mark.parametrize("mine", [attention(), by_rows])
def test_right_attention(mine, capsys):
    assert verdict(checks.check_attention, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (attention(hide=lambda s, m: s, after=lambda w, m: w * m), 1, "after the softmax"),
    (attention(hide=lambda s, m: s * m), 1, "multiplied into the scores"),
    (attention(hide=lambda s, m: s + m), 1, "added as 0 and 1"),
    (attention(hide=lambda s, m: s.masked_fill(m, -1e9)), 1, "inverted"),
    (attention(hide=lambda s, m: s), 1, "not used"),
    (attention(scale=lambda K: 1), 1, "not scaled"), (attention(scale=lambda K: K), 1, "by K"),
    (attention(dim=0), 1, "over the queries"),
    (attention(hide=lambda s, m: s.masked_fill(~m.T, -1e9)), 1, "transposed"),
    (attention(hide=lambda s, m: s.masked_fill(~m, float("-inf"))), 2, "gives NaN"),
    (lambda q, k, v, m: attention()(k, q, v, m), 1, "swapped")])
def test_wrong_attention_is_named(mine, points, says, capsys):
    got, text = verdict(checks.check_attention, mine, capsys)
    assert got == points and says in text


def turned(x, places, direction=1, share=None, pairs="halves"):
    """RoPE, right or with one thing wrong."""
    half = x.shape[1] // 2
    share = torch.arange(half) / half if share is None else share
    spun = torch.polar(torch.ones(len(x), half), direction * places[:, None] * 1e4 ** -share)
    if pairs == "neighbours":
        return torch.view_as_real(torch.view_as_complex(x.reshape(-1, half, 2)) * spun).flatten(1)
    z = torch.complex(x[:, :half], x[:, half:]) * spun
    return torch.cat([z.real, z.imag], 1)


def by_pairs(x, places):
    """RoPE, one pair of numbers at a time."""
    out, K = x.clone(), x.shape[1]
    for t in range(len(x)):
        for i in range(K // 2):
            angle = places[t] / 10_000 ** (2 * i / K)
            a, b = x[t, i], x[t, i + K // 2]
            out[t, i] = a * angle.cos() - b * angle.sin()
            out[t, i + K // 2] = b * angle.cos() + a * angle.sin()
    return out


@pytest.mark.parametrize("mine", [turned, by_pairs])
def test_right_turns(mine, capsys):
    assert verdict(checks.check_rotate, mine, capsys)[0] == 3


HALF = torch.arange(4)


@pytest.mark.parametrize("mine, points, says", [
    (lambda x, p: turned(x, p, -1), 1, "backwards"),
    (lambda x, p: turned(x, p, pairs="neighbours"), 1, "neighbours are paired"),
    (lambda x, p: turned(x, p, share=0 * HALF), 1, "one speed"),
    (lambda x, p: turned(x, p, share=HALF / 8), 1, "half as quickly"),
    (lambda x, p: turned(x, p, share=HALF / 2), 1, "twice as quickly"),
    (lambda x, p: turned(x, torch.arange(len(x))), 1, "not used"),
    (lambda x, p: turned(x, p + 1), 1, "counted from 1"), (lambda x, p: x, 1, "nothing is turned"),
    (lambda x, p: x + p[:, None], 0, "keeps the length"), (lambda x, p: None, 0, "return")])
def test_wrong_turns_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_rotate, mine, capsys)
    assert got == points and says in text


def may_look(compare=lambda a, b: a <= b, block=lambda o: o.cumsum(0), pad=True):
    """Block attention, right or with one thing wrong."""
    def mask(opens, valid):
        b = block(opens)
        found = compare(b[None, :], b[:, None])
        return found & valid[None, :] & valid[:, None] if pad else found
    return mask


def loops(opens, valid):
    """The same with loops, and rows of padding left as they fall."""
    T = len(opens)
    mask = torch.zeros(T, T, dtype=torch.int)
    for i in range(T):
        for j in range(T):
            mask[i, j] = bool(valid[j]) and not opens[i + 1:j + 1].any()
    return mask


@pytest.mark.parametrize("mine", [may_look(), loops])
def test_right_masks(mine, capsys):
    assert verdict(checks.check_may_look, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (may_look(pad=False), 2, "padding is attended"),
    (may_look(lambda a, b: a >= b), 1, "transposed"), (may_look(lambda a, b: a < b), 1, "<= and"),
    (may_look(lambda a, b: a == b), 1, "only their own block"),
    (may_look(block=lambda o: torch.arange(len(o))), 1, "plain causal"),
    (may_look(block=lambda o: 0 * o), 1, "everything sees everything"),
    (may_look(block=lambda o: o), 1, "by the flag itself"),
    (lambda o, v: o, 0, "expected the shape (8, 8)")])
def test_wrong_masks_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_may_look, mine, capsys)
    assert got == points and says in text


def step(query=True, key=True, value=False, again=False, place=None, itself=True, front=False,
         scale=True):
    """One cached step, right or with one thing wrong."""
    def read(q, k, v, at, cache, turn):
        here = torch.tensor([at if place is None else place])
        q, k = turn(q, here) if query else q, turn(k, here) if key else k
        v = turn(v, here) if value else v
        keys = torch.cat([k, cache[0]] if front else [cache[0], k])
        values = torch.cat([v, cache[1]] if front else [cache[1], v])
        seen = turn(torch.cat([cache[0], k]), torch.arange(len(keys))) if again else keys
        seen, of = (seen, values) if itself else (cache[0], cache[1])
        return (q @ seen.T * (q.shape[-1] ** -0.5 if scale else 1)).softmax(-1) @ of, (keys, values)
    return read


def fused_step(q, k, v, at, cache, turn):
    """The same by PyTorch's own attention."""
    here = torch.full((1,), at)
    keys, values = torch.vstack([cache[0], turn(k, here)]), torch.vstack([cache[1], v])
    read = F.scaled_dot_product_attention(turn(q, here)[None], keys[None], values[None])[0]
    return [read, [keys, values]]


@pytest.mark.parametrize("mine", [step(), fused_step])
def test_right_steps(mine, capsys):
    assert verdict(checks.check_step, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (step(place=0), 0, "as if it were the first"), (step(query=False), 1, "query is not turned"),
    (step(key=False), 0, "new key is not turned"), (step(value=True), 1, "values are turned too"),
    (step(key=False, again=True), 0, "turned again"), (step(itself=False), 1, "look at itself"),
    (step(front=True), 2, "stands in front"), (step(scale=False), 1, "not scaled"),
    (lambda *a: step()(*a)[0], 0, "expected 2 values")])
def test_wrong_steps_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_step, mine, capsys)
    assert got == points and says in text
