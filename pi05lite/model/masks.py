"""Who may look at whom, built in one place from the kind of each token.

    keys ->      pictures+prompt   text     action tokens   flow
    prompt       all               -        -               -
    text         all               causal   -               -
    action       all               all      causal          -
    flow         all               all      never           all (one block)

Nothing sees the flow tokens but themselves, so a prefix's keys and values never depend on them.
pi0.5 section IV; openpi's `make_attn_mask` gives the same for prompt and flow.
"""

import torch

from pi05lite.tokens.kind import Kind


def prefix_mask(kinds, valid):
    """kinds (B, T), valid (B, T) bool -> (B, T, T) bool, True where the row may look.

    Each causal token opens a block of its own; a token sees its own and all earlier blocks.
    Rows and columns of padding are all False.
    """
    block = (kinds != Kind.PROMPT).cumsum(dim=1)  # (B, T)
    mask = block[:, None, :] <= block[:, :, None]
    return mask & valid[:, None, :] & valid[:, :, None]


def next_mask(valid):
    """What one token written behind (B, T) tokens sees, itself included: (B, 1, T + 1)."""
    own = valid.new_ones(valid.shape[0], 1)
    return torch.cat([valid, own], dim=1)[:, None]


def flow_mask(kinds, valid, horizon):
    """What the `horizon` flow tokens see: (B, H, T + H), the prefix first."""
    seen = valid & (kinds != Kind.ACTION)  # (B, T)
    own = valid.new_ones(valid.shape[0], horizon)
    return torch.cat([seen, own], dim=1)[:, None].expand(-1, horizon, -1)


def prefix_positions(valid):
    """Position of each token: how many valid ones came before it, (B, T)."""
    return valid.long().cumsum(dim=1) - 1


def flow_positions(kinds, valid, horizon):
    """Positions (B, H) of the flow tokens: they continue behind all that they see."""
    seen = (valid & (kinds != Kind.ACTION)).sum(dim=1, keepdim=True)
    return seen + torch.arange(horizon, device=valid.device)
