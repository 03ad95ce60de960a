"""The Gymnasium environment: one robot, one task, a fresh home or a fresh episode at each reset."""

import gymnasium
import numpy as np
from gymnasium import spaces

from pi05lite.errors import DataError, say
from pi05lite.homes.robots import HZ, find_robot
from pi05lite.homes.tasks import Episode, Request

KEYS = ("task", "home", "split", "seed", "robot", "room")


class TidyHome(gymnasium.Env):
    """Pictures and state in, actions of 20 ms out; the prompt and the score are in `info`.

    task, split, robot, room: see `tasks.Request`; homes: how many home seeds there are to draw
    from; size: pixels of a picture; cameras: names, or None for all of the robot's; options of
    `reset`: any field of Request, for one episode. Reward: the share of the task's points newly
    earned.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": HZ}

    def __init__(self, task="pick", split="train", robot="mobile", room=None, homes=10_000, size=64,
                 cameras=None, render_mode=None):
        self.request = Request(task, 0, split, 0, robot, room)
        self.robot, self.homes, self.size = find_robot(robot), homes, size
        self.render_mode = render_mode
        known = [camera.name for camera in self.robot.cameras]
        self.cameras = known if cameras is None else list(cameras)
        for name in self.cameras:
            if name not in known:
                raise DataError(say(f"camera of {robot}", f"one of {known}", name, "ask for these"))
        low, high = (np.array(v, np.float32) for v in (self.robot.action_low,
                                                       self.robot.action_high))
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        picture = spaces.Box(0, 255, (size, size, 3), np.uint8)
        state = spaces.Box(-np.inf, np.inf, (self.robot.state_size,), np.float32)
        self.observation_space = spaces.Dict({name: picture for name in self.cameras}
                                             | {"state": state})
        self.episode = None

    def reset(self, *, seed=None, options=None):
        """A new episode; the same seed gives the same one."""
        super().reset(seed=seed)
        unknown = sorted(set(options or {}) - set(KEYS))
        if unknown:
            raise DataError(say("options of reset", f"some of {KEYS}", unknown, "leave them out"))
        drawn = {"home": int(self.np_random.integers(self.homes)),
                 "seed": int(self.np_random.integers(2**31))}
        fields = {name: getattr(self.request, name) for name in KEYS}
        self.episode = Episode(**fields | drawn | (options or {}))
        return self._look(), self._info()

    def step(self, action):
        """Act for 20 ms; raises DataError after the end, for NaN, or for a wrong size."""
        if self.episode is None:
            raise DataError(say("environment", "reset() before the first step", "a step",
                                "call reset()"))
        before = self.episode.rubric.progress
        self.episode.step(action)
        rubric, world = self.episode.rubric, self.episode.world
        timeout = world.time >= self.episode.limit and not rubric.success
        return (self._look(), rubric.progress - before, bool(rubric.success), timeout,
                self._info())

    def render(self):
        """The room from the robot's first camera, larger."""
        if self.episode is None or self.render_mode != "rgb_array":
            return None
        world = self.episode.world
        return world.camera.picture(world.data, self.robot.cameras[0].name, 4 * self.size)[0]

    def _look(self):
        world = self.episode.world
        return world.images(self.size, self.cameras) | {"state": world.state()}

    def _info(self):
        e = self.episode
        return {"prompt": e.prompt, "progress": e.rubric.progress, "success": e.rubric.success,
                "failure": e.rubric.failure if e.over else "", "time": e.world.time / HZ}
