"""What the model sees of a robot's actions, and how its episodes are split."""

import numpy as np
import pytest

from pi05lite.data import stats
from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.robots import KNOWN, Known, Robot, describe_robot, open_known
from pi05lite.data.stats import DatasetStats
from pi05lite.data.write import write_dataset
from pi05lite.errors import DataError

HORIZON = 6


def values(low, high, count=1001):
    """(count, n) values spread evenly from low to high."""
    return np.linspace(np.asarray(low, float), np.asarray(high, float), count)


@pytest.fixture
def reacher():
    """Joints 0 and 1 are commanded as positions, far from 0; the gripper (action 2) is absolute."""
    table = DatasetStats("reacher", stats.of_values(values([0, 0, 0, 0], [1, 1, 1, 1])),
                         stats.of_values(values([-2, -4, 0], [2, 4, 1])))
    return Robot("reacher", table, {"base": "eye"}, 10.0, ((0, 1), (1, 3)))


@pytest.fixture
def walk(tmp_path):
    """Five episodes of different lengths: positions wander far, commands lie 0.1 to 0.3 ahead."""
    def episodes():
        rng = np.random.default_rng(0)
        for length in (20, 31, 12, 25, 18):
            state = np.cumsum(rng.normal(size=(length, 2)), axis=0) + 50
            action = np.concatenate([state[:, :1] + rng.uniform(0.1, 0.3, (length, 1)),
                                     rng.uniform(0, 1, (length, 1))], axis=1)
            yield {"state": state, "action": action, "task": "walk"}
    return LeRobotDataset(write_dataset(tmp_path / "walk", episodes(), 5, "walker"))


def test_sizes(reacher):
    assert (reacher.state_size, reacher.action_size) == (4, 3)


def test_relative_actions_are_counted_from_the_state(reacher):
    state = np.array([9, 10, 9, 20], np.float32)
    actions = np.array([[10, 20, 0.5], [11, 18, 0.5]], np.float32)
    seen = reacher.to_model(actions, state)
    middle, quarter = 1 / 1.96, -2 / 3.92  # 1 % and 99 % quantiles of what was spread evenly
    assert seen == pytest.approx(np.array([[0, 0, 0], [middle, quarter, 0]]), abs=1e-5)


def test_there_and_back(reacher):
    rng = np.random.default_rng(1)
    states = rng.uniform(50, 60, (7, 4)).astype(np.float32)
    actions = rng.uniform([-1.9, -3.9, 0.05], [1.9, 3.9, 0.95], (7, HORIZON, 3))
    actions = (actions + reacher.origin(states)[:, None]).astype(np.float32)
    seen = reacher.to_model(actions, states)
    assert np.abs(seen).max() < 1
    assert reacher.from_model(seen, states) == pytest.approx(actions, abs=1e-4)
    assert reacher.from_model(seen, states).dtype == np.float32
    for b in range(7):
        assert np.array_equal(seen[b], reacher.to_model(actions[b], states[b]))


def test_what_lies_outside_the_quantiles_is_clipped(reacher):
    state = np.zeros(4, np.float32)
    far = np.array([[100, -100, 7]], np.float32)
    assert reacher.to_model(far, state).tolist() == [[1, -1, 1]]


def test_absolute_robots_do_not_look_at_the_state(walk):
    robot = describe_robot(walk, Known("walk", {}), HORIZON)
    actions = walk.actions(0)[:HORIZON]
    assert np.array_equal(robot.to_model(actions, walk.states(0)[0]),
                          robot.to_model(actions, walk.states(1)[5]))
    assert not robot.origin(walk.states(0)).any()
    assert robot.stats.action.q99[0] > 45


def test_relative_statistics_are_those_of_whole_chunks(walk):
    robot = describe_robot(walk, Known("walk", {}, relative=1), HORIZON)
    rows = [walk.actions(e)[t + h] - [walk.states(e)[t][0], 0]
            for e, episode in enumerate(walk.episodes) for t in range(episode.length)
            for h in range(HORIZON) if t + h < episode.length]
    found = robot.stats.action
    assert found.count == len(rows)
    assert found.q01 == pytest.approx(np.quantile(rows, 0.01, axis=0), abs=1e-4)
    assert found.q99 == pytest.approx(np.quantile(rows, 0.99, axis=0), abs=1e-4)
    assert found.q99[0] < 15  # distances, though the positions are near 50
    absolute = describe_robot(walk, Known("walk", {}), HORIZON).stats
    assert found.q99[1] == pytest.approx(absolute.action.q99[1], abs=0.02)  # the gripper
    assert np.array_equal(robot.stats.state.q01, absolute.state.q01)


