"""Checks of chapter 03, the transformer."""

import torch

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, several
from pi05lite.model import layers, masks

BLIND = -1e30


def softmax_read(scores, v):
    """What rows of scores (T, S) read of v (S, K)."""
    return scores.softmax(-1) @ v


@check("attention", 3, seals=(layers.attend, layers.attention_weights))
def check_attention(attention):
    """attention(q, k, v, mask) -> what each token reads; one head."""
    generator = torch.Generator().manual_seed(3)
    q, k, v = 2 * torch.randn(3, 6, 4, generator=generator)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    raw = q @ k.T
    scores = raw / 2
    hide = lambda s: s.masked_fill(~mask, BLIND)  # noqa: E731
    weights = scores.softmax(-1)
    read = attention(q.clone(), k.clone(), v.clone(), mask.clone())
    yield compare("what tokens read", read, softmax_read(hide(scores), v), 2, {
        "the mask was multiplied in after the softmax: the weights of a row no longer sum to 1, "
        "so hidden tokens still weaken what is read": (weights * mask) @ v,
        "the mask was multiplied into the scores: a score of 0 is not hidden, it is average":
            softmax_read(scores * mask, v),
        "the mask was added as 0 and 1: it only nudges the scores": softmax_read(scores + mask, v),
        "the mask is inverted: tokens look exactly where they may not":
            softmax_read(scores.masked_fill(mask, BLIND), v),
        "the mask is not used: tokens look at the future": softmax_read(scores, v),
        "the mask is transposed: rows look, columns are looked at":
            softmax_read(scores.masked_fill(~mask.T, BLIND), v),
        "the scores are not scaled: they grow with the head size": softmax_read(hide(raw), v),
        "the scores are divided by K, not by its root": softmax_read(hide(raw / 4), v),
        "the softmax runs over the queries: each row must share out 1 among the keys":
            hide(scores).softmax(0) @ v,
        "queries and keys are swapped": softmax_read(hide(scores.T), v),
    }, "Does each row of the weights sum to 1, with 0 where it may not look?")
    mask[5] = mask[:, 5] = False  # the last token is padding
    read = as_array("with padding", attention(q, k, v, mask))
    yield claim(torch.isfinite(torch.as_tensor(read)).all(), 1, "a row of padding stays finite",
                "a token that may look at nothing (padding) gives NaN: hide with a very negative "
                "number, not with minus infinity")


