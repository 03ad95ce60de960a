"""Places and headings in a room, and in the frames of the pieces that stand in it."""

import numpy as np


def dock(piece):
    """Where a robot stands before a piece: x, y, heading."""
    x, y = from_pose(piece.pose, -piece.distance, 0)
    return x, y, piece.pose[2]


def from_pose(pose, x, y):
    """A place in a frame at a pose, in the room, rounded."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return (round(float(pose[0] + c * x - s * y), 4), round(float(pose[1] + s * x + c * y), 4))


def wrap(angle):
    """An angle between -pi and pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def way_to(pose, goal):
    """From one (x, y, heading) to another: ahead and left as seen from the first, and the turn."""
    across, along = goal[0] - pose[0], goal[1] - pose[1]
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return np.array([c * across + s * along, c * along - s * across, wrap(goal[2] - pose[2])])


def over(piece, place):
    """Whether a place in the room is above or just beside a piece that things fall into."""
    x, y, heading = piece.pose
    c, s = np.cos(heading), np.sin(heading)
    dx, dy = place[0] - x, place[1] - y
    u, v = c * dx + s * dy, -s * dx + c * dy
    return -0.1 < u < piece.depth + 0.1 and abs(v) < piece.width / 2 + 0.1

