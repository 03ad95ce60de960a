"""Patches go on naming what they show, beside all else that is learned.

`pi05lite.train.look` teaches it them. What comes after reads their tokens and asks them for nothing
itself, and they forget (data/results/homes_log.md). So at every step each patch is asked for the
words of what is known to be there, by the embedding that answers are said with; tokens of pictures
are computed anyway.
"""

from contextlib import contextmanager

import torch
import torch.nn.functional as F

SCALE = 16.0  # of cosines, as scores of words
HALF = 0.4  # share of a patch, or of a box, that makes it count


@contextmanager
def patches_of(model):
    """Notes that hold, once the prefix was run, "patches": (S, P, D) of all S pictures."""
    notes = {}
    hook = model.vision.register_forward_hook(lambda _, inputs, out: notes.update(patches=out))
    try:
        yield notes
    finally:
        hook.remove()


def call_error(model, batch, patches):
    """(sum, how many) of the cross-entropy of words at the patches (S, P, D) of things.

    Each word of a name counts alike, the choice is among all words. Where boxes lie over
    each other the smallest is taken to be in front. A thing counts by the root of how many patches
    it fills, as in `look`.
    """
    ids, boxes = batch.things[batch.image_mask], batch.boxes[batch.image_mask]  # (S, M, n), ...
    picture, which = (ids[..., 0] > 0).nonzero().unbind(1)  # (T,)
    if not len(picture):
        nothing = batch.boxes.new_zeros(())
        return nothing, nothing
    shows = covers(boxes[picture, which], round(patches.shape[1]**0.5)) > HALF  # (T, P)
    share = shows * shows.sum(1, keepdim=True).clamp(min=1).rsqrt()
    thing, patch = shows.nonzero().unbind(1)
    place = picture[thing] * patches.shape[1] + patch
    y0, x0, y1, x1 = boxes[picture, which].unbind(-1)
    size = ((y1 - y0) * (x1 - x0))[thing]
    least = size.new_full((patches[..., 0].numel(),), torch.inf)
    front = size == least.scatter_reduce(0, place, size, "amin")[place]
    thing, patch = thing[front], patch[front]
    words = ids[picture, which][thing]  # (N, n)
    text = model.embedding.weight[slice(*model.config.vocabulary.span("text"))]
    wrong = words_error(text, patches[picture[thing], patch], words)
    share = share[thing, patch]
    return (wrong * share).sum(), share.sum()


def words_error(text, patches, words):
    """Mean cross-entropy (N,) of words (N, n), 0 where a name has no more, at patches (N, D).

    text (V, D): embeddings of the ids of text alone, which come first. A patch says its box by
    those of locations, and would have to stay away from them.
    """
    scores = SCALE * F.normalize(patches.float(), dim=-1) @ F.normalize(text, dim=-1).T  # (N, V)
    wrong = -scores.float().log_softmax(-1).gather(1, words) * (words > 0)
    return wrong.sum(1) / (words > 0).sum(1)


def covers(boxes, side):
    """How much of each of side * side patches a box (T, 4) takes, or each of it: (T, P)."""
    low = torch.arange(side, device=boxes.device) / side

    def shared(first, last):  # (T, side)
        return (torch.minimum(low + 1 / side, last[:, None])
                - torch.maximum(low, first[:, None])).clamp(min=0)

    y0, x0, y1, x1 = boxes.unbind(-1)
    area = (shared(y0, y1)[:, :, None] * shared(x0, x1)[:, None]).flatten(1)  # (T, P)
    whole = ((y1 - y0) * (x1 - x0)).clamp(min=1e-6)[:, None]
    return torch.maximum(area * side**2, area / whole)
