"""Pictures of robot data: what they show, and that they live without a kernel and stay small."""

import numpy as np
import pytest

from pi05lite.widgets import episodes

T, NAMES = 90, ["x", "y", "gripper"]
RNG = np.random.default_rng(0)
SECONDS = np.arange(T) / 10
VALUES = RNG.normal(size=(T, 3)).cumsum(0)


def chunk(t):
    """The next ten values, fewer real ones at the end."""
    steps = t + np.arange(10)
    return VALUES[np.minimum(steps, T - 1)], steps < T


@pytest.fixture(scope="module")
def film():
    images = {name: RNG.integers(0, 255, (T, 96, 96, 3), np.uint8) for name in ("base", "wrist")}
    return episodes.film_figure(images, SECONDS, {"state": (VALUES[:, :2], NAMES[:2]),
                                                  "action": (VALUES, NAMES)}, chunk, "task")


def test_a_film_moves_pictures_cursors_and_chunk_together(film):
    assert len(film.frames) == episodes.STOPS and film.frames[-1].name == "8.9 s"
    for frame in film.frames:
        assert len(frame.traces) == len(frame.data) == 2 + 2 + 1
        assert [film.data[i].type for i in frame.traces] == [d.type for d in frame.data]
    last = film.frames[-1].data
    assert last[0].source != film.data[0].source
    assert list(last[2].x) == list(last[3].x) == [pytest.approx(8.9)] * 2
    axes = [film.data[i].yaxis for i in film.frames[0].traces]
    assert axes[2] != axes[3] == axes[4]


def test_a_film_draws_only_the_real_steps_of_a_chunk(film):
    for frame, t in ((film.frames[0], 0), (film.frames[-1], T - 1)):
        (rows, real), dots = chunk(t), frame.data[-1]
        y = np.reshape(dots.y, (3, 10)).T
        assert np.allclose(y[real], rows[real], atol=1e-3) and np.isnan(y[~real]).all()
        assert np.allclose(np.reshape(dots.x, (3, 10)), SECONDS[t] + np.arange(10) / 10, atol=1e-3)
    colors = film.data[film.frames[0].traces[-1]].marker.color
    assert list(colors[::10]) == list(episodes.COLORS[:3]) and len(colors) == 30


def test_a_film_of_a_short_episode_without_chunk():
    images = {"base": np.zeros((1, 8, 8, 3), np.uint8)}
    film = episodes.film_figure(images, SECONDS[:1], {"state": (VALUES[:1], NAMES)})
    assert len(film.frames) == 1 and len(film.frames[0].data) == 2


def test_rates_are_told_in_seconds():
    figure = episodes.rates_figure({"slow": 5, "quick": 50}, 50)
    assert [line.x[-1] for line in figure.data] == [pytest.approx(9.8), pytest.approx(0.98)]
    assert [a.text.strip() for a in figure.layout.annotations] == ["10 s", "1 s"]
    assert figure.layout.xaxis.range[1] > 10


def test_a_clock_shows_the_missed_beat():
    seconds = np.delete(np.arange(20) / 10, 7)
    figure = episodes.clock_figure({"robot": seconds[:, None]}, 10)
    assert len(figure.data[0].y) == 18 and np.argmax(figure.data[0].y) == 6
    assert max(figure.data[0].y) == pytest.approx(0.2) and figure.layout.shapes[0].y0 == 0.1


def test_ranges_show_all_values_and_their_middle():
    values = np.linspace(0, 100, 1001)
    figure = episodes.ranges_figure({"before": {"a": values}, "after": {"a": values / 50 - 1}})
    thin, thick = figure.data[:2]
    assert list(thin.x) == [0, 100] and np.allclose(thick.x, [1, 99])
    assert thick.line.width > thin.line.width
    assert figure.layout.xaxis.range[0] < 0 and figure.layout.xaxis2.range[1] > 1
