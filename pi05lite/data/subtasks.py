"""Subtask labels for real episodes, read off the gripper: reach, carry, leave.

The real subsets carry one instruction an episode; pi0.5's high level wants to know what to do now.
Closing and opening the gripper cuts an episode into phases that a picture can tell apart.
"""

import numpy as np

PHASES = ("reach", "carry", "leave")


def gripper_phases(gripper, closed=0.5):
    """Phase number (T,) of each step from the gripper command (T,), larger = more closed.

    carry while it is closed; reach while it is open and has yet to close (or never does); leave
    after the last release.
    """
    shut = np.asarray(gripper) > closed  # (T,)
    closes_later = np.flip(np.maximum.accumulate(np.flip(shut)))
    closed_before = np.maximum.accumulate(shut)
    return np.where(shut, 1, np.where(closed_before & ~closes_later, 2, 0))


def subtask(task, phase):
    """The subtask in words: "carry: put the banana on the plate"."""
    return f"{PHASES[phase]}: {task}"
