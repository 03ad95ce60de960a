"""Change one thing that a policy is given or has inside, and see how its chunk moves.

Attention says what was read. Only an intervention says what it was good for. Both runs of a pair
start from the same noise: two noises give two chunks even where nothing else differs.

K noises, H steps, A action numbers, T tokens of the prefix.
"""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch


@torch.no_grad()
def chunks(policy, observation, text, samples=8, seed=0, cache=None):
    """Normalised chunks (K, H, A) for one observation, from the noises of `seed`.

    cache: in place of the keys and values that the prefix gives, see `patched`.
    """
    p, robot = policy.processor, policy.processor.robot(observation.robot)
    prefix = policy.model.prefix(policy.batch(observation, text, "low"), hidden=False)
    if cache is not None:
        prefix = replace(prefix, cache=cache)
    points = policy.model.sample(
        prefix.repeat(samples), policy.steps, size_mask=p.size_mask(robot.name),
        generator=torch.Generator().manual_seed(seed), solver=policy.solver)
    return points[-1][..., :robot.action_size].cpu().numpy()


def distance(a, b):
    """How far chunks (K, H, A) lie from those of the same noises: root mean square, mean over K."""
    return float(np.sqrt(np.square(a - b).mean((1, 2))).mean())


# ---- what it is given -----------------------------------------------------------------------

def without(observation, slot):
    """The same moment without a camera: its tokens are masked, as for a robot that lacks it."""
    images = {name: image for name, image in observation.images.items() if name != slot}
    return replace(observation, images=images)


def with_image(observation, slot, image):
    """The same moment with another picture (px, px, 3) in a camera slot."""
    return replace(observation, images=observation.images | {slot: image})


def blank(observation, slot):
    """The same moment with one colour, its mean, in place of a camera's picture."""
    image = observation.images[slot]
    return with_image(observation, slot, np.broadcast_to(
        image.mean((0, 1)).round().astype(np.uint8), image.shape).copy())


def with_state(observation, state):
    """The same moment with another state (S,) in the robot's units."""
    return replace(observation, state=np.asarray(state, dtype=np.float32))


def occlusion(policy, observation, text, slot="base", cells=6, samples=2, seed=0):
    """How far the chunk moves when a square of a picture is covered: (cells, cells).

    The cover is as large as two squares each way and has the picture's mean colour, so a thing
    that lies across a border is hidden too.
    """
    image = observation.images[slot]
    side, cover = len(image) // cells, image.mean((0, 1)).round().astype(np.uint8)
    before, out = chunks(policy, observation, text, samples, seed), np.zeros((cells, cells))
    for row in range(cells):
        for column in range(cells):
            hidden = image.copy()
            low = [max(0, n * side - side // 2) for n in (row, column)]
            hidden[low[0]:low[0] + 2 * side, low[1]:low[1] + 2 * side] = cover
            after = chunks(policy, with_image(observation, slot, hidden), text, samples, seed)
            out[row, column] = distance(before, after)
    return out


# ---- what it has inside ---------------------------------------------------------------------

@contextmanager
def silenced(transformer, layer, head):
    """While this runs, a head of a layer (of `model.vlm` or `model.expert.transformer`) says 0."""
    attention = transformer.layers[layer].attention
    mine = slice(head * attention.head_dim, (head + 1) * attention.head_dim)

    def hush(_, inputs):
        read = inputs[0].clone()  # (B, T, N K)
        read[..., mine] = 0
        return (read,)

    hook = attention.out.register_forward_pre_hook(hush)
    try:
        yield
    finally:
        hook.remove()


def patched(cache, other, layer, tokens):
    """A cache with the keys and values of some tokens in one layer taken from another run's.

    cache, other: a (keys, values) pair a layer, each (B, N', T, K); tokens: which of the T. Neither
    is changed. Activation patching: what carries the answer over is where it is kept.
    """
    out = list(cache)
    out[layer] = tuple(mine.clone() for mine in cache[layer])
    for mine, theirs in zip(out[layer], other[layer]):
        mine[:, :, tokens] = theirs[:, :, tokens]
    return out


@torch.no_grad()
def keys_values(policy, observation, text):
    """The cache of one observation and text: a (keys, values) pair a layer."""
    return policy.model.prefix(policy.batch(observation, text, "low"), hidden=False).cache
