"""The software camera shows what is there, where it is, without a graphics library."""

import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from pi05lite.homes import camera
from pi05lite.homes.home import ROOMS
from pi05lite.homes.tasks import Episode


@pytest.fixture(scope="module")
def episode():
    return Episode(task="pick", home=1, seed=1)


def look(episode, name="head", size=64):
    return episode.world.camera.picture(episode.world.data, name, size)


def project(world, name, place, size):
    """Row and column at which a place in the room is seen by a perspective camera."""
    data, model = world.data, world.model
    k = model.camera(name).id
    local = data.cam_xmat[k].reshape(3, 3).T @ (place - data.cam_xpos[k])
    wide = np.tan(np.radians(model.cam_fovy[k]) / 2)
    u, v = local[0] / -local[2] / wide, local[1] / -local[2] / wide
    return (1 - v) / 2 * size, (1 + u) / 2 * size


def test_pictures_are_the_same_each_time(episode):
    for name in ("head", "wrist", "surround"):
        picture, geom = look(episode, name)
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        assert geom.shape == (64, 64) and picture.std() > 5
        assert np.array_equal(picture, look(episode, name)[0])
    again = Episode(task="pick", home=1, seed=1)
    assert np.array_equal(look(episode)[0], look(again)[0])


def test_things_are_seen_where_geometry_says(episode):
    world = episode.world
    _, geom = look(episode, "head", 128)
    found = camera.boxes(geom, episode.scene.thing_of, range(len(episode.things)))
    assert found
    for t, (y0, x0, y1, x1) in found.items():
        row, column = project(world, "head", world.middle(t), 128)
        assert y0 * 128 - 3 <= row <= y1 * 128 + 3 and x0 * 128 - 3 <= column <= x1 * 128 + 3


def test_the_wanted_thing_is_several_pixels_wide():
    widths = []
    for seed in range(12):
        e = Episode(task="pick", home=seed, seed=seed)
        for name in ("head", "wrist"):
            box = camera.boxes(look(e, name)[1], e.scene.thing_of, [e.target], 1).get(e.target)
            if box:
                widths.append(64 * max(box[2] - box[0], box[3] - box[1]))
    assert len(widths) > 12 and np.median(widths) >= 5


def test_a_panorama_sees_all_furniture_from_the_middle_of_the_room():
    for room in ROOMS:
        e = Episode(task="go", home=2, seed=5, room=room)
        _, geom = look(e, "surround")
        seen = set(e.scene.piece_of[geom[geom >= 0]]) - {-1}
        assert len(seen) >= len(e.home.pieces) - 1


def test_rays_are_unit_and_point_ahead():
    for panorama in (False, True):
        rays = camera.rays(32, 60, panorama)
        assert np.linalg.norm(rays, axis=1) == pytest.approx(1)
    middle = camera.rays(33, 60, False)[33 * 16 + 16]
    assert middle == pytest.approx([0, 0, -1], abs=1e-9)


def test_boxes_leave_out_what_is_hardly_seen():
    geom = np.full((8, 8), -1, np.int32)
    geom[2:4, 1:5], geom[6, 6] = 0, 1
    owner = np.array([7, 8])
    assert camera.boxes(geom, owner, [7, 8, 9]) == {7: (0.25, 0.125, 0.5, 0.625)}


def test_patterns_stay_within_their_two_colours():
    u, v = np.random.default_rng(0).uniform(-9, 9, (2, 1000))
    for pattern in camera.PATTERNS[1:]:
        share = pattern(u, v)
        assert 0 <= share.min() and share.max() <= 1 and share.std() > 0.05


def test_no_opengl_is_needed_and_none_is_loaded():
    code = """
import sys
sys.modules['OpenGL'] = None  # importing it now fails
from pi05lite.homes.tasks import Episode
e = Episode(task='pick')
e.world.images()
print([m for m in sys.modules if 'egl' in m.lower() or 'osmesa' in m.lower()])
"""
    plain = {k: v for k, v in os.environ.items() if k != "MUJOCO_GL"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=plain)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["head", "surround"])
def test_rays_cast_together_hit_what_single_rays_hit(episode, name):
    # mj_multiRay leaves out bodies by a box round their solid geoms: geoms that are only seen must
    # be inside it.
    m, d = episode.scene.model, episode.world.data
    k = m.camera(name).id
    world = camera.rays(24, 59, name == "surround") @ d.cam_xmat[k].reshape(3, 3).T
    geom, distance = np.empty(len(world), np.int32), np.empty(len(world))
    camera.cast(m, d, d.cam_xpos[k], world, geom, distance, np.empty((len(world), 3)))
    one = np.zeros(1, np.int32)
    for ray, found in zip(world, geom):
        mujoco.mj_ray(m, d, d.cam_xpos[k], ray, camera.SEEN, True, -1, one)
        assert one[0] == found
