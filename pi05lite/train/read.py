"""Prompts are read before anything else: the end of a prompt tells the state that stands in it.

pi0.5 writes the robot's state as words (section IV-A) for PaliGemma, which has read numbers on the
web. Ours has not, and beside pictures it learns to read them slowly. So it learns that from prompts
without pictures, with states made up at random, at a small part of what a step costs otherwise.
"""

from functools import partial

import numpy as np
from torch import nn
from torch.utils.data import IterableDataset

from pi05lite.data.examples import Example
from pi05lite.train.brief import Stage, brief
from pi05lite.train.tell import check_room, end_errors


class Reading(Stage):
    """Trains the embeddings and the VLM of a Pi05 on prompts without pictures."""

    def __init__(self, model, recipe):
        super().__init__(recipe)
        check_room(model.config)
        self.whole = [model]  # in a list: not all of it is trained
        self.parts = nn.ModuleList([model.embedding, model.vlm])

    def training_step(self, batch, batch_idx):
        """Mean error of the numbers of a state, in [-1, 1], and of their waves."""
        error, _ = end_errors(batch, self.whole[0].prefix(batch, hidden=False))
        loss = error.mean() / batch.state.shape[1]
        self.log("state", loss, prog_bar=True)
        return loss


class Prompts(IterableDataset):
    """Batches of prompts of the low level from a step on, with states made up.

    texts: robot -> subtasks.
    """

    def __init__(self, processor, texts, recipe, start=0):
        self.processor, self.texts, self.recipe, self.start = processor, texts, recipe, start

    def __iter__(self):
        for step in range(self.start, self.recipe.steps):
            draw = np.random.default_rng((self.recipe.seed, step))
            examples = [self.example(draw) for _ in range(self.recipe.batch_size)]
            yield self.processor.collate(examples).without_action_tokens()

    def example(self, draw):
        """A prompt of one of the robots, with a chunk of nothing, since the low level has one."""
        robot = self.processor.robot(draw.choice(sorted(self.texts)))
        stats, nothing = robot.stats.state, np.zeros((1, robot.action_size), np.float32)
        state = stats.unnormalize(draw.uniform(-1, 1, robot.state_size).astype(np.float32))
        text = self.texts[robot.name][draw.integers(len(self.texts[robot.name]))]
        horizon = self.processor.config.horizon
        return Example("", "low", text, {}, robot.name, state,
                       actions=nothing.repeat(horizon, 0), steps=np.ones(horizon, bool))


def read(model, processor, texts, recipe, out, progress=True, resume=False):
    """Train a model's embeddings and VLM in place to read states; logs go to folder `out`.

    texts: name of a robot -> subtasks as they are said to it; resume: keep checkpoints too, and go
    on from the newest.
    """
    model.train()
    brief(Reading(model, recipe), partial(Prompts, processor, texts, recipe), out, progress,
          model.config if resume else None)
