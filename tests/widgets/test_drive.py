"""The drive widget moves the robot by sliders, keys and the expert, and shows what happens."""

import numpy as np
import pytest

from pi05lite.homes.tasks import Episode
from pi05lite.widgets.drive import BEAT, KEYS, DriveWidget


@pytest.fixture
def drive():
    return DriveWidget(Episode(task="pick", home=7, seed=3), size=64)


def press(drive, *keys):
    drive.pad.pressed = list(keys)
    drive.pad.beat += 1


def test_it_shows_the_room_and_every_camera(drive):
    assert set(drive.pictures) == {"room", "head", "wrist", "surround"}
    assert all(bytes(p.value).startswith(b"\x89PNG") for p in drive.pictures.values())
    assert "pick up" in drive.said.value or "take" in drive.said.value or "grab" in drive.said.value
    assert "points 0 of 1" in drive.said.value


@pytest.mark.parametrize("key", KEYS)
def test_every_key_moves_its_part_its_way(drive, key):
    world, (part, axis, sign) = drive.episode.world, KEYS[key]
    hand, base, shown = world.hand.copy(), world.base.copy(), bytes(drive.pictures["room"].value)
    for _ in range(3):
        press(drive, key)
    assert world.time == 3 * BEAT
    if part == "hand":
        moved = (world.hand - hand)[0]
    else:
        c, s = np.cos(base[2]), np.sin(base[2])
        x, y, turn = world.base - base
        moved = np.array([c * x + s * y, -s * x + c * y, turn])
    assert moved[axis] * sign > 0.02 and np.abs(np.delete(moved, axis)).max() < 0.03
    assert bytes(drive.pictures["room"].value) != shown


def test_space_closes_and_opens(drive):
    drive.pad.struck = [" ", 1]
    assert drive.shut and drive.grip.description == "gripper closed"
    assert drive.episode.world.opening[0] < 0.14
    drive.pad.struck = [" ", 2]
    assert not drive.grip.value


def test_sliders_and_the_drive_button(drive):
    before = drive.episode.world.hand.copy()
    drive.sliders["hand", 2].value = -0.4
    drive.seconds.value = 0.4
    drive.children[-1].children[0].click()
    assert drive.episode.world.time == 20
    assert drive.episode.world.hand[0, 2] < before[0, 2] - 0.1


def test_the_expert_goes_on_from_where_the_reader_stopped(drive):
    press(drive, "k", "q")
    for _ in range(40):
        drive.ask_expert(25)
    assert drive.episode.rubric.success and "done" in drive.said.value
    time = drive.episode.world.time
    press(drive, "w")  # nothing moves after the end
    assert drive.episode.world.time == time
    drive.restart()
    assert drive.episode.world.time == 0


def test_the_other_hand_of_a_two_armed_robot(drive):
    drive = DriveWidget(Episode(task="pick", home=1, robot="two_arm"), size=32)
    assert all(part == "hand" for part, _ in drive.sliders)
    before = drive.episode.world.hand.copy()
    drive.pad.struck = ["2", 1]
    for _ in range(3):
        press(drive, "o")
    moved = drive.episode.world.hand - before
    assert moved[1, 2] < -0.02 and np.abs(moved[0]).max() < 0.01
