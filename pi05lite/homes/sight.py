"""Where a robot's hands will go by a chunk of actions, and where its cameras see that.

All places are in the frame of the base as it is now: x ahead, y left, z up from the floor, metres.
"""

from dataclasses import dataclass

import numpy as np

from pi05lite.homes.robots import HIGH, HZ, LOW, QUICK, ROBOTS, camera_axes


@dataclass(frozen=True)
class Sight:
    """One camera: its place (3,), its axes right, up and back as columns (3, 3), and its lens."""

    place: np.ndarray
    turn: np.ndarray
    fov: float
    panorama: bool = False

    def project(self, places):
        """Places (..., 3) -> u, v in [0, 1] from the upper left corner (..., 2).

        NaN for what lies behind the camera; values outside [0, 1] are beyond the picture's edge.
        """
        x, y, back = np.moveaxis((np.asarray(places) - self.place) @ self.turn, -1, 0)
        if self.panorama:
            u = np.arctan2(x, -back) / np.pi
            tilt = np.arctan2(y, np.hypot(x, back))
            v = 2 * (tilt - HIGH) / (LOW - HIGH) - 1
        else:
            wide = np.tan(np.radians(self.fov) / 2)
            ahead = np.where(back < -1e-3, -back, np.nan)
            u, v = x / (ahead * wide), -y / (ahead * wide)
        return (np.stack([u, v], axis=-1) + 1) / 2


def gripper_places(name, actions, state):
    """Where each hand is now and after each action, (..., H + 1, hands, 3), or None.

    name: of the robot; actions (..., H, A) and state (S,) in its own units. Only for the robots of
    the homes: what another robot's joints do to its hand is not known here.
    """
    if name not in ROBOTS:
        return None
    actions, state = np.asarray(actions, np.float64), np.asarray(state, np.float64)
    hands = hands_now(name, state)  # (hands, 3)
    start = np.broadcast_to(hands, (*actions.shape[:-2], 1, *hands.shape))
    if name == "two_arm":
        goals = actions.reshape(*actions.shape[:-1], 2, 4)[..., :3]
        return np.concatenate([start, goals], axis=-3)
    if name == "arm":
        velocity = np.stack([actions[..., 1], -actions[..., 0], actions[..., 2]], -1) * HZ / 1000
        base = np.zeros((*actions.shape[:-1], 3))
    else:
        velocity, base = actions[..., 3:6], actions[..., :3]
    local = hands[0] + np.cumsum(np.clip(velocity, -QUICK, QUICK), axis=-2) / HZ  # (..., H, 3)
    return np.concatenate([start, carried(local, base)[..., None, :]], axis=-3)


def carried(local, base):
    """Places (..., H, 3) before a base that moves by velocities (..., H, 3) ahead, left, turn."""
    heading = np.cumsum(base[..., 2], axis=-1) / HZ
    c, s = np.cos(heading), np.sin(heading)
    ahead, left = base[..., 0], base[..., 1]
    x = np.cumsum(c * ahead - s * left, axis=-1) / HZ + c * local[..., 0] - s * local[..., 1]
    y = np.cumsum(s * ahead + c * left, axis=-1) / HZ + s * local[..., 0] + c * local[..., 1]
    return np.stack([x, y, local[..., 2]], axis=-1)


def hands_now(name, state):
    """Places of the hands (hands, 3) in what a robot senses of itself (S,)."""
    if name == "two_arm":
        return state.reshape(2, 4)[:, :3]
    if name == "arm":
        return np.array([[state[1], -state[0], state[2]]]) / 1000
    return state[None, :3]


def sights(name, cameras, state, world=None):
    """{slot: Sight} of a robot's cameras (slot -> camera) as they are now; {} for other robots.

    world: a running home, whose cameras sit a little off; None: where the robot's plan has them.
    """
    if name not in ROBOTS:
        return {}
    known = {camera.name: camera for camera in ROBOTS[name].cameras}
    hands = hands_now(name, np.asarray(state, np.float64))
    found = {}
    for slot, camera in cameras.items():
        camera = known.get(camera.rsplit(".", 1)[-1])  # datasets put "observation.images." before
        if camera is not None:
            found[slot] = _planned(camera, hands) if world is None else _found(camera, world)
    return found


def _planned(camera, hands):
    axes = camera_axes(camera.pitch, camera.yaw, 0.0).reshape(2, 3)
    place = np.array(camera.place) + (0 if camera.hand is None else hands[camera.hand])
    turn = np.stack([*axes, np.cross(axes[0], axes[1])], axis=1)
    return Sight(place, turn, camera.fov, camera.panorama)


def _found(camera, world):
    k = world.model.camera(camera.name).id
    heading = world.base[2]
    c, s = np.cos(heading), np.sin(heading)
    to_base = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    turn = to_base @ world.data.cam_xmat[k].reshape(3, 3)
    return Sight(world.to_base(world.data.cam_xpos[k]), turn, camera.fov, camera.panorama)
