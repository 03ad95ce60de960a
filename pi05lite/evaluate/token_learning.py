"""What the action tokenizer does to learning: the same policy, the same wall time, other tokens."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pi05lite import config
from pi05lite.errors import ConfigError, say
from pi05lite.evaluate import chunks
from pi05lite.model.pi05 import Pi05
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.vq import VQTokenizer
from pi05lite.train import recipe
from pi05lite.train.fit import fit
from pi05lite.train.setup import prepare

TOKENIZERS = {"bins": BinsTokenizer, "FAST": FastTokenizer, "VQ": VQTokenizer}


def setting(tokenizer, robot="cr5", horizon=10, seed=0):
    """The data of one robot with that tokenizer, and a fresh tiny policy with room for its tokens.

    Everything but the tokens is the same: data, sizes, weights at the start.
    """
    tower = config.VisionConfig(name="test_convnext3", image_size=64, act=None)
    c = replace(config.tiny(), horizon=horizon, vision=tower, action_size=7, max_tokens=512)
    setup = prepare([robot], c, tokenizer, words=False, power=1, seed=seed)
    torch.manual_seed(seed)
    return setup, Pi05(setup.config)


def train(model, setup, seconds, out, seed=0):
    """Pre-train as many steps as this machine does in so many seconds when nothing else runs.

    Returns (policy, steps, seconds that they took). Twenty steps tell the seconds of one; they
    count as processor time by thread, so that other work on the machine does not cut the run short.
    """
    stage = replace(recipe.pretrain(steps=10_000), seed=seed, save_every=10_000)
    quick = dict(progress=False, tensorboard=False, enable_checkpointing=True)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    fit(model, setup.processor, setup.mixture, replace(stage, steps=5), Path(out) / "warm", **quick)
    begin = time.process_time()
    fit(model, setup.processor, setup.mixture, replace(stage, steps=20), Path(out) / "try", **quick)
    spent = (time.process_time() - begin) / torch.get_num_threads()
    steps = max(20, int(seconds / spent * 20))
    model.load_state_dict(weights)
    stage = replace(recipe.pretrain(steps=steps), seed=seed, save_every=steps)
    begin = time.perf_counter()
    policy = fit(model, setup.processor, setup.mixture, stage, Path(out) / "run", **quick)
    return policy, steps, time.perf_counter() - begin


def written(policy, source, held_out, constrained, batch_size=32):
    """Chunks (F, H, A) that the policy writes in tokens for held-out frames, and which are whole.

    The subtask is the labelled one, the tokens the likeliest ones.
    """
    out, ok = [], []
    device = next(policy.model.parameters()).device
    for k in range(0, len(held_out.places), batch_size):
        examples = [source.example(e, t) for e, t in held_out.places[k:k + batch_size]]
        for example in examples:
            example.actions = None  # the truth must not be in the prompt
        batch = policy.processor.collate(examples).to(device)
        pieces, whole = policy.token_chunks(batch, constrained=constrained)
        out.append(pieces[..., :source.robot.action_size])
        ok.append(whole)
    return np.concatenate(out), np.concatenate(ok)


def measure(name, seconds=120, horizon=10, robot="cr5", stride=6, seed=0, out=None):
    """Train with one tokenizer and measure on held-out episodes: one row."""
    if name not in TOKENIZERS:
        raise ConfigError(say("tokenizer", f"one of {list(TOKENIZERS)}", name, "name one of them"))
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            return measure(name, seconds, horizon, robot, stride, seed, folder)
    setup, model = setting(TOKENIZERS[name](), robot, horizon, seed)
    policy, steps, spent = train(model, setup, seconds, out, seed)
    source = setup.held_out[robot]
    known, asked = chunks.frames(setup.train[robot]), chunks.frames(source, stride)
    mean = chunks.mean_chunk(known)
    free, whole = written(policy, source, asked, constrained=False)
    ruled, always = written(policy, source, asked, constrained=True)
    assert always.all()
    tokens = setup.processor.actions.encode(asked.chunks, asked.steps)
    best, _ = setup.processor.actions.decode(tokens, horizon, setup.processor.token_width)
    return {
        "tokenizer": name, "robot": robot, "horizon": horizon, "seconds": seconds, "steps": steps,
        "spent": spent, "tokens": float(np.mean([len(ids) for ids in tokens])), "seed": seed,
        "error": chunks.error(ruled, asked, mean), "error_unconstrained":
        chunks.error(free, asked, mean), "malformed": float(1 - whole.mean()),
        "error_of_tokens": chunks.error(best, asked, mean)[0], "frames": len(asked.places),
        "seconds_a_chunk": seconds_a_chunk(policy, source, asked),
        "hold_still": chunks.error(chunks.hold(source, asked), asked, mean)[0],
    }


def seconds_a_chunk(policy, source, held_out, times=7):
    """Median seconds for one chunk in tokens, asked one at a time."""
    spent = []
    for e, t in held_out.places[:times]:
        example = source.example(e, t)
        example.actions = None
        batch = policy.processor.collate([example])
        begin = time.perf_counter()
        policy.token_chunks(batch)
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent))
