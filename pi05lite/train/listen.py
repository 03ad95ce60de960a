"""Action tokens look at the names of what they act on.

What a name's value tells (`pi05lite.train.tell`) is of use once the expert reads it, and the flow
loss is slow to find that out: the state alone explains most of a chunk. So two heads of the
expert's layer that can read it are told where to look: one at the first thing that the prompt
names, one at the last.
"""

from contextlib import contextmanager

import torch

from pi05lite.train.aim import LAYER, names

FIRST, LAST = 0, 1  # heads


@contextmanager
def listening(model):
    """Notes that hold, once the expert was run, "weights": log (B, S, 2, T) of the two heads."""
    attention, notes = model.expert.transformer.layers[LAYER + 1].attention, {}

    def hear(_, inputs):
        x, bias, turn, past = inputs[:4]
        q = attention.project(x, turn)[0][:, :, [FIRST, LAST]]  # (B, S, 2, K)
        shared = attention.heads // attention.kv_heads  # heads that read one key head
        keys = past[0][:, [FIRST // shared, LAST // shared]]  # (B, 2, T, K)
        logits = torch.einsum("bshk,bhtk->bsht", q, keys).float() * q.shape[-1]**-0.5
        seen = bias[:, 0, :, None, :keys.shape[2]].float()
        notes["weights"] = (logits + seen).log_softmax(-1)

    hook = attention.register_forward_pre_hook(hear)
    try:
        yield notes
    finally:
        hook.remove()


def listen_error(batch, weights):
    """Cross-entropy (R, S, 2) of the heads' log weights (B, S, 2, T) on the names of R rows that
    name a thing in sight."""
    draws = len(weights) // len(batch)
    here = names(batch).any(-1).repeat_interleave(draws, 0)  # (B, L)
    rows = here.any(1)
    pictures = weights.shape[-1] - here.shape[1]
    places = torch.arange(here.shape[1], device=here.device)
    last = (places * here).amax(1)
    first = len(places) - 1 - (places.flip(0) * here).amax(1)
    at = torch.stack([first, last], dim=1)[rows] + pictures  # (R, 2)
    at = at[:, None, :, None].expand(-1, weights.shape[1], -1, -1)
    return -weights[rows].gather(-1, at)[..., 0]
