"""Names find their things in pictures before anything is done with them.

A prompt of an action names one or two things, and an answer or a chunk beside it costs far more to
learn than they do. So prompts are made up that name most of what is in sight, without an answer
(`NamesSource`): their tokens learn where to look (`aim`) and what to tell (`tell`), in the place
and beside the state that they have in real prompts.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from torch import nn
from torch.utils.data import IterableDataset

from pi05lite.train.aim import aim_error, queries_of
from pi05lite.train.augment import augment
from pi05lite.train.brief import Stage, brief
from pi05lite.train.call import call_error, patches_of
from pi05lite.train.draws import Draws
from pi05lite.train.tell import check_room, dock_errors, end_errors, tell_error


class Pointing(Stage):
    """Trains the tower, the embeddings and the VLM of a Pi05 on prompts that name what is seen."""

    def __init__(self, model, recipe):
        super().__init__(recipe)
        check_room(model.config)
        self.whole = [model]  # in a list: not all of it is trained
        self.parts = nn.ModuleList([model.vision, model.embedding, model.vlm])

    def training_step(self, batch, batch_idx):
        """The errors of `aim` and `tell`, each a mean over what tells it."""
        model, r, step = self.whole[0], self.recipe, self.trainer.global_step
        draws = Draws(r.seed, range(step * r.batch_size, (step + 1) * r.batch_size))
        batch.images = augment(batch.images, model.config.cameras, draws, moved=r.move)
        found = {}
        for _, part in batch.parts():
            with queries_of(model, part) as notes, patches_of(model) as seen:
                prefix = model.prefix(part, hidden=False)
            errors = {"aim": aim_error(model, part, prefix, notes["q"]),
                      "tell": tell_error(model, part, prefix),
                      "dock": dock_errors(part, prefix), "state": end_errors(part, prefix)[0]}
            for name, error in errors.items():
                found.setdefault(name, []).append((error.sum(), len(error)))
            found.setdefault("call", []).append(call_error(model, part, seen.get("patches")))
        losses = {name: sum(s for s, _ in parts) / max(1, float(sum(n for _, n in parts)))
                  for name, parts in found.items()}
        self.log_dict(losses, prog_bar=True)
        return sum(losses.values())


class Pointed(IterableDataset):
    """Batches of such prompts from a mixture of NamesSources, from a step on."""

    def __init__(self, processor, mixture, recipe, start=0):
        self.processor, self.mixture, self.recipe, self.start = processor, mixture, recipe, start

    def __iter__(self):
        for step in range(self.start, self.recipe.steps):
            first = step * self.recipe.batch_size
            examples = [self.example(i) for i in range(first, first + self.recipe.batch_size)]
            yield self.processor.collate(examples).without_action_tokens()

    def example(self, i):
        """Example i of the mixture, with a chunk of nothing: state is told where one stands."""
        example, horizon = self.mixture[i], self.processor.config.horizon
        size = self.processor.robot(example.robot).action_size
        return replace(example, actions=np.zeros((horizon, size), np.float32),
                       steps=np.ones(horizon, bool))


def point(model, processor, mixture, recipe, out, progress=True, resume=False):
    """Train a model's tower, embeddings and VLM in place to find what prompts name.

    mixture: of NamesSources; resume: keep checkpoints in `out` too, and go on from the newest.
    """
    model.train()
    brief(Pointing(model, recipe), partial(Pointed, processor, mixture, recipe), out, progress,
          model.config if resume else None)
