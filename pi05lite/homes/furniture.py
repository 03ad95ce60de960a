"""Furniture: what it looks like, where things stand on or in it, where a robot stands before it.

A piece has its own frame: origin on the floor at the middle of its front edge, x into it (away from
the robot in front), y to the left, z up. Metres.
"""

from dataclasses import dataclass, field, replace

from pi05lite.homes.colors import COLORS, SHADES, shade

NAMES = {  # kind -> synonyms; the first is the usual name
    "counter": ("counter", "worktop", "kitchen counter"),
    "sink": ("sink", "basin"),
    "table": ("table",),
    "shelf": ("shelf", "bookshelf"),
    "cabinet": ("cabinet", "dresser", "chest"),
    "basket": ("laundry basket", "laundry hamper", "basket"),
    "bin": ("bin", "trash can", "rubbish bin"),
    "toy box": ("toy box", "toy chest"),
    "bed": ("bed",),
    "rug": ("rug", "carpet"),
    "bench": ("bench", "workbench"),
    "tray": ("tray", "box"),
}
DRAWER = ("drawer",)
TEXTURES = ("plain", "planks", "tiles", "checks", "stripes", "carpet", "lattice",
            "dots", "bricks", "herringbone")
HELD_OUT_TEXTURES = ("dots", "bricks", "herringbone")
TRAVEL = 0.24  # metres that a drawer opens
KNOB = (-0.06, 0.0)  # of the drawer, from its front: x, y
REACH = (0.08, 0.33)  # usable depth of a surface, from its front edge


@dataclass(frozen=True)
class Material:
    """Two colours and how they alternate; scale in metres."""

    color: tuple
    texture: str = "plain"
    second: tuple = (0.5, 0.5, 0.5)
    scale: float = 0.1


@dataclass(frozen=True)
class Shape:
    """One geom in the frame of its piece: MuJoCo type, half sizes, place, material."""

    kind: str
    size: tuple
    place: tuple
    material: Material
    solid: bool = True  # things and robots bump into it
    seen: bool = True
    euler: tuple = (0, 0, 0)  # degrees


@dataclass(frozen=True)
class Piece:
    """One piece of furniture in a room."""

    kind: str
    width: float
    depth: float
    height: float
    shapes: tuple
    surface: tuple = ()  # x0, x1, y0, y1, z where things stand on it
    inside: tuple = ()  # x0, x1, y0, y1, floor, rim where things lie in it
    drawer: tuple = ()  # shapes that slide out together
    drawer_inside: tuple = ()  # as inside, of the drawer when it is shut
    knob: tuple = ()  # x, y, z of the drawer's knob when it is shut
    distance: float = 0.30  # of a robot's centre from the front edge
    pose: tuple = (0.0, 0.0, 0.0)  # x, y of the origin and heading in the room
    names: tuple = field(default=())

    def at(self, x, y, heading):
        """The piece put somewhere in a room."""
        return replace(self, pose=(round(x, 4), round(y, 4), round(heading, 4)))


def _box(x0, x1, y0, y1, z0, z1, material, **more):
    size = tuple(round((b - a) / 2, 4) for a, b in ((x0, x1), (y0, y1), (z0, z1)))
    place = tuple(round((b + a) / 2, 4) for a, b in ((x0, x1), (y0, y1), (z0, z1)))
    return Shape("box", size, place, material, **more)


def _piece(kind, width, depth, height, shapes, **more):
    return Piece(kind, width, depth, height, tuple(shapes), names=NAMES[kind], **more)


def _surface(width, height, depth=REACH):
    half = min(width / 2 - 0.08, 0.30)
    return (*depth, -half, half, height)


def counter(width, depth, height, body, top):
    """A closed block with a worktop."""
    w = width / 2
    return _piece("counter", width, depth, height, [
        _box(0.03, depth, -w, w, 0, height - 0.04, body),
        _box(0, depth, -w, w, height - 0.04, height, top),
        _box(0.02, 0.03, -0.01, 0.01, 0.08, height - 0.08, Material(shade(body.color, 0.6)),
             solid=False)], surface=_surface(width, height))


