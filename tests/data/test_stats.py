"""Quantiles are exact, scaling goes there and back, and narrow ranges stay tame."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.stats import DatasetStats, cached, compute
from pi05lite.errors import DataError


def toy(*episodes):
    """Something with the methods that `compute` reads; states are the actions."""
    parts = [np.asarray(part, np.float32) for part in episodes]
    return SimpleNamespace(name="toy", episodes=parts, states=parts.__getitem__,
                           actions=parts.__getitem__)


def stats_of(values, floor=1e-4):
    return compute(toy(np.asarray(values, np.float32).reshape(len(values), -1)), floor).action


def test_numbers_of_a_known_ramp():
    ramp = np.arange(101.0)[:, None] * [1, -2]
    stats = compute(toy(ramp[:40], ramp[40:])).action
    assert stats.q01 == pytest.approx([1, -198]) and stats.q99 == pytest.approx([99, -2])
    assert stats.mean == pytest.approx([50, -100]) and stats.std[0] == pytest.approx(850**0.5)
    assert stats.minimum.tolist() == [0, -200] and stats.maximum.tolist() == [100, 0]
    assert stats.count == 101 and stats.clipped.tolist() == [2, 2]
    assert stats.widened.tolist() == [False, False]


def test_a_gripper_that_rests_at_its_minimum_keeps_its_exact_quantiles():
    # A histogram that is binned anew as the range grows loses counts at the minimum here.
    rng = np.random.default_rng(0)
    rest, move = np.zeros(2700), np.sort(rng.uniform(0, 1, 300))
    signal = np.concatenate([rest, move]).astype(np.float32)
    stats = stats_of(signal)
    ordered = np.sort(signal.astype(np.float64))
    place = 0.99 * (len(ordered) - 1)
    low, part = int(place), place - int(place)
    assert stats.q99[0] == ordered[low] + part * (ordered[low + 1] - ordered[low])
    assert stats.q01[0] == 0 and stats.clipped[0] == 30 and stats.count == 3000


def test_the_order_and_the_split_into_episodes_do_not_matter():
    values = np.random.default_rng(1).normal(size=(500, 3))
    one, many = compute(toy(values)), compute(toy(values[300:], values[:10], values[10:300]))
    for name in ("q01", "q99", "minimum", "maximum", "clipped"):
        assert np.array_equal(getattr(one.action, name), getattr(many.action, name))


def test_normalize_maps_the_quantiles_to_the_ends_and_clips():
    stats = stats_of(np.arange(101))
    values = stats.normalize(np.array([[1.0], [50.0], [99.0], [-1e6], [1e6]]))
    assert values.ravel() == pytest.approx([-1, 0, 1, -1, 1])


finite = st.floats(-1000, 1000, width=32)


@given(centre=finite, span=st.sampled_from([0.0, 1e-6, 1e-3, 1.0, 300.0]),
       share=st.floats(0, 1), kind=st.sampled_from(["float32", "float64", "torch"]))
def test_there_and_back_for_values_inside_the_range(centre, span, share, kind):
    stats = stats_of(np.linspace(centre, centre + span, 50))
    value = stats.q01 + share * (stats.q99 - stats.q01)
    x = torch.tensor(value) if kind == "torch" else value.astype(kind)
    scaled = stats.normalize(x)
    again = stats.unnormalize(scaled)
    assert type(again) is type(x) and again.dtype == x.dtype and abs(float(scaled[0])) <= 1
    # float32 cannot hold a number more finely than this; a value rounded out of a narrow range
    # comes back as the end of that range.
    step = float(np.spacing(np.float32(abs(centre) + span))) if kind == "float32" else 0.0
    assert abs(float(again[0]) - float(x[0])) <= 1e-6 * max(1, span) + step


def test_float32_in_gives_float32_out_without_losing_a_narrow_range_far_from_zero():
    stats = stats_of(np.linspace(100.0, 100.001, 1000))
    x = np.linspace(100.0001, 100.0009, 50, dtype=np.float32)[:, None]
    back = stats.unnormalize(stats.normalize(x))
    assert back.dtype == np.float32 and np.array_equal(back, x)


def test_torch_and_numpy_agree_and_keep_shape():
    stats = stats_of(np.random.default_rng(0).normal(size=(200, 4)))
    x = np.random.default_rng(1).normal(size=(2, 5, 4)).astype(np.float32)
    ours = stats.normalize(torch.from_numpy(x))
    assert ours.dtype == torch.float32 and ours.shape == (2, 5, 4)
    assert np.array_equal(ours.numpy(), stats.normalize(x))
    assert stats.normalize(torch.from_numpy(x).bfloat16()).dtype == torch.bfloat16


def test_a_dimension_that_hardly_moves_is_widened_round_its_centre():
    values = np.stack([np.full(100, 3.0), np.linspace(0, 1, 100)], 1)
    stats = stats_of(values, floor=0.01)
    assert stats.widened.tolist() == [True, False]
    assert (stats.q01[0], stats.q99[0]) == pytest.approx((2.995, 3.005))
    assert stats.normalize(np.array([3.0, 0.5])) == pytest.approx([0, 0], abs=1e-6)
    report = DatasetStats("toy", stats, stats).describe()
    assert "1 ranges widened" in report and "100 frames" in report


def test_save_and_load_give_every_bit_back(tmp_path):
    values = np.random.default_rng(3).normal(size=(77, 3)) * [1, 0, 1e3]
    stats = compute(toy(values))
    stats.save(tmp_path / "deep/stats.json")
    again = DatasetStats.load(tmp_path / "deep/stats.json")
    assert again.name == "toy" and again.state.count == 77
    for name in ("q01", "q99", "mean", "std", "minimum", "maximum", "clipped", "widened"):
        ours, theirs = getattr(stats.action, name), getattr(again.action, name)
        assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"name": "x", "state": 1}'])
def test_a_file_that_does_not_hold_statistics_is_named(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(DataError, match="bad.json"):
        DatasetStats.load(tmp_path / "bad.json")
    with pytest.raises(DataError, match="none.json"):
        DatasetStats.load(tmp_path / "none.json")


def test_cached_statistics_follow_content_and_episodes(v21, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    dataset = LeRobotDataset(v21, cameras=())
    first = cached(dataset, folder)
    part = cached(dataset.subset([0, 1]), folder)
    assert (first.action.count, part.action.count) == (15, 10)
    files = sorted(folder.rglob("*.json"))
    assert len(files) == 2
    monkeypatch.setattr("pi05lite.data.stats.compute", lambda *_: pytest.fail("computed again"))
    again = cached(LeRobotDataset(v21, cameras=(), name="other"), folder)
    assert np.array_equal(again.action.q99, first.action.q99) and again.name == "other"


def test_damaged_cached_statistics_are_made_again(v21, tmp_path):
    dataset = LeRobotDataset(v21, cameras=())
    first = cached(dataset, tmp_path / "cache")
    [path] = (tmp_path / "cache").rglob("*.json")
    path.write_text(path.read_text()[:50])
    assert np.array_equal(cached(dataset, tmp_path / "cache").state.q01, first.state.q01)
    assert DatasetStats.load(path).state.count == 15


def test_bad_values_are_refused():
    stats = stats_of(np.random.default_rng(0).normal(size=(50, 3)))
    for call in (stats.normalize, stats.unnormalize):
        with pytest.raises(DataError, match=r"(?s)shape \(\.\.\., 3\).*\(2, 4\)"):
            call(np.zeros((2, 4)))
        for value in (np.nan, np.inf):
            with pytest.raises(DataError, match="NaN or infinity"):
                call(np.full(3, value))
            with pytest.raises(DataError, match="NaN or infinity"):
                call(torch.full((3,), value))
    with pytest.raises(DataError, match="floor"):
        compute(toy(np.zeros((5, 2))), floor=0)


def test_real_data_is_mostly_inside_the_range(real_data):
    dataset = LeRobotDataset(real_data / "cr5_two_tasks", cameras=())
    stats = compute(dataset)
    values = np.concatenate([dataset.actions(e) for e in range(len(dataset.episodes))])
    assert stats.action.count == 5513
    outside = (values < stats.action.q01) | (values > stats.action.q99)
    assert np.array_equal(stats.action.clipped, outside.sum(0)) and outside.mean() <= 0.02
    assert np.abs(stats.action.normalize(values)).max() <= 1
