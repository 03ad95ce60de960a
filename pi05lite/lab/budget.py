"""What each variant may spend, and how steps of unlike cost are given the same time fairly.

Wall time on a shared machine says more about its neighbours than about a model. So no run is cut
by the clock: a training step of every variant is timed side by side, in turns, which whatever else
the machine does slows all alike; the medians turn seconds into steps. Then each run has a whole
schedule, evaluation and checkpoints cost no budget, and a run that is stopped and resumed stays the
same run. A step counts with its data: making tokens takes time too.
"""

import time
from dataclasses import dataclass
from statistics import median

import torch

from pi05lite.errors import ConfigError, say
from pi05lite.train.augment import augment
from pi05lite.train.draws import Draws
from pi05lite.train.fit import Stream


@dataclass(frozen=True)
class Budget:
    """The same number of steps for all, or the same time: so many seconds of training steps."""

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self):
        given = [x for x in (self.steps, self.seconds) if x is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ConfigError(say("budget", "steps or seconds, above 0",
                                  f"steps={self.steps}, seconds={self.seconds}",
                                  "lab.Budget(steps=500) or lab.Budget(seconds=120)"))

    def steps_at(self, seconds_a_step):
        """How many steps it buys."""
        return self.steps or max(1, int(self.seconds / seconds_a_step))


def side_by_side(calls, rounds):
    """Median seconds of each call (name -> function), timed in turns after one turn unmeasured."""
    spent = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                spent[name].append(time.perf_counter() - begin)
    return {name: median(times) for name, times in spent.items()}


class Stepper:
    """Takes real training steps of a variant, one a call, outside of Lightning."""

    def __init__(self, variant, device):
        self.variant, self.device = variant, device
        self.model = variant.model().to(device).train()
        self.module = variant.module(self.model, variant.recipe, variant.mixture.names)
        weights = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(weights, 1e-5, fused=True)
        r = variant.recipe
        self.data = Stream(variant.mixture, variant.processor.collate, r.batch_size, 1 << 30,
                           blur=r.blur)
        self.stream, self.step = iter(self.data), 0

    def batch(self):
        """The next batch and its draws."""
        r, first = self.variant.recipe, self.step * self.variant.recipe.batch_size
        self.step += 1
        draws = Draws(r.seed, range(first, first + r.batch_size))
        batch = next(self.stream)
        if r.augment:
            batch.images = augment(batch.images, self.variant.config.cameras, draws)
        return batch.to(self.device), draws

    def loss(self):
        """The loss of the next batch."""
        return self.module.losses(*self.batch())["loss"]

    def __call__(self):
        self.optimizer.zero_grad()
        self.loss().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.variant.recipe.clip)
        self.optimizer.step()


def device_of(trainer):
    """The device that Lightning takes with these options."""
    gpu = trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda")
    return torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")


def speeds(variants, known, device, rounds=9):
    """Seconds a step of each variant: known ones (name -> seconds) as they are, the others timed
    beside the first and scaled by what that one took when it was first timed."""
    new = [name for name in variants if name not in known]
    if not new:
        return known
    first = next(iter(variants))
    timed = side_by_side({name: Stepper(variants[name], device)
                          for name in dict.fromkeys([first, *new])}, rounds)
    scale = known.get(first, timed[first]) / timed[first]
    return known | {name: scale * timed[name] for name in new}
