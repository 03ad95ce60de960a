"""Things move by physics: held while between closed fingers, falling when let go, never jumping."""

import numpy as np
import pytest

from pi05lite.errors import DataError
from pi05lite.homes.expert import Expert
from pi05lite.homes.kinds import KINDS
from pi05lite.homes.robots import ROBOTS, Intent
from pi05lite.homes.tasks import Episode

STILL = np.zeros(7)


def run(episode, steps, action=STILL):
    for _ in range(steps):
        episode.world.step(action)


def solve(episode, steps=10**6):
    """Let the expert act; yield after each step."""
    expert = Expert(episode)
    while not episode.over and episode.world.time < steps:
        episode.step(expert.act()[0])
        yield


def test_what_nobody_touches_stays_where_it_is():
    e = Episode(task="pick", home=2, seed=3)
    before = e.world.places().copy()
    run(e, 100)
    assert np.abs(e.world.places() - before).max() < 1e-3


def test_nothing_jumps():
    for task in ("pick", "put", "open"):
        e = Episode(task=task, home=4, seed=4)
        last = e.world.places().copy()
        for _ in solve(e):
            now = e.world.places()
            assert np.abs(now - last).max() < 0.05  # 2.5 m/s
            last = now.copy()
        assert e.rubric.success


def test_a_held_thing_follows_the_hand_and_falls_when_let_go():
    e = Episode(task="put", home=5, seed=5)
    held = np.array([0, 0, 0, 0.1, 0, 0, 1.0])
    before, hand = e.world.middle(0).copy(), e.world.hand[0].copy()
    run(e, 50, held)
    moved = e.world.hand[0] - hand
    assert moved[0] > 0.07
    assert e.world.to_base(e.world.middle(0))[2] == pytest.approx(before[2], abs=0.02)
    assert e.world.holding == [0]
    run(e, 60, STILL)
    assert e.world.holding == [None] and e.world.places()[0, 2] < before[2] - 0.1


def test_fingers_that_close_on_nothing_hold_nothing():
    e = Episode(task="pick", home=2, seed=3)
    run(e, 60, np.array([0, 0, 0, 0, 0, 0, 1.0]))
    assert e.world.holding == [None] and e.world.opening[0] < 0.02 and not e.world.touched


def test_the_fingers_stop_at_what_they_hold():
    episodes = (Episode(task="pick", home=0, seed=seed) for seed in range(99))
    e = next(e for e in episodes if KINDS[e.things[e.target].kind].round)
    for _ in solve(e):
        pass
    width = 2 * e.world.span(e.target)[1]
    assert e.world.opening[0] == pytest.approx(width, abs=0.005)


@pytest.mark.parametrize("action, axis, sign", [
    ([0.2, 0, 0, 0, 0, 0, 0], 0, 1), ([0, 0.2, 0, 0, 0, 0, 0], 1, 1),
    ([0, 0, 0.5, 0, 0, 0, 0], 2, 1)])
def test_the_base_moves_in_its_own_directions(action, axis, sign):
    e = Episode(task="go", home=1, seed=2)
    start = e.world.base.copy()
    run(e, 40, np.array(action, float))
    off = e.world.base - start
    c, s = np.cos(start[2]), np.sin(start[2])
    local = np.array([c * off[0] + s * off[1], -s * off[0] + c * off[1], off[2]])
    assert local[axis] * sign > 0.1
    assert np.abs(np.delete(local, axis)).max() < 0.03
    assert e.world.state()[4 + axis] == pytest.approx(action[axis], abs=0.05)


def test_driving_into_furniture_is_counted_and_does_not_get_through():
    e = Episode(task="pick", home=3, seed=1)
    run(e, 200, np.array([0.5, 0, 0, 0, 0, 0, 0]))
    x = e.world.to_piece(e.station, np.array([*e.world.base[:2], 0]))[0]
    assert x < -0.1 and e.world.bumps > 25
    assert e.rubric.failure in ("collision", "wrong object", "dropped")


def test_a_slipping_hand_loses_what_it_holds_and_a_push_moves_things():
    e = Episode(task="put", home=5, seed=5)
    e.world.slip(0)
    run(e, 5, np.array([0, 0, 0, 0, 0, 0, 1.0]))
    assert e.world.holding == [None]
    e = Episode(task="pick", home=2, seed=3)
    before = e.world.places()[e.target].copy()
    e.world.push(e.target, (0.9, 0.0))
    run(e, 30)
    assert np.hypot(*(e.world.places()[e.target] - before)[:2]) > 0.01


@pytest.mark.parametrize("name", ROBOTS)
def test_actions_and_intents_say_the_same(name):
    robot, rng = ROBOTS[name], np.random.default_rng(0)
    hands = len(robot.hands)
    targets = np.array([hand.rest for hand in robot.hands])
    intent = Intent(rng.uniform(-0.3, 0.3, 3) * robot.mobile, rng.uniform(-0.3, 0.3, (hands, 3)),
                    rng.uniform(0, 1, hands))
    action = robot.encode(intent, targets)
    assert action.shape == (robot.action_size,) and action.dtype == np.float32
    back = robot.decode(action, targets)
    assert back.hands == pytest.approx(intent.hands, abs=1e-3)
    assert back.closed == pytest.approx(intent.closed, abs=1e-5)
    assert back.base == pytest.approx(intent.base, abs=1e-6)


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize("bad, message", [
    (lambda a: np.full(a, np.nan), "finite"), (lambda a: np.zeros(a + 1), "shape"),
    (lambda a: np.zeros((2, a)), "shape"), (lambda a: np.full(a, np.inf), "finite")])
def test_bad_actions_are_refused(name, bad, message):
    robot = ROBOTS[name]
    targets = np.array([hand.rest for hand in robot.hands])
    with pytest.raises(DataError, match=message):
        robot.decode(bad(robot.action_size), targets)


def test_wild_actions_do_no_harm():
    e, rng = Episode(task="pick", home=6, seed=6), np.random.default_rng(0)
    for _ in range(150):
        e.world.step(rng.uniform(-100, 100, 7))
    assert np.isfinite(e.world.data.qpos).all() and np.abs(e.world.data.qvel).max() < 60


def test_robots_differ_in_cameras_sizes_and_scales():
    sizes = {r.name: (r.action_size, r.state_size, len(r.cameras)) for r in ROBOTS.values()}
    assert sizes == {"mobile": (7, 7, 3), "arm": (4, 4, 2), "two_arm": (8, 8, 3)}
    assert len({r.action_high[0] for r in ROBOTS.values()}) == 3
    for r in ROBOTS.values():
        assert set(r.slots.values()) <= {c.name for c in r.cameras}


def test_the_same_actions_give_the_same_world():
    ends = []
    for _ in range(2):
        e = Episode(task="put", home=7, seed=7)
        for _ in solve(e):
            pass
        ends.append(e.world.data.qpos.copy())
    assert np.array_equal(*ends)
