"""Figures: what they show, that they live without a kernel, and that they stay small."""

import json
import re

import numpy as np
import pytest

from pi05lite.trace import Trace
from pi05lite.widgets import pictures

H = 50


def fake(names=8, steps=10, samples=4, truth=True, horizon=H):
    """A trace of random arrays."""
    rng = np.random.default_rng(0)
    path = rng.normal(size=(steps + 1, samples, horizon, names)).astype(np.float32)
    real = rng.uniform(-1, 1, (horizon, names)).astype(np.float32)
    return Trace(np.linspace(0, 1, steps + 1), path, [f"joint {k}" for k in range(names)],
                 np.arange(horizon) / 10, real if truth else None, [], np.zeros(0),
                 np.zeros((1, 1, 0, 0)), np.zeros((steps, 1, 1, horizon, horizon)))


def test_a_frame_and_a_stop_for_every_flow_time():
    figure = pictures.denoising_figure(fake())
    assert [f.name for f in figure.frames] == [f"{k / 10:.4g}" for k in range(11)]
    stops = figure.layout.sliders[0].steps
    assert [stop.label for stop in stops] == [f.name for f in figure.frames]
    assert [stop.args[0] for stop in stops] == [(f.name,) for f in figure.frames]
    assert all(stop.method == "animate" for stop in stops)
    assert figure.layout.updatemenus[0].buttons[0].method == "animate"


def test_it_starts_at_the_noise_with_every_line_in_its_plot():
    trace = fake()
    figure = pictures.denoising_figure(trace)
    moving = [line for line in figure.data if line.legendgroup != "truth"]
    assert len(moving) == 8 * 4 and len(figure.data) == 8 * 5
    axes = list(dict.fromkeys(line.yaxis for line in figure.data))
    assert len(axes) == 8
    for a, axis in enumerate(axes):
        lines = [line for line in figure.data if line.yaxis == axis]
        assert np.array_equal(lines[0].y, trace.truth[:, a])
        for k, line in enumerate(lines[1:]):
            assert np.array_equal(line.y, trace.path[0, k, :, a])
            assert np.array_equal(line.x, trace.seconds)
    assert [a.text for a in figure.layout.annotations[:8]] == trace.names


def test_frames_move_the_samples_and_never_the_truth():
    trace = fake(names=3, samples=2)
    figure = pictures.denoising_figure(trace)
    for n, frame in enumerate(figure.frames):
        assert len(frame.traces) == len(frame.data) == 6
        for place, new in zip(frame.traces, frame.data):
            line = figure.data[place]
            assert line.legendgroup in ("0", "1")
            a = trace.names.index(f"joint {['y', 'y2', 'y3'].index(line.yaxis)}")
            assert np.array_equal(new.y, trace.path[n, int(line.legendgroup), :, a])


def test_without_truth_all_lines_move():
    figure = pictures.denoising_figure(fake(names=2, truth=False))
    assert len(figure.data) == 8
    assert list(figure.frames[0].traces) == list(range(8))


@pytest.mark.parametrize("names", [1, 4, 5, 7, 26])
def test_any_number_of_dimensions_has_room(names):
    figure = pictures.denoising_figure(fake(names=names, steps=2, samples=1))
    assert len({line.yaxis for line in figure.data}) == names


def test_all_that_is_drawn_is_finite_and_in_sight():
    trace = fake()
    figure = pictures.denoising_figure(trace)
    low, high = figure.layout.yaxis.range
    for line in [*figure.data, *(line for f in figure.frames for line in f.data)]:
        assert np.isfinite(line.y).all()
        assert low < min(line.y) and max(line.y) < high


def test_the_figure_is_small_and_fetches_nothing():
    text = pictures.denoising_figure(fake()).to_json()
    assert len(text) < 300_000
    assert not re.findall(r"https?:|//[a-z]+\.", text)
    assert len(json.loads(text)["frames"]) == 11


def test_one_legend_entry_for_each_sample_and_the_truth():
    figure = pictures.denoising_figure(fake())
    shown = [line.name for line in figure.data if line.showlegend]
    assert shown == ["what was done"] + [f"noise {k}" for k in range(1, 5)]


def test_every_frame_has_a_name_of_its_own():
    figure = pictures.denoising_figure(fake(names=1, steps=128, samples=1, horizon=2))
    assert len({f.name for f in figure.frames}) == 129


def test_losses_over_steps():
    history = {"text": [(0, 5.0), (10, 2.0)], "flow": [(0, 1.0)], "tokens": []}
    figure = pictures.loss_figure(history, window=1)
    assert [line.name for line in figure.data] == ["text", "flow"]
    assert list(figure.data[0].x) == [0, 10] and list(figure.data[0].y) == [5, 2]
    history["text"] = [(k, value) for k, value in enumerate([4.0, 2.0, 6.0, 1.0])]
    means = pictures.loss_figure(history, window=2).data[0].y
    assert list(means) == [4, 3, 4, 3.5]
    assert figure.layout.yaxis.type == "log"


