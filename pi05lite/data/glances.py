"""Single moments over the toy table: two blocks, a plate, and a sentence that names one of them.

Where to go is in the pictures, which thing is meant is in the words alone, and where the hand is
stands in the state. So only a policy that uses all three is right, which makes it a good one to
look inside. Units as in `pi05lite.data.toy`: the table is one by one.
"""

from dataclasses import replace

import numpy as np
from PIL import Image

from pi05lite.data import stats
from pi05lite.data.examples import Example
from pi05lite.data.robots import Robot
from pi05lite.data.stats import DatasetStats
from pi05lite.data.toy import FPS, random_table

PIXELS, PATCH = 48, 8  # so that a picture has 6 x 6 patches
SIZES = {"block": 0.045, "plate": 0.13}  # half of each side


class Glances:
    """`count` tables with four examples each: "reach the red block" -> a chunk.

    The chunk (H, 3) is where the hand is to be at each step: at the thing in the last one. The
    fourth sentence is "reach a block", and which block the hand goes to then is a coin's choice.
    """

    name = "glances"

    def __init__(self, count, horizon=10, seed=0):
        rng = np.random.default_rng(seed)
        self.tables = [random_table(rng) for _ in range(count)]
        for table in self.tables:  # anywhere, not only in the middle
            table.hand[:3] = rng.uniform((0.1, 0.1, 0.4), (0.9, 0.9, 0.9))
        self.images = [{"base": small(t.top()), "left_wrist": small(t.wrist())}
                       for t in self.tables]
        self.coin = rng.integers(2, size=count)
        self.actions = [[way(t.hand[:3], place, horizon, rng) for _, place, _ in things(t)]
                        for t in self.tables]
        self.steps = np.ones(horizon, dtype=bool)

    def __len__(self):
        return 4 * len(self.tables)

    def __getitem__(self, i):
        return self.example(*divmod(i, 4))

    def example(self, n, asked):
        """Table n, asked for its thing 0 or 1 (the blocks), 2 (the plate), or 3 (either block)."""
        meant = int(self.coin[n]) if asked == 3 else asked
        name, *_ = thing = things(self.tables[n])[meant]
        text, label = (("reach a block", "block") if asked == 3 else (f"reach the {name}", name))
        return Example(self.name, "low", text, self.images[n], "glances",
                       self.tables[n].hand[:3].astype(np.float32),
                       named={"base": [(label, box(thing))]}, actions=self.actions[n][meant],
                       steps=self.steps)

    def robot(self):
        """The Robot whose statistics fit these moments."""
        states = np.array([t.hand[:3] for t in self.tables])
        actions = np.concatenate([a for row in self.actions for a in row])
        return Robot("glances", DatasetStats("glances", stats.of_values(states),
                                             stats.of_values(actions)),
                     {"base": "top", "left_wrist": "wrist"}, float(FPS))


def small(image):
    """A picture in PIXELS x PIXELS."""
    return np.asarray(Image.fromarray(image).resize((PIXELS, PIXELS), Image.Resampling.BOX))


def things(table):
    """[(name, place (2,), half its side)] of the two blocks and the plate."""
    return [(f"{table.colors[0]} block", table.block, SIZES["block"]),
            (f"{table.colors[1]} block", table.other, SIZES["block"]),
            ("plate", table.plate, SIZES["plate"])]


def box(thing):
    """Its box in the picture from above: (y0, x0, y1, x1) in [0, 1]."""
    _, (x, y), half = thing
    return tuple(np.clip((y - half, x - half, y + half, x + half), 0, 1))


def way(hand, place, horizon, rng):
    """A way from the hand (3,) down to a place (2,), bent a little to one side: (H, 3) float32."""
    goal = np.array([*place, 0.15])
    share = np.arange(1, horizon + 1)[:, None] / horizon
    share = share * share * (3 - 2 * share)  # slow, quick, slow
    side = np.array([hand[1] - goal[1], goal[0] - hand[0], 0]) * rng.normal(0, 0.05)
    return (hand + share * (goal - hand) + 4 * share * (1 - share) * side).astype(np.float32)


def cells(thing, side=PIXELS // PATCH):
    """Which patches of the picture from above show a thing: numbers in [0, side * side)."""
    y0, x0, y1, x1 = (np.array(box(thing)) * side).clip(0, side - 1e-6).astype(int)
    return [row * side + column for row in range(y0, y1 + 1) for column in range(x0, x1 + 1)]


class Above:
    """The eye of the upper camera: x and y of the table are across and down its picture."""

    def project(self, places):
        """Places (..., 3) -> u, v in [0, 1] (..., 2)."""
        return np.asarray(places)[..., :2]


def over_the_table(trace, robot, state):
    """The trace of a glance with the hand's way in it, for `widgets.paths.camera_figure`."""
    def way(chunks):
        places = robot.from_model(chunks, state)
        start = np.broadcast_to(state, (*places.shape[:-2], 1, 3))
        return np.concatenate([start, places], axis=-2)[..., None, :]

    return replace(trace, places=way(trace.path), true_places=None if trace.truth is None else way(
        trace.truth), sights={"base": Above()})