def test_a_described_robot_knows_its_dataset(walk):
    robot = describe_robot(walk, Known("walk", {"base": "eye"}, relative=2), HORIZON)
    assert (robot.name, robot.fps, robot.cameras) == ("walk", 5.0, {"base": "eye"})
    assert robot.relative == ((0, 0), (1, 1))


def test_last_commands_join_the_state(walk):
    robot = describe_robot(walk, Known("walk", {}, remember=(1,)), HORIZON)
    assert robot.state_size == 3 and robot.remember == (1,)
    for e, episode in enumerate(walk.episodes):
        states, commands = robot.states(walk, e), walk.actions(e)[:, 1]
        assert states.shape == (episode.length, 3) and states.dtype == np.float32
        assert np.array_equal(states[:, :2], walk.states(e))
        assert np.array_equal(states[1:, 2], commands[:-1]) and states[0, 2] == 0
    all_states = np.concatenate([robot.states(walk, e) for e in range(5)])
    assert robot.stats.state.maximum == pytest.approx(all_states.max(0))
    plain = describe_robot(walk, Known("walk", {}), HORIZON)
    assert np.array_equal(plain.states(walk, 0), walk.states(0))
    assert np.array_equal(robot.stats.action.q01, plain.stats.action.q01)


def test_last_commands_go_with_relative_actions(walk):
    robot = describe_robot(walk, Known("walk", {}, relative=1, remember=(1,)), HORIZON)
    assert robot.state_size == 3 and robot.stats.action.q99[0] < 15
    chunk, _ = walk.chunk(0, 4, HORIZON)
    state = robot.states(walk, 0)[4]
    assert robot.from_model(robot.to_model(chunk, state), state).shape == (HORIZON, 2)


def test_statistics_come_from_the_given_episodes_only(walk):
    part = walk.subset([0, 2])
    robot = describe_robot(part, Known("walk", {}), HORIZON)
    assert robot.stats.action.count == 20 + 12
    both = np.concatenate([walk.states(0), walk.states(2)])
    assert robot.stats.state.maximum == pytest.approx(both.max(0))


def test_training_and_held_out_episodes_are_disjoint_and_complete():
    train, held_out = open_known("toy")
    one, two = ({e.index for e in part.episodes} for part in (train, held_out))
    assert not one & two and one | two == set(range(24))
    assert two == {4, 9, 14, 19}
    assert train.name == held_out.name == "toy"
    assert set(train.cameras) == set(KNOWN["toy"].cameras.values())


def test_missing_data_is_said_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PI05LITE_DATA", str(tmp_path))
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "none"))
    with pytest.raises(DataError, match="(?s)droid_subset.*PI05LITE_DATA"):
        open_known("droid")


@pytest.mark.parametrize("name", list(KNOWN))
def test_every_known_robot_opens_and_splits(real_data, name):
    known = KNOWN[name]
    train, held_out = open_known(name)
    assert not {e.index for e in train.episodes} & {e.index for e in held_out.episodes}
    assert len(held_out.episodes) >= 1
    assert train.image_size == 64 and set(train.cameras) == set(known.cameras.values())
    assert known.gripper is None or known.gripper < train.action_size
    assert known.relative <= min(train.state_size, train.action_size)


@pytest.mark.parametrize("name", ["droid", "g1"])
def test_real_relative_actions_are_small_and_come_back(real_data, name):
    train, _ = open_known(name)
    part = train.subset([e.index for e in train.episodes[:2]])
    robot = describe_robot(part, KNOWN[name], 8)
    chunk, _ = part.chunk(1, 5, 8)
    seen = robot.to_model(chunk, part.states(1)[5])
    back = robot.from_model(seen, part.states(1)[5])
    inside = np.abs(seen) < 1
    assert inside.mean() > 0.7 and back[inside] == pytest.approx(chunk[inside], abs=1e-3)
    absolute = stats.compute(part).action
    joints = slice(0, KNOWN[name].relative)
    spread = (robot.stats.action.q99 - robot.stats.action.q01)[joints]
    assert np.median(spread / (absolute.q99 - absolute.q01)[joints]) < 0.8
