"""Subtask labels from gripper signals, and that a label never gives its own action away."""

import numpy as np
import pytest

from pi05lite.data.subtasks import PHASES, gripper_phases, subtask

REACH, CARRY = range(2)


@pytest.mark.parametrize("signal, phases", [
    ([0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 0]),  # a frame knows the commands before it
    ([0, 0, 0], [0, 0, 0]),  # never closes
    ([1, 1], [0, 1]),  # never opens
    ([0, 1, 0, 1, 1, 0], [0, 0, 1, 0, 1, 1]),  # two grasps
    ([1], [0]),
])
def test_phases_of_clean_signals(signal, phases):
    assert gripper_phases(signal).tolist() == phases


def test_half_open_is_open_and_the_threshold_can_be_moved():
    signal = np.array([0.0, 0.3, 0.5, 0.6, 0.3, 0.3], np.float32)
    assert gripper_phases(signal).tolist() == [0, 0, 0, 0, 1, 0]
    assert gripper_phases(signal, closed=0.2).tolist() == [0, 0, 1, 1, 1, 1]


def test_a_label_does_not_depend_on_the_action_that_it_goes_with():
    rng = np.random.default_rng(0)
    for _ in range(100):
        signal = rng.random(rng.integers(1, 20))
        phases = gripper_phases(signal)
        for t in range(len(signal)):
            other = signal.copy()
            other[t:] = rng.random(len(signal) - t)
            assert gripper_phases(other)[t] == phases[t]


def test_a_subtask_is_the_phase_and_the_task():
    assert subtask("fold the towel", CARRY) == "carry: fold the towel"
    assert [subtask("x", k) for k in range(len(PHASES))] == ["reach: x", "carry: x"]
