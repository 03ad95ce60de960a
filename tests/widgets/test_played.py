"""An episode as it went: the same as in an evaluation, with its plans, subtasks and points."""

import numpy as np
import pytest

from pi05lite.errors import Pi05Error
from pi05lite.evaluate.drivers import RandomDriver, ScriptedDriver
from pi05lite.evaluate.rollout import rollouts
from pi05lite.evaluate.trials import HomeTrial
from pi05lite.homes.tasks import Request
from pi05lite.widgets.played import Played, film_figure, plans_figure, play, timeline_figure

REQUEST = Request("put", 7, "new", 3)


@pytest.fixture(scope="module")
def played():
    return play(ScriptedDriver(), HomeTrial(REQUEST, 28), size=28)


def test_it_goes_as_in_an_evaluation(played):
    [outcome] = rollouts(ScriptedDriver(), [lambda: HomeTrial(REQUEST, 28)], progress=False)
    assert (played.success, played.prompt) == (outcome.success, outcome.prompt)
    assert len(played.actions) == outcome.steps and played.success
    assert played.texts[0] == outcome.texts[0][1]
    name, step = played.points[0]
    assert name.startswith("put ") and 0 < step <= outcome.steps


def test_a_frame_every_so_many_steps_and_one_at_the_end(played):
    F = len(played.texts)
    assert F == 1 + -(-len(played.actions) // played.every) == len(played.steps)
    assert played.steps[-1] == len(played.actions) and list(played.steps[:3]) == [0, 10, 20]
    assert set(played.pictures) == {"room", "head", "wrist", "surround"}
    assert all(len(frames) == F for frames in played.pictures.values())
    assert played.pictures["wrist"][0] != played.pictures["wrist"][-1]


def test_plans_and_what_was_done_of_them():
    trial = HomeTrial(REQUEST, 28)
    found = play(RandomDriver(horizon=40), trial, execute=15, every=15, size=28, most=60)
    assert [step for step, _ in found.plans] == [0, 15, 30, 45] and len(found.actions) == 60
    for step, chunk in found.plans:
        assert chunk.shape == (40, 7)
        assert found.actions[step:step + 15] == pytest.approx(chunk[:15])
    figure = plans_figure(found)
    moving = dict(zip(figure.frames[2].traces, figure.frames[2].data))
    planned = [line for i, line in moving.items() if figure.data[i].name == "planned"]
    assert np.stack([line.y for line in planned], 1) == pytest.approx(found.plans[2][1], abs=1e-6)
    assert planned[0].x[0] == pytest.approx(30 / 50)
    assert not found.success and found.points[0][1] is None


def test_a_plan_shorter_than_asked_for_is_followed_to_its_end():
    trial = HomeTrial(Request("pick", 7, "new", 3), 28)
    found = play(RandomDriver(horizon=7), trial, execute=25, size=28, most=20)
    assert [step for step, _ in found.plans] == [0, 7, 14] and len(found.actions) == 20
    assert len(found.texts) == 3  # steps 0 and 10, and the end


def test_a_plan_of_no_action_is_refused():
    """It once went on for ever, a plan longer each time."""
    class Idle:
        def plans(self, trials):
            return [(np.zeros((0, 7)), "") for _ in trials]

    with pytest.raises(Pi05Error, match="one action at least"):
        play(Idle(), HomeTrial(REQUEST, 28), size=28)
    with pytest.raises(Pi05Error, match="execute >= 1"):
        play(RandomDriver(), HomeTrial(REQUEST, 28), execute=0, size=28)


def test_subtasks_and_points_over_time():
    seen = Played("tidy", 10, ["x"], {"room": [""] * 4}, ["go", "go", "pick", "pick"], [(0, None)],
                  np.zeros((30, 1)), [("pick cup", 25), ("put cup", None)], False, "timeout")
    figure = timeline_figure(seen)
    words = [(line.name, list(line.x)) for line in figure.data if line.name]
    assert words == [("go", [0, 0.4]), ("pick", [0.4, 0.6])]
    stars = {line.y[0]: (line.x[0], line.marker.symbol) for line in figure.data
             if line.mode == "markers"}
    assert stars == {"pick cup": (0.5, "star"), "put cup": (0.6, "circle-open")}
    assert [frame.data[0].x[0] for frame in figure.frames] == [0, 0.2, 0.4, 0.6]
    assert "1 of 2 points" in figure.layout.title.text


def test_the_still_is_a_film(played):
    figure = film_figure(played, most=5)
    assert len(figure.frames) == 5 and len(figure.data) == 4
    assert figure.frames[-1].data[0].source == played.pictures["room"][-1]
    assert figure.frames[-1].layout.title.text == f"“{played.prompt}”: {played.texts[-1]}"
    assert "http:" not in figure.to_json() and "https:" not in figure.to_json()
