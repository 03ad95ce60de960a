"""Muon: what it does to a gradient, to which weights, and that a run goes on from its state."""

from dataclasses import replace

import pytest
import torch

from pi05lite.errors import ConfigError
from pi05lite.train import recipe
from pi05lite.train.module import TrainingModule, optimizer_of
from pi05lite.train.muon import Muon, orthogonal
from tests.train import toy


@pytest.mark.parametrize("shape", [(24, 80), (80, 24), (1, 9), (16, 16)])
def test_all_directions_of_a_matrix_count_alike(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(0, -1, shape[1])
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.4 and values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    along = torch.linalg.svdvals(orthogonal(matrix) - u @ v)
    assert along.max() < 0.65  # the same directions: another sign would be 2 apart


def test_a_gradient_of_zero_moves_nothing():
    assert orthogonal(torch.zeros(3, 4)).abs().max() == 0


def test_the_matrices_of_layers_and_no_others():
    model = toy.parts()[0]
    r = replace(recipe.home_posttrain(), warmup=0, muon=0.02)
    groups = optimizer_of(model, r)["optimizer"].param_groups
    names = {id(weight): name for name, weight in model.named_parameters()}
    turned = {names[id(w)] for g in groups if g["muon"] for w in g["params"]}
    assert {g["lr"] for g in groups if g["muon"]} == {0.02}
    assert "vlm.layers.0.attention.qkv.weight" in turned
    assert "expert.transformer.layers.0.feed_forward.down.weight" in turned
    assert not turned & {"embedding.weight", "expert.action_in.weight", "vlm.norm.weight"}
    assert sum(len(g["params"]) for g in groups) == len(names)
    groups = optimizer_of(model, replace(r, muon=0.0))["optimizer"].param_groups
    assert not any(g["muon"] for g in groups)


def test_parts_of_matrices_are_refused():
    model, _, mixture = toy.parts()
    module = TrainingModule(model, replace(recipe.posttrain(), muon=0.02), mixture.names)
    module.sharded = True
    with pytest.raises(ConfigError, match="recipe.muon"):
        module.configure_optimizers()


def regression(optimizer, steps, weight, inputs):
    """Some steps towards a map of ones; inputs of unlike sizes."""
    for _ in range(steps):
        optimizer.zero_grad()
        (inputs @ (weight - 1).T).square().mean().backward()
        optimizer.step()


def test_it_goes_on_from_a_saved_state():
    torch.manual_seed(0)
    inputs, start = torch.randn(64, 12) * torch.logspace(0, -2, 12), torch.randn(8, 12)

    def made(weight, number):
        return Muon([{"params": [weight], "lr": 0.02, "muon": True}, {"params": [number]}], 1e-3,
                    fused=True)

    whole, number = start.clone().requires_grad_(), torch.ones(1, requires_grad=True)
    regression(made(whole, number), 20, whole, inputs)
    half = start.clone().requires_grad_()
    first = made(half, number)
    regression(first, 10, half, inputs)
    second = made(half, number)
    second.load_state_dict(first.state_dict())
    regression(second, 10, half, inputs)
    assert torch.equal(half, whole)
    assert number.item() == 1  # it had no gradient
