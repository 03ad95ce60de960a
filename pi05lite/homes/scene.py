"""A room with things and a robot as one MuJoCo model, and what each geom of it looks like.

Solid geoms that are not seen are in group 3, which cameras leave out. Bits that decide what bumps
into what: 1 room and furniture, 2 things, 4 robots, 8 only seen (0 would hide it from rays).
"""

from dataclasses import dataclass

import mujoco
import numpy as np

from pi05lite.homes.colors import COLORS, shade
from pi05lite.homes.furniture import TEXTURES, TRAVEL, Material
from pi05lite.homes.kinds import KINDS
from pi05lite.homes.robots import OPEN, camera_axes

STEPS = 4  # of physics in a control step
FIXED, THING, ROBOT, NOTHING = (1, 6), (2, 7), (4, 3), (8, 0)
KNOB_FROM = -0.03  # metres before a piece's front edge: what reaches there is the drawer's knob
TYPES = {"b": "box", "c": "cylinder", "s": "sphere", "e": "ellipsoid", "k": "capsule"}
TURNS = {"x": (0, 90, 0), "y": (90, 0, 0)}
UNSEEN = Material((0.36, 0.2, 0.08))


@dataclass(frozen=True)
class Thing:
    """One thing in a room: its kind and colour, and where it starts (x, y, z, turn)."""

    kind: str
    color: str
    pose: tuple
    name: str = ""  # what it is called in this episode

    @property
    def half(self):
        """Half sizes of its box, metres."""
        return KINDS[self.kind].size