def turned(x, places, direction=1, share=None, pairs="halves"):
    """RoPE, right or with one thing wrong."""
    T, K = x.shape
    share = torch.arange(K // 2) * 2 / K if share is None else share
    angle = direction * places[:, None] / 10_000 ** share
    a, b = ((x[:, :K // 2], x[:, K // 2:]) if pairs == "halves" else (x[:, ::2], x[:, 1::2]))
    a, b = a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()
    return torch.cat([a, b], 1) if pairs == "halves" else torch.stack([a, b], 2).flatten(1)


@check("rotate", 3, seals=(layers.rotate, layers.rotary))
def check_rotate(rotate):
    """rotate(x, places) -> x (T, K) turned by its places (T,)."""
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(4))
    places = torch.tensor([0, 1, 2, 5, 9])
    got = rotate(x.clone(), places.clone())
    i = torch.arange(4)
    yield compare("the turned vectors", got, turned(x, places), 2, {
        "it turns backwards: (a, b) goes to (a cos - b sin, b cos + a sin)":
            turned(x, places, -1),
        "neighbours are paired; here the pairs are number i of the first half and of the second":
            turned(x, places, pairs="neighbours"),
        "all pairs turn at one speed: pair i turns by place / 10000^(2i / K)":
            turned(x, places, share=0 * i),
        "the speeds fall half as quickly as they must: the exponent is 2i / K":
            turned(x, places, share=i / 8),
        "the speeds fall twice as quickly as they must: the exponent is 2i / K":
            turned(x, places, share=4 * i / 8),
        "the places are not used: rows are counted 0, 1, 2 ... instead":
            turned(x, torch.arange(5)),
        "places are counted from 1": turned(x, places + 1), "nothing is turned": x,
    }, "At place 0 nothing turns; at place 1 the first pair turns by 1 radian.")
    got, there = as_array("the turned vectors", got), as_array("x", x)
    yield claim(abs((got**2).sum(1) - (there**2).sum(1)).max() < 1e-3, 1, "lengths stay",
                "a turn keeps the length of a vector, and this does not")


@check("may_look", 3, seals=(masks.Layout.mask,))
def check_may_look(may_look):
    """may_look(opens, valid) -> mask (T, T) of block attention."""
    opens = torch.tensor([0, 0, 0, 1, 1, 1, 0, 0])
    valid = torch.tensor([1, 1, 0, 1, 1, 1, 1, 0], dtype=torch.bool)
    block = opens.cumsum(0)
    there = valid[None] & valid[:, None]
    allowed = (block[None] <= block[:, None])
    got = may_look(opens.clone(), valid.clone())
    got = torch.as_tensor(as_array("the mask", got)) != 0
    if got.shape != (8, 8):
        raise Wrong(f"the mask: expected the shape (8, 8), got {tuple(got.shape)}")
    padding = got[valid][:, ~valid].any()
    yield claim(not padding, 1, "padding is never looked at",
                "padding is attended: a column of padding must be all False")
    got, there = got[valid][:, valid], there[valid][:, valid]
    only = lambda mask: mask[valid][:, valid]  # noqa: E731
    causal = torch.ones(8, 8, dtype=torch.bool).tril()
    yield compare("who looks at whom", got.float(), only(allowed).float(), 2, {
        "it is transposed: row i is who looks, and earlier tokens see later ones here":
            only(allowed.T).float(),
        "a token does not see its own block: <= and not <":
            only(block[None] < block[:, None]).float(),
        "tokens see only their own block, not the ones before":
            only(block[None] == block[:, None]).float(),
        "this is plain causal attention: tokens of one block must see each other":
            only(causal).float(),
        "everything sees everything: the blocks are not used": there.float(),
        "blocks are told apart by the flag itself; count how many blocks were opened before":
            only(opens[None] <= opens[:, None]).float(),
    }, "Which block is each token in? A running sum of the flags tells.")


@check("step", 3)
def check_step(step):
    """step(q, k, v, place, cache, turn) -> what the new token reads, and the longer cache."""
    generator = torch.Generator().manual_seed(5)
    q, k, v = torch.randn(3, 4, 8, generator=generator)
    places = torch.arange(4)
    turn = lambda x, places: turned(x, places)  # noqa: E731
    right_keys = turn(k, places)
    scale = 8**-0.5
    at = lambda keys, values, place=3: softmax_read(  # noqa: E731
        turn(q[3:], torch.tensor([place])) @ keys.T * scale, values)
    old = (right_keys[:3].clone(), v[:3].clone())
    read, cache = several(step(q[3:], k[3:], v[3:], 3, old, turn), 2, "read, cache")
    keys, values = several(cache, 2, "keys, values")
    first = torch.cat([right_keys[:3], turn(k[3:], torch.tensor([0]))])
    yield compare("what the new token reads", read, at(right_keys, v), 2, {
        "it does not look at itself: add its key and value before reading":
            at(right_keys[:3], v[:3]),
        "the place is not used: the new token is turned as if it were the first": at(first, v, 0),
        "the query is not turned": softmax_read(q[3:] @ right_keys.T * scale, v),
        "the new key is not turned": at(torch.cat([right_keys[:3], k[3:]]), v),
        "the cached keys are turned again; they were turned when they came in":
            at(turn(torch.cat([right_keys[:3], k[3:]]), places), v),
        "values are turned too; only queries and keys are":
            at(right_keys, torch.cat([v[:3], turn(v[3:], torch.tensor([3]))])),
        "the scores are not scaled by the root of the head size": softmax_read(
            turn(q[3:], torch.tensor([3])) @ right_keys.T, v),
    }, "It must be the last row of attention over all four tokens.")
    yield compare("the cached keys", keys, right_keys, 1, {
        "the new key was not added": right_keys[:3],
        "the new key stands in front, and the next token will find the wrong places":
            torch.cat([right_keys[3:], right_keys[:3]])})
    yield compare("the cached values", values, v, 0)
