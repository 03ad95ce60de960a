"""What to do next in an episode, seen with the true state; and what may go wrong on the way."""

import numpy as np

from pi05lite.homes.language import Subtask
from pi05lite.homes.places import dock, wrap


def plan(episode):
    """The next Subtask of an episode; None where nothing is left to do."""
    w, task = episode.world, episode.request.task
    if task in ("pick", "follow", "open", "close", "go"):
        return episode.first
    held = next((t for t in w.holding if t is not None), None)
    left = [g for g in episode.goals if not w.inside(g.thing, g.piece, g.drawer)]
    if held is not None:
        goal = next((g for g in episode.goals if g.thing == held), None)
        if goal is not None:
            if goal.drawer and not w.is_open(goal.piece):
                return _reach(episode, goal.piece, Subtask("open", piece=goal.piece))
            return _reach(episode, goal.piece, Subtask("put", held, goal.piece, goal.drawer))
    if left:
        goal = _nearest(episode, left)
        if goal.drawer and not w.is_open(goal.piece):
            return _reach(episode, goal.piece, Subtask("open", piece=goal.piece))
        return _fetch(episode, goal.thing)
    cabinet = next((g.piece for g in episode.goals if g.drawer), None)
    if cabinet is not None and not w.is_shut(cabinet):
        return _reach(episode, cabinet, Subtask("close", piece=cabinet))
    if episode.stains and not w.wiped.all():
        if held is not None:
            return _reach(episode, episode.wiped_piece, Subtask("wipe", piece=episode.wiped_piece))
        sponge = [t for t, thing in enumerate(episode.things) if thing.kind == "sponge"]
        return _fetch(episode, sponge[0])
    return None


def _nearest(episode, goals):
    """The goal that comes next: one within reach from here before others, and the nearest.

    So that who looks can tell: in the order of a list it would be chance (the log of the homes).
    """
    w = episode.world
    places = w.places()

    def order(goal):
        away = np.hypot(*(places[goal.thing][:2] - w.base[:2]))
        return _fetch(episode, goal.thing).skill == "go", away

    return min(goals, key=order)


def support(episode, thing):
    """The piece on or in which a thing lies; None on the bare floor."""
    w = episode.world
    for p, piece in enumerate(episode.home.pieces):
        if piece.drawer and w.inside(thing, p, True) or w.inside(thing, p):
            return p
    return None


def _fetch(episode, thing):
    """Pick up a thing, from where it lies now."""
    p = support(episode, thing)
    task = Subtask("pick", thing)
    return task if p is None else _reach(episode, p, task)


def _reach(episode, p, task):
    """The subtask if the robot stands before piece p, else to go there."""
    x, y, heading = episode.world.base - np.array(dock(episode.home.pieces[p]))
    near = np.hypot(x, y) < 0.28 and abs(wrap(heading)) < 0.2
    return task if near or not episode.robot.mobile else Subtask("go", piece=p)


def disturb(episode, draw, step, when):
    """At the step `when` something goes wrong: a held thing slips, or a wanted one is pushed."""
    if step != when:
        return
    w = episode.world
    held = [k for k, t in enumerate(w.holding) if t is not None]
    if held and draw.chance(0.6):
        w.slip(held[0])
        return
    free = [t for t in sorted(episode.wanted) if t not in w.holding]
    if free:
        angle = draw.between(-3.1, 3.1)
        w.push(draw.one(free), 0.8 * np.array([np.cos(angle), np.sin(angle)]))
