"""The measurement of action tokenizers, and the committed results that the notebooks read."""

import numpy as np
import pytest

from pi05lite.errors import ConfigError, DataError
from pi05lite.evaluate import results, token_learning
from pi05lite.evaluate import tokens as evidence
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.vq import VQTokenizer, default


@pytest.fixture(scope="module")
def smooth_data():
    return evidence.smooth_chunks(200, 20, 3)


def test_bins_are_measured_as_they_are(smooth_data):
    row = evidence.measure("bins", "64 bins", BinsTokenizer(64), smooth_data)
    assert row["tokens"] == 60 and row["ratio"] == 1 and row["bits"] == 360
    assert row["largest"] <= 1 / 64 + 1e-6
    assert row["rmse"] == pytest.approx(1 / 64 / 3**0.5, rel=0.1)  # even within a bin
    assert row["flip_failures"] == 0 and row["malformed"] == 0
    assert row["flip_rmse"] > 3 * row["rmse"]


def test_physical_units_are_the_normalised_ones_times_the_unit(smooth_data):
    smooth_data.unit[:] = [1, 10, 100]
    row = evidence.measure("FAST", "", FastTokenizer(512), smooth_data)
    smooth_data.unit[:] = 1
    same = evidence.measure("FAST", "", FastTokenizer(512), smooth_data)
    np.testing.assert_allclose(row["rmse_units"], same["rmse_units"] * [1, 10, 100])
    np.testing.assert_allclose(row["largest_units"], same["largest_units"] * [1, 10, 100])
    assert np.square(same["rmse_units"]).mean() ** 0.5 == pytest.approx(row["rmse"])
    assert same["largest"] == same["largest_units"].max()
    assert 0.5 < row["flip_failures"] <= 1  # tokens of FAST have many lengths


def test_padding_does_not_count(smooth_data):
    half = evidence.smooth_chunks(200, 20, 3)
    half.test_mask[:, 10:] = False
    half.test[:, 10:] = 5.0
    row = evidence.measure("bins", "", BinsTokenizer(64), half)
    assert row["largest"] <= 1 / 64 + 1e-6


def test_a_flip_changes_one_token_of_each_sequence():
    tokens = [[0, 1, 2], [5], [3, 3]]
    flipped = evidence.flip(tokens, 6, seed=1)
    assert [sum(a != b for a, b in zip(x, y)) for x, y in zip(tokens, flipped)] == [1, 1, 1]
    assert all(0 <= i < 6 for ids in flipped for i in ids) and tokens[1] == [5]


def test_resampling_keeps_straight_lines_and_recorded_steps():
    line = np.stack([np.arange(11.0), -2 * np.arange(11.0)], axis=1)  # 10 Hz, one second
    finer = np.arange(51)[:, None] / 5 * [1, -2]
    np.testing.assert_allclose(evidence.resampled(line, 10, 50), finer, atol=1e-9)
    np.testing.assert_allclose(evidence.resampled(line, 10, 5), line[::2])
    np.testing.assert_allclose(evidence.resampled(line, 10, 10), line)


def test_every_method_is_there_once():
    rows = [(family, setting) for family, setting, _ in evidence.methods()]
    assert len(set(rows)) == len(rows)
    assert {family for family, _ in rows} == {"bins", "FAST", "VQ", "residual VQ", "FSQ"}


def test_results_are_written_whole_and_read_again(tmp_path):
    path = tmp_path / "folder" / "r.json"
    results.add_row(path, {"name": "b", "h": 10, "value": np.float64(1.23456)}, ("name", "h"))
    results.add_row(path, {"name": "a", "h": 50, "value": (1, np.int64(2))}, ("name", "h"))
    results.add_row(path, {"name": "b", "h": 10, "value": 2.0}, ("name", "h"))
    assert results.load(path) == {"rows": [{"name": "a", "h": 50, "value": [1, 2]},
                                           {"name": "b", "h": 10, "value": 2.0}]}
    assert [f.name for f in path.parent.iterdir()] == ["r.json"]
    path.write_text("{")
    with pytest.raises(DataError, match="result file"):
        results.load(path)


def test_an_unknown_tokenizer_is_refused_before_anything_is_trained():
    with pytest.raises(ConfigError, match="FAST"):
        token_learning.measure("fast")


# ---- what is committed -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    return results.load(results.FOLDER / "tokens.json")


def test_the_committed_table_has_every_method_on_every_robot(committed):
    methods = {(family, setting) for family, setting, _ in evidence.methods()}
    robots = [*evidence.HORIZONS, "smooth"]
    assert [s["robot"] for s in committed["sets"]] == robots
    assert {(r["robot"], r["family"], r["setting"]) for r in committed["table"]} == {
        (robot, *method) for robot in robots for method in methods}
    assert committed["command"] == "pi05lite tokens measure"


def test_the_committed_curve_grows_with_the_control_rate_as_published(committed):
    for robot in ("cr5", "droid", "droid_new", "g1"):
        rows = [r for r in committed["rates"] if r["robot"] == robot]
        ratios = [r["ratio"] for r in sorted(rows, key=lambda r: r["rate"])]
        assert len(ratios) == 4 and ratios == sorted(ratios)
        assert ratios[-1] > 3 * ratios[0]


def test_what_is_committed_is_what_the_code_gives(committed):
    """The smooth waves come from a seed, so one row is checked on any machine."""
    same = [r for r in committed["table"] if r["robot"] == "smooth"]
    old = next(r for r in same if r["setting"] == "scale 10")
    row = results.rounded(evidence.measure("FAST", "scale 10", FastTokenizer(),
                                           evidence.smooth_chunks()))
    for name in ("tokens", "rmse", "largest", "used"):
        assert row[name] == pytest.approx(old[name], rel=0.01), name


def test_the_codebook_that_the_kit_carries():
    tokenizer = default()
    assert isinstance(tokenizer, VQTokenizer)
    data = evidence.smooth_chunks(100)
    tokens = tokenizer.encode(data.test)
    assert {len(ids) for ids in tokens} == {8} and tokenizer.vocabulary_size == 256
    assert tokenizer.decode(tokens, 50, 7)[1].all()
    assert tokenizer.report.usage > 0.9


def test_the_codebook_on_real_episodes_that_it_has_not_seen(real_data):
    made = results.load(results.FOLDER.parent / "vq_50x7" / "made.json")
    assert made["command"] and made["commit"]
    data = evidence.robot_chunks("cr5", 50)
    tokenizer = default()
    decoded, ok = tokenizer.decode(tokenizer.encode(data.test, data.test_mask), 50, 7)
    off = np.square(decoded - data.test) * data.test_mask[..., None]
    rmse = np.sqrt(off.sum() / data.test_mask.sum() / 7)
    assert ok.all()
    assert rmse == pytest.approx(made["robots"]["cr5"]["held_out_rmse"], rel=0.01)
    assert rmse < 0.4 * evidence.mean_row(data)["mean_chunk_rmse"]
