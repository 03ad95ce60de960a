"""What can be evaluated in: one attempt at a task, whichever world it happens in.

A Trial has a prompt, gives Observations, takes actions, knows when it is over and how it went.
Drivers (see drivers.py) keep what they must remember of it in `memory`.
"""

from dataclasses import asdict, dataclass, field

import numpy as np

from pi05lite.errors import DataError, say
from pi05lite.homes.tasks import Episode, Request
from pi05lite.policy import Observation


@dataclass
class Outcome:
    """How one trial went."""

    name: str  # what was tried: task and seeds
    task: str
    prompt: str
    success: bool
    progress: float
    failure: str
    steps: int
    right_first: bool | None = None  # whether the first thing touched was a wanted one
    texts: list = field(default_factory=list)  # (step, subtask) as they were said

    def row(self):
        """As a dict of plain values."""
        return asdict(self)


class HomeTrial:
    """A task in a home; size: pixels; cameras: slot of the model -> camera (None: all slots)."""

    def __init__(self, request, size=64, cameras=None):
        self.request, self.size, self.memory = request, size, {}
        self.episode = Episode(request)
        self.robot, self.world = self.episode.robot, self.episode.world
        self.cameras = cameras or self.robot.slots
        self.name = f"{request.task} home {request.home} seed {request.seed} ({request.split})"

    @property
    def prompt(self):
        """What a person asks for."""
        return self.episode.prompt

    @property
    def low(self):
        """The least that each action number may be, (A,)."""
        return np.array(self.robot.action_low)

    @property
    def high(self):
        """The most that each action number may be, (A,)."""
        return np.array(self.robot.action_high)

    @property
    def over(self):
        """Whether it is done or out of time."""
        return self.episode.over

    @property
    def steps(self):
        """Actions taken so far."""
        return self.world.time

    def observe(self):
        """What the robot senses now."""
        pictures = self.world.images(self.size, set(self.cameras.values()))
        images = {slot: pictures[camera] for slot, camera in self.cameras.items()}
        return Observation(self.robot.name, images, self.world.state())

    def step(self, action):
        """One action, clipped to what the robot can do."""
        self.episode.step(np.clip(action, self.low, self.high))

    def outcome(self, texts=()):
        """How it went."""
        rubric, touched = self.episode.rubric, self.world.touched
        first = touched[0] in self.episode.wanted if touched else None
        return Outcome(self.name, self.request.task, self.prompt, bool(rubric.success),
                       float(rubric.progress), rubric.failure, self.steps, first, list(texts))


SHORT = ("pick", "put", "open", "close", "wipe", "go")
LONG = ("dishes", "drawer", "laundry", "toys", "table")
SUITES = {  # name -> (split, tasks)
    "short": ("new", SHORT),
    "perception": ("perception", SHORT),
    "skill": ("skill", SHORT),
    "semantics": ("semantics", ("pick", "put", "follow")),
    "language": ("new", ("follow",)),
    "language_new": ("semantics", ("follow",)),
    "long": ("new", LONG),
    "train": ("train", SHORT),
    "train_long": ("train", LONG),
}


def requests(suite, count=200, seed=0, robot="mobile"):
    """`count` Requests of a suite, tasks in turn, each in a home of its own.

    The same seed gives the same requests, so that two policies can be compared pair by pair.
    """
    if suite not in SUITES:
        raise DataError(say("suite", f"one of {tuple(SUITES)}", repr(suite), "ask for one of them"))
    if count < 1:
        raise DataError(say("number of trials", "at least 1", count, "ask for more"))
    split, tasks = SUITES[suite]
    first = 1_000_000 + 10_000 * seed  # far from the seeds that datasets are made with
    return [Request(tasks[i % len(tasks)], first + i, split, i, robot) for i in range(count)]
