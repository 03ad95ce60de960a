"""When a hand holds: forgiving, but physical.

A closing hand whose fingers are stopped by a thing between them is tied to it as it lies (nothing
jumps) until it opens again. A hand that closes around a knob is tied to its drawer in the same way.
"""

from weakref import proxy

import mujoco
import numpy as np

NEAR = 0.022  # metres from the point between the fingertips within which a thing is held
AFTER = 5  # steps of closing before anything is held


class Grip:
    """One hand of a World: what it holds, and the ties that do it."""

    def __init__(self, world, hand):
        # A weak reference: a circle would keep each episode's model until the collector comes by.
        m, self.world, self.hand = world.model, proxy(world), hand
        self.thing = self.drawer = None  # numbers of a thing, of a piece whose drawer is held
        self.closing, self.width = 0, 0.0
        self._ties = [m.equality(f"tie{hand}_{t}").id for t in range(len(world.scene.things))]
        self._pulls = {p: m.equality(f"pull{hand}_{p}").id for p in world.drawers}

    @property
    def busy(self):
        """Whether it holds a thing or a drawer."""
        return self.thing is not None or self.drawer is not None

    def step(self):
        """Take what is between the fingers, or let go; after each step of physics."""
        w, closed = self.world, self.world.closed[self.hand]
        opening = w.opening[self.hand]
        stopped = abs(opening - self.width) < 0.0012
        if not self.busy:
            self.width = opening
        self.closing = self.closing + 1 if closed > 0.6 else 0
        if closed < 0.4:
            self.let_go()
        elif self.closing > AFTER and stopped and not self.busy:
            self._take(opening)

    def _take(self, opening):
        w = self.world
        tip = w.data.xpos[w.hand_body[self.hand]] + (0, 0, 0.012)
        best, least = None, NEAR
        for t in range(len(w.scene.things)):
            turn = w.data.xmat[w.scene.bodies[t]].reshape(3, 3)
            local = turn.T @ (tip - w.middle(t))
            away = np.linalg.norm(local - np.clip(local, -w.half[t], w.half[t]))
            free = t not in w.holding and opening < 2 * w.span(t)[1] + 0.03
            if away < least and free:
                best, least = t, away
        if best is not None:
            self.tie(best)
            return
        for p in w.drawers:
            knob = w.from_piece(p, w.knob(p))
            if np.hypot(*(knob - tip)[:2]) < 0.03 and -0.02 < knob[2] - tip[2] < 0.07:
                self._pull(p, knob)
                return

    def tie(self, t):
        """Hold thing t as it lies now."""
        w, data, tie = self.world, self.world.data, self._ties[t]
        hand, body = w.hand_body[self.hand], w.scene.bodies[t]
        frame = data.xmat[hand].reshape(3, 3)
        back, turn = np.empty(4), np.empty(4)
        mujoco.mju_negQuat(back, data.xquat[hand])
        mujoco.mju_mulQuat(turn, back, data.xquat[body])
        w.model.eq_data[tie, :3] = 0
        w.model.eq_data[tie, 3:6] = frame.T @ (data.xpos[body] - data.xpos[hand])
        w.model.eq_data[tie, 6:10], w.model.eq_data[tie, 10] = turn, 1
        data.eq_active[tie] = 1
        self.thing, self.width = t, w.opening[self.hand]
        if t not in w.touched:
            w.touched.append(t)

    def _pull(self, p, knob):
        """Hold the knob of drawer p."""
        w, pull = self.world, self._pulls[p]
        drawer = w.model.body(f"drawer{p}").id
        for body, part in ((w.hand_body[self.hand], slice(0, 3)), (drawer, slice(3, 6))):
            turn = w.data.xmat[body].reshape(3, 3)
            w.model.eq_data[pull, part] = turn.T @ (knob - w.data.xpos[body])
        w.data.eq_active[pull] = 1
        self.drawer, self.width = p, w.opening[self.hand]

    def let_go(self):
        """Untie."""
        if self.thing is not None:
            self.world.data.eq_active[self._ties[self.thing]] = 0
        if self.drawer is not None:
            self.world.data.eq_active[self._pulls[self.drawer]] = 0
        self.thing = self.drawer = None
