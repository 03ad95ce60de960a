"""What the model must know of a robot, and the robots whose real subsets the kit knows by name."""

from dataclasses import dataclass, replace

import numpy as np

from pi05lite.data import paths, stats
from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.stats import DatasetStats
from pi05lite.errors import DataError, say


@dataclass(frozen=True)
class Robot:
    """Statistics, cameras and control rate of a robot; actions to the model's units and back.

    relative: (action dimension, state dimension) pairs whose command is a position: the model sees
    how far it lies from the state now, as openpi does for joints. A gripper stays absolute.
    remember: action dimensions whose last command is appended to the state, for robots that do not
    report their gripper.
    """

    name: str
    stats: DatasetStats
    cameras: dict  # slot of the model -> camera of the dataset
    fps: float
    relative: tuple = ()
    remember: tuple = ()

    def states(self, dataset, e):
        """What the robot knows of itself in each frame of an episode, float32 (T, S)."""
        states = dataset.states(e)
        if not self.remember:
            return states
        last = dataset.actions(e)[dataset.steps - 1::dataset.steps]  # of each frame
        before = np.roll(last[:, self.remember], 1, axis=0)
        before[0] = 0  # nothing was commanded yet
        return np.concatenate([states, before], axis=1)

    @property
    def state_size(self):
        """S, how many numbers its state has."""
        return len(self.stats.state.q01)

    @property
    def action_size(self):
        """A, how many numbers its action has."""
        return len(self.stats.action.q01)

    def origin(self, state):
        """What actions are counted from: (..., A) from states (..., S), 0 where absolute."""
        state = np.asarray(state, dtype=np.float32)
        start = np.zeros((*state.shape[:-1], self.action_size), dtype=np.float32)
        for a, s in self.relative:
            start[..., a] = state[..., s]
        return start

    def to_model(self, actions, state, clip=True):
        """Chunks (..., H, A) in the robot's units -> [-1, 1], given the states (..., S) now."""
        return self.stats.action.normalize(actions - self.origin(state)[..., None, :], clip)

    def from_model(self, chunk, state):
        """Chunks (..., H, A) in [-1, 1] -> the robot's units, float32."""
        chunk = np.asarray(chunk, dtype=np.float32)
        return self.stats.action.unnormalize(chunk) + self.origin(state)[..., None, :]


@dataclass(frozen=True)
class Known:
    """How to read a real subset: its folder, cameras by slot, and what its actions mean."""

    folder: str
    cameras: dict
    gripper: int | None = None  # index in the action; larger is more closed
    relative: int = 0  # the first so many actions are positions of the same state dimensions
    remember: tuple = ()  # action dimensions that the state lacks: their last command joins it
    held_out: int = 5  # every so many-th episode with words is kept for testing


def _eye(name):
    return f"observation.images.{name}"


KNOWN = {
    "droid": Known("droid_subset", {"base": _eye("exterior_1"), "left_wrist": _eye("wrist")}, 7, 7,
                   held_out=3),
    "droid_new": Known("droid_new_setup", {"base": _eye("exterior_1"), "left_wrist": _eye("wrist")},
                       7, 7),
    "cr5": Known("cr5_two_tasks", {"left_wrist": _eye("wrist")}, 6, remember=(6,)),
    "g1": Known("g1_inspire_bottle", {"base": _eye("cam_high")}, None, 26),
    "bridge": Known("bridge_octo64", {"base": _eye("image_0")}),
    "bridge_vpp": Known("bridge_vpp", {"base": _eye("image_0")}, held_out=4),
    "toy": Known("toy_table", {"base": _eye("top"), "left_wrist": _eye("wrist")}, 3, 0),
}


def open_known(name, image_size=64, cache=None):
    """(training dataset, held-out dataset) of a known robot, split by episode.

    Raises DataError where no folder that is searched holds it.
    """
    known = KNOWN[name]
    folder = paths.find(known.folder)
    if folder is None:
        raise DataError(say(
            f"dataset {known.folder}", "a folder of that name in PI05LITE_DATA, the downloads or "
            "data/", "none", "set PI05LITE_DATA to the folder that holds it, or use \"toy\""))
    whole = LeRobotDataset(folder, name=name, cameras=known.cameras.values(),
                           image_size=image_size, cache=cache)
    spoken = [e.index for e in whole.episodes if any(e.tasks)]
    held_out = spoken[known.held_out - 1::known.held_out]
    train = [e.index for e in whole.episodes if e.index not in held_out]
    return whole.subset(train), whole.subset(held_out)


def describe_robot(dataset, known, horizon):
    """The Robot of a (training) dataset: exact statistics of what the model will see.

    Relative actions are counted from the state at the start of each chunk, so their statistics are
    taken over whole chunks of `horizon` steps.
    """
    table = stats.compute(dataset)
    robot = Robot(dataset.name, table, dict(known.cameras), float(dataset.fps * dataset.steps),
                  tuple((i, i) for i in range(known.relative)), known.remember)
    if known.remember:
        known_states = [robot.states(dataset, e) for e in range(len(dataset.episodes))]
        table = replace(table, state=stats.of_values(np.concatenate(known_states)))
    if not known.relative:
        return replace(robot, stats=table)
    rows = []
    for e, episode in enumerate(dataset.episodes):
        start = robot.origin(robot.states(dataset, e))  # (T, A)
        for t in range(episode.length):
            chunk, steps = dataset.chunk(e, t, horizon)
            rows.append((chunk - start[t])[steps])
    return replace(robot, stats=replace(table, action=stats.of_values(np.concatenate(rows))))
