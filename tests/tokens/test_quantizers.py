"""What every quantiser keeps, and what is special about each."""

from functools import partial

import pytest
import torch

from pi05lite.errors import ConfigError
from pi05lite.tokens.quantizers import (
    FiniteQuantizer,
    ResidualQuantizer,
    VectorQuantizer,
    even_levels,
)

MAKE = {"vector": partial(VectorQuantizer, 32, 3), "residual": partial(ResidualQuantizer, 8, 1, 3),
        "finite": partial(FiniteQuantizer, 32, 3)}


def latents(count=400, width=3, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def started(kind):
    """A quantiser that began on the latents and followed them for a while."""
    quantizer, generator = MAKE[kind](), torch.Generator().manual_seed(0)
    quantizer.start(latents(), generator)
    for _ in range(50):
        quantizer.follow(latents())
    return quantizer


@pytest.mark.parametrize("kind", MAKE)
def test_codes_are_in_range_and_say_most_of_the_latents(kind):
    quantizer, x = started(kind), latents(seed=1)
    codes = quantizer.encode(x)
    assert codes.shape == (400, quantizer.depth)
    assert 0 <= codes.min() and codes.max() < quantizer.codes
    assert (quantizer.lookup(codes) - x).square().mean() < 0.3 * x.var()
    shaped = quantizer.encode(x.view(20, 20, 3))
    assert torch.equal(shaped.flatten(0, 1), codes)


@pytest.mark.parametrize("kind", MAKE)
def test_the_gradient_reaches_the_latents(kind):
    quantizer, x = started(kind), latents(9).requires_grad_()
    quantised, codes, commitment = quantizer(x)
    torch.testing.assert_close(quantised, quantizer.lookup(codes))
    (quantised.sum() + commitment).backward()
    assert torch.isfinite(x.grad).all() and (x.grad != 0).all()


@pytest.mark.parametrize("kind", MAKE)
def test_a_missing_code_is_the_average(kind):
    quantizer = started(kind)
    missing = quantizer.lookup(torch.full((1, quantizer.depth), -1))[0]
    torch.testing.assert_close(missing, latents().mean(0), atol=0.2, rtol=0)


@pytest.mark.parametrize("kind", MAKE)
def test_made_again_from_its_settings(kind):
    quantizer = started(kind)
    again = type(quantizer)(**quantizer.settings())
    again.load_state_dict(quantizer.state_dict())
    assert torch.equal(again.encode(latents()), quantizer.encode(latents()))


def test_each_residual_level_leaves_less():
    quantizer, x = started("residual"), latents()
    codes = quantizer.encode(x)
    left = []
    for depth in range(quantizer.depth + 1):
        part = codes.clone()
        part[:, depth:] = -1
        left.append((quantizer.lookup(part) - x).square().mean().item())
    assert left == sorted(left, reverse=True) and left[-1] < 0.2 * left[0]


def test_every_finite_code_looks_up_to_itself():
    quantizer = FiniteQuantizer(240, 3, (8, 6, 5))
    codes = torch.arange(240)[:, None]
    values = quantizer.lookup(codes)
    assert len(values.unique(dim=0)) == 240 and values.abs().max() == 1
    # the outermost values are the limits of the squashing: a little inside they count the same
    assert torch.equal(quantizer.encode(torch.atanh(values * 0.999)), codes)


@pytest.mark.parametrize("codes, width, levels", [
    (256, 4, [4, 4, 4, 4]), (256, 3, [7, 6, 6]), (16, 4, [2, 2, 2, 2]), (10, 2, [3, 3])])
def test_levels_are_even_and_fit(codes, width, levels):
    assert even_levels(codes, width) == levels


@pytest.mark.parametrize("levels", [(1, 8), (16, 17)])
def test_impossible_levels_are_errors(levels):
    with pytest.raises(ConfigError, match="levels"):
        FiniteQuantizer(256, 2, levels)
