"""Homes from a seed: rooms with furniture along the walls, a style, light, and where cameras sit.

A home is plain data; `scene.py` turns one of its rooms into a MuJoCo model. Everything is drawn by
uniform numbers and rounded, so that a seed gives the same home on every machine. Rooms of training
homes measure an even number of centimetres, those of test homes an odd one: no training seed can
produce a test home. Training homes have more shades and patterns than test homes of the usual
looks, and none of those of the perception suite.
"""

from dataclasses import dataclass

import numpy as np

from pi05lite.errors import DataError, say
from pi05lite.homes.colors import HELD_OUT_SHADES, RARE_SHADES, SHADES, USUAL_SHADES, shade
from pi05lite.homes.furniture import BUILDERS, SIZES, Material, tray

ROOMS = {  # furniture of each kind of room; the first ones are always there
    "kitchen": ("table", "sink", "cabinet", "bin", "counter", "shelf"),
    "living room": ("table", "shelf", "toy box", "rug", "cabinet", "bin"),
    "bedroom": ("bed", "cabinet", "basket", "rug", "shelf", "toy box"),
    "bathroom": ("sink", "cabinet", "basket", "shelf", "bin", "counter"),
}
ALWAYS = 4
WALLS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # which way each wall lies: north, east, south, west
LAYOUTS = {  # wall and side of up to six pieces
    "corner": ((0, -1), (0, 1), (1, -1), (1, 1), (2, -1), (3, -1)),
    "galley": ((0, -1), (0, 1), (2, -1), (2, 1), (1, -1), (3, 1)),
    "horseshoe": ((3, -1), (3, 1), (0, -1), (0, 1), (1, -1), (1, 1)),
    "open": ((0, -1), (1, -1), (2, -1), (3, -1), (0, 1), (2, 1)),
    "row": ((1, -1), (1, 1), (3, -1), (3, 1), (0, 1), (2, -1)),
    "zigzag": ((0, 1), (1, 1), (2, 1), (3, 1), (1, -1), (3, -1)),
}
HELD_OUT_LAYOUTS = ("row", "zigzag")
FLOORS, WALLPAPERS, TOPS = ("planks", "tiles", "checks", "carpet"), ("plain", "stripes"), ("plain",)
RARE_FLOORS, RARE_WALLPAPERS = ("plain", "stripes", "lattice"), ("tiles", "checks", "lattice")
RARE_TOPS = ("plain", "planks", "tiles", "checks", "stripes", "lattice")
NEW_FLOORS, NEW_WALLPAPERS, NEW_TOPS = ("herringbone", "dots"), ("bricks", "dots"), ("dots",)
SPLITS = ("train", "new", "perception", "skill", "semantics")
COFFEE, FLOUR = Material((0.36, 0.2, 0.08)), Material((0.93, 0.92, 0.88))


@dataclass(frozen=True)
class Light:
    """A lamp and what comes from everywhere; colours as factors."""

    place: tuple
    color: tuple
    ambient: tuple


@dataclass(frozen=True)
class Home:
    """One room of a home, its furniture and its looks."""

    seed: int
    split: str
    room: str
    size: tuple  # metres, x and y
    layout: str
    pieces: tuple
    floor: Material
    walls: Material
    stain: Material  # of what is spilt: coffee, or flour where a top is so dark that none is seen
    light: Light
    jitter: tuple  # of each camera: 3 metres, 3 degrees, 3 factors of the robot's colour

    def piece(self, kind):
        """The piece of a kind; raises DataError where the room has none."""
        for piece in self.pieces:
            if piece.kind == kind:
                return piece
        raise DataError(say(f"furniture of home {self.seed} ({self.room})",
                            f"one of {[p.kind for p in self.pieces]}", kind,
                            "ask for one of these, or for another room"))

    @property
    def inner(self):
        """(x0, y0, x1, y1) in which a robot may move freely: no furniture nearer than 0.3 m."""
        bounds = [-self.size[0] / 2, -self.size[1] / 2, self.size[0] / 2, self.size[1] / 2]
        for piece in self.pieces:
            x, y, heading = piece.pose
            wall = round(np.cos(heading)), round(np.sin(heading))
            for axis, value in ((0, x), (1, y)):
                if wall[axis] > 0:
                    bounds[axis + 2] = min(bounds[axis + 2], value)
                elif wall[axis] < 0:
                    bounds[axis] = max(bounds[axis], value)
        return tuple(b + 0.3 if i < 2 else b - 0.3 for i, b in enumerate(bounds))