def test_a_contact_sheet_shows_each_picture_under_its_caption():
    images = {name: np.full((6, 6, 3), k * 40, np.uint8) for k, name in enumerate("abc")}
    figure = pictures.contact_sheet(images)
    assert [a.text for a in figure.layout.annotations] == ["a", "b", "c"]
    assert len(figure.data) == 3 and "https" not in figure.to_json()


def test_bars_with_intervals():
    table = {"seen": {"a": (0.5, 0.4, 0.7), "b": (1.0, 1.0, 1.0)}, "new": {"a": (0.8, 0.6, 0.9)}}
    a, b = pictures.bars(table).data
    assert (a.name, list(a.x), list(a.y)) == ("a", ["seen", "new"], [0.5, 0.8])
    assert a.error_y.array == pytest.approx([0.2, 0.1])
    assert a.error_y.arrayminus == pytest.approx([0.1, 0.2])
    assert (b.name, list(b.x)) == ("b", ["seen"])


def test_bars_of_many_names_are_all_there():
    table = {"x": {f"variant {k}": (k, k, k) for k in range(7)}}
    assert len(pictures.bars(table).data) == 7


def test_numbers_of_an_episode_over_time():
    values = np.arange(20.0).reshape(10, 2)
    figure = pictures.episode_figure(np.arange(10) / 5, values, ["x", "gripper"])
    assert [line.name for line in figure.data] == ["x", "gripper"]
    assert np.array_equal(figure.data[1].y, values[:, 1])


def test_chunks_beside_each_other():
    chunks = {"truth": np.zeros((5, 3)), "policy": np.ones((5, 3))}
    figure = pictures.compare_chunks(np.arange(5) / 10, chunks, list("xyz"))
    assert len(figure.data) == 6 and sum(line.showlegend for line in figure.data) == 2
    assert all(set(line.y) == {float(line.name == "policy")} for line in figure.data)


def test_many_chunks_beside_each_other():
    chunks = {f"chunk {k}": np.zeros((2, 1)) for k in range(7)}
    assert len(pictures.compare_chunks([0, 1], chunks, ["x"]).data) == 7


def ticks(axis):
    """Kind -> place of its name on an axis."""
    return dict(zip(axis.ticktext, axis.tickvals))


def test_a_mask_is_named_by_its_blocks():
    mask = np.tri(5, dtype=bool)
    figure = pictures.mask_figure(mask, ["prompt", "prompt", "prompt", "text", "text"])
    assert np.array_equal(figure.data[0].z, mask)
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        assert ticks(axis) == {"prompt": 1, "text": 3.5}


def test_rows_of_a_part_of_the_sequence_have_their_own_names():
    mask = np.ones((3, 8), bool)  # three flow tokens look at five others and at themselves
    figure = pictures.mask_figure(mask, ["prompt"] * 5 + ["flow"] * 3)
    rows = figure.data[0].y if figure.data[0].y is not None else range(3)
    assert min(rows) <= ticks(figure.layout.yaxis)["flow"] <= max(rows)


def test_the_sequence_of_a_batch_with_its_flow_block(toy_model, toy_setup):
    source = toy_setup.held_out["toy"]
    short, long = sorted((source[i] for i in (0, 30)),
                         key=lambda e: len(toy_setup.processor.sequence(e).tokens))
    s = toy_setup.processor.sequence(short)
    figure = pictures.sequence_figure(toy_model, toy_setup.processor.collate([short, long]))
    mask, n, horizon = np.asarray(figure.data[0].z, bool), 8 + len(s.tokens), 10
    prompt = 8 + s.target.index(True)
    assert mask.shape == (n + horizon, n + horizon)  # padding is left out
    assert list(ticks(figure.layout.yaxis)) == ["pictures", "prompt", "action", "flow"]
    assert mask[:prompt, :prompt].all() and not mask[:prompt, prompt:].any()
    assert np.array_equal(mask[prompt:n, prompt:n], np.tri(n - prompt, dtype=bool))
    assert not mask[:n, n:].any()  # nothing sees the flow
    assert mask[n:, :prompt].all() and not mask[n:, prompt:n].any() and mask[n:, n:].all()


def test_the_sequence_names_an_answer_in_words(toy_model, toy_setup):
    batch = toy_setup.processor.collate([toy_setup.high("toy")[0]])
    figure = pictures.sequence_figure(toy_model, batch)
    assert list(ticks(figure.layout.xaxis)) == ["pictures", "prompt", "text", "flow"]
    mask = np.asarray(figure.data[0].z, bool)
    assert mask[-10:].all()  # the flow sees pictures, prompt and subtask
