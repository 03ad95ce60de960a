"""Words look at what they name: attention itself is told where to go.

In pi0.5 this comes with PaliGemma, whose attention finds what a prompt asks for. In a small model
from nothing the next-token loss alone hardly finds it (data/results/homes_log.md), so heads of one
early layer are told, one for each camera: from the last token of a name to the patches that show
the thing. What they read there is in the keys and values of all layers above, where the action
expert looks.

M counts all that is named and seen: (row, place of the last token, camera).
"""

from contextlib import contextmanager

import torch

from pi05lite.tokens.kind import Kind

LAYER = 1  # the second layer: the first has put the words of a name together


@contextmanager
def queries_of(model, batch):
    """Notes that hold, once the prefix was run, "q": queries (M, K) of names for each camera.

    A hook, since the model has no other use for queries once it has attended.
    """
    attention, notes = model.vlm.layers[LAYER].attention, {}
    row, place, camera = looks(batch).nonzero().unbind(1)

    def hear(_, inputs):
        x, _, turn = inputs[:3]
        at = row, place - batch.tokens.shape[1]  # text stands behind the pictures
        here = tuple(part[at][:, None] for part in turn)  # each (M, 1, 1, K)
        q = attention.project(x[at][:, None], here)[0][:, 0]  # (M, N, K)
        notes["q"] = q[torch.arange(len(q), device=q.device), head_of(camera, model)]

    hook = attention.register_forward_pre_hook(hear)
    try:
        yield notes
    finally:
        hook.remove()


def aim_error(model, batch, prefix, q):
    """Cross-entropy (M,) of a head's weight on the patches of each named thing; q (M, K)."""
    here = looks(batch)
    row, place, camera = here.nonzero().unbind(1)
    shared = model.config.vlm.heads // model.config.vlm.kv_heads  # heads that read one key head
    keys = prefix.cache[LAYER][0][row, head_of(camera, model) // shared]  # (M, T, K)
    logits = (keys @ q[:, :, None])[..., 0].float() * q.shape[1]**-0.5  # (M, T)
    own = prefix.kinds.shape[1] - batch.tokens.shape[1] + place  # text stands behind the pictures
    before = torch.arange(prefix.kinds.shape[1], device=q.device) <= own[:, None]
    seen = prefix.valid[row] & ((prefix.kinds[row] == Kind.PROMPT) | before)
    weights = logits.masked_fill(~seen, float("-inf")).log_softmax(-1)
    patches = model.vision.tokens_per_image(model.config.vision.image_size)
    shown = patches_shown(batch.places[here], patches, model.config.vocabulary.locations)
    there = batch.image_mask.any(dim=0).cumsum(0) - 1  # a camera's place among the pictures
    of_camera = there[camera, None] * patches + torch.arange(patches, device=q.device)
    return -weights.gather(1, of_camera).masked_fill(~shown, float("-inf")).logsumexp(-1)


def looks(batch):
    """(B, L, C) bool: the tokens that have something to look at in the picture of a camera.

    In prompts the last ones of names, in answers the last ones of boxes: what says a thing's name
    next looks at the thing.
    """
    return (batch.places >= 0).all(-1) & batch.image_mask[:, None]


def names(batch):
    """(B, L, C) bool: the last tokens of names in a prompt whose thing a camera shows."""
    return looks(batch) & (batch.kinds == Kind.PROMPT)[..., None]


def head_of(camera, model):
    """The head that looks for names in the pictures of a camera (M,)."""
    return camera % model.config.vlm.heads


def patches_shown(bins, patches, count):
    """(M, P) bool: the patches that share most with a box, its sides (M, 4) as bins of `count`."""
    side = round(patches**0.5)
    start = torch.arange(side, device=bins.device) * count / side

    def shared(first, last):  # (M, side)
        low = torch.maximum(start, first[:, None])
        return (torch.minimum(start + count / side, last[:, None] + 1) - low).clamp(min=0)

    y0, x0, y1, x1 = bins.unbind(-1)
    area = (shared(y0, y1)[:, :, None] * shared(x0, x1)[:, None]).flatten(1)
    return area > 0.5 * area.amax(-1, keepdim=True)
