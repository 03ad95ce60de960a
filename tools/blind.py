"""What acting owes to the pictures: small nets that see none, and that are told what is in them.

    python tools/blind.py DATA [TRIALS]     # DATA: a folder of `pi05lite homes data` with source MM

A net is given the state and the words of the subtask, and says the chunk; others are also given the
true boxes of what the words name, in every camera, and the true way to where the base shall stand.
A policy no better than the first does not use its pictures, whatever its loss; the others show what
finding the named things would be worth. For each: error / variance of a chunk, mean over the
numbers of an action, on the last tenth of the episodes, and successes in short skills in new homes.
"""

import sys
import time
from functools import partial

import numpy as np
import torch
from torch import nn

from pi05lite.evaluate.intervals import wilson
from pi05lite.evaluate.rollout import rollouts
from pi05lite.evaluate.trials import HomeTrial, requests
from pi05lite.homes.language import VERBS
from pi05lite.homes.places import dock, way_to
from pi05lite.homes.record import found, seen_by
from pi05lite.homes.sources import (
    HomeSource,
    describe_home_robot,
    objects,
    open_home_data,
    said,
    views,
)
from pi05lite.train.tell import near, waves

HORIZON, STEPS, BATCH, RATE, WIDTH = 50, 6000, 256, 1.5e-3, 512
DROPOUT, NOISE = 0.1, {"state": 0.05, "place": 0.01}  # else 16,000 steps learn frames by heart
TOLD = {"state and words": 2, "and the boxes of what they name": 3, "and the way to go": 4}


# ---- what a net is given -------------------------------------------------------------------------


def frames(data):
    """Of each frame: episode, state, words (a bag), boxes, way, chunk and mask; and the words."""
    texts = [str(s) for e in range(len(data.episodes)) for s in data.column(e, "subtask")]
    place = {w: i for i, w in enumerate(sorted({w for text in texts for w in text.split()}))}
    source = HomeSource(data, describe_home_robot(data), HORIZON)
    rows = []
    for e, episode in enumerate(data.episodes):
        for t in range(episode.length):
            text = str(data.column(e, "subtask")[t])
            seen = [objects(data.column(e, "boxes" if slot == "base" else column)[t])
                    for slot, _, column in views(data)]
            way = source.way(e, t) if text.startswith(VERBS["go"]) else np.zeros(3)
            rows.append((e, data.states(e)[t], bag(text, place), boxes(text, seen), way,
                         *data.chunk(e, t, HORIZON)))
    return [np.stack(column) for column in zip(*rows)], place


def bag(text, place):
    """(words,): which words a text has; words never seen in training are left out."""
    known = [place[w] for w in text.split() if w in place]
    return np.bincount(known, minlength=len(place)).clip(max=1)


def boxes(text, seen):
    """(cameras * 2 * 5,): the last thing that a text names, and another: seen, middle, size."""
    out = []
    for things in seen:
        told = np.zeros((2, 5))
        for name, (y0, x0, y1, x1) in said(text, things)[:2]:
            told[int(text.endswith(f" {name}"))] = 1, y0 + y1 - 1, x0 + x1 - 1, y1 - y0, x1 - x0
        out.append(told)
    return np.concatenate(out).ravel()


def inputs(parts, count, noisy=False):
    """The first `count` of (state, words, boxes, way) as one tensor for a net.

    noisy: numbers that say something are changed a little; those of what is not there stay 0.
    """
    state, words, box, way = parts
    way = near(way)
    if noisy:
        state = state + NOISE["state"] * torch.randn_like(state)
        box = box + NOISE["place"] * torch.randn_like(box) * numbers_of_boxes(box)
        way = way + NOISE["place"] * torch.randn_like(way) * way.any(1, keepdim=True)
    state, box, way = (waves(x, octaves=3).flatten(1) for x in (state / 2, box, way))
    return torch.cat((state, words, box, way)[:count], dim=1)


def numbers_of_boxes(box):
    """Which of the numbers are middles and sizes of what is seen."""
    seen = box.unflatten(1, (-1, 5))[..., :1]
    return (seen * torch.tensor([0, 1, 1, 1, 1])).flatten(1)


# ---- learning and acting -------------------------------------------------------------------------


