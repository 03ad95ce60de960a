"""Phases read off a gripper signal."""

import numpy as np
import pytest

from pi05lite.data.subtasks import PHASES, gripper_phases, subtask

REACH, CARRY, LEAVE = range(3)


@pytest.mark.parametrize("signal, phases", [
    ([0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 2]),  # a frame knows the commands before it
    ([0, 0, 0], [0, 0, 0]),  # never closes
    ([1, 1], [0, 1]),  # never opens
    ([1, 0, 0], [0, 1, 2]),  # closes at once
    ([0, 0, 1], [0, 0, 0]),  # closes at the end
    ([0, 1, 1, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1, 1]),  # two grasps: between them it reaches again
])
def test_phases_of_clean_signals(signal, phases):
    assert gripper_phases(signal).tolist() == phases


def test_half_open_is_open_and_the_threshold_can_be_moved():
    signal = np.array([0.0, 0.3, 0.5, 0.6, 0.3, 0.3], np.float32)
    assert gripper_phases(signal).tolist() == [0, 0, 0, 0, 1, 2]
    assert gripper_phases(signal, closed=0.2).tolist() == [0, 0, 1, 1, 1, 1]


def random_signals(count=200):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield rng.random(rng.integers(1, 20))


def test_phases_of_any_signal_keep_their_meaning():
    for signal in random_signals():
        shut = signal > 0.5
        for t, phase in enumerate(gripper_phases(signal)):
            expected = (CARRY if shut[:t][-1:].any() else
                        LEAVE if shut[:t].any() and not shut[t + 1:].any() else REACH)
            assert phase == expected


def test_a_label_does_not_depend_on_the_action_that_it_goes_with():
    for signal in random_signals():
        phases = gripper_phases(signal)
        for t in range(len(signal)):
            other = signal.copy()
            other[t] = 1 - other[t]
            assert gripper_phases(other)[t] == phases[t]


def test_words_name_the_phase_and_the_task():
    said = [subtask("put the banana on the plate", k) for k in (REACH, CARRY, LEAVE)]
    assert said == [f"{name}: put the banana on the plate" for name in ("reach", "carry", "leave")]
    assert len(PHASES) == 3
