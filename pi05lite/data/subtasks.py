"""Subtask labels for real episodes, read off the gripper: reach, carry, leave.

The real subsets carry one instruction an episode; pi0.5's high level wants to know what to do now.
Closing and opening the gripper cuts an episode into phases that the robot's senses can tell apart.
"""

import numpy as np

PHASES = ("reach", "carry", "leave")


def gripper_phases(gripper, closed=0.5):
    """Phase number (T,) at each frame from the gripper commands (T,), larger = more closed.

    carry while it is closed; reach while it is open and has yet to close (or never does); leave
    after the last release. Only commands before the frame count as done, so a label never gives
    away the action that it goes with.
    """
    shut = np.asarray(gripper) > closed  # (T,)
    last, later = np.append(False, shut[:-1]), np.append(shut[1:], False)
    closed_before = np.maximum.accumulate(last)
    closes_later = np.flip(np.maximum.accumulate(np.flip(later)))
    return np.where(last, 1, np.where(closed_before & ~closes_later, 2, 0))


def subtask(task, phase):
    """The subtask in words: "carry: put the banana on the plate"."""
    return f"{PHASES[phase]}: {task}"
