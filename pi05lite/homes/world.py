"""Physics of an episode: actions in, states and pictures out, and where everything is.

Everything moves by forces; `grip.py` says when a hand holds a thing.
"""

import mujoco
import numpy as np

from pi05lite.homes.camera import SoftwareCamera
from pi05lite.homes.furniture import TRAVEL
from pi05lite.homes.grip import Grip
from pi05lite.homes.kinds import KINDS
from pi05lite.homes.robots import HZ, MOST, OPEN, QUICK
from pi05lite.homes.scene import STEPS

HARD = 80.0  # newtons with which a robot presses against furniture when that counts as a bump


class World:
    """One running episode of a Scene; `held` = (hand, thing) starts with a thing in a hand.

    settle: steps for everything to come to rest before it begins.
    """

    def __init__(self, scene, start, held=None, settle=30):
        self.scene, self.model, self.robot = scene, scene.model, scene.robot
        self.data, self.camera = mujoco.MjData(scene.model), SoftwareCamera(scene)
        self.start, self.hands = start, len(scene.robot.hands)
        self._find()
        self.targets = np.array([hand.rest for hand in self.robot.hands])  # (hands, 3)
        self.closed = np.zeros(self.hands)
        self.grips = [Grip(self, k) for k in range(self.hands)]
        self.touched, self.bumps, self.time = [], 0, 0  # things ever held, in order
        self._low = np.array([hand.low for hand in self.robot.hands])
        self._high = np.array([hand.high for hand in self.robot.hands])
        self._begin(held, settle)
        self.heights = self.places()[:, 2].copy()  # where things stood at the start
        if held is not None:
            self.heights[held[1]] = 0.0
        self.wiped = np.zeros(len(scene.stains), bool)

    # ---- set up ------------------------------------------------------------------------------

    def _find(self):
        m, h = self.model, self.hands
        joint = lambda name: m.joint(name).qposadr[0]  # noqa: E731
        self._hand_q = np.array([[joint(f"hand{k}{i}") for i in range(3)] for k in range(h)])
        self._finger_q = np.array([[joint(f"finger{k}{f}") for f in range(2)] for k in range(h)])
        self.hand_body = [m.body(f"hand{k}").id for k in range(h)]
        self._base_body = m.body("base").id
        self._base_v = np.arange(3) if self.robot.mobile else None
        if self.robot.mobile:
            self._base_v = np.array([m.joint(f"base{i}").dofadr[0] for i in range(3)])
        self.drawers = {p: m.joint(f"drawer{p}").qposadr[0]
                        for p, piece in enumerate(self.scene.home.pieces) if piece.drawer}
        robot = {self._base_body, *self.hand_body,
                 *(m.body(f"finger{k}{f}").id for k in range(h) for f in range(2))}
        self._robot_geom = np.isin(m.geom_bodyid, list(robot))
        self._fixed_geom = m.geom_contype == 1
        self._thing_q = np.array([m.jnt_qposadr[m.body_jntadr[b]] for b in self.scene.bodies], int)
        self._round = [KINDS[t.kind].round for t in self.scene.things]
        self.half = np.array([t.half for t in self.scene.things]).reshape(-1, 3)

    def _begin(self, held, settle):
        q = self.data.qpos
        for k, hand in enumerate(self.robot.hands):
            q[self._hand_q[k]] = hand.rest
            q[self._finger_q[k]] = OPEN / 2 - 0.003
        mujoco.mj_kinematics(self.model, self.data)
        if held is not None:
            hand, thing = held
            size = self.half[thing]
            down = min(2 * size[2] - 0.008, 0.055)  # the tips reach this far below its top
            at = self.data.xpos[self.hand_body[hand]] + (0, 0, down - 2 * size[2])
            q[self._thing_q[thing]:self._thing_q[thing] + 3] = at
            half = self.data.xmat[self._base_body].reshape(3, 3)
            turn = np.empty(4)
            mujoco.mju_mat2Quat(turn, half.ravel())
            q[self._thing_q[thing] + 3:self._thing_q[thing] + 7] = turn
            q[self._finger_q[hand]] = min(size[1] + 0.002, OPEN / 2)
            mujoco.mj_kinematics(self.model, self.data)
            self.closed[hand] = 1
            self.grips[hand].tie(thing)
        self.settle(settle)

    def settle(self, steps=30):
        """Let everything come to rest, the robot standing still."""
        self._command(np.zeros(3), self.targets)
        if steps:
            mujoco.mj_step(self.model, self.data, steps * STEPS)
        mujoco.mj_forward(self.model, self.data)

    # ---- what is where ---------------------------------------------------------------------------

    @property
    def base(self):
        """x, y and heading of the base in the room."""
        turn = self.data.xmat[self._base_body]
        return np.array([*self.data.xpos[self._base_body][:2], np.arctan2(turn[3], turn[0])])

    @property
    def base_velocity(self):
        """Ahead, left, turn: m/s, rad/s."""
        if self._base_v is None:
            return np.zeros(3)
        v, heading = self.data.qvel[self._base_v], self.base[2] - self.start[2]
        # The base's slides lie in the frame in which it started.
        c, s = np.cos(heading), np.sin(heading)
        return np.array([c * v[0] + s * v[1], -s * v[0] + c * v[1], v[2]])

    @property
    def hand(self):
        """Places of the hands in the frame of the base, (hands, 3)."""
        return self.data.qpos[self._hand_q]

    @property
    def holding(self):
        """The number of the thing in each hand, or None."""
        return [grip.thing for grip in self.grips]

    @property
    def opening(self):
        """Metres between the fingers of each hand, (hands,)."""
        return self.data.qpos[self._finger_q].sum(axis=1)

    def places(self):
        """Where things are: the middles of their bottoms in the room, (things, 3)."""
        return self.data.xpos[self.scene.bodies]

    def middle(self, thing):
        """The middle of a thing's box in the room, (3,)."""
        body = self.scene.bodies[thing]
        up = self.data.xmat[body].reshape(3, 3)[:, 2]
        return self.data.xpos[body] + up * self.half[thing][2]

    def span(self, thing):
        """Half the extent of a thing along x, y of the base and z, (3,)."""
        turn = self.data.xmat[self.scene.bodies[thing]].reshape(3, 3)
        turn = self.data.xmat[self._base_body].reshape(3, 3).T @ turn
        half = self.half[thing]
        if self._round[thing]:
            upright = np.abs(turn[:, 2])
            return upright * half[2] + np.sqrt(np.maximum(1 - upright**2, 0)) * half[0]
        return np.abs(turn) @ half

    def to_base(self, place):
        """A place in the room (3,) in the frame of the base."""
        x, y, heading = self.base
        c, s = np.cos(heading), np.sin(heading)
        dx, dy = place[0] - x, place[1] - y
        return np.array([c * dx + s * dy, -s * dx + c * dy, place[2]])

    def from_piece(self, p, place):
        """A place in the frame of piece p (3,) in the room."""
        x, y, heading = self.scene.home.pieces[p].pose
        c, s = np.cos(heading), np.sin(heading)
        return np.array([x + c * place[0] - s * place[1], y + s * place[0] + c * place[1],
                         place[2]])

    def to_piece(self, p, place):
        """A place in the room (3,) in the frame of piece p."""
        x, y, heading = self.scene.home.pieces[p].pose
        c, s = np.cos(heading), np.sin(heading)
        dx, dy = place[0] - x, place[1] - y
        return np.array([c * dx + s * dy, -s * dx + c * dy, place[2]])

    def drawer_open(self, p):
        """Metres that the drawer of piece p stands open."""
        return float(self.data.qpos[self.drawers[p]])

    def lifted(self, thing):
        """Metres that a held thing is above where it stood at the start; 0 where not held."""
        if thing not in self.holding:
            return 0.0
        return float(self.places()[thing, 2] - self.heights[thing])

    def inside(self, thing, p, drawer=False):
        """Whether a thing that nobody holds lies in or on piece p (or in its drawer)."""
        if thing in self.holding:
            return False
        piece, (x, y, z) = self.scene.home.pieces[p], self.to_piece(p, self.middle(thing))
        if drawer:
            x0, x1, y0, y1, low, high = piece.drawer_inside
            x = x + self.drawer_open(p)
            return x0 - 0.03 < x < x1 + 0.03 and y0 < y < y1 and low - 0.02 < z < high + 0.06
        if piece.inside:
            x0, x1, y0, y1, low, high = piece.inside
            return x0 < x < x1 and y0 < y < y1 and low - 0.02 < z < high + 0.05
        on = z - self.span(thing)[2] - piece.surface[4]
        return -0.02 < x < piece.depth and abs(y) < piece.width / 2 + 0.02 and abs(on) < 0.05

    def state(self):
        """What the robot senses of itself, float32 (S,)."""
        return self.robot.state(self.base_velocity, self.hand, self.opening)

    def images(self, size=64, names=None):
        """{camera: uint8 (size, size, 3)}."""
        return {name: self.camera.picture(self.data, name, size)[0] for name in
                names or [c.name for c in self.robot.cameras]}

    # ---- one step ------------------------------------------------------------------------------

    def step(self, action):
        """Do one action (A,), 20 ms; raises DataError for NaN or a wrong size."""
        intent = self.robot.decode(action, self.targets)
        v = np.clip(intent.hands, -QUICK, QUICK)
        goal = np.clip(self.targets + v / HZ, self._low, self._high)
        self.targets = self.hand + np.clip(goal - self.hand, -0.05, 0.05)
        self.closed = np.clip(intent.closed, 0, 1)
        self._command(np.clip(intent.base, -MOST, MOST), self.targets)
        mujoco.mj_step(self.model, self.data, STEPS)
        self.time += 1
        for grip in self.grips:
            grip.step()
        self._wipe()
        self._count_bumps()

    def _command(self, base, targets):
        """Set the motors."""
        ctrl, n = self.data.ctrl, 0
        if self.robot.mobile:
            heading = self.base[2] - self.start[2]
            c, s = np.cos(heading), np.sin(heading)
            ctrl[:3] = c * base[0] - s * base[1], s * base[0] + c * base[1], base[2]
            n = 3
        for k in range(self.hands):
            ctrl[n:n + 3] = targets[k]
            half = (1 - self.closed[k]) * OPEN / 2
            if self.grips[k].busy:
                half = max(half, self.grips[k].width / 2 - 0.002)  # enough: the tie holds the rest
            ctrl[n + 3:n + 5] = half
            n += 5

    def knob(self, p):
        """Top of a drawer's knob in the frame of its piece, (3,)."""
        x, y, z = self.scene.home.pieces[p].knob
        return np.array([x - self.drawer_open(p), y, z])

    def slip(self, k):
        """The hand loses what it holds, as if it had slipped away."""
        self.grips[k].let_go()
        self.grips[k].closing = -15  # it does not notice at once

    def push(self, thing, velocity):
        """Something pushes a thing: velocity (2,) m/s in the room."""
        dof = self.model.body_dofadr[self.scene.bodies[thing]]
        self.data.qvel[dof:dof + 2] = velocity

    def _wipe(self):
        """A sponge in a hand takes away the stains it passes over."""
        left = np.flatnonzero(~self.wiped)
        for t in self.holding if len(left) else ():
            if t is None or self.scene.things[t].kind != "sponge":
                continue
            for s in left:
                off = self.places()[t] - self.scene.stains[s]
                if np.hypot(*off[:2]) < 0.05 and off[2] < 0.03:
                    self.wiped[s] = True
                    self.model.geom_rgba[self.scene.stain_geoms[s], 3] = 0  # rays pass through

    def _count_bumps(self):
        """Count the steps in which the robot is pressed hard into furniture or walls."""
        if not self.data.ncon:
            return
        pairs = self.data.contact.geom  # (contacts, 2)
        robot = self._robot_geom[pairs]
        hit = robot.any(axis=1) & self._fixed_geom[pairs].any(axis=1)
        force = np.zeros(6)
        for c in np.flatnonzero(hit):
            mujoco.mj_contactForce(self.model, self.data, int(c), force)
            if force[0] > HARD:
                self.bumps += 1
                return

    def is_open(self, p):
        """Whether the drawer of piece p stands open wide enough to put things in."""
        return self.drawer_open(p) > 0.7 * TRAVEL

    def is_shut(self, p):
        """Whether the drawer of piece p is shut."""
        return self.drawer_open(p) < 0.02
