"""Who, where and with what: the plan of an episode, drawn from its request.

Nothing runs here; `tasks.Episode` is an arrangement that runs.
"""

from dataclasses import dataclass, replace

import numpy as np

from pi05lite.errors import DataError, say
from pi05lite.homes.colors import HELD_OUT_COLORS
from pi05lite.homes.home import ROOMS, make_home, make_laboratory
from pi05lite.homes.kinds import HELD_OUT_KINDS, KINDS, KNOWN_KINDS, family
from pi05lite.homes.language import called
from pi05lite.homes.places import dock, from_pose, over
from pi05lite.homes.robots import find_robot
from pi05lite.homes.scene import Thing

SHORT = ("pick", "put", "open", "close", "wipe", "go", "follow")
LONG = ("dishes", "drawer", "laundry", "toys", "table", "tray")
TASKS = SHORT + LONG
NEEDS = {"dishes": ("sink", "table"), "laundry": ("basket",), "toys": ("toy box",),
         "table": ("table", "sink", "bin"), "drawer": ("cabinet",), "open": ("cabinet",),
         "close": ("cabinet",)}
FROM = {"dishes": ("table", "counter"), "laundry": ("bed", "rug", "shelf"),
        "toys": ("rug", "table", "shelf"), "table": ("table",), "drawer": ("cabinet",)}
INTO = {"dishes": "sink", "laundry": "basket", "toys": "toy box", "drawer": "cabinet"}
# Families that are put on or in a piece of this kind in the skill suite, and never in training.
NEW_PAIRS = {"table": "tools", "counter": "bath", "sink": "toys", "bin": "bottles",
             "basket": "papers", "toy box": "electronics", "shelf": "laundry", "bed": "bath",
             "rug": "food", "cabinet": "cutlery", "bench": "toys", "tray": "bottles"}
SPACING = 0.155  # metres between things at the start
FLAT = 0.045  # metres: what goes into a drawer is not higher


@dataclass(frozen=True)
class Request:
    """What an episode is made from; the same request gives the same episode everywhere.

    home: seed of the home; seed: of what differs between episodes in one home (things, places,
    words, where the robot starts). room None: one that has what the task needs.
    """

    task: str = "pick"
    home: int = 0
    split: str = "train"
    seed: int = 0
    robot: str = "mobile"
    room: str | None = None


@dataclass(frozen=True)
class Goal:
    """One thing that shall lie in or on a piece (or its drawer)."""

    thing: int
    piece: int
    drawer: bool = False


