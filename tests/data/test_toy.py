"""The kit's own robot data: the expert does the task, and a seed gives the same data again."""

import numpy as np
import pytest

from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.paths import KIT
from pi05lite.data.subtasks import gripper_phases
from pi05lite.data.toy import COLORS, SIZE, episode, expert, random_table, write_toy


def played(seed):
    """The table at the start and at the end of the expert's attempt, and the actions."""
    rng = np.random.default_rng(seed)
    table = random_table(rng)
    start = (table.block.copy(), table.other.copy())
    actions = []
    for action in expert(table, rng):
        table.step(action)
        actions.append(action)
    return start, table, np.array(actions)


@pytest.mark.parametrize("seed", range(50))
def test_expert_puts_the_block_on_the_plate_and_lets_go(seed):
    (block, other), table, actions = played(seed)
    assert np.abs(block - table.plate).max() > 0.2  # it was not there before
    assert np.abs(table.block - table.plate).max() < 0.1
    assert not table.held and table.hand[3] > 0.9 and table.hand[2] > 0.5
    assert np.array_equal(other, table.other)
    assert 40 < len(actions) < 150 and np.isfinite(actions).all()
    assert np.unique(gripper_phases(actions[:, 3])).tolist() == [0, 1]


def test_a_closed_gripper_takes_the_block_only_where_it_is():
    close = np.array([0, 0, 0, 1], np.float32)
    for place, taken in (((0, 0, 0.1), True), ((0.1, 0, 0.1), False), ((0, 0, 0.6), False)):
        table = random_table(np.random.default_rng(0))
        table.hand[:3] = (*(table.block + place[:2]), place[2])
        for _ in range(4):
            table.step(close)
        assert table.held == taken


def test_a_held_block_moves_with_the_hand_and_stays_when_let_go():
    table = random_table(np.random.default_rng(0))
    table.hand[:3] = (*table.block, 0.1)
    start = table.block.copy()
    for _ in range(5):
        table.step(np.array([0, 0, 0, 1]))
    table.step(np.array([1.0, 0, 0, 1]))
    assert table.block == pytest.approx(start + (0.1, 0))
    for _ in range(4):
        table.step(np.array([0, 0, 0, 0]))
    for _ in range(3):
        table.step(np.array([1.0, 0, 0, 0]))
    assert not table.held and table.block == pytest.approx(start + (0.1, 0))


def test_pictures_show_the_block_where_it_is():
    table = random_table(np.random.default_rng(3))
    table.hand[:3] = (0.05, 0.05, 0.8)  # out of the way
    x, y = (table.block * SIZE).astype(int)
    color = np.array(COLORS[table.colors[0]])
    assert table.top().shape == table.wrist().shape == (SIZE, SIZE, 3)
    assert np.abs(table.top()[y, x] - color).max() < 40
    before = table.wrist()
    table.hand[:2] = table.block + (0, 0.1)  # the wrist sees 0.54 of the table, hand at its centre
    above = int(SIZE / 2 - SIZE * 0.1 / 0.54)
    assert np.abs(table.wrist()[above, SIZE // 2] - color).max() < 40
    assert (before != table.wrist()).any()


def test_same_seed_same_episode():
    one, two, other = episode([5, 1]), episode([5, 1]), episode([5, 2])
    assert np.array_equal(one["state"], two["state"])
    assert np.array_equal(one["action"], two["action"])
    assert all(np.array_equal(one["images"][k], two["images"][k]) for k in one["images"])
    assert one["state"].shape != other["state"].shape or (one["state"] != other["state"]).any()


def test_a_written_dataset_reads_back(tmp_path):
    write_toy(tmp_path / "toy", count=2, seed=7)
    dataset = LeRobotDataset(tmp_path / "toy")
    for e in range(2):
        expected = episode([7, e])
        assert np.array_equal(dataset.states(e), expected["state"])
        assert np.array_equal(dataset.actions(e), expected["action"])
        assert dataset.episodes[e].tasks == (expected["task"],)
        top = dataset.images(e, "observation.images.top").astype(int)
        assert np.abs(top - expected["images"]["observation.images.top"]).mean() < 5  # H.264


def test_the_carried_dataset_is_what_the_code_makes():
    dataset = LeRobotDataset(KIT / "toy_table")
    assert len(dataset.episodes) == 24
    for e, found in enumerate(dataset.episodes):
        expected = episode([0, e])
        assert found.tasks == (expected["task"],)
        np.testing.assert_allclose(dataset.states(e), expected["state"], atol=1e-5)
        np.testing.assert_allclose(dataset.actions(e), expected["action"], atol=1e-5)
