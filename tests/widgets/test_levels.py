"""Who runs when, to scale; and ways past a bottle, with those that hit it marked."""

import numpy as np
import pytest

from pi05lite.widgets.levels import clock_figure, ways_figure
from pi05lite.widgets.pictures import COLORS


def test_spans_are_drawn_to_scale_in_their_rows():
    figure = clock_figure([("robot", "a chunk", 0.0, 0.5), ("low", "prefix", 0.5, 0.53),
                           ("low", "flow", 0.53, 0.6), ("robot", "a chunk", 0.5, 1.0)])
    chunk, prefix, flow = figure.data
    assert chunk.base == (0.0, 0.5) and chunk.x == (0.5, 0.5) and set(chunk.y) == {"robot"}
    assert prefix.x[0] == pytest.approx(0.03) and flow.base == (0.53,)
    assert figure.layout.yaxis.categoryarray == ("low", "robot")  # the first row on top


def test_ways_that_hit_the_bottle_are_told_apart():
    x = np.linspace(-1, 1, 9)
    straight, round_ = np.stack([x, 0 * x], 1), np.stack([x, 0 * x + 0.8], 1)
    figure = ways_figure({"one": np.stack([straight, round_]), "two": np.stack([round_])}, 0.3, 4)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert [line.line.color for line in lines] == [COLORS[5], COLORS[0], COLORS[0]]
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert len(dots) == 3 and dots[1].y == (0.8,)
    assert len(figure.layout.shapes) == 2
