"""Outside worlds behind the same interface as homes: PushT and ALOHA, both optional extras.

    pip install -c constraints.txt "pi05lite[pusht]"
    pip install "pi05lite[aloha]"        # in an environment of its own: it wants an older MuJoCo,
                                         # and OpenGL (MUJOCO_GL=egl where there is no screen)
"""

from importlib import import_module

import numpy as np

from pi05lite.data.images import fit
from pi05lite.errors import ConfigError, say
from pi05lite.evaluate.trials import Outcome
from pi05lite.policy import Observation


class GymTrial:
    """One episode of a Gymnasium environment that gives pictures and a state.

    robot: the name under which a policy knows it; pictures: slot of the model -> the path of keys
    to a picture in the observation; state: key of the state; limit: steps; best: the reward that
    means all is done (progress is the best reward so far as a share of it).
    """

    def __init__(self, make, name, robot, prompt, pictures, state, limit, best, seed=0, size=64):
        self.env, self.robot_name, self.prompt = make(), robot, prompt
        self.name, self.size, self.limit, self.best = f"{name} seed {seed}", size, limit, best
        self.task, self.pictures, self.state, self.memory = name, pictures, state, {}
        self.seen, self.info = self.env.reset(seed=seed)
        self.steps, self.done, self.progress = 0, False, 0.0

    @property
    def low(self):
        """The least that each action number may be, (A,)."""
        return self.env.action_space.low

    @property
    def high(self):
        """The most that each action number may be, (A,)."""
        return self.env.action_space.high

    @property
    def over(self):
        """Whether it is done or out of time."""
        return self.done or self.steps >= self.limit

    def observe(self):
        """What the robot senses now."""
        images = {}
        for slot, path in self.pictures.items():
            picture = self.seen
            for key in path:
                picture = picture[key]
            images[slot] = fit(np.ascontiguousarray(picture), self.size)
        return Observation(self.robot_name, images, np.asarray(self.seen[self.state], np.float32))

    def step(self, action):
        """One action, clipped to what the environment takes."""
        action = np.clip(action, self.low, self.high).astype(np.float32)
        self.seen, reward, self.done, late, self.info = self.env.step(action)
        self.steps += 1
        self.progress = max(self.progress, min(1.0, float(reward) / self.best))
        self.done = self.done or late

    def outcome(self, texts=()):
        """How it went."""
        success = bool(self.info.get("is_success", False))
        return Outcome(self.name, self.task, self.prompt, success,
                       1.0 if success else self.progress, "" if success else "timeout", self.steps,
                       None, list(texts))


def pusht(seed=0, size=64):
    """Push the T-shaped block onto its mark (gym-pusht, 10 Hz, two numbers: where to push to)."""
    gymnasium = _with("gym_pusht", "pusht")
    return GymTrial(
        lambda: gymnasium.make("gym_pusht/PushT-v0", obs_type="pixels_agent_pos"), "pusht", "pusht",
        "push the T-shaped block onto the T-shaped target", {"base": ("pixels",)}, "agent_pos",
        300, 1.0, seed, size)


def aloha(seed=0, size=64, task="TransferCube"):
    """Two arms hand over a cube, or insert a peg (gym-aloha, 50 Hz, 14 joint positions)."""
    gymnasium = _with("gym_aloha", "aloha")
    prompt = {"TransferCube": "pick up the cube with the right arm and hand it to the left arm",
              "Insertion": "insert the peg into the socket"}
    if task not in prompt:
        raise ConfigError(say("ALOHA task", f"one of {tuple(prompt)}", repr(task), "choose one"))
    return GymTrial(
        lambda: gymnasium.make(f"gym_aloha/Aloha{task}-v0", obs_type="pixels_agent_pos"),
        f"aloha {task}", "aloha", prompt[task], {"base": ("pixels", "top")}, "agent_pos", 400, 4.0,
        seed, size)


def _with(package, extra):
    """gymnasium, with a package's environments registered; ConfigError where it is missing."""
    try:
        import_module(package)
    except ImportError as error:
        raise ConfigError(say(f"world {extra}", f"the package {package}", str(error),
                              f'pip install "pi05lite[{extra}]"')) from error
    return import_module("gymnasium")
