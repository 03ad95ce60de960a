"""Scripted experts: they see the true state, solve every task, and behave a little like people.

`plan.plan` says what to do next; a skill turns that into what the body is asked now, from the state
as it is, so that a thing that was pushed away or dropped is simply picked up again. Speed, height
and paths differ from episode to episode.
"""

import numpy as np

from pi05lite.homes.home import Draw
from pi05lite.homes.places import dock, over, wrap
from pi05lite.homes.plan import plan
from pi05lite.homes.robots import HZ, Intent

CLEAR = 0.19  # metres above a surface at which a hand passes over things
PATIENCE = 18 * HZ  # steps after which a subtask is thought over again


class Expert:
    """Acts in one episode. style: a seed for its manners; calm=True: always the plain way."""

    def __init__(self, episode, style=0, calm=False):
        self.episode, self.world = episode, episode.world
        draw = Draw(style, 31)
        self.draw = draw
        vary = (lambda a, b: (a + b) / 2) if calm else draw.between
        self.speed, self.drive = vary(0.25, 0.40), vary(0.32, 0.45)
        self.turn, self.extra = vary(0.9, 1.3), vary(0.0, 0.05)
        self.wobble = 0.0 if calm else draw.between(0.0, 0.03)
        self.noise = np.zeros(3)
        self.now, self.age, self.idle = None, 0, False
        self._forget()

    def _forget(self):
        self.k, self.shut, self.wait, self.spot = None, 0, 0, None
        self.done = self.released = False
        self.anchor = self.world.base

    def act(self):
        """(action (A,) float32, Subtask) for this step."""
        w = self.world
        if self.now is None or self.done or self.age > PATIENCE or not self._still_makes_sense():
            task, self.age = plan(self.episode), 0
            self._forget()
            self.idle, self.now = task is None, task or self.now or self.episode.first
        self.age += 1
        self.noise = 0.92 * self.noise + self.wobble * np.array(
            [self.draw.between(-0.7, 0.7) for _ in range(3)])
        intent = self._rest() if self.idle else getattr(self, f"_{self.now.skill}")()
        if self.episode.robot.mobile and self.now.skill != "go":
            self._stay(intent)
        return self.episode.robot.encode(intent, w.targets), self.now

    def _still_makes_sense(self):
        """False where what the subtask rests on is gone: the held thing slipped away."""
        w, task = self.world, self.now
        if task.skill == "put":
            return task.thing in w.holding or self.released
        if task.skill == "wipe":
            return any(t is not None and self.episode.things[t].kind == "sponge"
                       for t in w.holding)
        return True

    # ---- movements -------------------------------------------------------------------------------

    def _still(self):
        """Stand still; hands keep what they have, the others stay open."""
        w = self.world
        closed = np.array([float(t is not None) for t in w.holding])
        return Intent(np.zeros(3), np.zeros((w.hands, 3)), closed)

    def _toward(self, k, goal, closed=0.0, speed=None):
        """Move hand k to a place, fast when far; other hands go to rest."""
        w, intent = self.world, self._still()
        speed = speed or self.speed
        for h, hand in enumerate(self.episode.robot.hands):
            aim = goal if h == k else hand.rest
            way = np.asarray(aim) - w.targets[h] if h != k else np.asarray(aim) - w.hand[h]
            far = np.linalg.norm(way)
            intent.hands[h] = way * min(5.0, speed / max(far, 1e-6))
            if h == k and far > 0.04:
                intent.hands[h] += self.noise * min(1.0, far / 0.15)
        intent.closed[k] = closed
        return intent

    def _rest(self):
        """Nothing left to do: hands go to where they rest."""
        self.done = True  # look again at the next step
        return self._toward(0, self.episode.robot.hands[0].rest, self._still().closed[0])

    def _stay(self, intent):
        """Hold the base where this subtask found it, unless it drives."""
        if intent.base.any():
            self.anchor = self.world.base
            return
        x, y, heading = self.world.base
        off, c, s = self.anchor - (x, y, heading), np.cos(heading), np.sin(heading)
        back = 1.5 * np.array([c * off[0] + s * off[1], -s * off[0] + c * off[1], wrap(off[2])])
        intent.base[:] = np.clip(back, -0.1, 0.1)

    def _lift(self, k, closed):
        """Hand k straight up."""
        x, y, _ = self.world.hand[k]
        return self._toward(k, (x, y, self.episode.robot.hands[k].rest[2]), closed)

    def _nearest_hand(self, place):
        """The hand that reaches a place (in the frame of the base) best."""
        hands = self.episode.robot.hands
        return min(range(len(hands)), key=lambda k: abs(hands[k].rest[1] * 0.8 - place[1]))

    def _step_closer(self, intent, place, margin=0.03, inner=0.12):
        """Drive a little so that a place (in the frame of the base) comes into reach."""
        if self.episode.robot.mobile:
            hand = self.episode.robot.hands[0]
            low = np.array([hand.low[0] + inner, hand.low[1] + 0.1])
            high = np.array([hand.high[0] - 0.04, hand.high[1] - 0.1])
            off = place[:2] - np.clip(place[:2], low, high)
            if np.abs(off).max() > margin or (self.wait and np.abs(off).max() > 0.005):
                self.wait = 1
                intent.base[:2] = np.clip(2.0 * off, -0.25, 0.25)
                return True
        self.wait = 0
        return False

    # ---- skills ----------------------------------------------------------------------------------

    def _pick(self):
        w, t = self.world, self.now.thing
        place, half = w.to_base(w.middle(t)), w.span(t)
        if t in w.holding:
            k = w.holding.index(t)
            self.done = w.hand[k, 2] > min(self.base_height(place) + 0.17, 1.1) \
                and w.lifted(t) > 0.1
            return self._lift(k, 1.0)
        self.k = self._nearest_hand(place) if self.k is None else self.k
        k, hand = self.k, w.hand[self.k]
        if w.holding[k] is not None or w.grips[k].drawer is not None:
            return self._toward(k, hand, 0.0)
        top = place[2] + half[2]
        deep = max(place[2] - half[2] + 0.005, top - 0.055, 0.009)
        over = max(top + 0.05, place[2] - half[2] + CLEAR) + self.extra
        if self.shut < 0:  # it was missed: up, and again
            self.shut += 1
            return self._toward(k, (*place[:2], over))
        intent = self._toward(k, (*place[:2], deep), speed=0.22)
        if self._step_closer(intent, place):
            up = self._toward(k, (*hand[:2], max(over, hand[2])))
            up.base = intent.base
            return up
        off = np.hypot(*(hand[:2] - place[:2]))
        if self.shut or (off < 0.02 and abs(hand[2] - deep) < 0.004):
            self.shut += 1
            if self.shut > 45:
                self.shut = -25
            return self._toward(k, hand, 1.0, speed=0.01)
        if off < 0.012 or (off < 0.03 and hand[2] < over - 0.02):
            return intent
        if off > 0.04 and hand[2] < over - 0.015:
            return self._toward(k, (*hand[:2], over))
        return self._toward(k, (*place[:2], over))

    def base_height(self, place):
        """How high what a thing stood on is; place: its middle, in the frame of the base."""
        return self.world.heights[self.now.thing]

    def _put(self):
        w, e, task = self.world, self.episode, self.now
        piece = e.home.pieces[task.piece]
        if self.released:
            self.wait += 1
            hand = w.hand[self.k]
            self.done = self.wait > 8 and hand[2] > min(self.leave, 1.1) - 0.02
            return self._lift(self.k, 0.0)
        k = self.k = w.holding.index(task.thing)
        if self.spot is None:
            self.spot = self._free_spot(piece)
        inside = piece.drawer_inside if task.drawer else piece.inside
        floor, rim = (inside[4], inside[5]) if inside else (piece.surface[4],) * 2
        x = self.spot[0] - (w.drawer_open(task.piece) if task.drawer else 0)
        goal = w.to_base(w.from_piece(task.piece, (x, self.spot[1], floor)))
        at, half, hand = w.to_base(w.middle(task.thing)), w.span(task.thing), w.hand[k]
        hang = hand[2] - (at[2] - half[2])  # the tips are this far above its bottom
        goal[:2] += hand[:2] - at[:2]
        low = (max(floor + 0.008, rim - 0.05) if inside else floor + 0.004) + hang
        over = max(rim + 0.04 if inside else floor + 0.17, floor + 0.1) + hang + self.extra
        over = min(over, e.robot.hands[k].high[2] - 0.005)
        self.leave = max(over - hang + 0.03, low + 0.1)
        self.k = k
        intent = self._toward(k, (*goal[:2], low), 1.0, speed=0.25)
        if self._step_closer(intent, goal):
            up = self._toward(k, (*hand[:2], max(over, hand[2])), 1.0)
            up.base = intent.base
            return up
        off = np.hypot(*(hand[:2] - goal[:2]))
        if off < 0.03 and abs(hand[2] - low) < 0.012 or self.shut:
            self.shut += 1
            if task.thing not in w.holding:
                self.released = True
            return self._open_here(k)
        if off < 0.015 or (off < 0.05 and hand[2] < over - 0.02):
            return intent
        if off > 0.05 and hand[2] < over - 0.015:
            return self._toward(k, (*hand[:2], over), 1.0)
        return self._toward(k, (*goal[:2], over), 1.0)

    def _open_here(self, k):
        self.released, self.wait = True, 0
        return self._toward(k, self.world.hand[k], 0.0)

    def _free_spot(self, piece):
        """Where in the piece's frame to let go: away from what lies there already."""
        w, task = self.world, self.now
        x0, x1, y0, y1 = (piece.drawer_inside if task.drawer else piece.inside or piece.surface)[:4]
        if task.drawer:
            x1 = 0.2
        small = np.array([[0.09, 0.09]]) if piece.inside or task.drawer else np.zeros((1, 2))
        pad = np.minimum(small, [[(x1 - x0) / 2 - 0.005, (y1 - y0) / 2 - 0.005]])[0]
        xs = np.linspace(x0 + pad[0], x1 - pad[0], 4)
        ys = np.linspace(y0 + pad[1], y1 - pad[1], 7)
        slide = w.drawer_open(task.piece) if task.drawer else 0.0
        others = [w.to_piece(task.piece, w.middle(t))[:2] + (slide, 0)
                  for t in range(len(self.episode.things)) if t != task.thing]
        blocked = [q for q in self.episode.home.pieces if q.kind == "tray" and q is not piece]

        def room(spot):
            far = min([np.hypot(*(spot - o)) for o in others], default=1.0)
            if any(over(q, w.from_piece(task.piece, (*spot, 0))) for q in blocked):
                return -1.0
            middle = np.hypot(*(spot - ((x0 + x1) / 2, (y0 + y1) / 2)))
            return min(far, 0.2) - 0.15 * middle
        spots = [np.array([x, y]) for x in xs for y in ys]
        reach = [s for s in spots if self._in_reach(s)] or spots
        return max(reach, key=room)

    def _in_reach(self, spot):
        """Whether the hand that holds can get to a spot of the piece (without driving)."""
        if self.episode.robot.mobile:
            return True
        hand = self.episode.robot.hands[self.k]
        place = self.world.to_base(self.world.from_piece(self.now.piece, (*spot, 0)))
        return all(hand.low[i] + 0.03 < place[i] < hand.high[i] - 0.03 for i in range(2))

    def _grip_knob(self, then):
        """Bring the hand round the knob, close, then do the rest."""
        w, p = self.world, self.now.piece
        knob = w.to_base(w.from_piece(p, w.knob(p)))
        self.k = self._nearest_hand(knob) if self.k is None else self.k
        k, hand = self.k, w.hand[self.k]
        if w.holding[k] is not None:
            return self._toward(k, hand, 0.0)
        if w.grips[k].drawer is not None:
            return then(k)
        low, over = knob[2] - 0.042, knob[2] + 0.12 + self.extra
        up = self._toward(k, (*hand[:2], max(over, hand[2])))
        if self._step_closer(up, knob, 0.015, inner=0.02):
            return up
        off = np.hypot(*(hand[:2] - knob[:2]))
        if self.shut < 0:
            self.shut += 1
            return self._toward(k, (*knob[:2], over))
        if self.shut or (off < 0.015 and abs(hand[2] - low) < 0.01):
            self.shut = self.shut + 1 if self.shut < 50 else -25
            return self._toward(k, hand, 1.0, speed=0.01)
        if off < 0.015 or (off < 0.03 and hand[2] < over - 0.02):
            return self._toward(k, (*knob[:2], low), speed=0.25)
        if off > 0.04 and hand[2] < over - 0.02:
            return self._toward(k, (*hand[:2], over))
        return self._toward(k, (*knob[:2], over))

    def _slide(self, finished, way):
        """Pull or push the drawer until it is where it shall be, then let go and rise."""
        w, p = self.world, self.now.piece
        if self.released or finished(w.drawer_open(p)):
            self.released = True
            k = self._nearest_hand((0, 0, 0)) if self.k is None else self.k
            knob = w.to_base(w.from_piece(p, w.knob(p)))
            self.done = w.hand[k, 2] > knob[2] + 0.1
            if w.grips[k].drawer is not None or w.opening[k] < 0.06 and not self.done:
                return self._toward(k, w.hand[k], 0.0)
            return self._lift(k, 0.0)
        return self._grip_knob(lambda k: self._toward(
            k, w.hand[k] + (way * 0.06, 0, 0), 1.0, speed=0.16))

    def _open(self):
        return self._slide(lambda open_: open_ > 0.21, -1)

    def _close(self):
        return self._slide(lambda open_: open_ < 0.006, 1)

    def _wipe(self):
        w, e = self.world, self.episode
        k = next(h for h, t in enumerate(w.holding)
                 if t is not None and e.things[t].kind == "sponge")
        t, hand = w.holding[k], w.hand[k]
        at, half = w.to_base(w.middle(t)), w.span(t)
        hang, shift = hand[2] - (at[2] - half[2]), hand[:2] - at[:2]
        left = [w.to_base(np.array(e.stains[s])) for s in np.flatnonzero(~w.wiped)]
        if not left:
            self.done = hand[2] > e.stains[0][2] + 0.15
            return self._lift(k, 1.0)
        goal = min(left, key=lambda s: np.hypot(*(s[:2] + shift - hand[:2])))
        low, over = goal[2] + 0.008 + hang, goal[2] + 0.12 + hang
        intent = self._toward(k, (goal[0] + shift[0], goal[1] + shift[1], low), 1.0, speed=0.25)
        if self._step_closer(intent, goal):
            return intent
        off = np.hypot(*(goal[:2] + shift - hand[:2]))
        if off < 0.03 or (off < 0.22 and hand[2] < over - 0.05):
            return intent
        return self._toward(k, (goal[0] + shift[0], goal[1] + shift[1], over), 1.0)

    def _go(self):
        w, e = self.world, self.episode
        piece, (x, y, heading) = e.home.pieces[self.now.piece], w.base
        goal = np.array(dock(piece))
        turn = wrap(goal[2] - heading)
        x0, y0, x1, y1 = e.home.inner
        low, high = np.array([x0 + 0.22, y0 + 0.22]), np.array([x1 - 0.22, y1 - 0.22])
        free = np.clip((x, y), low, high)  # the nearest place with room to turn
        before = np.clip(goal[:2], low, high)
        away, ahead = np.array([np.cos(goal[2]), np.sin(goal[2])]), goal[:2] - (x, y)
        aside = abs(ahead @ (-away[1], away[0]))
        hand = self._toward(0, e.robot.hands[0].rest, float(w.holding[0] is not None))
        lined = abs(turn) < 0.12 and aside < 0.05
        tucked = w.hand[0, 2] > e.robot.hands[0].rest[2] - 0.1 and w.hand[0, 0] < 0.5
        if lined:
            aim = goal[:2]
        else:
            aim = before if np.hypot(*(free - (x, y))) < 0.06 else free
            if abs(turn) < 0.12 and np.hypot(*ahead) < 0.4:
                aim = goal[:2] - away * max(0.0, ahead @ away)  # beside the place: slide over
        way = aim - (x, y)
        v = way * min(2.5, self.drive / max(np.hypot(*way), 1e-6))
        c, s = np.cos(heading), np.sin(heading)
        if tucked:
            hand.base[:2] = c * v[0] + s * v[1], -s * v[0] + c * v[1]
            roomy = np.hypot(*(free - (x, y))) < 0.1 or lined or abs(turn) < 0.3
            hand.base[2] = np.clip(3 * turn, -self.turn, self.turn) if roomy else 0.0
        self.done = np.hypot(*ahead) < 0.02 and abs(turn) < 0.03 and tucked
        return hand

