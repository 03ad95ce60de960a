"""Action tokens look at the names of what they act on, and at the end of the prompt.

What these values tell (`pi05lite.train.tell`) is of use once the expert reads it, and the flow loss
is slow to find that out. So heads of the expert, in the layers that can read it, are told where to
look: at the first thing that the prompt names, at the last, and at the prompt's last token. Where
nothing that is named is in sight, all of them look there.
"""

from contextlib import ExitStack, contextmanager

import torch

from pi05lite.train.aim import names
from pi05lite.train.tell import END, NAMES, last_of_prompt

EARS = ((NAMES, 0), (NAMES, 1), (END, 0))  # (layer, head): the first name, the last, the end


@contextmanager
def listening(model):
    """Notes (layer, head) -> log weights (B, S, T) on what stands before, once the expert was
    run."""
    heard = {}
    with ExitStack() as hooks:
        for layer, head in EARS:
            attention = model.expert.transformer.layers[layer].attention
            hook = attention.register_forward_pre_hook(_ear(heard, (layer, head)))
            hooks.callback(hook.remove)
        yield heard


def _ear(heard, ear):
    """A hook that notes the log weights (B, S, T) which a head gives to what stands before."""
    def hear(attention, inputs):
        x, bias, turn, past = inputs[:4]
        q = attention.project(x, turn)[0][:, :, ear[1]]  # (B, S, K)
        shared = attention.heads // attention.kv_heads  # heads that read one key head
        keys = past[0][:, ear[1] // shared]  # (B, T, K)
        logits = (q @ keys.mT).float() * q.shape[-1]**-0.5
        heard[ear] = (logits + bias[:, 0, :, :keys.shape[1]].float()).log_softmax(-1)
    return hear


def listen_error(batch, heard):
    """Cross-entropy (D, S, 3) of what `listening` noted on where the heads should look.

    D rows are those of the batch, each with the same number of draws.
    """
    weights = torch.stack([heard[ear] for ear in EARS], dim=2)  # (D, S, 3, T)
    at = where_to_look(batch).repeat_interleave(len(weights) // len(batch), 0)  # (D, 3)
    at = at + weights.shape[-1] - batch.tokens.shape[1]  # text stands behind the pictures
    return -weights.gather(-1, at[:, None, :, None].expand(-1, weights.shape[1], -1, -1))[..., 0]


def where_to_look(batch):
    """(B, 3) places of a prompt's first name, its last, and its end; the end where none is."""
    here, end = names(batch).any(-1), last_of_prompt(batch)  # (B, L), (B,)
    places = torch.arange(here.shape[1], device=here.device)
    last = (places * here).amax(1)
    first = len(places) - 1 - (places.flip(0) * here).amax(1)
    found = here.any(1)
    return torch.stack([first.where(found, end), last.where(found, end), end], dim=1)
