"""Action tokens look at the names of what they act on, and at the end of the prompt.

What these values tell (`pi05lite.train.tell`) is of use once the expert reads it, and the flow loss
is slow to find that out. So three heads of the expert's layer that can read it are told where to
look: at the first thing that the prompt names, at the last, and at the prompt's last token, which
tells the state. Where nothing that is named is in sight, all three look there.
"""

from contextlib import contextmanager

import torch

from pi05lite.train.aim import LAYER, names
from pi05lite.train.tell import HEADS, last_of_prompt


@contextmanager
def listening(model):
    """Notes that hold, once the expert was run, "weights": log (B, S, 3, T) of the heads."""
    attention, notes = model.expert.transformer.layers[LAYER + 1].attention, {}
    heads = torch.arange(HEADS)

    def hear(_, inputs):
        x, bias, turn, past = inputs[:4]
        q = attention.project(x, turn)[0][:, :, heads]  # (B, S, 3, K)
        shared = attention.heads // attention.kv_heads  # heads that read one key head
        keys = past[0][:, heads // shared]  # (B, 3, T, K)
        logits = torch.einsum("bshk,bhtk->bsht", q, keys).float() * q.shape[-1]**-0.5
        seen = bias[:, 0, :, None, :keys.shape[2]].float()
        notes["weights"] = (logits + seen).log_softmax(-1)

    hook = attention.register_forward_pre_hook(hear)
    try:
        yield notes
    finally:
        hook.remove()


def listen_error(batch, weights):
    """Cross-entropy (D, S, 3) of the heads' log weights (D, S, 3, T) on where they should look.

    D rows are those of the batch, each with the same number of draws.
    """
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