def sink(width, depth, height, body, top):
    """A counter with a basin and a tap."""
    w, x0, x1, y, deep = width / 2, 0.07, 0.43, min(0.22, width / 2 - 0.06), 0.15
    steel, dark = Material((0.7, 0.72, 0.74)), Material((0.46, 0.48, 0.51))
    floor, under = height - deep, height - deep - 0.03
    return _piece("sink", width, depth, height, [
        _box(0.03, depth, -w, w, 0, under, body),
        _box(0, x0, -w, w, under, height, top), _box(x1, depth, -w, w, under, height, top),
        _box(x0, x1, -w, -y, under, height, top), _box(x0, x1, y, w, under, height, top),
        _box(x0, x1, -y, y, under, floor, dark),
        _box(x1 - 0.012, x1, -y, y, floor, height + 0.005, steel, solid=False),
        _box(x0, x0 + 0.012, -y, y, floor, height + 0.005, steel, solid=False),
        _box(x0, x1, y - 0.012, y, floor, height + 0.005, steel, solid=False),
        _box(x0, x1, -y, 0.012 - y, floor, height + 0.005, steel, solid=False),
        Shape("cylinder", (0.018, 0.11), (x1 + 0.05, 0, height + 0.11), steel, solid=False),
        Shape("cylinder", (0.015, 0.07), (x1 - 0.01, 0, height + 0.21), steel, solid=False,
              euler=(0, 90, 0))], inside=(x0, x1, -y, y, floor, height))


def table(width, depth, height, body, top):
    """A top on four legs; nothing gets under it."""
    w, leg = width / 2, 0.03
    legs = [_box(x, x + 2 * leg, y, y + 2 * leg, 0, height - 0.035, body, solid=False)
            for x in (0.02, depth - 0.08) for y in (-w + 0.02, w - 0.08)]
    return _piece("table", width, depth, height, [
        _box(0, depth, -w, w, height - 0.035, height, top),
        _box(0.01, depth, -w + 0.01, w - 0.01, 0, height - 0.035, body, seen=False), *legs],
        surface=_surface(width, height))


def shelf(width, depth, height, body, top):
    """A low bookshelf: things stand on its top board."""
    w = width / 2
    mid = round(height / 2, 3)
    back = Material(shade(body.color, 0.7))
    books = [Material(COLORS[c]) for c in ("red", "blue", "green", "yellow")]
    boards = [_box(0, depth, -w, w, z, z + 0.03, top) for z in (0.05, mid, height - 0.03)]
    sides = [_box(0, depth, y, y + 0.03, 0, height - 0.03, body) for y in (-w, w - 0.03)]
    row = [_box(0.08, 0.24, -w + 0.06 + 0.07 * k, -w + 0.115 + 0.07 * k, mid + 0.03,
                mid + 0.03 + 0.16 + 0.02 * (k % 2), books[k % 4], solid=False) for k in range(5)]
    return _piece("shelf", width, depth, height, [
        *boards, *sides, _box(depth - 0.03, depth, -w, w, 0, height - 0.03, back),
        _box(0.01, depth, -w + 0.01, w - 0.01, 0.01, height - 0.03, back, seen=False), *row],
        surface=_surface(width, height, (0.08, min(0.33, depth - 0.07))))


def cabinet(width, depth, height, body, top):
    """A chest whose upper drawer slides out; its top is a surface."""
    w, high, low, y, long = width / 2, height - 0.03, height - 0.19, width / 2 - 0.03, 0.36
    front, dark = Material(shade(body.color, 1.12)), Material((0.16, 0.16, 0.17))
    floor = low + 0.025
    shell = [
        _box(0, depth, -w, w, 0, low - 0.01, body), _box(0, depth, -w, w, high, height, top),
        _box(0, depth, -w, -y - 0.006, low - 0.01, high, body),
        _box(0, depth, y + 0.006, w, low - 0.01, high, body),
        _box(depth - 0.02, depth, -y, y, low - 0.01, high, body),
        _box(-0.006, 0, -y + 0.04, y - 0.04, 0.1, low - 0.06, front, solid=False)]
    slider = [
        _box(-0.022, -0.002, -w + 0.005, w - 0.005, low, high - 0.004, front),
        _box(-0.002, long, -y, y, low, low + 0.012, body),
        _box(-0.002, long, -y, -y + 0.012, low, high - 0.03, body),
        _box(-0.002, long, y - 0.012, y, low, high - 0.03, body),
        _box(long - 0.012, long, -y, y, low, high - 0.03, body),
        Shape("cylinder", (0.012, 0.03), (KNOB[0], 0, high - 0.055), dark),
        Shape("cylinder", (0.008, 0.022), (-0.04, 0, high - 0.055), dark, solid=False,
              euler=(0, 90, 0))]
    return _piece("cabinet", width, depth, height, shell, surface=_surface(width, height),
                  drawer=tuple(slider), drawer_inside=(0, long - 0.014, -y + 0.014, y - 0.014,
                                                       floor, high - 0.03),
                  knob=(KNOB[0], KNOB[1], round(high - 0.03, 4)), distance=0.48)


