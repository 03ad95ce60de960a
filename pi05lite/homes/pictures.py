"""Pictures with words from homes: captions, questions and boxes, over all kinds of things (WD).

The camera goes where no robot camera is: near and far, high and low, round a piece of furniture.
Some of the kinds in these pictures are in no robot data; this is where their names are learned.
"""

import json

import numpy as np

from pi05lite.homes.camera import boxes, rays
from pi05lite.homes.colors import SYNONYMS
from pi05lite.homes.home import ROOMS, Draw, make_home
from pi05lite.homes.kinds import KINDS
from pi05lite.homes.language import called, where
from pi05lite.homes.places import dock, from_pose
from pi05lite.homes.robots import MOBILE
from pi05lite.homes.scene import Scene, Thing
from pi05lite.homes.world import World

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")
SPACING = 0.15
SHOTS = 4  # pictures of one arrangement of things


def pictures(seed, count=20, size=64, home=None):
    """`count` pictures of one home as an episode for `write_dataset`, one question each.

    Per frame: "question", "answer" ("" for pure boxes), the "boxes" it asks for, and those of all
    "things" in sight, as JSON.
    """
    draw = Draw(seed, 21)
    frames, texts = [], {"question": [], "answer": [], "boxes": [], "things": []}
    room = draw.one(list(ROOMS))
    place = make_home(seed if home is None else home, room, "train")
    while len(frames) < count:
        world, piece = _scene(draw, place)
        for _ in range(min(SHOTS, count - len(frames))):
            picture, seen = _shot(draw, world, piece, size)
            if seen:
                named = [[world.scene.things[t].name, [round(v, 4) for v in box]]
                         for t, box in seen.items()]
                for key, value in zip(texts, (*_ask(draw, world.scene, seen, piece),
                                              json.dumps(named))):
                    texts[key].append(value)
                frames.append(picture)
    blank = np.zeros((count, 1), np.float32)
    return {"state": blank, "action": blank, "task": "", "texts": texts,
            "images": {"observation.images.picture": np.array(frames)},
            "meta": {"home": place.seed, "room": room}}


def _scene(draw, home):
    """(a world with things on a piece, the piece), a robot before it."""
    pieces = [p for p in home.pieces if p.surface]
    piece = draw.one(pieces)
    things = _things(draw, piece)
    x, y, heading = dock(piece)
    behind = draw.between(0.0, 0.15)  # the robot stands here, as it would to work
    start = (round(x - behind * np.cos(heading), 4), round(y - behind * np.sin(heading), 4),
             heading)
    return World(Scene(home, MOBILE, things, start), start, settle=0), piece


def _shot(draw, world, piece, size):
    """(picture, {thing: box} in sight) from a camera somewhere."""
    camera = world.camera
    if draw.chance(0.4):
        picture, geom = camera.picture(world.data, "head", size)
    else:
        aim = np.array([*from_pose(piece.pose, draw.between(*piece.surface[:2]),
                                   draw.between(*piece.surface[2:4])), piece.surface[4]])
        angle, far = piece.pose[2] + draw.between(-0.9, 0.9), draw.between(0.35, 1.0)
        tilt = draw.between(0.5, 1.3)
        back = np.array([-np.cos(angle) * np.cos(tilt), -np.sin(angle) * np.cos(tilt),
                         np.sin(tilt)])
        ahead, right = -back, np.array([np.sin(angle), -np.cos(angle), 0])
        turn = np.stack([right, np.cross(right, ahead), back], axis=1)
        picture, geom = camera.look(world.data, aim + far * back, turn,
                                    rays(size, 50, False), size)
    return picture, boxes(geom, world.scene.thing_of, range(len(world.scene.things)), least=6)


def _things(draw, piece):
    """One to six things of any kind, apart from each other, on a piece."""
    things, spots = [], []
    x0, x1, y0, y1, z = piece.surface
    for kind in draw.some(list(KINDS), 1 + int(draw.between(0, 6))):
        for _ in range(20):
            spot = np.array(from_pose(piece.pose, draw.between(x0, x1), draw.between(y0, y1)))
            if all(np.hypot(*(spot - s)) > SPACING for s in spots):
                spots.append(spot)
                color = draw.one(KINDS[kind].colors)
                colored = len(KINDS[kind].colors) > 1 and draw.chance(0.4)
                things.append(Thing(kind, color, (float(spot[0]), float(spot[1]), z + 0.002,
                                                  draw.between(-3.1, 3.1)),
                                    called(kind, color, draw, colored)))
                break
    return things


def _ask(draw, scene, seen, piece):
    """(question, answer, boxes as JSON) about what is in sight."""
    names = [scene.things[t].name for t in seen]
    choice = draw.between(0, 1)
    if choice < 0.45:  # where things are is what a robot needs most
        asked = sorted(draw.some(list(seen), 1 + int(draw.between(0, min(3, len(seen))))))
        rows = sorted([scene.things[t].name, [round(v, 4) for v in seen[t]]] for t in asked)
        return "detect " + " ; ".join(name for name, _ in rows), "", json.dumps(rows)
    on = where(piece)
    if choice < 0.65:
        return "caption en", f"{_listed(names)} {on}", "[]"
    t = draw.one(list(seen))
    thing, color = scene.things[t], scene.things[t].color
    if choice < 0.75:
        plain = thing.name.removeprefix(color).strip()
        for word in SYNONYMS.get(color, ()):
            plain = plain.removeprefix(word).strip()
        return f"what color is the {plain}?", color, "[]"
    if choice < 0.85:
        other = draw.one([k for k in KINDS if k not in {scene.things[s].kind for s in seen}])
        name, there = (thing.name, "yes") if draw.chance(0.5) else (other, "no")
        return f"do you see {_one(name)} {on}?", there, "[]"
    if choice < 0.93:
        return f"how many things are {on}?", NUMBERS[len(seen)], "[]"
    middle = (seen[t][1] + seen[t][3]) / 2
    side = "left" if middle < 0.4 else "right" if middle > 0.6 else "middle"
    return f"where is the {thing.name}?", side, "[]"


def _one(name):
    """"an apple", "some scissors"."""
    if name.endswith("s") and not name.endswith("ss"):
        return f"some {name}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _listed(names):
    """"a mug, a plate and an apple"."""
    words = [_one(name) for name in sorted(names)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
