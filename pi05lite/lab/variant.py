"""A variant: all that one training run needs. A swap is a function from one variant to another."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from pi05lite.data.mixture import Mixture
from pi05lite.lab.parts import build as build_with
from pi05lite.model.pi05 import Pi05
from pi05lite.policy import Policy
from pi05lite.processor import Processor
from pi05lite.train.module import TrainingModule
from pi05lite.train.recipe import Recipe


@dataclass(frozen=True)
class Variant:
    """What is trained on what, and how it acts. Change it with `dataclasses.replace`."""

    processor: Processor  # with the config, tokenizers and robots
    mixture: Mixture
    recipe: Recipe
    build: Callable = Pi05  # config -> model
    module: type = TrainingModule  # the loss of a step
    policy: Callable = Policy  # (model, processor) -> what acts

    @staticmethod
    def of(setup, recipe):
        """The kit's own pi0.5 on what `prepare` or `prepare_homes` gave."""
        return Variant(setup.processor, setup.mixture, recipe)

    @property
    def config(self):
        """The sizes of its model."""
        return self.processor.config

    def model(self):
        """A new model; the recipe's seed draws its weights."""
        torch.manual_seed(self.recipe.seed)
        return self.build(self.config)

    def run(self, seed, steps):
        """The same with a seed for weights, data and noise, its schedule fitted to `steps`."""
        r, m = self.recipe, self.mixture
        warmup = max(1, round(r.warmup * steps / r.steps))
        return replace(self, mixture=Mixture(m.sources, dict(zip(m.names, m.shares)), seed),
                       recipe=replace(r, seed=seed, steps=steps, warmup=warmup,
                                      save_every=max(1, steps // 4)))

    def process(self, kind=None, **changes):
        """With another Processor: another class of it, or other config, text or actions."""
        p = self.processor
        kept = dict(config=p.config, text=p.text, actions=p.actions, robots=p.robots,
                    sources=p.sources)
        return replace(self, processor=(kind or type(p))(**kept | changes))

    def chunks(self, count=2000):
        """Normalised chunks (F, H, A) and their real steps (F, H) among the first examples."""
        p, found = self.processor, []
        for example in map(self.mixture.__getitem__, range(count)):
            if example.actions is not None:
                chunk = p.normal_actions(example)
                found.append((np.pad(chunk, ((0, 0), (0, p.token_width - chunk.shape[1]))),
                              example.steps))
        chunks, steps = zip(*found)
        return np.stack(chunks), np.stack(steps)


def part(**parts):
    """The swap that puts other parts into the model; their names: as in `lab.build`."""
    return lambda variant: replace(variant, build=build_with(variant.build, **parts))


def numbers(**changes):
    """The swap that changes numbers of the recipe."""
    return lambda variant: replace(variant, recipe=replace(variant.recipe, **changes))


def tokens(tokenizer, count=2000):
    """The swap that takes another action tokenizer (None for none); `tokenizer()` makes it, and it
    is fitted on the chunks among the first examples."""
    def swap(variant):
        made = tokenizer and tokenizer()
        if made and not made.fitted:
            made.fit(*variant.chunks(count))
        return variant.process(actions=made)
    return swap
