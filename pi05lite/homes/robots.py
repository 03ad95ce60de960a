"""The robots: a mobile manipulator, and two that stand still and speak other action languages.

Each is hands over a base: a hand moves along x (ahead), y (left), z (up) of the base and points
down; its place is the point between its fingertips. `decode` turns an action into an Intent, what
the body is asked to do now; `encode` turns an Intent into the robot's action.
"""

from dataclasses import dataclass, field

import numpy as np

from pi05lite.errors import DataError, say

HZ = 50  # control steps a second
OPEN = 0.15  # metres between open fingers
MOST = np.array([0.6, 0.6, 1.6])  # base: m/s ahead and left, rad/s
QUICK = 0.6  # hand: m/s in each direction
LOW, HIGH = np.radians(-62.0), np.radians(2.0)  # what a panorama sees, from bottom to top


@dataclass(frozen=True)
class Hand:
    """Where a hand rests and how far it reaches, in the frame of the base."""

    rest: tuple
    low: tuple
    high: tuple


@dataclass(frozen=True)
class Camera:
    """Where a camera sits (on the base, or on hand k), where it looks, how wide; degrees."""

    name: str
    place: tuple
    pitch: float
    yaw: float = 0.0
    fov: float = 62.0
    hand: int | None = None
    panorama: bool = False  # all round, 360 degrees wide


@dataclass
class Intent:
    """Velocities of base (3,) and hands (hands, 3), and how closed each hand shall be (0 to 1)."""

    base: np.ndarray
    hands: np.ndarray
    closed: np.ndarray


@dataclass(frozen=True)
class Robot:
    """Hands, cameras, and the names of what it senses and does."""

    name: str
    mobile: bool
    hands: tuple
    cameras: tuple
    state_names: tuple
    action_names: tuple
    action_low: tuple
    action_high: tuple
    slots: dict = field(default_factory=dict)  # slot of the model -> camera
    gripper: int | None = None  # index of the (first) gripper in the action

    @property
    def action_size(self):
        """A, how many numbers an action has."""
        return len(self.action_names)

    @property
    def state_size(self):
        """S, how many numbers the state has."""
        return len(self.state_names)

    def check(self, action):
        """The action as float64 (A,); raises DataError for NaN or another size."""
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (self.action_size,):
            raise DataError(say(f"action for {self.name}", f"shape ({self.action_size},): "
                                f"{', '.join(self.action_names)}", f"shape {action.shape}",
                                "give one number for each name, one step at a time"))
        if not np.isfinite(action).all():
            raise DataError(say(f"action for {self.name}", "finite numbers", action.tolist(),
                                "look at what made it: a policy that diverged, or a bad scale"))
        return action

    def decode(self, action, targets):
        """What an action (A,) asks for, given the hands' targets (hands, 3) so far."""
        return DECODE[self.name](self.check(action), targets)

    def encode(self, intent, targets):
        """The action (A,), float32, that asks for an Intent."""
        action = ENCODE[self.name](intent, targets)
        return np.clip(action, self.action_low, self.action_high).astype(np.float32)

    def state(self, base, hands, opening):
        """What it senses, float32 (S,): base velocity (3,), hand places (hands, 3), openings."""
        return STATE[self.name](base, hands, opening).astype(np.float32)


# ---- mobile: base velocity, hand velocity, m/s; gripper 0 open to 1 closed -----------------------

def _mobile_decode(a, targets):
    return Intent(a[:3], a[None, 3:6], a[6:7])


def _mobile_encode(intent, targets):
    return np.concatenate([intent.base, intent.hands[0], intent.closed])


def _mobile_state(base, hands, opening):
    return np.concatenate([hands[0], opening / OPEN, base])


# ---- arm: millimetres a step to its right, ahead, up; gripper 1 open to -1 closed ----------------

def _arm_frame(v):
    return np.array([-v[1], v[0], v[2]])


def _arm_decode(a, targets):
    v = np.array([a[1], -a[0], a[2]]) * HZ / 1000
    return Intent(np.zeros(3), v[None], (1 - a[3:4]) / 2)


def _arm_encode(intent, targets):
    return np.append(_arm_frame(intent.hands[0]) * 1000 / HZ, 1 - 2 * intent.closed[0])


def _arm_state(base, hands, opening):
    return np.append(_arm_frame(hands[0]) * 1000, opening[0] * 1000)


# ---- two_arm: where each hand shall be, and how far it shall open, metres ----------------------

