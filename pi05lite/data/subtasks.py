"""Subtask labels for real episodes, read off the gripper: reach, then carry, then reach again.

The real subsets carry one instruction an episode; pi0.5's high level wants to know what to do now.
Closing and opening the gripper cuts an episode into phases that the robot's senses can tell apart.
"""

import numpy as np

PHASES = ("reach", "carry")


def gripper_phases(gripper, closed=0.5):
    """Phase number (T,) at each frame from the gripper commands (T,), larger = more closed.

    carry while it was last told to close, reach otherwise. Only commands before the frame count, so
    a label never gives away the action that it goes with.
    """
    shut = np.asarray(gripper) > closed  # (T,)
    return np.append(False, shut[:-1]).astype(int)


def subtask(task, phase):
    """The subtask in words: "carry: put the banana on the plate"."""
    return f"{PHASES[phase]}: {task}"