class Draw:
    """Uniform numbers from a seed, rounded: the same on every machine."""

    def __init__(self, *key):
        self.rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))

    def between(self, low, high, digits=4):
        """A number in [low, high)."""
        return round(low + (high - low) * float(self.rng.random()), digits)

    def one(self, items):
        """One of them."""
        return items[int(self.rng.random() * len(items))]

    def some(self, items, count):
        """`count` different ones, in random order."""
        left = list(items)
        return [left.pop(int(self.rng.random() * len(left))) for _ in range(count)]

    def chance(self, p):
        """True with probability p."""
        return float(self.rng.random()) < p


def make_home(seed, room="kitchen", split="train"):
    """The room of a kind in home `seed` of a split; raises DataError for what cannot be."""
    check_home(seed, room, split)
    number, kind = SPLITS.index(split), list(ROOMS).index(room)
    style = Draw(seed, number, 99)  # the whole home: colours, light, cameras
    plan = Draw(seed, number, kind)
    looks, strange = _looks(style, split), split == "perception"
    size = tuple((2 * int(plan.between(a / 2, b / 2)) + (split != "train")) / 100
                 for a, b in ((440, 500), (400, 460)))
    layout = plan.one(HELD_OUT_LAYOUTS if split == "skill" else
                      [name for name in LAYOUTS if name not in HELD_OUT_LAYOUTS])
    kinds = ROOMS[room][:ALWAYS + int(plan.between(0, 3))]
    slots = plan.some(LAYOUTS[layout], len(kinds))
    pieces = tuple(_furnish(plan, name, slot, size, looks, split == "skill")
                   for name, slot in zip(kinds, slots))
    return Home(seed, split, room, size, layout, pieces, looks["floor"], looks["walls"],
                _stain(looks["top"]), _light(style, strange), _jitter(style, strange))


def make_laboratory(seed, split="train"):
    """A bench in a grey hall, for robots of the laboratory."""
    check_home(seed, "kitchen", split)
    draw = Draw(seed, SPLITS.index(split), 77)
    size = tuple((2 * int(draw.between(a / 2, b / 2)) + (split != "train")) / 100
                 for a, b in ((440, 500), (400, 460)))
    grey = draw.between(0.55, 0.8)
    top = Material(SHADES[draw.one(("chalk", "stone", "slate", "pine"))])
    piece = BUILDERS["bench"](1.1, 0.6, draw.between(0.7, 0.8), Material((0.5, 0.5, 0.52)), top)
    pieces = (piece.at(size[0] / 2 - 0.6, 0, 0), tray(
        0.34, 0.3, 0.08, piece.shapes[0].material, top, piece.height).at(size[0] / 2 - 0.52, 0, 0))
    walls = Material((grey, grey, round(grey * 1.03, 4)))
    floor = Material((0.42, 0.43, 0.45), "tiles", (0.36, 0.37, 0.39), 0.5)
    return Home(seed, split, "laboratory", size, "bench", pieces, floor, walls, _stain(top),
                _light(draw, False), _jitter(draw, False))


