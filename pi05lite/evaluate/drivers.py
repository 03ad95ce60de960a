"""Who drives: a trained policy, a script that sees the true state, or chance.

`plans(trials)` gives, for each trial, actions for the time until the next call, and the words they
follow. Actions may be a generator: then each is made when its turn comes.
"""

from zlib import crc32

import numpy as np
import torch

from pi05lite.data.examples import Example
from pi05lite.errors import ConfigError, say
from pi05lite.homes.expert import Expert
from pi05lite.homes.language import Subtask
from pi05lite.homes.plan import plan
from pi05lite.homes.robots import HZ

HIGH = ("own", "none", "script", "outsider")
PATIENCE = 10  # seconds that an outsider gives each subtask


class PolicyDriver:
    """A Policy, asked for all trials in one model call.

    high: where the subtask comes from: "own" (the policy's high level), "none" (the prompt is taken
    for the subtask), "script" (what the scripted expert would do), "outsider" (see there). seed: of
    the noise, which depends on the trial alone, not on what runs beside it.
    """

    def __init__(self, policy, high="own", seed=0):
        if high not in HIGH:
            raise ConfigError(say("high level", f"one of {HIGH}", repr(high), "choose one"))
        self.policy, self.high, self.seed = policy, high, seed

    def plans(self, trials):
        """[(actions (H, A), subtask)] of the trials."""
        seen = [trial.observe() for trial in trials]
        self._think(trials, seen)
        policy, c = self.policy, self.policy.model.config
        examples = [self._example(o, trial.memory["subtask"], "low")
                    for trial, o in zip(trials, seen)]
        device = next(policy.model.parameters()).device
        batch = policy.processor.collate(examples).to(device)
        mask = torch.cat([policy.processor.size_mask(o.robot) for o in seen]).to(device)
        noise = torch.stack([self._noise(trial, c) for trial in trials])
        x = policy.chunks(batch, noise, mask)
        return [(policy.processor.physical_actions(chunk, o.robot, o.state),
                 trial.memory["subtask"]) for trial, o, chunk in zip(trials, seen, x)]

    def _think(self, trials, seen):
        """Renew the subtasks that are due."""
        due = []
        for trial, o in zip(trials, seen):
            age = trial.memory["age"] = trial.memory.get("age", -1) + 1
            if self.high == "none":
                trial.memory["subtask"] = trial.prompt
            elif self.high == "script":
                task = plan(trial.episode) or trial.episode.first
                trial.memory["subtask"] = trial.episode.usual.say(task)
            elif self.high == "outsider":
                trial.memory["subtask"] = trial.episode.usual.say(outsider(trial))
            elif age % self.policy.subtask_every == 0:
                due.append((trial, o))
        said = self.say_subtasks([(o, trial.prompt) for trial, o in due])
        for (trial, _), text in zip(due, said):
            trial.memory["subtask"] = text

    def say_subtasks(self, asked, together=64):
        """What the high level says to [(observation, overall prompt)]."""
        said, device = [], next(self.policy.model.parameters()).device
        for first in range(0, len(asked), together):
            examples = [self._example(o, prompt, "high")
                        for o, prompt in asked[first:first + together]]
            batch = self.policy.processor.collate(examples).to(device)
            said += self.policy.answers(batch)
        return said

    def _example(self, o, text, level):
        return Example("", level, text, o.images, o.robot, o.state)

    def _noise(self, trial, c):
        key = crc32(f"{self.seed} {trial.name} {trial.memory['age']}".encode())
        generator = torch.Generator().manual_seed(key)
        return torch.randn(c.horizon, c.action_size, generator=generator)


def outsider(trial):
    """The Subtask of one who knows the task and does not know the robot.

    A list in good order, fetch and put each thing, a few seconds for each, then over again. It does
    not look: that the robot must drive there first, or that a thing has slipped, it never says. It
    stands for the outside language model of pi0.5's Fig. 13, which did look.
    """
    episode = trial.episode
    todo = [task for g in episode.goals for task in (
        Subtask("pick", g.thing), Subtask("put", g.thing, g.piece, g.drawer))]
    if episode.stains:
        todo.append(Subtask("wipe", piece=episode.wiped_piece))
    todo = todo or [episode.first]
    return todo[int(trial.steps / HZ // PATIENCE) % len(todo)]


class ScriptedDriver:
    """The expert of the homes: the ceiling."""

    def __init__(self, seed=0):
        self.seed = seed

    def plans(self, trials):
        """[(generator of actions, subtask)] of the trials."""
        return [self._plan(trial) for trial in trials]

    def _plan(self, trial):
        expert = trial.memory.setdefault("expert", Expert(
            trial.episode, crc32(f"{self.seed} {trial.name}".encode())))
        first = expert.act()

        def actions():
            yield first[0]
            while True:
                yield expert.act()[0]
        return actions(), trial.episode.usual.say(first[1])


class RandomDriver:
    """Smooth random actions within the robot's limits: the floor."""

    def __init__(self, seed=0, horizon=50):
        self.seed, self.horizon = seed, horizon

    def plans(self, trials):
        """[(actions (H, A), "")] of the trials."""
        return [(self._chunk(trial), "") for trial in trials]

    def _chunk(self, trial):
        key = crc32(f"{self.seed} {trial.name} {trial.steps}".encode())
        low, high = trial.low, trial.high
        ends = np.random.default_rng(key).uniform(low, high, (2, len(low)))
        share = np.linspace(0, 1, self.horizon)[:, None]
        return ends[0] * (1 - share) + ends[1] * share  # (H, A)
