"""A seconds-long training run on made-up numbers, also run as a program that gets killed."""

import json
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from pi05lite import config
from pi05lite.data.examples import Example
from pi05lite.data.mixture import Mixture
from pi05lite.data.robots import Robot
from pi05lite.data.stats import DatasetStats, of_values
from pi05lite.model.pi05 import Pi05
from pi05lite.processor import Processor
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.text import TextTokenizer
from pi05lite.train import recipe
from pi05lite.train.fit import fit


class Waves:
    """Sine chunks whose phase is the state; a source of 200 examples at the low level."""

    name = "waves/low"

    def __len__(self):
        return 200

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        state = rng.uniform(-1, 1, 3).astype(np.float32)
        t = np.arange(10)[:, None] / 10
        actions = np.sin(3 * t + state).astype(np.float32)
        image = rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)
        return Example(self.name, "low", "wave", {"base": image}, "waves", state,
                       actions=actions, steps=np.ones(10, dtype=bool))


class Words(Waves):
    """The same pictures with a word to say."""

    name = "words"

    def __getitem__(self, i):
        low = super().__getitem__(i)
        return Example(self.name, "words", "which", low.images, answer=f"number {i % 3}")


def parts(seed=0):
    """Model, processor and mixture."""
    source = Waves()
    states = np.stack([source[i].state for i in range(200)])
    chunks = np.stack([source[i].actions for i in range(200)])
    stats = DatasetStats("waves", of_values(states), of_values(chunks.reshape(-1, 3)))
    robot = Robot("waves", stats, {"base": "camera"}, 10.0)
    c = config.nano()
    corpus = ["Task: wave, State: ;\nAction: ", "number which"]
    text = TextTokenizer.train(corpus, c.vocabulary.text)
    fast = FastTokenizer(c.vocabulary.actions).fit(robot.to_model(chunks, states))
    mixture = Mixture([source, Words()], {"waves/low": 3, "words": 1}, seed)
    torch.manual_seed(seed)
    return Pi05(c), Processor(c, text, fast, {"waves": robot}, mixture.names), mixture


def awake(seed=0):
    """Toy parts whose expert says something: its adaptive norms are open."""
    model, processor, mixture = parts(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "modulation" in name:
                p.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    return model, processor, mixture


def quick(stage=recipe.posttrain, **changes):
    """A recipe of 30 steps that saves every 5."""
    return replace(stage(steps=30, batch_size=8), save_every=5, **changes)


def alone(**changes):
    """A recipe of 16 steps of the expert alone, by which more comes than is kept."""
    return replace(recipe.home_expert(16, 4), kept=24, drawn=12, listen=0.0, save_every=5,
                   warmup=2, **changes)


def run(out, **options):
    """Train and return the policy."""
    return fit(*parts(), quick(), out, progress=False, tensorboard=False, **options)


if __name__ == "__main__":  # python -m tests.train.toy FOLDER SECONDS_A_STEP
    import lightning.pytorch as pl

    class Slow(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            print(json.dumps([trainer.global_step, float(outputs["loss"])]), flush=True)
            time.sleep(float(sys.argv[2]))

    run(sys.argv[1], callbacks=[Slow()])