def _open_box(kind, width, depth, height, wall, floor=0.012, lift=0.0):
    """Four walls and a floor: everything that things are dropped into."""
    w, t = width / 2, 0.014
    inner = Material(shade(wall.color, 0.55))
    z0, z1 = lift, lift + height
    return _piece(kind, width, depth, z1, [
        _box(0, t, -w, w, z0, z1, wall), _box(depth - t, depth, -w, w, z0, z1, wall),
        _box(t, depth - t, -w, -w + t, z0, z1, wall), _box(t, depth - t, w - t, w, z0, z1, wall),
        _box(t, depth - t, -w + t, w - t, z0, z0 + floor, inner)],
        inside=(t, depth - t, -w + t, w - t, z0 + floor, z1))


def basket(width, depth, height, body, top):
    """A laundry basket, woven."""
    return _open_box("basket", width, depth, height, replace(
        body, texture="lattice", second=shade(body.color, 0.55), scale=0.05))


def bin_(width, depth, height, body, top):
    """A waste bin, plain and dark."""
    return _open_box("bin", width, depth, height, Material(shade(body.color, 0.45)))


def toy_box(width, depth, height, body, top):
    """A box with a bright stripe."""
    return _open_box("toy box", width, depth, height, Material(
        COLORS["red"], "stripes", COLORS["yellow"], 0.12))


def bed(width, depth, height, body, top):
    """A mattress with a blanket and a pillow, its long side to the front."""
    w = width / 2
    sheet, blanket = Material((0.88, 0.88, 0.9)), replace(top, texture="stripes",
                                                          second=shade(top.color, 0.8), scale=0.2)
    return _piece("bed", width, depth, height, [
        _box(0, depth, -w, w, 0, height - 0.16, body),
        _box(0, depth, -w, w, height - 0.16, height - 0.005, sheet),
        _box(-0.005, depth, -w, w - 0.34, height - 0.10, height, blanket),
        Shape("ellipsoid", (0.2, 0.14, 0.06), (depth - 0.25, w - 0.17, height + 0.03), sheet,
              solid=False)], surface=_surface(width - 0.2, height))


def rug(width, depth, height, body, top):
    """A rug; what stands on it stands on the floor."""
    w = width / 2
    mat = replace(top, texture="stripes", second=shade(top.color, 0.75), scale=0.16)
    return _piece("rug", width, depth, 0.0, [
        _box(0, depth, -w, w, 0, 0.004, mat, solid=False)], surface=_surface(width, 0.001))


def bench(width, depth, height, body, top):
    """A laboratory bench, for robots that do not move."""
    return replace(counter(width, depth, height, body, top), kind="bench", names=NAMES["bench"],
                   surface=(*REACH, -0.42, 0.42, height))


def tray(width, depth, height, body, top, lift=0.0):
    """A flat box on a bench."""
    return _open_box("tray", width, depth, height, Material((0.25, 0.3, 0.36)), lift=lift)


BUILDERS = {"counter": counter, "sink": sink, "table": table, "shelf": shelf, "cabinet": cabinet,
            "basket": basket, "bin": bin_, "toy box": toy_box, "bed": bed, "rug": rug,
            "bench": bench}
# Widths, depths and heights of training homes; the third range is that of the skill suite.
SIZES = {
    "counter": ((0.8, 1.05), (0.45, 0.55), (0.80, 0.88), (0.92, 0.96)),
    "sink": ((0.7, 0.95), (0.5, 0.56), (0.80, 0.88), (0.92, 0.96)),
    "table": ((0.8, 1.1), (0.45, 0.6), (0.66, 0.76), (0.52, 0.60)),
    "shelf": ((0.7, 0.95), (0.36, 0.42), (0.76, 0.88), (0.60, 0.68)),
    "cabinet": ((0.5, 0.66), (0.44, 0.5), (0.64, 0.76), (0.82, 0.88)),
    "basket": ((0.42, 0.52), (0.36, 0.4), (0.34, 0.44), (0.5, 0.58)),
    "bin": ((0.32, 0.4), (0.32, 0.36), (0.4, 0.5), (0.28, 0.34)),
    "toy box": ((0.46, 0.56), (0.36, 0.4), (0.24, 0.32), (0.4, 0.46)),
    "bed": ((1.0, 1.15), (0.8, 0.95), (0.42, 0.54), (0.62, 0.68)),
    "rug": ((0.8, 1.0), (0.45, 0.6), (0.0, 0.0), (0.0, 0.0)),
}


def shades(names):
    """Materials of these shades, plain."""
    return [Material(SHADES[name]) for name in names]