class Scene:
    """The compiled model of an episode with the numbers that cameras and physics need."""

    def __init__(self, home, robot, things, start, stains=()):
        self.home, self.robot, self.things, self.stains = home, robot, tuple(things), tuple(stains)
        self._xml, self._materials = [], []
        self.xml = self._build(start)
        self.model = model = mujoco.MjModel.from_xml_string(self.xml)
        look = [self._materials[i] for i in model.geom_user[:, 0].astype(int)]
        self.color = np.array([m.color for m in look], np.float32)  # (geoms, 3)
        self.second = np.array([m.second for m in look], np.float32)
        self.texture = np.array([TEXTURES.index(m.texture) for m in look])
        self.scale = np.array([m.scale for m in look], np.float32)
        owner = {model.body(f"thing{k}").id: k for k in range(len(self.things))}
        self.thing_of = np.array([owner.get(b, -1) for b in model.geom_bodyid])  # (geoms,)
        self.bodies = np.array(list(owner), int)  # body of each thing
        self.stain_geoms = [model.geom(f"stain{k}").id for k in range(len(self.stains))]
        self.stain_of = np.full(model.ngeom, -1)
        self.stain_of[self.stain_geoms] = 0  # all together
        self.each_stain = np.full(model.ngeom, -1)
        self.each_stain[self.stain_geoms] = range(len(self.stains))
        self.piece_of, self.drawer_of, self.knob_of = np.full((3, model.ngeom), -1)
        for p in range(len(home.pieces)):
            for name in (f"piece{p}", f"drawer{p}"):
                body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)
                if body >= 0:
                    mine = model.geom_bodyid == body
                    self.piece_of[mine] = p
                    if name.startswith("drawer"):
                        self.drawer_of[mine & (model.geom_pos[:, 0] < 0)] = p  # front and knob
                        self.knob_of[mine & (model.geom_pos[:, 0] < KNOB_FROM)] = p

    # ---- XML ---------------------------------------------------------------------------------

    def _geom(self, kind, size, place, material, bits, seen=True, euler=(0, 0, 0), **more):
        """Write one geom and remember its material."""
        group = 0 if seen else 3
        if kind == "sphere":
            size = size[:1]
        elif kind in ("cylinder", "capsule"):
            size = size[:2]
        self._materials.append(material)
        rgba = (*material.color, 1)
        words = {"type": kind, "size": size, "pos": place, "euler": euler, "rgba": rgba,
                 "group": group, "contype": bits[0], "conaffinity": bits[1],
                 "user": len(self._materials) - 1, **more}
        self._xml.append(f"<geom {_words(words)}/>")

    def _open(self, name, **words):
        self._xml.append(f"<body {_words({'name': name, **words})}>")

    def _close(self):
        self._xml.append("</body>")

    def _build(self, start):
        """The whole model as MJCF text."""
        light = self.home.light
        self._xml.append(
            '<mujoco model="home"><compiler angle="degree" autolimits="true"/>'
            f'<option timestep="{1 / 50 / STEPS}" integrator="implicitfast" iterations="20">'
            '<flag sleep="enable"/></option><size nuser_geom="1"/>'
            '<default><geom friction="0.9 0.02 0.001" condim="4" mass="0"/></default>'
            '<visual><global offwidth="1280" offheight="960"/><headlight ambient="0.3 0.3 0.3" '
            'diffuse="0.1 0.1 0.1" specular="0 0 0"/><quality shadowsize="4096"/></visual>'
            f'<worldbody><light {_words({"pos": light.place, "diffuse": shade(light.color, 0.6)})} '
            'dir="0 0 -1" cutoff="100" castshadow="true"/>')
        self._room()
        for p, piece in enumerate(self.home.pieces):
            self._furniture(p, piece)
        for k, thing in enumerate(self.things):
            self._thing(k, thing)
        for k, (x, y, z) in enumerate(self.stains):
            self._geom("cylinder", (0.022, 0.001), (x, y, z + 0.001), self.home.stain, NOTHING,
                       name=f"stain{k}")
        self._robot(start)
        self._xml.append("</worldbody>")
        self._machinery()
        self._xml.append("</mujoco>")
        return "\n".join(self._xml)

    def _room(self):
        """Floor, four walls and a skirting line."""
        home, (x, y), high = self.home, np.array(self.home.size) / 2, 2.6
        self._geom("plane", (x + 0.2, y + 0.2, 1), (0, 0, 0), home.floor, FIXED)
        for sx, sy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            size = (0.05 if sx else x + 0.1, 0.05 if sy else y + 0.1, high / 2)
            place = (sx * (x + 0.05), sy * (y + 0.05), high / 2)
            self._geom("box", size, place, home.walls, FIXED)
        self._geom("plane", (x + 0.2, y + 0.2, 1), (0, 0, high), Material((0.93, 0.93, 0.92)),
                   NOTHING, euler=(180, 0, 0))

    def _furniture(self, p, piece):
        """A fixed body, and its drawer on a rail."""
        x, y, heading = piece.pose
        self._open(f"piece{p}", pos=(x, y, 0), euler=(0, 0, round(np.degrees(heading), 4)))
        for shape in piece.shapes:
            bits = FIXED if shape.solid else NOTHING
            self._geom(shape.kind, shape.size, shape.place, shape.material, bits, shape.seen,
                       shape.euler)
        if piece.drawer:
            self._open(f"drawer{p}")
            self._xml.append(f'<joint name="drawer{p}" type="slide" axis="-1 0 0" '
                             f'range="0 {TRAVEL}" damping="8" frictionloss="1.5"/>')
            for k, shape in enumerate(piece.drawer):
                self._geom(shape.kind, shape.size, shape.place, shape.material,
                           FIXED if shape.solid else NOTHING, True, shape.euler,
                           mass=1.0 if k == 0 else 0.05)
            self._close()
        self._close()

    def _thing(self, k, thing):
        """A free body: one unseen box that is solid, and the parts that are seen."""
        kind, half = KINDS[thing.kind], thing.half
        x, y, z, turn = thing.pose
        self._open(f"thing{k}", pos=(x, y, z), euler=(0, 0, round(np.degrees(turn), 4)))
        self._xml.append("<freejoint/>")
        body = ("cylinder", half[1:], 6) if kind.round else ("box", half, 4)
        self._geom(*body[:2], (0, 0, half[2]), UNSEEN, THING, False, mass=kind.mass / 1000,
                   condim=body[2])
        main = COLORS[thing.color]
        tones = {"main": main, "dark": shade(main, 0.62), "light": shade(main, 1.35)}
        for shape, size, place, color, *turned in kind.parts:
            rgb = color if isinstance(color, tuple) else tones.get(color) or COLORS[color]
            euler = TURNS.get(turned[0], (0, 0, turned[0])) if turned else (0, 0, 0)
            self._geom(TYPES[shape], tuple(s / 100 for s in size), tuple(v / 100 for v in place),
                       Material(rgb), NOTHING, euler=euler)
        self._close()

    def _robot(self, start):
        """Base with mast, and hands that hang from rods."""
        robot, (x, y, heading) = self.robot, start
        tint = np.array(self.home.jitter[0][:3]) * 2
        body = Material(tuple(np.round(np.array((0.82, 0.83, 0.86)) + tint, 4)))
        dark = Material((0.2, 0.21, 0.24))
        degrees = round(float(np.degrees(heading)), 4)
        self._open("base", pos=(x, y, 0), euler=(0, 0, degrees))
        if robot.mobile:
            self._xml.append('<joint name="base0" type="slide" axis="1 0 0"/>'
                             '<joint name="base1" type="slide" axis="0 1 0"/>'
                             '<joint name="base2" type="hinge" axis="0 0 1"/>')
            self._geom("cylinder", (0.17, 0.1), (0, 0, 0.13), body, ROBOT, mass=25)
            self._geom("cylinder", (0.175, 0.02), (0, 0, 0.05), dark, NOTHING)
            self._geom("box", (0.045, 0.05, 0.55), (-0.07, 0, 0.78), body, NOTHING)
            self._geom("box", (0.04, 0.09, 0.04), (-0.05, 0, 1.37), dark, NOTHING)
        else:
            self._geom("box", (0.06, 0.08, 0.66), (-0.12, 0, 0.66), dark, NOTHING)
            self._geom("box", (0.04, 0.5, 0.04), (-0.12, 0, 1.34), body, NOTHING)
        self._cameras(None)
        for h, hand in enumerate(robot.hands):
            self._hand(h, hand, body, dark)
        self._close()

    def _hand(self, h, hand, body, dark):
        """A palm with two fingers on three slides; its origin lies between the fingertips."""
        self._open(f"hand{h}", gravcomp=1)
        for i, axis in enumerate(("1 0 0", "0 1 0", "0 0 1")):
            self._xml.append(f'<joint name="hand{h}{i}" type="slide" axis="{axis}" '
                             f'range="{hand.low[i]} {hand.high[i]}"/>')
        self._geom("box", (0.02, 0.092, 0.014), (0, 0, 0.118), dark, ROBOT, mass=0.8)
        self._geom("cylinder", (0.016, 0.06), (0, 0, 0.19), body, NOTHING, mass=0.2)
        self._geom("capsule", (0.014, 0.17), (-0.17, 0, 0.25), body, NOTHING, euler=(0, 90, 0))
        self._cameras(h)
        for f, side in enumerate((1, -1)):
            self._open(f"finger{h}{f}", gravcomp=1)
            self._xml.append(f'<joint name="finger{h}{f}" type="slide" axis="0 {side} 0" '
                             f'range="0 {OPEN / 2}" armature="0.3"/>')
            self._geom("box", (0.013, 0.007, 0.052), (0, side * 0.007, 0.052), Material(
                (0.95, 0.45, 0.1) if h == 0 else (0.2, 0.45, 0.9)), ROBOT, mass=0.1,
                friction=(1.5, 0.05, 0.001), solref=(0.01, 1))
            self._close()
        self._close()

    def _cameras(self, hand):
        for k, camera in enumerate(self.robot.cameras):
            if camera.hand != hand:
                continue
            off = self.home.jitter[k % len(self.home.jitter)]
            size = 0.3 if hand is not None else 1.0  # a camera on a hand is held tighter
            place = np.array(camera.place) + np.array(off[:3]) * size
            axes = camera_axes(camera.pitch + off[3] * size, camera.yaw + off[4] * size,
                               off[5] * size)
            self._xml.append("<camera " + _words({
                "name": camera.name, "pos": np.round(place, 5), "xyaxes": np.round(axes, 6),
                "fovy": 60 if camera.panorama else camera.fov}) + "/>")

    def _machinery(self):
        """Motors, and the invisible ties by which a closed hand holds."""
        rows = []
        if self.robot.mobile:
            for i, (kv, force) in enumerate(((900, 400), (900, 400), (60, 60))):
                rows.append(f'<velocity joint="base{i}" kv="{kv}" forcerange="{-force} {force}"/>')
        for h in range(len(self.robot.hands)):
            rows += [f'<position joint="hand{h}{i}" kp="2500" dampratio="1" '
                     'forcerange="-120 120"/>' for i in range(3)]
            # Weak fingers: what is light and soft in contact would let strong ones through.
            rows += [f'<position joint="finger{h}{f}" kp="90" dampratio="1" '
                     'forcerange="-5 5"/>' for f in range(2)]
        self._xml.append("<actuator>" + "\n".join(rows) + "</actuator>")
        ties = []
        for h in range(len(self.robot.hands)):
            ties += [f'<weld name="tie{h}_{k}" body1="hand{h}" body2="thing{k}" active="false" '
                     'solref="0.01 1"/>' for k in range(len(self.things))]
            ties += [f'<connect name="pull{h}_{p}" body1="hand{h}" body2="drawer{p}" '
                     'anchor="0 0 0" active="false"/>'
                     for p, piece in enumerate(self.home.pieces) if piece.drawer]
        self._xml.append("<equality>" + "\n".join(ties) + "</equality>")


def _words(values):
    """XML attributes; numbers as short as they are exact."""
    def text(v):
        if isinstance(v, str):
            return v
        return " ".join(f"{float(x):.6g}" for x in np.atleast_1d(v))
    return " ".join(f'{key}="{text(v)}"' for key, v in values.items())
