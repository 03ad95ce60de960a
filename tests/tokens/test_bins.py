"""Uniform bins: H * A tokens, at most half a bin of error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pi05lite.errors import ConfigError
from pi05lite.tokens.bins import BinsTokenizer

chunks = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.floats(-1, 1, width=32),
)


@given(chunks, st.integers(2, 300))
def test_round_trip_within_half_a_bin(chunks, bins):
    tokenizer = BinsTokenizer(bins)
    _, H, A = chunks.shape
    tokens = tokenizer.encode(chunks)
    assert all(len(ids) == H * A == tokenizer.max_length(H, A) for ids in tokens)
    assert all(0 <= i < bins for ids in tokens for i in ids)
    decoded, ok = tokenizer.decode(tokens, H, A)
    assert ok.all() and decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, chunks, atol=1 / bins + 1e-6)


def test_order_is_step_by_step():
    chunk = np.array([[[-1, 1], [0, -1]]], dtype=np.float32)
    assert BinsTokenizer(4).encode(chunk) == [[0, 3, 2, 0]]


def test_a_short_sequence_holds_the_last_step_and_is_reported():
    tokens = [[0, 3, 2], [0, 3, 2, 0, 1], []]
    decoded, ok = BinsTokenizer(4).decode(tokens, 3, 2)
    assert ok.tolist() == [False, False, False]
    np.testing.assert_allclose(decoded[0], [[-0.75, 0.75], [0.25, 0.75], [0.25, 0.75]])
    np.testing.assert_allclose(decoded[1], [[-0.75, 0.75], [0.25, -0.75], [-0.25, -0.75]])


def test_a_long_sequence_is_cut_and_reported():
    decoded, ok = BinsTokenizer(4).decode([[0, 1, 2]], 1, 2)
    assert not ok[0]
    np.testing.assert_allclose(decoded[0], [[-0.75, -0.25]])


def test_one_bin_is_an_error():
    with pytest.raises(ConfigError, match="at least 2"):
        BinsTokenizer(1)
