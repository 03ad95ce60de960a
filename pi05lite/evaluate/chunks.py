"""How near predicted chunks come to what was really done, against three simple baselines.

Error: squared distance in normalised units over held-out frames, as a share of the squared distance
to the training mean, so that 1 is what the mean action gets and 0 is exact.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image


@dataclass
class Frames:
    """Held-out or training frames of one robot with their true chunks; F frames."""

    places: list  # F pairs (episode, frame)
    chunks: np.ndarray  # (F, H, A) normalised
    steps: np.ndarray  # (F, H) bool
    texts: list  # F subtasks


def frames(source, stride=1):
    """Every `stride`-th frame of a RobotSource at level "low"."""
    places = [source.dataset.locate(i) for i in source.frames[::stride]]
    examples = [source.dataset.chunk(e, t, source.horizon) for e, t in places]
    chunks = np.stack([chunk for chunk, _ in examples])
    states = np.stack([source.states[e][t] for e, t in places])
    return Frames(places, source.robot.to_model(chunks, states),
                  np.stack([steps for _, steps in examples]),
                  [source.subtask(e, t) for e, t in places])


def predict(policy, source, held_out, high=None, samples=8, batch_size=32, seed=0):
    """The policy's chunks (F, samples, H, A) for frames, normalised.

    high: the same robot at level "high"; with it the subtask is the policy's own, without it the
    labelled one (which knows what the gripper is about to do).
    """
    out, size = [], source.robot.action_size
    noise = torch.Generator().manual_seed(seed)
    c, model = policy.model.config, policy.model
    mask = policy.processor.size_mask(source.robot.name)
    device = next(model.parameters()).device
    for k in range(0, len(held_out.places), batch_size):
        examples = [source.example(e, t) for e, t in held_out.places[k:k + batch_size]]
        for example in examples:
            example.actions = None  # the truth must not be in the prompt
        if high is not None:
            asked = [high.example(e, t) for e, t in held_out.places[k:k + batch_size]]
            for example, told in zip(examples, say_subtasks(policy, asked)):
                example.text = told
        batch = policy.processor.collate(examples).to(device)
        with torch.inference_mode():
            prefix = model.prefix(batch).repeat(samples)
            chunk = model.sample(prefix, policy.steps, size_mask=mask, generator=noise,
                                 solver=policy.solver)[-1]
        out.append(chunk.view(len(examples), samples, c.horizon, -1)[..., :size].cpu().numpy())
    return np.concatenate(out)


def say_subtasks(policy, examples):
    """The policy's own subtasks for high-level examples."""
    for example in examples:
        example.answer = None  # nor the answer
    device = next(policy.model.parameters()).device
    return policy.answers(policy.processor.collate(examples).to(device))


def hold(source, held_out):
    """Stay where you are, (F, H, A) normalised.

    Dimensions that the state reports keep the state's value, a gripper that it does not report
    keeps its last command (0 before the first), all others stand still at 0.
    """
    features = source.dataset.features
    state_names = list(features["observation.state"]["names"] or [])
    rows, states = [], []
    for e, t in held_out.places:
        before = t * source.dataset.steps - 1
        last = source.dataset.actions(e)[before] if t else np.zeros(source.robot.action_size)
        state = source.dataset.states(e)[t]
        rows.append([state[state_names.index(name)] if name in state_names
                     else last[a] if "gripper" in name else 0.0
                     for a, name in enumerate(features["action"]["names"])])
        states.append(source.states[e][t])
    still = source.robot.to_model(np.array(rows, np.float32)[:, None], np.array(states))
    return np.repeat(still, source.horizon, axis=1)


def mean_chunk(train):
    """The mean action of the training frames at each step of the chunk, (H, A)."""
    w = train.steps[..., None]
    return (train.chunks * w).sum(axis=0) / w.sum(axis=0)


