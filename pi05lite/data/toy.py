"""The kit's own robot data: a gripper over a small table, drawn and driven from a seed.

It stands in where there is neither a real dataset nor a connection: 24 short episodes of "put the
red block on the plate", seen from above and from the wrist. Real units are invented: the table is
one by one, heights are 0 (down) to 1 (up).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pi05lite.data.write import write_dataset

COLORS = {"red": (200, 50, 45), "green": (60, 150, 70), "blue": (50, 90, 190),
          "yellow": (215, 180, 40)}
FPS = 10
SIZE = 64


@dataclass
class Table:
    """Where everything is; the block follows the closed gripper."""

    block: np.ndarray  # (2,) in [0, 1]
    other: np.ndarray  # (2,) the block to be left alone
    plate: np.ndarray  # (2,)
    hand: np.ndarray  # (4,) x, y, height, opening (1 open, 0 closed)
    colors: tuple  # of block and other
    cloth: tuple  # colour of the table
    held: bool = False

    def step(self, action):
        """Move by velocities (x, y, height; units a second) and command the gripper (1 = close)."""
        self.hand[:3] = np.clip(self.hand[:3] + action[:3] / FPS, 0, 1)
        self.hand[3] += np.clip(1 - action[3] - self.hand[3], -0.4, 0.4)
        near = self.hand[2] < 0.25 and np.abs(self.hand[:2] - self.block).max() < 0.06
        self.held = self.hand[3] < 0.5 and (self.held or bool(near))
        if self.held:
            self.block = self.hand[:2].copy()

    def top(self):
        """The picture from above, uint8 (64, 64, 3)."""
        return self._draw((0, 0), 1.0)

    def wrist(self):
        """The picture from the hand: what lies around it, larger when low."""
        span = 0.3 + 0.3 * self.hand[2]
        return self._draw(tuple(self.hand[:2] - span / 2), span)

    def _draw(self, corner, span):
        scale = 2 * SIZE / span  # drawn at twice the size, then made smaller: smooth edges
        picture = Image.new("RGB", (2 * SIZE, 2 * SIZE), self.cloth)
        draw = ImageDraw.Draw(picture)

        def box(centre, half):
            x, y = (np.asarray(centre) - corner) * scale
            return [x - half * scale, y - half * scale, x + half * scale, y + half * scale]

        draw.ellipse(box(self.plate, 0.13), fill=(235, 235, 230), outline=(180, 180, 175), width=2)
        for place, color in ((self.other, self.colors[1]), (self.block, self.colors[0])):
            draw.rectangle(box(place, 0.045), fill=COLORS[color])
        apart = (0.035 + 0.035 * self.hand[3]) * (0.8 + 0.6 * self.hand[2])
        for side in (-1, 1):
            finger = self.hand[:2] + (side * apart, 0)
            draw.rectangle(box(finger, 0.016 * (0.8 + 0.6 * self.hand[2])), fill=(40, 40, 45))
        return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def random_table(rng):
    """A table with block, other block and plate apart from each other."""
    while True:
        places = rng.uniform(0.15, 0.85, size=(3, 2))
        gaps = [np.abs(places[i] - places[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))]
        if min(gaps) > 0.25:
            break
    colors = tuple(rng.choice(list(COLORS), 2, replace=False))
    cloth = tuple(int(v) for v in rng.integers(110, 160) + rng.integers(-12, 12, 3))
    hand = np.array([*rng.uniform(0.3, 0.7, 2), rng.uniform(0.6, 0.9), 1.0])
    return Table(*places, hand, colors, cloth)


def expert(table, rng):
    """Yield actions (4,): over the block, down, close, up, over the plate, down, open, up."""
    speed = rng.uniform(0.5, 0.8)
    wobble = rng.normal(0, 0.02, 3)
    stages = [(lambda: table.block, 0.7, 0, 0.03), (lambda: table.block, 0.12, 0, 0.03),
              (None, 0.12, 1, 4), (lambda: table.hand[:2], 0.7, 1, 0.05),
              (lambda: table.plate, 0.7, 1, 0.03), (lambda: table.plate, 0.12, 1, 0.03),
              (None, 0.12, 0, 4), (lambda: table.hand[:2], 0.8, 0, 0.05)]
    for goal, height, grip, done in stages:
        for tick in range(40):
            if goal is None:
                if tick == done:
                    break
                yield np.array([0, 0, 0, grip], dtype=np.float32)
                continue
            way = np.array([*goal(), height]) - table.hand[:3]
            if np.abs(way).max() < done:
                break
            pull = way / max(np.linalg.norm(way), 1e-6) * min(speed, 3 * np.linalg.norm(way))
            wobble = 0.8 * wobble + rng.normal(0, 0.01, 3)
            yield np.array([*(pull + wobble), grip], dtype=np.float32)


def episode(seed):
    """One episode as `write_dataset` takes it."""
    rng = np.random.default_rng(seed)
    table = random_table(rng)
    task = f"put the {table.colors[0]} block on the plate"
    states, actions, top, wrist = [], [], [], []
    for action in expert(table, rng):
        states.append(table.hand.astype(np.float32))
        actions.append(action)
        top.append(table.top())
        wrist.append(table.wrist())
        table.step(action)
    return {"state": np.array(states), "action": np.array(actions), "task": task,
            "images": {"observation.images.top": np.array(top),
                       "observation.images.wrist": np.array(wrist)}}


def write_toy(root, count=24, seed=0):
    """Write the toy dataset as LeRobot v3.0; the same seed gives the same states and actions."""
    names = {"state": ["x", "y", "height", "opening"],
             "action": ["x_velocity", "y_velocity", "height_velocity", "gripper"]}
    return write_dataset(root, (episode([seed, i]) for i in range(count)), FPS, "toy_table",
                         names=names)