def _two_decode(a, targets):
    a = a.reshape(2, 4)
    return Intent(np.zeros(3), (a[:, :3] - targets) * HZ, 1 - a[:, 3] / OPEN)


def _two_encode(intent, targets):
    goals = targets + intent.hands / HZ
    return np.concatenate([goals, (1 - intent.closed[:, None]) * OPEN], axis=1).ravel()


def _two_state(base, hands, opening):
    return np.concatenate([hands, opening[:, None]], axis=1).ravel()


DECODE = {"mobile": _mobile_decode, "arm": _arm_decode, "two_arm": _two_decode}
ENCODE = {"mobile": _mobile_encode, "arm": _arm_encode, "two_arm": _two_encode}
STATE = {"mobile": _mobile_state, "arm": _arm_state, "two_arm": _two_state}
_XYZ = ("x", "y", "z")

MOBILE = Robot(
    "mobile", True, (Hand((0.22, 0.30, 1.08), (0.17, -0.42, 0.008), (0.86, 0.42, 1.25)),),
    (Camera("head", (0.08, 0.0, 1.38), -50, fov=59),
     Camera("wrist", (-0.10, 0.0, 0.13), -60, fov=84, hand=0),
     Camera("surround", (0.0, 0.0, 1.62), 0, panorama=True)),
    ("hand.x", "hand.y", "hand.z", "gripper", "base.ahead", "base.left", "base.turn"),
    ("base.ahead", "base.left", "base.turn", "hand.x", "hand.y", "hand.z", "gripper"),
    (*-MOST, *(-QUICK,) * 3, 0), (*MOST, *(QUICK,) * 3, 1),
    {"base": "head", "left_wrist": "wrist", "right_wrist": "surround"}, 6)

_MM = QUICK * 1000 / HZ
ARM = Robot(
    "arm", False, (Hand((0.30, 0.0, 1.08), (0.12, -0.45, 0.008), (0.90, 0.45, 1.25)),),
    (Camera("side", (0.0, 0.52, 1.36), -44, -37, fov=62),
     Camera("wrist", (0.10, 0.0, 0.13), -60, 180, fov=84, hand=0)),
    ("hand.right", "hand.ahead", "hand.up", "gripper"),
    ("hand.right", "hand.ahead", "hand.up", "gripper"),
    (*(-_MM,) * 3, -1), (*(_MM,) * 3, 1), {"base": "side", "left_wrist": "wrist"}, 3)

_LEFT = Hand((0.28, 0.34, 1.08), (0.12, -0.16, 0.008), (0.90, 0.50, 1.25))
_RIGHT = Hand((0.28, -0.34, 1.08), (0.12, -0.50, 0.008), (0.90, 0.16, 1.25))
TWO_ARM = Robot(
    "two_arm", False, (_LEFT, _RIGHT),
    (Camera("top", (0.50, 0.0, 1.85), -86, fov=58),
     Camera("left_wrist", (-0.10, 0.0, 0.13), -60, fov=84, hand=0),
     Camera("right_wrist", (-0.10, 0.0, 0.13), -60, fov=84, hand=1)),
    tuple(f"{side}.{n}" for side in ("left", "right") for n in (*_XYZ, "opening")),
    tuple(f"{side}.{n}" for side in ("left", "right") for n in (*_XYZ, "opening")),
    (*_LEFT.low, 0, *_RIGHT.low, 0), (*_LEFT.high, OPEN, *_RIGHT.high, OPEN),
    {"base": "top", "left_wrist": "left_wrist", "right_wrist": "right_wrist"})

ROBOTS = {robot.name: robot for robot in (MOBILE, ARM, TWO_ARM)}


def find_robot(name):
    """The robot of a name; raises DataError for an unknown one."""
    if name not in ROBOTS:
        raise DataError(say("robot", f"one of {tuple(ROBOTS)}", repr(name), "ask for one of these"))
    return ROBOTS[name]


def camera_axes(pitch, yaw, roll):
    """Right and up of a camera (6,) from its angles in degrees; ahead is x, left is y."""
    p, y, r = np.radians([pitch, yaw, roll])
    ahead = np.array([np.cos(p) * np.cos(y), np.cos(p) * np.sin(y), np.sin(p)])
    right = np.array([np.sin(y), -np.cos(y), 0.0])
    up = np.cross(right, ahead)
    return np.concatenate([np.cos(r) * right + np.sin(r) * up, np.cos(r) * up - np.sin(r) * right])