def check_home(seed, room="kitchen", split="train"):
    """Raise DataError for a seed, a room or a split that cannot be."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise DataError(say("home seed", "a whole number, 0 or more", repr(seed), "use such a one"))
    for name, value, known in (("room", room, tuple(ROOMS)), ("split", split, SPLITS)):
        if value not in known:
            raise DataError(say(name, f"one of {known}", repr(value), "ask for one of these"))


def _looks(draw, split):
    """Materials of a home of a split."""
    names, *patterns = LOOKS.get(split, USUAL)
    floor, wall, body, top, cloth = (Material(SHADES[draw.one(names)]) for _ in range(5))
    pick = [draw.one(known) for known in patterns]
    dark, light = draw.between(0.72, 0.88), draw.between(0.88, 0.96)
    pale = tuple(round(0.45 + 0.55 * c, 4) for c in wall.color)
    return {
        "floor": Material(shade(floor.color, 0.85), pick[0], shade(floor.color, 0.85 * dark),
                          draw.between(0.14, 0.4)),
        "walls": Material(pale, pick[1], shade(pale, light), draw.between(0.2, 0.5)),
        "body": Material(shade(body.color, draw.between(0.8, 1.05))),
        "top": Material(shade(top.color, draw.between(0.9, 1.1)), pick[2],
                        shade(top.color, dark), draw.between(0.06, 0.12)),
        "cloth": Material(shade(cloth.color, draw.between(0.8, 1.0))),
    }


# Shades, and patterns of floors, walls and tops.
USUAL = tuple(USUAL_SHADES), FLOORS, WALLPAPERS, TOPS
LOOKS = {"train": ((*USUAL_SHADES, *RARE_SHADES), FLOORS + RARE_FLOORS,
                   WALLPAPERS + RARE_WALLPAPERS, TOPS + RARE_TOPS),
         "perception": (tuple(HELD_OUT_SHADES), NEW_FLOORS, NEW_WALLPAPERS, NEW_TOPS)}


def _stain(top):
    """What is spilt so that it is seen on a top."""
    return FLOUR if np.dot(top.color, (0.3, 0.59, 0.11)) < 0.45 else COFFEE


def _light(draw, strange):
    """Lamp near the ceiling; strange: from far aside, coloured, or dim."""
    reach = (1.2, 1.9) if strange else (0.0, 0.9)
    angle, far = draw.between(0, 2 * np.pi), draw.between(*reach)
    place = (round(far * np.cos(angle), 4), round(far * np.sin(angle), 4), draw.between(2.1, 2.5))
    warm = draw.between(-0.22, 0.22) if strange else draw.between(-0.07, 0.07)
    power = draw.between(0.52, 0.68) if strange else draw.between(0.72, 0.88)
    dim = draw.between(0.34, 0.44) if strange else draw.between(0.42, 0.54)
    tint = (1 + warm, 1.0, 1 - warm)
    return Light(place, tuple(round(power * t, 4) for t in tint),
                 tuple(round(dim * t, 4) for t in tint))


def _jitter(draw, strange):
    """How much each of three cameras is off: metres and degrees."""
    metres, degrees = (0.035, 5.0) if strange else (0.012, 1.5)
    return tuple((*(draw.between(-metres, metres) for _ in range(3)),
                  *(draw.between(-degrees, degrees) for _ in range(3))) for _ in range(3))


def _furnish(draw, kind, slot, size, looks, strange):
    """One piece against its wall; strange: of a height that no training home has."""
    widths, depths, usual, unusual = SIZES[kind]
    height = draw.between(*(unusual if strange else usual))
    top = looks["cloth"] if kind in ("bed", "rug") else looks["top"]
    piece = BUILDERS[kind](draw.between(*widths), draw.between(*depths), height, looks["body"], top)
    wall, side = slot
    out = WALLS[wall]
    along = side * draw.between(0.64, 0.72)
    half = size[0] / 2 if out[0] else size[1] / 2
    front = half - piece.depth
    x, y = (out[0] * front, along) if out[0] else (along, out[1] * front)
    return piece.at(x, y, float(np.arctan2(out[1], out[0])))
