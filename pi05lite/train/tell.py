"""Names tell where their things are, in the values that the action expert reads.

The expert looks at the VLM's keys and values, never at its hidden states. A head that finds a thing
(`pi05lite.train.aim`) helps it only if the place then stands where it looks. So the layer above is
told what the value of a name says: its first numbers are, camera by camera, how surely the thing is
seen (a logit) and its box as middle and size. No weight is added for it.
"""

import torch
import torch.nn.functional as F

from pi05lite.errors import ConfigError, say
from pi05lite.train.aim import LAYER, names

NUMBERS = 5  # of each camera: seen, middle down and along, height, width


def tell_error(model, batch, prefix):
    """How wrong the values of names are: (R,), for R pairs of a name and a camera.

    Cross-entropy of "seen", and, where it is, the sum of |error| of the box, picture = [-1, 1].
    """
    here = names(batch).any(-1)  # (B, L)
    pictures = prefix.valid.shape[1] - here.shape[1]
    values = prefix.cache[LAYER + 1][1][:, 0, pictures:][here]  # (M, K)
    cameras = batch.places.shape[2]
    told = values[:, :NUMBERS * cameras].float().unflatten(1, (cameras, NUMBERS))
    bins = batch.places[here]  # (M, C, 4)
    seen = (bins >= 0).all(-1)
    wrong = F.binary_cross_entropy_with_logits(told[..., 0], seen.to(told), reduction="none")
    box = middle_and_size(bins, model.config.vocabulary.locations)
    wrong = wrong + (told[..., 1:] - box).abs().sum(-1) * seen
    there = batch.image_mask[:, None].expand(-1, here.shape[1], -1)[here]  # (M, C)
    return wrong[there]


def middle_and_size(bins, count):
    """Boxes (..., 4) in bins of `count` -> middle (y, x) in [-1, 1], height and width in [0, 2]."""
    y0, x0, y1, x1 = (2 * (bins + 0.5) / count - 1).unbind(-1)
    return torch.stack([(y0 + y1) / 2, (x0 + x1) / 2, y1 - y0, x1 - x0], dim=-1)


def check_room(config):
    """Raise ConfigError where a model has no layer or no numbers to tell places in, or to hear."""
    need = NUMBERS * len(config.cameras)
    c = config.vlm
    if c.depth < LAYER + 2 or c.head_dim < need:
        raise ConfigError(say("config.vlm", f"at least {LAYER + 2} layers and heads of {need}, "
                              "since the recipe's `tell` or `listen` is above 0",
                              f"{c.depth} layers, heads of {c.head_dim}",
                              "a larger model, or a recipe with tell=0 and listen=0"))