class Arrangement:
    """A request made concrete: home, things, goals, stains, and where the robot starts.

    Raises DataError for a task that is impossible in this room or for this robot.
    """

    def __init__(self, request, draw):
        self.request = request
        self._check()
        self.robot = find_robot(request.robot)
        self.home = self._room(draw)
        self.things, self.goals, self.stains, self.target = [], [], [], None
        self.held, self.opened = None, False  # (hand, thing) at the start; the drawer stands open
        self.distractors = int(draw.between(1, 5))
        getattr(self, f"_plan_{_PLANS.get(request.task, request.task)}")(draw)
        self._name(draw)

    # ---- what the request asks for -----------------------------------------------------------

    def _check(self):
        r = self.request
        if r.task not in TASKS:
            raise DataError(say("task", f"one of {TASKS}", repr(r.task), "ask for one of these"))
        robot = find_robot(r.robot)
        lab = r.robot == "two_arm"
        if (r.task == "tray") != lab and r.task in LONG:
            raise DataError(say(f"task {r.task!r} for robot {r.robot!r}", "tray for two_arm in its "
                                "laboratory, the others in homes", "both", "choose another robot"))
        moving = r.task == "go" or (r.task in LONG and r.task not in ("drawer", "tray"))
        if moving and not robot.mobile:
            raise DataError(say(f"task {r.task!r} for robot {r.robot!r}", "a robot that can drive",
                                "one that stands still", 'use robot="mobile", or a short task'))
        if lab and r.task in ("open", "close", "drawer"):
            raise DataError(say(f"task {r.task!r} for robot {r.robot!r}", "a room with a drawer",
                                "the laboratory has none", 'use robot="mobile" or "arm"'))

    def _room(self, draw):
        r, need = self.request, NEEDS.get(self.request.task, ())
        if r.robot == "two_arm":
            return make_laboratory(r.home, r.split)
        rooms = [room for room, pieces in ROOMS.items() if set(need) <= set(pieces[:4])]
        if r.room is None:
            return make_home(r.home, draw.one(rooms), r.split)
        home = make_home(r.home, r.room, r.split)
        here = {piece.kind for piece in home.pieces}
        missing = set(need) - here
        if r.task in FROM and not here & set(FROM[r.task]):
            missing |= set(FROM[r.task])
        if missing:
            raise DataError(say(f"task {r.task!r} in the {r.room} of home {r.home}",
                                f"a room with {' and '.join(need)}",
                                f"no {' or '.join(sorted(missing))}",
                                f"use one of the rooms {rooms}, or leave room out"))
        return home

    # ---- plans: each fills things, goals, where the robot stands -------------------------------

    def _pieces(self, test):
        return [p for p, piece in enumerate(self.home.pieces) if test(piece)]

    def _named(self, *kinds):
        return self._pieces(lambda piece: piece.kind in kinds)

    def _stand(self, p, draw):
        """Start in front of piece p, nearly straight."""
        self.station = p
        x, y, heading = dock(self.home.pieces[p])
        off = (draw.between(-0.02, 0.02), draw.between(-0.03, 0.03), draw.between(-0.05, 0.05))
        if not self.robot.mobile:
            off = (0, 0, 0)
        c, s = np.cos(heading), np.sin(heading)
        self.start = (round(float(x + c * off[0] - s * off[1]), 4),
                      round(float(y + s * off[0] + c * off[1]), 4), round(heading + off[2], 4))

    def _kinds(self, draw, allowed, count):
        """`count` different kinds; in the semantics suite the first is one known only from WD."""
        new = [k for k in allowed if k in HELD_OUT_KINDS]
        known = [k for k in allowed if k not in HELD_OUT_KINDS]
        if self.request.split == "semantics" and new:
            return draw.some(new, 1) + draw.some(known, count - 1)
        return draw.some(known, count)

    def _add(self, draw, p, kinds, closer=False):
        """Put things of these kinds on piece p; returns their numbers.

        Those that find no room are left out; closer: then they stand closer together.
        """
        out = []
        for kind in kinds:
            spot = self._spot(draw, p)
            if spot is None and closer:
                spot = self._spot(draw, p, 0.7) or self._spot(draw, p, 0.5)
            if spot is None:
                break
            colors = KINDS[kind].colors
            if self.request.split == "perception" and len(colors) > 4:
                colors = HELD_OUT_COLORS
            x, y, z = spot
            self.things.append(Thing(kind, draw.one(colors), (x, y, z, draw.between(-3.1, 3.1))))
            out.append(len(self.things) - 1)
        return out

    def _spot(self, draw, p, share=1.0):
        """A free place on piece p: x, y, z in the room; None where there is none left.

        share: of the usual distances to what is there.
        """
        piece = self.home.pieces[p]
        x0, x1, y0, y1, z = piece.surface
        for _ in range(60):
            place = from_pose(piece.pose, draw.between(x0, x1), draw.between(y0, y1))
            if all(np.hypot(place[0] - t.pose[0], place[1] - t.pose[1]) > SPACING * share
                   for t in self.things) and all(
                       np.hypot(place[0] - s[0], place[1] - s[1]) > 0.11 * share
                       for s in self.stains):
                if not any(q.inside and over(q, place) for q in self.home.pieces):
                    return (*place, z + 0.002)
        return None

    def _distract(self, draw, p, count, avoid=()):
        left = [k for k in KNOWN_KINDS if k not in {t.kind for t in self.things} | set(avoid)]
        return self._add(draw, p, draw.some(left, count))

    def _plan_pick(self, draw):
        crowd = self.request.task == "follow"  # five things: too many for the top of a cabinet
        p = draw.one(self._pieces(lambda q: q.surface and not (crowd and q.kind == "cabinet")))
        self._stand(p, draw)
        every = (*KNOWN_KINDS, *HELD_OUT_KINDS)
        self.target = self._add(draw, p, self._kinds(draw, every, 1))[0]
        self._distract(draw, p, 4 if crowd else self.distractors)

    def _plan_put(self, draw):
        piece = draw.one(self._pieces(lambda piece: piece.surface or piece.inside))
        self._stand(piece, draw)
        new = NEW_PAIRS[self.home.pieces[piece].kind]
        wanted = [k.name for k in KINDS.values()
                  if (k.family == new) is (self.request.split == "skill")]
        kind = self._kinds(draw, wanted, 1)[0]
        self.things = [Thing(kind, draw.one(KINDS[kind].colors), (0, 0, 1.0, 0))]
        hand = int(draw.chance(0.5)) if len(self.robot.hands) > 1 else 0
        self.held = (hand, 0)
        self.goals = [Goal(0, piece)]
        for p in self._pieces(lambda q: q.surface):
            if p == piece:
                self._distract(draw, p, self.distractors - 1)

    def _plan_drawer_skill(self, draw):
        p = self._named("cabinet")[0]
        self._stand(p, draw)
        self.opened = self.request.task == "close"
        self._distract(draw, p, self.distractors)

    def _plan_wipe(self, draw):
        p = draw.one(self._named("table", "counter", "bench", "cabinet", "shelf"))
        self._stand(p, draw)
        self._stain(draw, p)
        self.things = [Thing("sponge", draw.one(KINDS["sponge"].colors), (0, 0, 1.0, 0))]
        self.held = (0, 0)
        self._distract(draw, p, min(self.distractors, 3), avoid=("sponge",))

    def _stain(self, draw, p):
        """Three or four spots near each other on piece p."""
        x0, x1, y0, y1, z = self.home.pieces[p].surface
        middle = draw.between(x0 + 0.06, x1 - 0.06), draw.between(y0 + 0.1, y1 - 0.1)
        if self.home.pieces[p].kind == "bench":
            middle = middle[0], draw.between(0.26, 0.34)  # beside the tray, near the left hand
        for k in range(3 + draw.chance(0.5)):
            off = ((-0.06, -0.07), (0.06, -0.04), (-0.02, 0.06), (0.05, 0.08))[k]
            x, y = from_pose(self.home.pieces[p].pose, middle[0] + off[0], middle[1] + off[1])
            self.stains.append((x, y, z))
        self.wiped_piece = p

    def _plan_go(self, draw):
        kinds = draw.some(range(len(self.home.pieces)), 2)
        self.target = kinds[0]
        self._stand(kinds[1], draw)
        if draw.chance(0.5):  # anywhere in the room, in any direction
            x0, y0, x1, y1 = self.home.inner
            self.start = (draw.between(x0 + 0.25, x1 - 0.25), draw.between(y0 + 0.25, y1 - 0.25),
                          draw.between(-3.1, 3.1))
        for p in self._pieces(lambda piece: piece.surface):
            self._distract(draw, p, int(draw.between(0, 3)))

    def _plan_carry(self, draw):
        """Long tasks of the pattern: these things, from here, into that."""
        task = self.request.task
        kinds = {"dishes": family("dishes"), "laundry": family("laundry"), "toys": family("toys")}
        new = {"dishes": family("dishes", True), "laundry": family("laundry", True),
               "toys": family("toys", True)}
        into = self._named(INTO[task])[0]
        sources = self._named(*FROM[task])
        chosen = self._kinds(draw, kinds[task] + new[task], 3)
        spots = [draw.one(sources) for _ in chosen]
        for kind, p in sorted(zip(chosen, spots), key=lambda pair: pair[1]):
            self.goals += [Goal(t, into) for t in self._add(draw, p, [kind])]
        self._extra(draw, sources, kinds[task])
        self._stand(draw.one(self._pieces(lambda piece: True)), draw)

    def _extra(self, draw, sources, avoid):
        """Things that are not to be touched."""
        for _ in range(self.distractors):
            self._distract(draw, draw.one(sources), 1, avoid)

    def _plan_drawer(self, draw):
        """Things on the cabinet go into its drawer; one that lies elsewhere must be fetched."""
        p = self._named("cabinet")[0]
        flat = [k.name for k in KINDS.values() if 2 * k.size[2] <= FLAT]
        elsewhere = self._pieces(lambda piece: piece.surface and not piece.drawer)
        fetch = self.robot.mobile and elsewhere
        chosen = self._kinds(draw, flat, 3 if fetch else 3 + draw.chance(0.5))
        here = self._add(draw, p, chosen[:2] if fetch else chosen)
        there = self._add(draw, draw.one(elsewhere), chosen[2:]) if fetch else []
        self.goals = [Goal(t, p, True) for t in here + there]
        self._stand(p, draw)
        if self.robot.mobile and draw.chance(0.5):
            self._stand(draw.one(self._pieces(lambda piece: not piece.drawer)), draw)

    def _plan_table(self, draw):
        table, sink, bin_ = (self._named(k)[0] for k in ("table", "sink", "bin"))
        self._stain(draw, table)
        dish = self._kinds(draw, family("dishes") + family("dishes", True), 1)
        rest = draw.some(family("food"), 1)
        self.goals = [Goal(t, sink) for t in self._add(draw, table, dish, True)]
        self.goals += [Goal(t, bin_) for t in self._add(draw, table, rest, True)]
        self._add(draw, table, ["sponge"], True)
        self._stand(draw.one(self._pieces(lambda piece: True)), draw)

    def _plan_tray(self, draw):
        bench, tray = self._named("bench")[0], self._named("tray")[0]
        every = (*KNOWN_KINDS, *HELD_OUT_KINDS)
        chosen = self._kinds(draw, [k for k in every if KINDS[k].size[2] < 0.05],
                             2 + draw.chance(0.5))
        self.goals = [Goal(t, tray) for t in self._add(draw, bench, chosen)]
        self._stand(bench, draw)

    # ---- words ---------------------------------------------------------------------------------

    def _name(self, draw):
        """Give every thing a name that no other thing here could be called by."""
        kinds = [thing.kind for thing in self.things]
        for t, thing in enumerate(self.things):
            twin = kinds.count(thing.kind) > 1
            plain = len(KINDS[thing.kind].colors) > 1 and draw.chance(0.3)
            self.things[t] = replace(thing, name=called(thing.kind, thing.color, draw,
                                                        twin or plain))


_PLANS = {"follow": "pick", "open": "drawer_skill", "close": "drawer_skill", "dishes": "carry",
          "laundry": "carry", "toys": "carry"}
