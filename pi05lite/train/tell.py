"""Names tell where their things are, and a prompt its state, in values that the expert reads.

The expert looks at the VLM's keys and values, never at its hidden states. A head that finds a thing
(`pi05lite.train.aim`) helps it only if the place then stands where it looks. So the layer above is
told what the value of a name says: its first numbers are, camera by camera, how surely the thing is
seen (a logit) and its box as middle and size. The state stands in the prompt as seven words
(pi0.5, section IV-A), to be put together before it is of use; the value of the prompt's last token
is told to hold its numbers. No weight is added for either.
"""

import torch
import torch.nn.functional as F

from pi05lite.errors import ConfigError, say
from pi05lite.tokens.kind import Kind
from pi05lite.train.aim import LAYER, names

NUMBERS = 5  # of each camera: seen, middle down and along, height, width
HEADS = 3  # of the expert, that are told where to listen (`pi05lite.train.listen`)


def tell_error(model, batch, prefix):
    """How wrong the values of names are: (R,), for R pairs of a name and a camera.

    Cross-entropy of "seen", and, where it is, the sum of |error| of the box, picture = [-1, 1].
    """
    here = names(batch).any(-1)  # (B, L)
    values = values_of_text(batch, prefix)[here]  # (M, K)
    cameras = batch.places.shape[2]
    told = values[:, :NUMBERS * cameras].float().unflatten(1, (cameras, NUMBERS))
    bins = batch.places[here]  # (M, C, 4)
    seen = (bins >= 0).all(-1)
    wrong = F.binary_cross_entropy_with_logits(told[..., 0], seen.to(told), reduction="none")
    box = middle_and_size(bins, model.config.vocabulary.locations)
    wrong = wrong + (told[..., 1:] - box).abs().sum(-1) * seen
    there = batch.image_mask[:, None].expand(-1, here.shape[1], -1)[here]  # (M, C)
    return wrong[there]


def state_error(batch, prefix):
    """How wrong the last tokens of prompts are about the state: (R,), sums of |error| in [-1, 1].

    R rows are those with actions: a prompt that asks for a subtask leaves no one to be told.
    """
    rows = batch.action_mask.flatten(1).any(dim=1).nonzero()[:, 0]
    told = values_of_text(batch, prefix)[rows, last_of_prompt(batch)[rows]]  # (R, K)
    state = batch.state[rows].clamp(-1, 1)  # as far as its words go
    return (told[:, :state.shape[1]].float() - state).abs().sum(-1)


def values_of_text(batch, prefix):
    """(B, L, K): what the first key head of the layer above LAYER reads from each text token."""
    values = prefix.cache[LAYER + 1][1][:, 0]
    return values[:, values.shape[1] - batch.tokens.shape[1]:]


def last_of_prompt(batch):
    """(B,) the place of each prompt's last token."""
    return ((batch.kinds == Kind.PROMPT) & batch.valid).sum(1) - 1


def middle_and_size(bins, count):
    """Boxes (..., 4) in bins of `count` -> middle (y, x) in [-1, 1], height and width in [0, 2]."""
    y0, x0, y1, x1 = (2 * (bins + 0.5) / count - 1).unbind(-1)
    return torch.stack([(y0 + y1) / 2, (x0 + x1) / 2, y1 - y0, x1 - x0], dim=-1)


def check_room(config):
    """Raise ConfigError where a model has no layer, no numbers or no heads to tell and listen."""
    c, e = config.vlm, config.expert
    need = max(NUMBERS * len(config.cameras), config.action_size)
    if c.depth < LAYER + 2 or c.head_dim < need or e.heads < HEADS:
        raise ConfigError(say("config", f"at least {LAYER + 2} layers and {HEADS} heads of {need}, "
                              "since the recipe's `tell` or `listen` is above 0",
                              f"{c.depth} layers, {e.heads} heads of {c.head_dim}",
                              "a larger model, or a recipe with tell=0 and listen=0"))
