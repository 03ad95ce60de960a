"""The software camera: rays through the scene, shaded from what they hit.

No graphics library is needed, and every machine gets the same pixels. A ray gives the geom, the
distance and the normal; colour comes from the geom's material at that place (textures are functions
of the place), light from a lamp and from all around.
"""

from functools import cache

import mujoco
import numpy as np

from pi05lite.homes.robots import HIGH, LOW

SEEN = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # geom groups
FAR = 12.0
# MuJoCo 3 loses furniture where many rays are cast together: there they go one by one, exact but
# some six times slower.
TOGETHER = int(mujoco.__version__.split(".")[0]) >= 4


@cache
def rays(size, fov, panorama):
    """Unit rays of a picture, rows from the top: float64 (size * size, 3) as right, up, back."""
    middle = (np.arange(size) + 0.5) / size * 2 - 1  # (size,) in -1 .. 1
    if panorama:
        angle, tilt = -np.pi * middle, HIGH + (LOW - HIGH) * (middle + 1) / 2
        a, t = np.meshgrid(angle, tilt)
        out = np.stack([-np.sin(a) * np.cos(t), np.sin(t), -np.cos(a) * np.cos(t)], axis=-1)
    else:
        u, v = np.meshgrid(middle, -middle)
        wide = np.tan(np.radians(fov) / 2)
        out = np.stack([u * wide, v * wide, np.full_like(u, -1.0)], axis=-1)
    out = out.reshape(-1, 3)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def cast(model, data, place, rays, geom, distance, normal):
    """Fill geom (n,), distance (n,) and normal (n, 3) with what rays (n, 3) from a place hit."""
    if TOGETHER:
        mujoco.mj_multiRay(model, data, place, rays.ravel(), SEEN, True, -1, geom, distance,
                           normal.reshape(-1), len(rays), FAR)
        return
    one = np.empty(1, np.int32)
    for i, ray in enumerate(rays):
        distance[i] = mujoco.mj_ray(model, data, place, ray, SEEN, True, -1, one, normal[i])
        geom[i] = one[0]


class SoftwareCamera:
    """Pictures of one scene; buffers are kept, so one camera object serves one thread."""

    def __init__(self, scene):
        self.scene, self._buffers = scene, {}
        self._cameras = {c.name: (i, c) for i, c in enumerate(scene.robot.cameras)}
        self._ids = {name: scene.model.camera(name).id for name in self._cameras}

    def picture(self, data, name, size=64):
        """uint8 (size, size, 3), and what each pixel shows: geom ids int32 (size, size)."""
        camera = self._cameras[name][1]
        place = data.cam_xpos[self._ids[name]]
        turn = data.cam_xmat[self._ids[name]].reshape(3, 3)
        return self.look(data, place, turn, rays(size, camera.fov, camera.panorama), size)

    def look(self, data, place, turn, directions, size):
        """The picture from a place (3,) with axes (3, 3) along rays (size * size, 3)."""
        count = len(directions)
        world = directions @ turn.T
        if count not in self._buffers:
            self._buffers[count] = (np.empty(count, np.int32), np.empty(count),
                                    np.empty((count, 3)))
        geom, distance, normal = self._buffers[count]
        cast(self.scene.model, data, place, world, geom, distance, normal)
        pixels = self._shade(data, place, world, geom, distance, normal)
        return pixels.reshape(size, size, 3), geom.reshape(size, size).copy()

    def _shade(self, data, place, world, geom, distance, normal):
        """Colour of each ray, uint8 (rays, 3)."""
        s, light = self.scene, self.scene.home.light
        at = place + world * distance[:, None]  # (rays, 3)
        color = s.color[geom]
        marked = np.flatnonzero(s.texture[geom])
        if len(marked):
            color[marked] = self._textured(data, geom[marked], at[marked], normal[marked])
        to_lamp = np.asarray(light.place) - at
        far2 = np.einsum("ij,ij->i", to_lamp, to_lamp)
        facing = np.einsum("ij,ij->i", normal, to_lamp) / np.sqrt(far2)
        dim = 5.0 / (2.2 + far2)  # with the distance of the lamp
        lamp = (np.maximum(facing, 0) * dim).astype(np.float32)
        # A little more light from above, so that sides and tops of things differ.
        sky = (0.86 + 0.14 * normal[:, 2]).astype(np.float32)
        glow = lamp[:, None] * np.float32(light.color) + sky[:, None] * np.float32(light.ambient)
        out = np.minimum(color * glow, 1.0) * 255 + 0.5
        out[geom < 0] = 0
        return out.astype(np.uint8)

    def _textured(self, data, geom, at, normal):
        """Colours (n, 3) of rays on geoms with a texture."""
        s = self.scene
        turn = data.geom_xmat[geom].reshape(-1, 3, 3)
        local = np.einsum("nji,nj->ni", turn, at - data.geom_xpos[geom])
        flat = np.abs(np.einsum("nji,nj->ni", turn, normal))
        axis = flat.argmax(axis=1)  # the face looks along this axis: use the two others
        rows = np.arange(len(geom))
        u = local[rows, (axis + 1) % 3] / s.scale[geom]
        v = local[rows, (axis + 2) % 3] / s.scale[geom]
        u, v = np.where(axis == 0, u, v), np.where(axis == 0, v, u)  # v is up on walls
        share = np.zeros(len(geom), np.float32)
        kinds = s.texture[geom]
        for kind in np.unique(kinds):
            here = kinds == kind
            share[here] = PATTERNS[kind](u[here], v[here])
        return s.color[geom] * (1 - share[:, None]) + s.second[geom] * share[:, None]


