"""The named arrays of one forward or sampling pass: every picture is made from one."""

from dataclasses import dataclass, field

import numpy as np
import torch

from pi05lite.data.examples import Example
from pi05lite.homes.sight import gripper_places, sights
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.vocabulary import PAD

# What a token can belong to, beside the camera slots, in the order of the sequence.
PARTS = ("prompt", "state", "subtask", "tokens", "padding", "flow")


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
    parts: list = field(default_factory=list)  # T: camera slot, or one of PARTS
    images: dict = field(default_factory=dict)  # camera slot -> uint8 (px, px, 3)
    velocity: np.ndarray | None = None  # (N, K, H, A) the expert's, at path[:-1]
    places: np.ndarray | None = None  # (N + 1, K, H + 1, hands, 3) metres, before the robot's base
    true_places: np.ndarray | None = None  # (H + 1, hands, 3)
    sights: dict = field(default_factory=dict)  # camera slot -> Sight, where the geometry is known


def token_labels(policy, batch):
    """A readable name for each prefix token of a batch of one."""
    c = policy.model.config
    patches = policy.model.vision.tokens_per_image(c.vision.image_size)
    there = [slot for slot, here in zip(c.cameras, batch.image_mask.any(0).tolist()) if here]
    labels = [f"{slot} {p}" for slot in there for p in range(patches)]
    text = c.vocabulary.text
    return labels + [policy.processor.text.decode([i]) if PAD < i < text else f"<{i}>"
                     for i in batch.tokens[0].tolist()]


def token_parts(policy, batch, level="low"):
    """What each prefix token of a batch of one belongs to: a camera slot, or one of PARTS.

    The words after "Task: " are the subtask at level "low", and part of the prompt at "high".
    """
    c, text = policy.model.config, policy.processor.text
    patches = policy.model.vision.tokens_per_image(c.vision.image_size)
    there = [slot for slot, here in zip(c.cameras, batch.image_mask.any(0).tolist()) if here]
    ids, kinds = batch.tokens[0].tolist(), batch.kinds[0].tolist()
    prompt = [i for i, kind in zip(ids, kinds) if kind == Kind.PROMPT and i != PAD]
    ends = [len(text.decode(prompt[:n + 1])) for n in range(len(prompt))]
    whole = text.decode(prompt)
    words, state, ending = len("Task: "), whole.find(", State: "), whole.rfind(";\n")
    state = ending if state < 0 else state
    parts = [slot for slot in there for _ in range(patches)]
    for n, valid in enumerate(batch.valid[0].tolist()):
        if not valid:
            parts.append("padding")
        elif kinds[n] != Kind.PROMPT:
            parts.append("tokens" if kinds[n] == Kind.ACTION else "subtask")
        elif words < ends[n] <= state:
            parts.append("subtask" if level == "low" else "prompt")
        else:
            parts.append("state" if state < ends[n] <= ending else "prompt")
    return parts


def sequence_batch(policy, observation, subtask, prompt=None, truth=None, tokens=False, pad=1):
    """The batch of one that a trace runs on.

    prompt: None for the low level, which reads the subtask alone; an overall prompt puts the
    subtask behind it as an answer, as in training. tokens: append the chunk `truth` (or the
    policy's own) as discrete action tokens, cut where there is no room.
    """
    p = policy.processor
    level, text = ("low", subtask) if prompt is None else ("high", prompt)
    example = Example("", level, text, observation.images, observation.robot, observation.state,
                      answer=None if prompt is None else subtask)
    if tokens and p.actions is not None:
        chunk = policy.follow(observation, subtask).actions if truth is None else truth
        example.actions, example.steps = np.asarray(chunk), np.ones(len(chunk), dtype=bool)
    device = next(policy.model.parameters()).device
    return p.collate([example], pad).to(device)


@torch.inference_mode()
def trace(policy, observation, subtask, truth=None, samples=4, steps=None, seed=0, names=None,
          solver=None, prompt=None, tokens=False, pad=1, world=None):
    """Denoise `samples` chunks for one observation and keep all that can be drawn.

    truth (H, A') in the robot's units; prompt, tokens, pad: see `sequence_batch` (the flow never
    sees action tokens, so `tokens` changes no chunk); world: of the home the observation is from,
    for the exact places of its cameras. Attention is computed explicitly here, fused elsewhere;
    both agree (tests/model/test_layers.py).
    """
    model, robot = policy.model, policy.processor.robot(observation.robot)
    c, size, steps = model.config, robot.action_size, steps or policy.steps
    batch = sequence_batch(policy, observation, subtask, prompt, truth, tokens, pad)
    prefix_notes, flow_notes, met = [], [], []
    prefix = model.prefix(batch, prefix_notes).repeat(samples)
    path = model.sample(prefix, steps, size_mask=policy.processor.size_mask(robot.name),
                        generator=torch.Generator().manual_seed(seed),
                        solver=noting(solver or policy.solver, met), record=flow_notes)
    each = len(met) // steps  # a solver of higher order asks several times a step
    path = torch.stack(path)[..., :size].cpu().numpy()
    velocity = torch.stack(met[::each])[..., :size].cpu().numpy()
    places = gripper_places(robot.name, robot.from_model(path, observation.state),
                            observation.state)
    return Trace(
        np.linspace(0, 1, len(path)), path, names or [f"action {i}" for i in range(size)],
        np.arange(c.horizon) / robot.fps,
        None if truth is None else robot.to_model(truth, observation.state),
        token_labels(policy, batch), prefix.kinds[0].cpu().numpy(),
        first_row(prefix_notes), np.stack([first_row(notes) for notes in flow_notes[::each]]),
        token_parts(policy, batch, "low" if prompt is None else "high"), dict(observation.images),
        velocity, places,
        None if truth is None else gripper_places(robot.name, np.asarray(truth), observation.state),
        sights(robot.name, robot.cameras, observation.state, world))


def noting(solver, met):
    """The same solver; every velocity that it asks for is appended to the list `met`."""
    def noted(velocity, noise, steps):
        def asked(x, tau):
            met.append(velocity(x, tau))
            return met[-1]
        return solver(asked, noise, steps)
    return noted


def first_row(notes):
    """Attention of the first row of a batch, (layers, heads, queries, keys)."""
    return np.stack([layer["attention"][0].float().cpu().numpy() for layer in notes])


def rollout(attention, past=None):
    """Attention rolled out over the layers (arXiv 2005.00928): (layers, heads, Q, Q) -> (Q, Q).

    Heads are averaged, half of each layer is what passes by it, and the layers are multiplied.
    past (layers, T, T): the rollouts of T earlier tokens layer by layer (`rollouts`) that a block
    of Q tokens looks at: attention is (layers, heads, Q, T + Q) then, and so is the result.
    """
    return rollouts(attention, past)[-1]


def rollouts(attention, past=None):
    """The rollout after each layer, (layers, Q, T + Q)."""
    mean = attention.mean(axis=1, dtype=np.float32)  # (layers, Q, T + Q)
    Q, T = mean.shape[1], mean.shape[2] - mean.shape[1]
    here = np.concatenate([np.zeros((Q, T), np.float32), np.eye(Q, dtype=np.float32)], axis=1)
    before, out = np.eye(T, dtype=np.float32), []
    for layer, weights in enumerate(mean):
        read = weights[:, T:] @ here
        if T:
            read[:, :T] += weights[:, :T] @ before
            before = past[layer]
        here = (here + read) / 2
        out.append(here)
    return np.stack(out)
