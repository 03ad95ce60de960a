"""What a chunk owes to the pictures: regressions that see none, and that are told the true boxes.

    python tools/blind.py DATA           # DATA: a folder of `pi05lite homes data` with source MM

A small net is given the state and the words of the subtask, and says the chunk; another is also
given the boxes of what the words name, in every camera. An expert no better than the first does
not use its pictures, whatever its loss; the second shows what finding the named things would be
worth. Error / variance of each action, mean over the numbers, on the last tenth of the episodes.
"""

import sys
import time

import numpy as np
import torch
from torch import nn

from pi05lite.homes.sources import objects, open_home_data, said, views

HORIZON, STEPS, BATCH, RATE = 50, 4000, 256, 1.5e-3


def frames(data):
    """For each frame: episode, state, words (bag), boxes (cameras x 2 x 5), chunk and mask."""
    texts = [str(s) for e in range(len(data.episodes)) for s in data.column(e, "subtask")]
    place = {w: i for i, w in enumerate(sorted({w for text in texts for w in text.split()}))}
    rows = []
    for e, episode in enumerate(data.episodes):
        for t in range(episode.length):
            text = str(data.column(e, "subtask")[t])
            words = np.bincount([place[w] for w in text.split()], minlength=len(place)).clip(max=1)
            rows.append((e, data.states(e)[t], words, boxes(data, e, t, text),
                         *data.chunk(e, t, HORIZON)))
    return [np.stack(column) for column in zip(*rows)]


def boxes(data, e, t, text):
    """(cameras * 2 * 5,): the last thing that a text names, and another: seen, middle, size."""
    out = []
    for slot, _, column in views(data):
        seen = objects(data.column(e, "boxes" if slot == "base" else column)[t])
        told = np.zeros((2, 5))
        for name, (y0, x0, y1, x1) in said(text, seen)[:2]:
            told[int(text.endswith(f" {name}"))] = 1, y0 + y1 - 1, x0 + x1 - 1, y1 - y0, x1 - x0
        out.append(told)
    return np.concatenate(out).ravel()


def waves(x):
    """Numbers (N, F) and their sines and cosines of three octaves: places in a form nets like."""
    turns = [np.pi * 2**k * x for k in range(3)]
    return np.concatenate([x, *map(np.sin, turns), *map(np.cos, turns)], axis=1)


def error(inputs, chunk, mask, held_out):
    """Train on the other frames, and give error / variance of each number on the held-out ones."""
    torch.manual_seed(0)
    x, y, m = (torch.tensor(np.asarray(a), dtype=torch.float32) for a in (inputs, chunk, mask))
    width = 512
    net = nn.Sequential(nn.Linear(x.shape[1], width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
                        nn.Linear(width, width), nn.GELU(),
                        nn.Linear(width, y[0].numel()), nn.Unflatten(1, y.shape[1:]))
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    mine = torch.tensor(np.flatnonzero(~held_out))
    for _ in range(STEPS):
        i = mine[torch.randint(len(mine), (BATCH,))]
        loss = ((net(x[i]) - y[i]).square() * m[i]).sum() / m[i].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        x, y, m = (a[torch.tensor(held_out)] for a in (x, y, m))
        mean = (y * m).sum((0, 1)) / m.sum((0, 1))
        return ((net(x) - y).square() * m).sum((0, 1)) / ((y - mean).square() * m).sum((0, 1))


def main(folder):
    data = open_home_data(folder, "MM")
    episode, state, words, box, chunk, mask = frames(data)
    mask = np.broadcast_to(mask[:, :, None], chunk.shape)
    spread = chunk.std((0, 1), where=mask)
    chunk = (chunk - chunk.mean((0, 1), where=mask)) / spread
    state = (state - state.mean(0)) / state.std(0)
    held_out = episode >= 0.9 * len(data.episodes)
    print(f"{len(episode):,} frames, {held_out.sum():,} held out; actions {chunk.shape[2]}")
    told = {"state and words": [waves(state / 2), words],
            "and the boxes of what they name": [waves(state / 2), words, waves(box)]}
    for name, inputs in told.items():
        start = time.perf_counter()
        each = error(np.concatenate(inputs, axis=1), chunk, mask, held_out)
        print(f"{name}: {each.mean():.3f} of the variance "
              f"({', '.join(f'{x:.2f}' for x in each)}), {time.perf_counter() - start:.0f} s",
              flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
