"""A nano model whose every part says something, and a batch with padding and an absent camera."""

import pytest
import torch

from pi05lite import config
from pi05lite.model.batch import Batch
from pi05lite.model.pi05 import Pi05
from pi05lite.tokens.kind import Kind


@pytest.fixture(scope="session")
def awake():
    """A nano pi0.5 with weights that are not 0 or 1 by accident (adaptive norms opened)."""
    torch.manual_seed(0)
    model = Pi05(config.nano()).eval()
    with torch.no_grad():
        for name, p in model.expert.named_parameters():
            if "modulation" in name:
                p.normal_(0, 0.3)
        for name, p in model.named_parameters():
            if name.endswith("norm.weight") and "tower" not in name:
                p.normal_(0, 0.2)
    return model.requires_grad_(True)


def make_batch(B=4, prompt=10, text=4, action=6, seed=1):
    """Prompt, answer and action tokens, the rows of different lengths, cameras missing here and
    there. What is absent or padding holds ordinary content, so that a leak shows."""
    g = torch.Generator().manual_seed(seed)
    c = config.nano()
    L = prompt + text + action
    kinds = torch.tensor([[int(Kind.PROMPT)] * prompt + [int(Kind.TEXT)] * text
                          + [int(Kind.ACTION)] * action]).repeat(B, 1)
    valid = torch.ones(B, L, dtype=torch.bool)
    valid[1, L - 3:] = False
    image_mask = torch.ones(B, 2, dtype=torch.bool)
    image_mask[1, 0] = image_mask[2, 1] = False
    px = c.vision.image_size
    return Batch(torch.randn(B, 2, 3, px, px, generator=g), image_mask,
                 torch.randint(4, 600, (B, L), generator=g), kinds, valid,
                 (kinds != Kind.PROMPT) & valid,
                 torch.rand(B, c.horizon, c.action_size, generator=g) * 2 - 1,
                 torch.ones(B, c.horizon, c.action_size, dtype=torch.bool),
                 torch.zeros(B, dtype=torch.long))


@pytest.fixture
def batch():
    return make_batch()


@pytest.fixture
def noise():
    return torch.randn(4, 10, 8, generator=torch.Generator().manual_seed(2))
