"""What the VLM knows is told in values that the action expert reads.

The expert looks at the VLM's keys and values, never at its hidden states. A head that finds a thing
(`pi05lite.train.aim`) helps it only if the place then stands where it looks, and the flow loss
alone is slow to bring it there. So some values of the first key head are told what they say, in
their first numbers, without a weight of their own:

- of a name, one layer above `aim`: camera by camera how surely its thing is seen (a logit), and
  its box as size and middle; of furniture also the way to where the base stands before it;
- of the last token of a prompt, two layers above: the state, which stands in the prompt as words
  (pi0.5, section IV-A), and the way to where the base will stand at the end of the subtask, where a
  recording knows it.

What says where is told in waves too: a hand's breadth changes a number between -1 and 1 hardly, and
its sines and cosines much.
"""

import torch
import torch.nn.functional as F

from pi05lite.errors import ConfigError, say
from pi05lite.tokens.kind import Kind
from pi05lite.train.aim import LAYER, names

OCTAVES = 2
FORMS = 1 + 2 * OCTAVES  # of a number that is told in waves: itself, sines and cosines
BOX = 2 + 2 * FORMS  # height, width, and the middle down and along
NUMBERS = 1 + BOX  # of each camera
WAY = 3  # ahead, left, turn
NAMES, END = LAYER + 1, LAYER + 2  # the layers whose values of names and of the last token tell


def tell_error(model, batch, prefix):
    """How wrong the values of names are: (R,), for R pairs of a name and a camera.

    Cross-entropy of "seen", and the |error| of the box, picture = [-1, 1] (see `errors`); the box
    of what is not seen is 0 throughout.
    """
    here = names(batch).any(-1)  # (B, L)
    values = values_of_text(batch, prefix, NAMES)[here]  # (M, K)
    cameras = batch.places.shape[2]
    told = values[:, :NUMBERS * cameras].float().unflatten(1, (cameras, NUMBERS))
    bins = batch.places[here]  # (M, C, 4)
    seen = (bins >= 0).all(-1)
    wrong = F.binary_cross_entropy_with_logits(told[..., 0], seen.to(told), reduction="none")
    size, middle = size_and_middle(bins, model.config.vocabulary.locations)
    there = seen[..., None]
    wrong = wrong + (told[..., 1:3] - size * there).abs().sum(-1)
    wrong = wrong + errors(told[..., 3:], waves(middle) * there[..., None]).sum(-1)
    return wrong[batch.image_mask[:, None].expand(-1, here.shape[1], -1)[here]]


def dock_errors(batch, prefix):
    """Sums of |error| (N,) of the way to where the base stands, told by N names of furniture."""
    here = ~batch.docks.isnan().any(-1)  # (B, L)
    cameras = batch.places.shape[2]
    told = values_of_text(batch, prefix, NAMES)[here][:, NUMBERS * cameras:].float()
    return errors(told[:, :FORMS * WAY], waves(near(batch.docks[here]))).sum(-1)


def end_errors(batch, prefix):
    """Sums of |error| of what the last tokens of prompts tell: the state (R,), and the way (W,).

    R rows are those with actions or with a way, since no one else is told; W of them know where the
    subtask ends. At the high level, that is whether to drive and where to, before it is said.
    """
    if batch.state is None:
        raise ConfigError(say("state of the robots", "no wider than config.action_size, to be told",
                              "a wider one", "raise config.action_size, or a recipe with tell=0"))
    acts, goes = batch.action_mask.flatten(1).any(dim=1), ~batch.way.isnan().any(dim=1)
    rows = (acts | goes).nonzero()[:, 0]
    told = values_of_text(batch, prefix, END)[rows, last_of_prompt(batch)[rows]].float()  # (R, K)
    state, way = batch.state[rows].clamp(-1, 1), near(batch.way[rows])  # as far as the words go
    size = state.shape[1]
    wrong = errors(told[:, :FORMS * (size + WAY)], waves(torch.cat([state, way], dim=1)))
    ahead = wrong[:, size:].sum(-1)
    return wrong[:, :size].sum(-1), ahead[~ahead.isnan()]


def waves(x, octaves=OCTAVES):
    """Numbers (..., n) in [-1, 1] and their sines and cosines, octave by octave: (..., FORMS, n).

    octaves: another number of them, for another number of forms.
    """
    turns = [torch.pi * 2**octave * x for octave in range(octaves)]
    return torch.stack([x, *(wave(turn) for turn in turns for wave in (torch.sin, torch.cos))], -2)


def errors(told, forms):
    """(..., n): |error| of n numbers, and the mean |error| of the waves of each.

    told: values (..., FORMS n); forms: as `waves` gives them, or 0.
    """
    wrong = (told.unflatten(-1, (FORMS, -1)) - forms).abs()
    return wrong[..., 0, :] + wrong[..., 1:, :].mean(-2)


def near(way):
    """Metres and radians (..., 3) in [-1, 1]: what is near in full, what is far by its side."""
    return way / (0.5 + abs(way))


def values_of_text(batch, prefix, layer):
    """(B, L, K): what the first key head of a layer reads from each text token."""
    values = prefix.cache[layer][1][:, 0]
    return values[:, values.shape[1] - batch.tokens.shape[1]:]


def last_of_prompt(batch):
    """(B,) the place of each prompt's last token."""
    return ((batch.kinds == Kind.PROMPT) & batch.valid).sum(1) - 1


def size_and_middle(bins, count):
    """Boxes (..., 4) in bins of `count` -> (height, width) in [0, 2], middle (y, x) in [-1, 1]."""
    sides = 2 * (bins + 0.5) / count - 1
    first, last = sides[..., :2], sides[..., 2:]
    return last - first, (first + last) / 2


def check_room(config):
    """Raise ConfigError where a model has no layers, numbers or heads to tell and to listen."""
    c, layers, heads = config.vlm, END + 1, 2
    need = max(NUMBERS * len(config.cameras) + FORMS * WAY, FORMS * (config.action_size + WAY))
    if c.depth < layers or c.head_dim < need or config.expert.heads < heads:
        raise ConfigError(say("config", f"at least {layers} layers and {heads} heads of {need}, "
                              "since the recipe's `tell` or `listen` is above 0",
                              f"{c.depth} layers, {config.expert.heads} heads of {c.head_dim}",
                              "a larger model, or a recipe with tell=0 and listen=0"))
