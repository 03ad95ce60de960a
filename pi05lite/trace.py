"""The named arrays of one forward or sampling pass: every picture is made from one."""

from dataclasses import dataclass

import numpy as np
import torch

from pi05lite.tokens.vocabulary import PAD


@dataclass
class Trace:
    """One chunk being denoised, and who looked at whom meanwhile. Numpy arrays, actions normalised.

    K noise samples, N denoising steps, T prefix tokens; attention for each layer and head.
    """

    tau: np.ndarray  # (N + 1,) flow times, 0 noise to 1 action
    path: np.ndarray  # (N + 1, K, H, A) the chunks at those times
    names: list  # A names of the action dimensions
    seconds: np.ndarray  # (H,) time of each step from now
    truth: np.ndarray | None  # (H, A) what was really done
    labels: list  # T readable names of the prefix tokens
    kinds: np.ndarray  # (T,) Kind of each
    prefix_attention: np.ndarray  # (layers, heads, T, T)
    flow_attention: np.ndarray  # (N, layers, heads, H, T + H), first sample


def token_labels(policy, batch):
    """A readable name for each prefix token of a batch of one."""
    c = policy.model.config
    patches = policy.model.vision.tokens_per_image(c.vision.image_size)
    there = [slot for slot, here in zip(c.cameras, batch.image_mask.any(0).tolist()) if here]
    labels = [f"{slot} {p}" for slot in there for p in range(patches)]
    text = c.vocabulary.text
    return labels + [policy.processor.text.decode([i]) if PAD < i < text else f"<{i}>"
                     for i in batch.tokens[0].tolist()]


@torch.inference_mode()
def trace(policy, observation, subtask, truth=None, samples=4, steps=None, seed=0, names=None):
    """Denoise `samples` chunks for one observation and keep all that can be drawn.

    truth (H, A') in the robot's units. Attention is computed explicitly here, fused elsewhere; both
    agree (tests/model/test_layers.py).
    """
    model, robot = policy.model, policy.processor.robot(observation.robot)
    c, size, steps = model.config, robot.action_size, steps or policy.steps
    batch, prefix_notes, flow_notes = policy.batch(observation, subtask, "low"), [], []
    prefix = model.prefix(batch, prefix_notes).repeat(samples)
    path = model.sample(prefix, steps, size_mask=policy.processor.size_mask(robot.name),
                        generator=torch.Generator().manual_seed(seed), solver=policy.solver,
                        record=flow_notes)
    path = torch.stack(path)[..., :size].cpu().numpy()
    return Trace(
        np.linspace(0, 1, len(path)), path, names or [f"action {i}" for i in range(size)],
        np.arange(c.horizon) / robot.fps,
        None if truth is None else robot.to_model(truth, observation.state),
        token_labels(policy, batch), prefix.kinds[0].cpu().numpy(),
        first_row(prefix_notes), np.stack([first_row(notes) for notes in flow_notes]))


def first_row(notes):
    """Attention of the first row of a batch, (layers, heads, queries, keys)."""
    return np.stack([layer["attention"][0].cpu().numpy() for layer in notes])