def _planks(u, v):
    """Long boards, each of its own tone, with dark joints."""
    row = np.floor(v)
    tone = _hash(row, np.floor(u / 4 + _hash(row, row)))
    return np.where(v - row < 0.07, 1.0, 0.6 * tone)


def _tiles(u, v):
    return ((u % 1 < 0.08) | (v % 1 < 0.08)).astype(float)


def _checks(u, v):
    return (np.floor(u) + np.floor(v)) % 2


def _stripes(u, v):
    return (u % 1 < 0.5).astype(float)


def _carpet(u, v):
    return _hash(np.floor(u * 6), np.floor(v * 6))


def _lattice(u, v):
    return ((u % 1 < 0.35) | (v % 1 < 0.35)).astype(float)


def _dots(u, v):
    return ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.09).astype(float)


def _bricks(u, v):
    row = np.floor(v * 2)
    return (((v * 2) % 1 < 0.14) | ((u + row % 2 / 2) % 1 < 0.07)).astype(float)


def _herringbone(u, v):
    return ((u + np.abs(v % 2 - 1)) % 1 < 0.5).astype(float)


def _hash(a, b):
    """A number in [0, 1) for each pair, always the same."""
    n = (a.astype(np.int64) * 374761393 + b.astype(np.int64) * 668265263) & 0x7FFFFFFF
    return ((n ^ (n >> 13)) * 1274126177 % 65536) / 65536


PATTERNS = (None, _planks, _tiles, _checks, _stripes, _carpet, _lattice, _dots, _bricks,
            _herringbone)


def boxes(geom, owner, wanted, least=4):
    """Boxes (y0, x0, y1, x1) in [0, 1] of what is seen: {k: box} for each k of `wanted`.

    geom: ids (size, size); owner: (geoms,) what each geom belongs to; least: pixels to count as
    seen.
    """
    shown = np.where(geom >= 0, owner[geom], -1)
    out = {}
    for k in wanted:
        y, x = np.nonzero(shown == k)
        if len(y) >= least:
            n = len(geom)
            out[k] = tuple(float(v) for v in (y.min() / n, x.min() / n, (y.max() + 1) / n,
                                              (x.max() + 1) / n))
    return out
