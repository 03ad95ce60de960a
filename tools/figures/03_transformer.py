"""The picture at the head of chapter 03."""

import torch

from pi05lite.model.masks import Layout
from pi05lite.tokens.kind import Kind
from pi05lite.widgets import pictures


def draw():
    """Who looks at whom in pi0.5."""
    kinds = [Kind.PROMPT] * 12 + [Kind.TEXT] * 4 + [Kind.ACTION] * 6 + [Kind.FLOW] * 6
    layout = Layout(torch.tensor([kinds]), torch.ones(1, len(kinds), dtype=torch.bool))
    names = ["pictures"] * 7 + [Kind(k).label for k in kinds[7:]]
    return pictures.mask_figure(layout.mask()[0].numpy(), names).update_layout(
        width=560, height=560)
