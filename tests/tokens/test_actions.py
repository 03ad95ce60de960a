"""The contract that every action tokenizer keeps."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pi05lite.errors import ConfigError, DataError
from pi05lite.tokens import actions
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.quantizers import FiniteQuantizer, ResidualQuantizer, VectorQuantizer
from pi05lite.tokens.vq import VQTokenizer

H, A = 8, 3
KINDS = ["bins", "fast", "fast bytes", "vq", "residual", "finite"]


def new(kind):
    return {
        "bins": BinsTokenizer(), "fast": FastTokenizer(256),
        "fast bytes": FastTokenizer(256, byte_level=True),
        "vq": VQTokenizer(tokens=4, codes=16, width=16),
        "residual": VQTokenizer(4, 16, width=16, quantizer=ResidualQuantizer(16, 4, depth=2)),
        "finite": VQTokenizer(4, 16, width=16, quantizer=FiniteQuantizer),
    }[kind]


def learn(tokenizer, chunks):
    """The tokenizer fitted, a codebook in a few steps only."""
    few = {"steps": 40} if isinstance(tokenizer, VQTokenizer) else {}
    return tokenizer.fit(chunks, **few)


@pytest.fixture(scope="module")
def fitted(smooth):
    return {kind: learn(new(kind), smooth(64, H, A)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_in_range_and_decode_to_the_shape(fitted, smooth, kind):
    tokenizer = fitted[kind]
    tokens = tokenizer.encode(smooth(5, H, A, seed=1))
    assert len(tokens) == 5
    for ids in tokens:
        assert 0 < len(ids) <= tokenizer.max_length(H, A)
        assert all(isinstance(i, int) and 0 <= i < tokenizer.vocabulary_size for i in ids)
    chunks, ok = tokenizer.decode(tokens, H, A)
    assert chunks.shape == (5, H, A) and chunks.dtype == np.float32
    assert ok.shape == (5,) and ok.dtype == bool and ok.all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_chunks(fitted, smooth, kind):
    chunks = smooth(4, H, A, seed=2)
    assert fitted[kind].encode(chunks) == [fitted[kind].encode(c[None])[0] for c in chunks]
    assert fitted[kind].encode(chunks[:0]) == []
    assert fitted[kind].decode([], H, A)[0].shape == (0, H, A)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_holds_the_last_valid_step(fitted, smooth, kind):
    chunks = smooth(2, H, A, seed=3)
    mask = np.ones((2, H), dtype=bool)
    mask[0, 5:] = False
    held = chunks.copy()
    held[0, 5:] = held[0, 4]
    chunks[0, 5:] = np.nan  # padding may hold anything
    assert fitted[kind].encode(chunks, mask) == fitted[kind].encode(held)


def test_leading_padding_takes_the_first_valid_step():
    chunks = np.arange(4.0).reshape(1, 4, 1)
    mask = np.array([[False, True, False, True]])
    assert actions.hold_last(chunks, mask).ravel().tolist() == [1, 1, 1, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_values_outside_the_range_are_clipped_and_counted(fitted, smooth, kind):
    chunks = smooth(2, H, A)
    border = chunks.copy()
    chunks[0, 0], border[0, 0] = [-3, 7, 1.5], [-1, 1, 1]
    assert fitted[kind].encode(chunks) == fitted[kind].encode(border)
    fitted[kind].encode(chunks)
    assert fitted[kind].clipped == 3
    fitted[kind].encode(border)
    assert fitted[kind].clipped == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_length_is_reported_and_not_a_chunk_of_zeros(fitted, smooth, kind):
    tokens = fitted[kind].encode(smooth(20, H, A, seed=4))
    whole, _ = fitted[kind].decode(tokens, H, A)
    nothing, ok = fitted[kind].decode([[] for _ in tokens], H, A)
    assert not ok.any() and np.isfinite(nothing).all()
    more, ok = fitted[kind].decode([[*ids, ids[-1]] for ids in tokens], H, A)
    assert not ok.any()
    np.testing.assert_array_equal(more, whole)  # what is too much is dropped
    assert fitted[kind].malformed == len(tokens)
    less, ok = fitted[kind].decode([ids[:-1] for ids in tokens], H, A)
    assert not ok.any()
    assert f"{len(tokens)} malformed" in fitted[kind].describe()
    fitted[kind].decode(tokens, H, A)
    assert fitted[kind].malformed == 0
    assert np.abs(less - whole).mean() < np.abs(nothing - whole).mean()  # what is there is used


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_identical(fitted, smooth, kind, tmp_path):
    fitted[kind].save(tmp_path / "a")
    loaded = actions.load(tmp_path / "a")
    assert type(loaded) is type(fitted[kind])
    chunks = smooth(6, H, A, seed=5)
    tokens = fitted[kind].encode(chunks)
    assert loaded.encode(chunks) == tokens
    np.testing.assert_array_equal(
        loaded.decode(tokens, H, A)[0], fitted[kind].decode(tokens, H, A)[0]
    )
    loaded.save(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunks", [
    np.zeros((H, A)), np.zeros((1, 0, A)), np.full((1, H, A), np.nan),
    np.full((1, H, A), np.inf), np.full((1, H, A), "x"),
])
def test_bad_chunks_are_errors(fitted, kind, chunks):
    with pytest.raises(DataError, match="action chunks"):
        fitted[kind].encode(chunks)
    with pytest.raises(DataError, match="action chunks"):
        new(kind).fit(chunks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", [np.ones((2, H - 1)), np.zeros((2, H))])
def test_bad_masks_are_errors(fitted, smooth, kind, mask):
    with pytest.raises(DataError, match="mask"):
        fitted[kind].encode(smooth(2, H, A), mask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokens", [[[1], [999]], [[-1]], [1, 2], [[0.5]], [[[0]]]])
def test_ids_that_are_no_tokens_are_errors(fitted, kind, tokens):
    with pytest.raises(DataError, match="action tokens, sequence"):
        fitted[kind].decode(tokens, H, A)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_fit_is_an_error(kind):
    with pytest.raises(DataError, match="at least one"):
        new(kind).fit(np.zeros((0, H, A)))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_unfitted_is_an_error(kind, tmp_path):
    for call in (
        lambda: new(kind).encode(np.zeros((1, H, A))),
        lambda: new(kind).decode([[0]], H, A),
        lambda: new(kind).save(tmp_path),
    ):
        with pytest.raises(ConfigError, match="not fitted"):
            call()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_errors(fitted, kind, tmp_path):
    with pytest.raises(DataError, match="config.json"):
        actions.load(tmp_path / "absent")
    fitted[kind].save(tmp_path)
    file = tmp_path / "config.json"
    whole = file.read_text()
    config = json.loads(whole)
    kept = {key: config[key] for key in ("kind", "format")}
    damaged = [whole[:-20], "[]", json.dumps(kept), json.dumps({**config, "format": 99}),
               json.dumps({**config, "kind": "other"})]
    for text in damaged:
        file.write_text(text)
        with pytest.raises(DataError):
            actions.load(tmp_path)


def test_a_class_refuses_another_kind(fitted, tmp_path):
    fitted["bins"].save(tmp_path)
    with pytest.raises(ConfigError, match="kind fast"):
        FastTokenizer.load(tmp_path)


def test_reading_the_tokens_package_leaves_torch_alone():
    code = ("import sys, pi05lite.tokens.actions, pi05lite.tokens.fast, pi05lite.tokens.bins;"
            "sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


shapes = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(chunks=shapes.flatmap(
    lambda s: hnp.arrays(np.float32, s, elements=st.floats(-1.25, 1.25, width=32))))
def test_any_shape_and_values_come_back_the_same_after_saving(kind, chunks, tmp_path_factory):
    tokenizer = learn(new(kind), chunks)
    tokens, folder = tokenizer.encode(chunks), tmp_path_factory.mktemp("saved")
    decoded, ok = tokenizer.decode(tokens, *chunks.shape[1:])
    assert ok.all() and decoded.shape == chunks.shape and np.isfinite(decoded).all()
    assert tokenizer.clipped == (np.abs(chunks) > 1).sum()
    tokenizer.save(folder)
    loaded = actions.load(folder)
    assert loaded.encode(chunks) == tokens
    np.testing.assert_array_equal(loaded.decode(tokens, *chunks.shape[1:])[0], decoded)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_ids_decode_like_lists(fitted, smooth, kind):
    tokens = fitted[kind].encode(smooth(3, H, A))
    whole, _ = fitted[kind].decode(tokens, H, A)
    same, ok = fitted[kind].decode([np.array(ids, dtype=np.int16) for ids in tokens], H, A)
    assert ok.all() and np.array_equal(whole, same)


class Signs(actions.ActionTokenizer):
    """A tokenizer of one's own: only the sign of every value."""

    kind = "signs of a test"
    vocabulary_size = 2

    def max_length(self, horizon, action_size):
        return horizon * action_size

    def fit(self, chunks, mask=None):
        return self

    def _encode(self, chunks):
        return [(row > 0).astype(int).ravel().tolist() for row in chunks]

    def _decode(self, ids, counts, horizon, action_size):
        rows = actions.to_rows(ids * 2.0 - 1, counts, horizon * action_size)
        return (rows.reshape(-1, horizon, action_size).astype(np.float32),
                counts == horizon * action_size)

    def _config(self, folder):
        return {}

    @classmethod
    def _from_config(cls, config, folder):
        return cls()


def test_a_tokenizer_of_ones_own_is_saved_loaded_and_constrained(tmp_path):
    chunks = np.array([[[0.5, -0.5], [-0.1, 0.1]]])
    Signs().save(tmp_path)
    loaded = actions.load(tmp_path)
    assert type(loaded) is Signs and loaded.encode(chunks) == [[1, 0, 0, 1]]
    assert loaded.min_length(2, 2) == 4
    assert loaded.may_follow([1, 0, 0], 2, 2, 4).all()
    assert not loaded.may_follow([1, 0, 0, 1], 2, 2, 9).any()


def test_a_quantiser_of_ones_own_is_saved_and_loaded(smooth, tmp_path):
    class Halves(VectorQuantizer):
        kind = "halves of a test"

    learn(VQTokenizer(4, 16, width=16, quantizer=Halves), smooth(16, H, A)).save(tmp_path)
    assert type(actions.load(tmp_path).codec.quantizer) is Halves


def test_a_table_of_rows_cuts_and_fills():
    values, counts = np.array([1, 2, 3, 4, 5, 6]), np.array([2, 0, 4])
    table = actions.to_rows(values, counts, 3, fill=-1)
    assert table.tolist() == [[1, 2, -1], [-1, -1, -1], [3, 4, 5]]
