"""The pictures of chapter 06 hold what they were given."""

import numpy as np

from pi05lite.widgets import plane


def test_a_journey_has_a_stop_for_each_point_and_moves_only_the_cloud():
    way = np.random.default_rng(0).normal(size=(6, 20, 2))
    figure = plane.journey_figure(way, 0.5, lines=3)
    assert [f.name for f in figure.frames] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert all(list(f.traces) == [3] for f in figure.frames)
    assert np.allclose(figure.frames[4].data[0].x, way[4, :, 0], atol=1e-3)
    assert len(figure.to_json()) < 20_000


def test_arrows_start_at_their_places_and_follow_the_velocity():
    places, velocity = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, -1.0]])
    figure = plane.field_figure({"early": (places, velocity), "late": (places, -velocity)}, 0.5)
    shafts = figure.data[0]
    assert np.allclose(shafts.x[:2], [0, 0.14]) and np.isnan(shafts.x[2])
    assert len(figure.layout.shapes) == 2  # the bottle in both planes


def test_quality_by_calls_has_a_line_each():
    figure = plane.steps_figure({"a": {1: 0.5, 2: 0.1}, "b": {2: 0.2}}, floor=0.05)
    assert [line.name for line in figure.data] == ["a", "b"]
    assert list(figure.layout.xaxis.tickvals) == [1, 2]