def features(source, which, size=8):
    """What nearest neighbours compare: the normalised state and small grey pictures, (F, ...).

    State and pictures get the same total weight.
    """
    states = np.stack([source.states[e][t] for e, t in which.places])
    states = np.asarray(source.robot.stats.state.normalize(states))
    grey = [np.concatenate([np.asarray(Image.fromarray(image).convert("L").resize((size, size)),
                                       dtype=np.float32).ravel() / 127.5 - 1
                            for image in source.images(e, t).values()]) for e, t in which.places]
    grey = np.stack(grey)
    return np.concatenate([states / states.shape[1]**0.5, grey / grey.shape[1]**0.5], axis=1)


def nearest(source_train, train, source, held_out):
    """The chunk that followed the most similar training frame, (F, H, A)."""
    known, asked = features(source_train, train), features(source, held_out)
    distance = (asked**2).sum(1)[:, None] - 2 * asked @ known.T + (known**2).sum(1)
    return train.chunks[distance.argmin(axis=1)]


def error(predicted, held_out, mean, other=None, draws=1000, seed=0):
    """The normalised error and its 95 % interval, by bootstrap over held-out episodes.

    predicted (F, H, A) or (F, K, H, A): K samples, each judged by itself. With `other`, another
    prediction for the same frames: how much larger the error of `predicted` is, paired by episode.
    """
    off, spread = by_episode(predicted, held_out), by_episode(mean, held_out)
    if other is not None:
        off = off - by_episode(other, held_out)
    pick = np.random.default_rng(seed).integers(len(off), size=(draws, len(off)))
    low, high = np.quantile(off[pick].sum(1) / spread[pick].sum(1), [0.025, 0.975])
    return float(off.sum() / spread.sum()), float(low), float(high)


def by_episode(predicted, held_out):
    """Squared distance to the truth, summed over valid steps, of each held-out episode."""
    if predicted.ndim == 2:  # one chunk for all frames
        predicted = np.broadcast_to(predicted, held_out.chunks.shape)
    samples = predicted[:, None] if predicted.ndim == 3 else predicted  # (F, K, H, A)
    square = ((samples - held_out.chunks[:, None]) ** 2).mean(axis=1)
    square = (square * held_out.steps[..., None]).sum(axis=(1, 2))  # (F,)
    episodes = np.array([e for e, _ in held_out.places])
    return np.array([square[episodes == e].sum() for e in np.unique(episodes)])


def compare(policy, train_source, test_source, high=None, stride=3, samples=8, seed=0):
    """Errors on held-out episodes of the policy and the baselines: name -> (value, low, high).

    "own subtask" is the whole two-level policy (it needs `high`, the same robot at level "high"),
    "told subtask" its low level alone. The last row is the paired difference of the first row to
    the best baseline: below 0 is better.
    """
    train, test = frames(train_source), frames(test_source, stride)
    mean = mean_chunk(train)
    levels = {"pi0.5, own subtask": high} if high else {}
    ours = {name: predict(policy, test_source, test, level, samples, seed=seed)
            for name, level in (levels | {"pi0.5, told subtask": None}).items()}
    first = next(iter(ours.values()))
    baselines = {"nearest neighbour": nearest(train_source, train, test_source, test),
                 "mean action": np.broadcast_to(mean, test.chunks.shape),
                 "hold still": hold(test_source, test)}
    guesses = {name: p.mean(axis=1) for name, p in ours.items()} | {"pi0.5, one sample": first}
    table = {name: error(p, test, mean) for name, p in (guesses | baselines).items()}
    best = min(baselines, key=lambda name: table[name][0])
    table["pi0.5 - best baseline"] = error(first.mean(axis=1), test, mean, baselines[best])
    return table


def subtask_accuracy(policy, high, stride=5, batch_size=32):
    """Share of frames of a high-level source whose subtask is said exactly, and all of them as
    (episode, frame, label, said)."""
    places = [high.dataset.locate(i) for i in high.frames[::stride]]
    rows = []
    for k in range(0, len(places), batch_size):
        examples = [high.example(e, t) for e, t in places[k:k + batch_size]]
        labels = [example.answer for example in examples]
        rows += [(*place, label, said) for place, label, said in
                 zip(places[k:], labels, say_subtasks(policy, examples))]
    return sum(label == said for _, _, label, said in rows) / len(rows), rows
