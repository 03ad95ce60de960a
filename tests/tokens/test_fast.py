"""FAST against the published processor's figures, and within its rounding bound."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pi05lite.errors import ConfigError, DataError
from pi05lite.tokens.fast import FastTokenizer, cosine_matrix

GOLDEN = Path(__file__).parents[1] / "golden"
SHAPES = ["50x7", "16x7"]


def golden(shape):
    """(figures, arrays, the published tokenizer) of one chunk shape."""
    figures = json.loads((GOLDEN / f"fast_{shape}.json").read_text(encoding="utf-8"))
    with np.load(GOLDEN / f"fast_{shape}.npz") as file:
        arrays = dict(file)
    tokenizer = FastTokenizer.from_published(
        figures["tokenizer"], figures["min_token"], figures["scale"], figures["vocabulary"]
    )
    return figures, arrays, tokenizer


@pytest.mark.parametrize("shape", SHAPES)
def test_coefficients_and_ids_equal_the_published_processor(shape):
    figures, arrays, tokenizer = golden(shape)
    chunks = arrays["norm"]
    np.testing.assert_array_equal(
        tokenizer.coefficients(chunks), arrays["coef"][: len(chunks)]
    )
    assert tokenizer.encode(chunks) == figures["ids"]
    assert tokenizer.clipped_coefficients == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_decoded_chunks_equal_the_published_processor(shape):
    figures, arrays, tokenizer = golden(shape)
    chunks, ok = tokenizer.decode(figures["ids"], *arrays["norm"].shape[1:])
    assert ok.all()
    np.testing.assert_allclose(chunks, arrays["fitted_decoded"], atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_malformed_ids_are_reported_and_used_as_far_as_they_go(shape):
    figures, arrays, tokenizer = golden(shape)
    malformed = figures["malformed"]
    chunks, ok = tokenizer.decode(malformed, *arrays["norm"].shape[1:])
    assert len(malformed) == 3 and not ok.any()
    # The published processor gives zeros for all of them; here only for no ids at all.
    assert [bool(chunk.any()) for chunk in chunks] == [bool(ids) for ids in malformed]
    short = np.abs(chunks[0] - arrays["fitted_decoded"][0]).max()
    assert short < 0.5  # its last token, high frequencies only, is missing


@pytest.mark.parametrize("shape", SHAPES)
def test_published_tokenizer_survives_saving(shape, tmp_path):
    figures, arrays, tokenizer = golden(shape)
    tokenizer.save(tmp_path)
    assert FastTokenizer.load(tmp_path).encode(arrays["norm"]) == figures["ids"]


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_characters_are_shorter_than_byte_level(shape):
    coefficients = golden(shape)[1]["coef"].astype(float)
    chunks = cosine_matrix(coefficients.shape[1]).T @ coefficients / 10
    lengths = {}
    for byte_level in (False, True):
        tokenizer = FastTokenizer(byte_level=byte_level, clip=False).fit(chunks[:30])
        tokens = tokenizer.encode(chunks)
        assert tokenizer.decode(tokens, *chunks.shape[1:])[1].all()
        lengths[byte_level] = sum(map(len, tokens))
    assert lengths[False] < lengths[True] < chunks.size


def test_cosine_matrix_is_orthonormal_and_starts_with_the_mean():
    for horizon in (1, 2, 7, 50):
        matrix = cosine_matrix(horizon)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(horizon), atol=1e-12)
        np.testing.assert_allclose(matrix[0], 1 / np.sqrt(horizon))


shapes = st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 4))


@settings(max_examples=40, deadline=None)
@given(
    shapes.flatmap(lambda s: hnp.arrays(np.float32, s, elements=st.floats(-1, 1, width=32))),
    st.sampled_from([1.0, 10.0, 25.0]), st.booleans(),
)
def test_round_trip_within_the_rounding_bound(chunks, scale, byte_level):
    tokenizer = FastTokenizer(600, scale, byte_level).fit(chunks)
    _, H, A = chunks.shape
    tokens = tokenizer.encode(chunks)
    assert all(len(ids) <= tokenizer.max_length(H, A) for ids in tokens)
    assert all(0 <= i < 600 for ids in tokens for i in ids)
    decoded, ok = tokenizer.decode(tokens, H, A)
    assert ok.all()
    error = np.square(decoded.astype(np.float64) - chunks)
    # The transform is orthonormal: coefficients off by at most 0.5 / scale each.
    assert np.sqrt(error.mean(axis=(1, 2))).max() <= 0.5 / scale + 1e-6


@settings(max_examples=60, deadline=None)
@given(tokens=st.lists(st.lists(st.integers(0, 299), max_size=40), min_size=1, max_size=4),
       byte_level=st.booleans())
def test_any_ids_decode_to_finite_chunks(tokens, byte_level):
    chunks, ok = FITTED[byte_level].decode(tokens, 8, 3)
    assert chunks.shape == (len(tokens), 8, 3) and np.isfinite(chunks).all()
    assert np.abs(chunks).max() <= 300  # no coefficient from a broken character
    again = [FITTED[byte_level].decode([ids], 8, 3)[1][0] for ids in tokens]
    assert again == ok.tolist()


def ramp(scale=1.0):
    """64 chunks (8, 3) whose coefficients take many values, 0 left out of none."""
    time = np.linspace(-1, 1, 8)[None, :, None]
    slope = np.linspace(-1, 1, 64)[:, None, None] * np.array([1, 0.5, -1])
    return scale * slope * time


FITTED = {b: FastTokenizer(300, byte_level=b).fit(ramp()) for b in (False, True)}


@pytest.mark.parametrize("byte_level", [False, True])
def test_coefficients_never_seen_but_in_range_still_encode(byte_level):
    """Only -1, 0 and 1 were seen, yet every coefficient between has a token."""
    seen = np.array([-1.0, 0.0, 1.0])[:, None, None] * np.ones((3, 4, 2))
    tokenizer = FastTokenizer(256, byte_level=byte_level).fit(seen)
    chunks = np.linspace(-1, 1, 37)[:, None, None] * np.ones((37, 4, 2))
    decoded, ok = tokenizer.decode(tokenizer.encode(chunks), 4, 2)
    assert ok.all() and tokenizer.clipped_coefficients == 0
    np.testing.assert_allclose(decoded, chunks, atol=0.5 / 10)


@pytest.mark.parametrize("byte_level", [False, True])
def test_coefficients_out_of_the_fitted_range_are_clipped_and_counted(byte_level):
    tokenizer = FastTokenizer(256, byte_level=byte_level).fit(
        np.linspace(-0.5, 0.5, 11)[:, None, None] * np.ones((11, 4, 2))
    )
    chunks = np.array([-1.0, 0.5, 1.0])[:, None, None] * np.ones((3, 4, 2))
    decoded, ok = tokenizer.decode(tokenizer.encode(chunks), 4, 2)
    assert ok.all()
    if not byte_level:  # bytes can also spell a few coefficients that were not fitted
        assert tokenizer.clipped_coefficients == 4  # two chunks, two dimensions, one frequency
        np.testing.assert_allclose(decoded, np.clip(chunks, -0.5, 0.5), atol=1e-6)
    tokenizer.encode(chunks[1:2])
    assert tokenizer.clipped_coefficients == 0


def test_lowest_frequencies_of_all_dimensions_come_first():
    chunk = np.stack([np.ones(4), -np.ones(4)], axis=1)[None]  # coefficients 20, -20, then zeros
    tokenizer = FastTokenizer(64, scale=10).fit(np.concatenate([chunk, -chunk, 0 * chunk]))
    assert tokenizer.coefficients(chunk).ravel().tolist() == [20, -20, 0, 0, 0, 0, 0, 0]
    ids = tokenizer.encode(chunk)[0]
    decoded, ok = tokenizer.decode([ids[:1]], 4, 2)
    assert not ok[0]
    np.testing.assert_allclose(decoded[0, :, 0], 1, atol=1e-6)


def test_one_tokenizer_serves_any_horizon_and_action_size(smooth):
    tokenizer = FastTokenizer().fit(smooth(50, 20, 4))
    for H, A in ((10, 2), (20, 4), (30, 6)):
        chunks = smooth(3, H, A, seed=1)
        assert tokenizer.decode(tokenizer.encode(chunks), H, A)[1].all()


def test_smooth_chunks_take_far_fewer_tokens_than_numbers(smooth):
    tokenizer = FastTokenizer().fit(smooth(300))
    tokens = tokenizer.encode(smooth(50, seed=1))
    assert np.mean([len(ids) for ids in tokens]) < 350 / 8


def test_training_is_deterministic(smooth):
    chunks = smooth(40, 10, 3)
    assert FastTokenizer().fit(chunks).encode(chunks) == FastTokenizer().fit(chunks).encode(chunks)


def test_ids_without_a_token_are_malformed():
    tokenizer = FastTokenizer(1000).fit(ramp())
    tokens = tokenizer.encode(ramp()[:1])[0]
    assert tokenizer.decode([tokens], 8, 3)[1][0]
    assert not tokenizer.decode([[*tokens, 999]], 8, 3)[1][0]


def test_settings_that_cannot_work_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="lower the scale"):
        FastTokenizer(16).fit(ramp())
    with pytest.raises(ConfigError, match="above 0"):
        FastTokenizer(scale=0)
    with pytest.raises(DataError, match="published FAST"):
        FastTokenizer.from_published(tmp_path / "absent.json", -10, 10, 1024)
    figures = golden("16x7")[0]
    with pytest.raises(ConfigError, match="ids below"):
        FastTokenizer.from_published(figures["tokenizer"], -59, 10, 512)
