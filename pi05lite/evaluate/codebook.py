"""Trains the codebook that the kit carries: 50 x 7 chunks of every real robot of that size."""

import json
from pathlib import Path

import numpy as np

from pi05lite.evaluate import results
from pi05lite.evaluate.tokens import here, robot_chunks
from pi05lite.tokens.actions import write_atomic
from pi05lite.tokens.vq import DEFAULT, VQTokenizer

ROBOTS = ("cr5", "bridge", "bridge_vpp")  # seven action dimensions
HORIZON = 50


def train(out=None, seed=0):
    """Train on the training episodes, save, and write made.json beside it; returns the folder."""
    robots = [robot_chunks(name, HORIZON) for name in ROBOTS if name in here()]
    tokenizer = VQTokenizer().fit(
        np.concatenate([data.train for data in robots]),
        np.concatenate([data.train_mask for data in robots]), seed=seed, progress=True)
    out = Path(out or DEFAULT)
    tokenizer.save(out)
    made = {
        "command": f"pi05lite tokens codebook --seed {seed}", "seed": seed,
        "commit": results.commit(),
        "robots": {d.name: {"chunks": len(d.train), "held_out_rmse": held_out(tokenizer, d)}
                   for d in robots},
        "perplexity": tokenizer.report.perplexity, "usage": tokenizer.report.usage}
    write_atomic(out / "made.json", json.dumps(results.rounded(made), indent=1).encode() + b"\n")
    return out


def held_out(tokenizer, data):
    """RMSE on held-out episodes, in normalised units, over valid steps."""
    decoded, _ = tokenizer.decode(tokenizer.encode(data.test, data.test_mask), *data.test.shape[1:])
    off = np.square(decoded - data.test) * data.test_mask[..., None]
    return float(np.sqrt(off.sum() / data.test_mask.sum() / off.shape[2]))
