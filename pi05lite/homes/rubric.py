"""The rubric of a task: points for each step, the share that was earned, and what went wrong."""

from weakref import proxy

import numpy as np

from pi05lite.homes.places import dock, wrap

BUMPED = 25  # steps of being pressed into furniture that make a collision
FAILURES = ("", "wrong object", "dropped", "collision", "timeout")


class Rubric:
    """Watches one episode; call `score` after each step.

    points: what can be earned, in order, as (name, what about); earned: numbers of those so far.
    A point once earned stays earned (pi0.5 scores task progress in this way); success also asks
    that everything still is where it shall be.
    """

    def __init__(self, episode):
        self.episode, self.short = proxy(episode), len(episode.goals) < 2
        self.points, self.earned = points(episode), set()
        self.score()

    def holds(self, point):
        """Whether a point's condition holds now."""
        e, w, (name, about) = self.episode, self.episode.world, point
        if name == "pick":
            return w.lifted(about) > (0.08 if self.short else 0.03)
        if name == "put":
            return w.inside(about.thing, about.piece, about.drawer)
        if name == "open":
            return w.is_open(about)
        if name == "close":
            return w.is_shut(about) and all(
                w.inside(g.thing, g.piece, g.drawer) for g in e.goals)
        if name == "wipe":
            return bool(w.wiped.all())
        x, y, heading = w.base - np.array(dock(e.home.pieces[about]))
        return np.hypot(x, y) < 0.15 and abs(wrap(heading)) < 0.26

    def score(self):
        """Earn what holds now."""
        for i, point in enumerate(self.points):
            if i not in self.earned and self.holds(point):
                self.earned.add(i)

    @property
    def progress(self):
        """Share of the points earned so far."""
        return len(self.earned) / len(self.points)

    @property
    def success(self):
        """All points earned, and everything still where it shall be."""
        if len(self.earned) < len(self.points):
            return False
        return all(self.holds(p) for p in self.points
                   if self.short or p[0] not in ("pick", "open"))

    @property
    def failure(self):
        """What went wrong: "" (success), wrong object, dropped, collision or timeout."""
        e, w = self.episode, self.episode.world
        if self.success:
            return ""
        if set(w.touched) - e.wanted:
            return "wrong object"
        placed = {g.thing for g in e.goals if w.inside(g.thing, g.piece, g.drawer)}
        if (set(w.touched) & e.wanted) - placed - set(w.holding):
            return "dropped"
        return "collision" if w.bumps > BUMPED else "timeout"


def points(episode):
    """What can be earned in an episode, in order: (name, what about)."""
    task, goals = episode.request.task, episode.goals
    if task in ("pick", "follow"):
        return [("pick", episode.target)]
    if task in ("open", "close"):
        return [(task, episode.station)]
    if task == "go":
        return [("go", episode.target)]
    if task == "put":
        return [("put", goals[0])]
    found = [("open", goals[0].piece)] if task == "drawer" else []
    for goal in goals:
        found += [("pick", goal.thing), ("put", goal)]
    found += [("close", goals[0].piece)] if task == "drawer" else []
    return found + ([("wipe", episode.wiped_piece)] if episode.stains else [])