def learn(parts, count, y, mask):
    """A net that says chunks y (N, H, A) from the first `count` of parts, each (N, F)."""
    torch.manual_seed(0)
    middle = [layer for _ in range(2)
              for layer in (nn.Dropout(DROPOUT), nn.Linear(WIDTH, WIDTH), nn.GELU())]
    size = inputs([part[:1] for part in parts], count).shape[1]
    net = nn.Sequential(nn.Linear(size, WIDTH), nn.GELU(), *middle, nn.Dropout(DROPOUT),
                        nn.Linear(WIDTH, y[0].numel()), nn.Unflatten(1, y.shape[1:]))
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        i = torch.randint(len(y), (BATCH,))
        x = inputs([part[i] for part in parts], count, noisy=True)
        loss = ((net(x) - y[i]).square() * mask[i]).sum() / mask[i].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def error(net, x, y, mask):
    """Error / variance (A,)."""
    mean = (y * mask).sum((0, 1)) / mask.sum((0, 1))
    wrong = ((net(x) - y).square() * mask).sum((0, 1))
    return wrong / ((y - mean).square() * mask).sum((0, 1))


class Driver:
    """Acts by a net, given what is true of each trial."""

    def __init__(self, act, place):
        self.act, self.place = act, place

    def plans(self, trials):
        """[(actions (H, A), subtask)] of the trials."""
        rows = [self.truth(trial.episode) for trial in trials]
        chunks = self.act([np.stack(column) for column in zip(*rows)])
        return [(chunk, trial.prompt) for chunk, trial in zip(chunks, trials)]

    def truth(self, episode):
        """(state, words, boxes, way) of an episode as it stands."""
        world, task = episode.world, episode.first
        text, seen = episode.usual.say(task), []
        for k, camera in enumerate(episode.robot.cameras):
            geom = world.camera.picture(world.data, camera.name, 64)[1]
            seen.append(found(episode, task, geom)[0] if k == 0 else
                        seen_by(episode, camera, geom))
        seen = [[(name, tuple(box)) for name, box in things] for things in seen]
        way = np.zeros(3)
        if task.skill == "go":
            way = way_to(world.base, dock(episode.home.pieces[task.piece]))
        return world.state(), bag(text, self.place), boxes(text, seen), way


def main(folder, trials=0):
    data = open_home_data(folder, "MM")
    (episode, state, words, box, way, chunk, mask), place = frames(data)
    mask = np.broadcast_to(mask[:, :, None], chunk.shape)
    middle, spread = chunk.mean((0, 1), where=mask), chunk.std((0, 1), where=mask)
    rest, wide = state.mean(0), state.std(0)

    def parts(state, words, box, way):
        return [torch.tensor(a, dtype=torch.float32)
                for a in ((state - rest) / wide, words, box, way)]

    x = parts(state, words, box, way)
    y, m = (torch.tensor(a, dtype=torch.float32) for a in ((chunk - middle) / spread, mask * 1.0))
    out = torch.tensor(episode >= 0.9 * len(data.episodes))
    print(f"{len(episode):,} frames, {out.sum():,} held out")
    for name, count in TOLD.items():
        start = time.perf_counter()
        net = learn([part[~out] for part in x], count, y[~out], m[~out])
        each = error(net, inputs([part[out] for part in x], count), y[out], m[out])
        print(f"{name}: {each.mean():.3f} of the variance "
              f"({', '.join(f'{x:.2f}' for x in each)}), {time.perf_counter() - start:.0f} s",
              flush=True)

        @torch.no_grad()
        def act(rows, net=net, count=count):
            return net(inputs(parts(*rows), count)).numpy() * spread + middle

        if trials:
            report(rollouts(Driver(act, place), [partial(HomeTrial, request)
                                                 for request in requests("short", trials)],
                            progress=False))


def report(outcomes):
    """Print successes, all and by skill."""
    done = sum(o.success for o in outcomes)
    low, high = wilson(done, len(outcomes))
    tasks = {o.task: [p.success for p in outcomes if p.task == o.task] for o in outcomes}
    print(f"    short skills: {done / len(outcomes):.1%} [{low:.1%}, {high:.1%}] of "
          f"{len(outcomes)}; "
          + ", ".join(f"{task} {np.mean(s):.0%}" for task, s in tasks.items()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
