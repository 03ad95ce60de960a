"""Pictures of trials: contact sheets and videos, from the robot's eyes and from the room."""

import numpy as np
from PIL import Image, ImageDraw

from pi05lite.evaluate.rollout import carry_out
from pi05lite.homes.camera import rays
from pi05lite.homes.robots import HZ


def film(driver, trial, every=5, execute=25, size=160, view=None):
    """Run a trial and return (frames, texts): every `every` steps, uint8 (h, w, 3) each.

    view: a `homes.gl.View` of the trial's world, size x size, that draws the room by OpenGL; None:
    the software camera does.
    """
    frames, texts = [], []
    while not trial.over:
        [(actions, text)] = driver.plans([trial])
        actions = iter(actions)
        for _ in range(0, execute, every):
            if trial.over:
                break
            frames.append(frame(trial, size, view))
            texts.append(text)
            carry_out(trial, actions, every)
    return frames + [frame(trial, size, view)], texts + [texts[-1]]


def frame(trial, size=160, view=None):
    """The room and the robot's cameras side by side, uint8 (size, k * size, 3)."""
    world = trial.world
    parts = [room(world, size) if view is None else view.picture()]
    parts += [world.camera.picture(world.data, c.name, size)[0] for c in trial.robot.cameras[:2]]
    return np.concatenate(parts, axis=1)


def room(world, size=160):
    """The room from a corner near the ceiling, behind the robot."""
    x, y, heading = world.base
    half = np.array(world.scene.home.size) / 2 - 0.15
    behind = np.array([x, y]) - 1.7 * np.array([np.cos(heading + 0.5), np.sin(heading + 0.5)])
    place = np.array([*np.clip(behind, -half, half), 2.2])
    aim = np.array([x + 0.4 * np.cos(heading), y + 0.4 * np.sin(heading), 0.7])
    ahead = (aim - place) / np.linalg.norm(aim - place)
    right = np.cross(ahead, (0, 0, 1))
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(right, ahead), -ahead], axis=1)
    return world.camera.look(world.data, place, turn, rays(size, 62, False), size)[0]


def sheet(frames, texts, columns=4, count=16):
    """A contact sheet: frames spread over the trial, each with its words below, uint8 (h, w, 3)."""
    pick = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int))
    tiles = [captioned(frames[i], texts[i]) for i in pick]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i:i + columns], axis=1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows, axis=0)


def captioned(frame, text, height=14):
    """A frame with a line of words below it; height and width stay even."""
    bar = Image.new("RGB", (frame.shape[1], height), (20, 20, 24))
    ImageDraw.Draw(bar).text((4, 1), text, fill=(240, 240, 240))
    out = np.concatenate([frame, np.asarray(bar)], axis=0)
    return out[:out.shape[0] // 2 * 2, :out.shape[1] // 2 * 2]


def save_sheet(path, frames, texts, **options):
    """Write a contact sheet as PNG; returns the path."""
    Image.fromarray(sheet(frames, texts, **options)).save(path)
    return path


def save_video(path, frames, texts, every=5):
    """Write an mp4 at the speed of life; returns the path."""
    from pi05lite.data.video import encode

    encode([captioned(f, t) for f, t in zip(frames, texts)], path, HZ / every)
    return path
