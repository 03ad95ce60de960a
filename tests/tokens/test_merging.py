"""Batched byte pair encoding gives the ids of the `tokenizers` library, word by word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from pi05lite.evaluate.tokens import smooth_chunks
from pi05lite.tokens.bpe import Bpe, totals, train
from pi05lite.tokens.fast import TOGETHER, FastTokenizer
from pi05lite.tokens.merging import Merger, without_overlap


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), letters=st.integers(1, 4), merges=st.integers(0, 40),
       skew=st.integers(1, 6))
def test_any_merges_and_any_words(seed, letters, merges, skew):
    random = np.random.default_rng(seed)
    tokens = [chr(97 + k) for k in range(letters)]
    pairs = []
    for _ in range(merges):
        a, b = (tokens[int(len(tokens) * random.random() ** skew)] for _ in range(2))
        if a + b not in tokens:
            tokens.append(a + b)
            pairs.append((a, b))
    ids = {token: i for i, token in enumerate(tokens)}
    library = Tokenizer(models.BPE(ids, pairs))
    merger = Merger([(ids[a], ids[b], ids[a + b]) for a, b in pairs], len(tokens))
    rows = [random.integers(letters, size=random.integers(1, 60)) for _ in range(8)]
    mark = [len(tokens) + 1]
    merged = merger(np.concatenate([np.append(row, mark) for row in rows]))
    expected = [library.encode("".join(chr(97 + k) for k in row)).ids + mark for row in rows]
    assert merged.tolist() == sum(expected, [])


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 3)), min_size=1, max_size=40))
def test_of_touching_pairs_the_lower_rank_stays_and_then_the_left(steps):
    places = np.cumsum([step for step, _ in steps])
    ranks = np.array([rank for _, rank in steps])
    taken, kept = set(), []
    for _, place in sorted(zip(ranks.tolist(), places.tolist())):  # one at a time
        if place not in taken and place + 1 not in taken:
            kept.append(place)
            taken |= {place, place + 1}
    assert without_overlap(places, ranks).tolist() == sorted(kept)


@pytest.mark.parametrize("byte_level", [False, True])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), top=st.integers(1, 300), size=st.integers(1, 40))
def test_both_forms_equal_the_library(byte_level, seed, top, size):
    """Also where the characters are spaces, apostrophes, letters and two bytes long."""
    random = np.random.default_rng(seed)
    numbers = np.minimum(random.geometric(3 / (top + 3), size=(30, size)), top)
    bpe = Bpe(train(numbers, 700, byte_level), 700, byte_level)
    fresh = bpe.nearest[np.minimum(random.geometric(2 / (top + 2), size=(30, size)), numbers.max())]
    assert bpe._merger is not None
    assert bpe.encode(fresh) == bpe.encode_singly(fresh)


def test_many_chunks_in_threads_are_the_chunks_one_by_one():
    data = smooth_chunks(TOGETHER * 3)
    for byte_level in (False, True):
        tokenizer = FastTokenizer(byte_level=byte_level).fit(data.test)
        tokens = tokenizer.encode(data.train)
        assert len(data.train) > 2 * TOGETHER
        assert tokens[::97] == [tokenizer.encode(c[None])[0] for c in data.train[::97]]
        whole, ok = tokenizer.decode(tokens, 50, 7)
        assert ok.all()
        alone = np.concatenate([tokenizer.decode([ids], 50, 7)[0] for ids in tokens[::97]])
        np.testing.assert_allclose(whole[::97], alone, atol=1e-6)


def test_what_only_the_library_knows_is_left_to_it():
    numbers = np.arange(40).reshape(4, 10) % 5 + 97
    content = Tokenizer(models.BPE({"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}, []))
    content.pre_tokenizer = pre_tokenizers.Whitespace()
    bpe = Bpe(content, 8, False)
    assert bpe._merger is None
    assert bpe.encode(numbers) == bpe.encode_singly(numbers) == (numbers - 97).tolist()


def test_totals_of_rows_with_empty_ones():
    assert totals(np.array([1, 2, 3, 4]), np.array([0, 3, 0, 1])).tolist() == [0, 6, 0, 4]
