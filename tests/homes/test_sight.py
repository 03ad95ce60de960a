"""Where hands go and cameras look: as the running world has it."""

import numpy as np
import pytest

from pi05lite.homes.camera import rays
from pi05lite.homes.robots import ROBOTS
from pi05lite.homes.sight import Sight, gripper_places, sights
from pi05lite.homes.tasks import Episode


@pytest.fixture(scope="module", params=ROBOTS)
def episode(request):
    return Episode(task="pick", home=7, seed=3, robot=request.param)


def test_a_point_on_a_ray_is_seen_at_its_pixel(episode):
    world, n = episode.world, 16
    cameras = {c.name: c.name for c in episode.robot.cameras}
    for name, sight in sights(episode.robot.name, cameras, world.state(), world).items():
        camera = next(c for c in episode.robot.cameras if c.name == name)
        points = sight.place + 1.3 * rays(n, camera.fov, camera.panorama) @ sight.turn.T
        v, u = np.mgrid[:n, :n].reshape(2, -1)
        found = sight.project(points)
        assert found == pytest.approx((np.stack([u, v], 1) + 0.5) / n, abs=1e-9)
        x, y, heading = world.base  # the same point, through the room
        c, s = np.cos(heading), np.sin(heading)
        room = np.array([x + c * sight.place[0] - s * sight.place[1],
                         y + s * sight.place[0] + c * sight.place[1], sight.place[2]])
        assert room == pytest.approx(world.data.cam_xpos[world.model.camera(name).id])


def test_planned_cameras_are_near_the_real_ones(episode):
    world, cameras = episode.world, {c.name: f"eye.{c.name}" for c in episode.robot.cameras}
    planned = sights(episode.robot.name, cameras, world.state())
    real = sights(episode.robot.name, cameras, world.state(), world)
    assert list(planned) == list(cameras)
    for name, sight in planned.items():
        assert np.linalg.norm(sight.place - real[name].place) < 0.1
        assert np.trace(sight.turn.T @ real[name].turn) > 2.9  # 3: the same axes


def test_what_is_behind_a_camera_is_nowhere():
    sight = Sight(np.zeros(3), np.eye(3), 60.0)
    assert np.isnan(sight.project([[0, 0, 1.0]])).all()
    assert sight.project([0, 0, -1.0]) == pytest.approx([0.5, 0.5])


def test_hands_go_where_the_chunk_says(episode):
    """Motors lag and things stand in the way, so it is near, and much nearer than standing still"""
    episode.reset()
    world, robot, start = episode.world, episode.robot, episode.world.state()
    one = {"mobile": [-0.2, 0.1, 0.4, 0.15, -0.15, -0.2, 0], "arm": [2.0, 3.0, -4.0, 1.0]}
    if robot.name == "two_arm":
        goal = start.reshape(2, 4) + [[-0.05, 0.06, -0.1, 0], [0.04, 0.05, -0.08, 0]]
        actions = np.linspace(start, goal.ravel(), 40)
    else:
        actions = np.tile(one[robot.name], (40, 1))
    places = gripper_places(robot.name, actions, start)
    base = world.base
    for action in actions:
        world.step(action)
    c, s = np.cos(base[2]), np.sin(base[2])
    for k in range(world.hands):
        room = world.data.xpos[world.hand_body[k]]
        dx, dy = room[:2] - base[:2]
        real = np.array([c * dx + s * dy, -s * dx + c * dy, room[2]])
        moved = np.linalg.norm(places[-1, k] - places[0, k])
        assert moved > 0.05 and np.linalg.norm(places[-1, k] - real) < 0.2 * moved
    assert places.shape == (41, world.hands, 3)


def test_any_batch_of_chunks_and_robots_that_are_not_known():
    chunks = np.zeros((3, 2, 5, 7))
    assert gripper_places("mobile", chunks, np.arange(7.0)).shape == (3, 2, 6, 1, 3)
    assert (gripper_places("mobile", chunks, np.arange(7.0)) == [0, 1, 2]).all()
    assert gripper_places("droid", chunks, np.zeros(8)) is None
    assert sights("droid", {"base": "exterior"}, np.zeros(8)) == {}
