"""Constrained decoding: whatever is chosen among what may follow, the chunk is whole in time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.spelling import NEVER, fewest_tokens, may_follow

H, A = 8, 3


def ramp():
    """64 chunks (8, 3) whose coefficients take many values."""
    time = np.linspace(-1, 1, H)[None, :, None]
    return np.linspace(-1, 1, 64)[:, None, None] * np.array([1, 0.5, -1]) * time


FITTED = {
    "bins": BinsTokenizer(8), "plain": FastTokenizer(300).fit(ramp()),
    "bytes": FastTokenizer(400, byte_level=True).fit(ramp()),
    # a high scale spells most coefficients with two bytes
    "two bytes": FastTokenizer(600, 150, byte_level=True).fit(ramp()),
}


@given(st.sets(st.integers(1, 9), min_size=1), st.integers(0, 30))
def test_fewest_tokens_is_the_shortest_sum(spans, places):
    fewest = fewest_tokens(tuple(spans), places)
    reach, steps = {0}, 0
    shortest = {0: 0}
    while reach:
        steps += 1
        reach = {n + s for n in reach for s in spans if n + s <= places} - set(shortest)
        shortest |= {n: steps for n in reach}
    assert fewest.tolist() == [shortest.get(n, NEVER) for n in range(places + 1)]


def test_tokens_that_strand_or_overfill_may_not_follow():
    spans = np.array([0, 2, 3, 4])
    fewest = fewest_tokens((0, 2, 3, 4), 5)
    assert may_follow(spans, fewest, 5, 9).tolist() == [False, True, True, False]  # 4 leaves 1
    assert may_follow(spans, fewest, 5, 1).tolist() == [False] * 4
    assert may_follow(spans, fewest, 3, 1).tolist() == [False, False, True, False]
    assert may_follow(spans, fewest, 0, 9).tolist() == [False] * 4


@pytest.mark.parametrize("kind", FITTED)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), extra=st.integers(0, 40))
def test_any_choice_ends_in_a_whole_chunk_within_the_limit(kind, seed, extra):
    tokenizer, random = FITTED[kind], np.random.default_rng(seed)
    limit, ids = tokenizer.min_length(H, A) + extra, []
    while (may := tokenizer.may_follow(ids, H, A, limit)).any():
        ids.append(int(random.choice(np.flatnonzero(may))))
        assert len(ids) <= limit
    decoded, ok = tokenizer.decode([ids], H, A)
    assert ok.all() and np.isfinite(decoded).all()


@pytest.mark.parametrize("kind", FITTED)
def test_what_real_chunks_have_may_always_follow(kind):
    tokenizer = FITTED[kind]
    for ids in tokenizer.encode(ramp()[::7]):
        for n, token in enumerate(ids):
            assert tokenizer.may_follow(ids[:n], H, A, tokenizer.max_length(H, A))[token]
            assert tokenizer.may_follow(ids[:n], H, A, len(ids))[token]
        assert not tokenizer.may_follow(ids, H, A, tokenizer.max_length(H, A)).any()


@pytest.mark.parametrize("kind", FITTED)
def test_below_the_least_length_nothing_may_begin(kind):
    tokenizer = FITTED[kind]
    assert tokenizer.may_follow([], H, A, tokenizer.min_length(H, A)).any()
    assert not tokenizer.may_follow([], H, A, tokenizer.min_length(H, A) - 1).any()


def test_half_a_character_must_be_finished():
    tokenizer = FITTED["two bytes"]
    utf8 = tokenizer.bpe.utf8
    half = next(i for i, p in enumerate(utf8.pieces) if len(p) == 1 and p[0] >= 0xC2)
    may = np.flatnonzero(tokenizer.may_follow([half], H, A, 400))
    assert len(may) and all(utf8.pieces[i][0] & 0xC0 == 0x80 for i in may)
