"""The quicker linear layer is torch's, in value and gradient, wherever it runs."""

import pytest
import torch
from torch import nn

from pi05lite.model import linear

needs_onednn = pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
                                  reason="this torch has no oneDNN")


@pytest.fixture
def always(monkeypatch):
    """oneDNN for every product, whatever the processor and the size."""
    monkeypatch.setattr(linear, "SMALL", 0)
    monkeypatch.setattr(linear, "onednn_pays", lambda: True)


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(8, 24), (24, 8)])
def test_value_and_gradients_equal_those_of_torch(always, bias, sizes):
    ours = linear.Linear(*sizes, bias=bias)
    theirs = nn.Linear(*sizes, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    a = torch.randn(3, 5, sizes[0], requires_grad=True)
    b = a.detach().clone().requires_grad_()
    grad = torch.randn(3, 5, sizes[1])
    for layer, x in ((ours, a), (theirs, b)):
        layer(x).backward(grad)
    torch.testing.assert_close(ours(a), theirs(b), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-5, rtol=1e-5)


@needs_onednn
def test_gradients_of_gradients_are_right(always):
    layer = linear.Linear(3, 4)
    x = torch.randn(2, 3, requires_grad=True)
    wave = layer(x).sin().sum()
    (slope,) = torch.autograd.grad(wave, x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.square().sum(), x)
    other = x.detach().requires_grad_()
    wave = torch.nn.functional.linear(other, layer.weight, layer.bias).sin().sum()
    (slope,) = torch.autograd.grad(wave, other, create_graph=True)
    (right,) = torch.autograd.grad(slope.square().sum(), other)
    torch.testing.assert_close(curve, right, atol=1e-5, rtol=1e-5)


@needs_onednn
def test_frozen_weights_and_inputs_get_no_gradient(always):
    layer = linear.Linear(3, 4).requires_grad_(False)
    x = torch.randn(2, 3, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and layer.weight.grad is None


def test_other_dtypes_and_autocast_take_torchs_way(always):
    layer = linear.Linear(3, 4)
    x = torch.randn(2, 3)
    assert layer.double()(x.double()).dtype == torch.float64
    assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(x).dtype == torch.bfloat16


def test_a_tower_of_another_library_gets_it_in_place():
    tower = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
    weights = tower.state_dict()
    linear.use_in(tower)
    assert [type(m) for m in tower] == [linear.Linear, nn.GELU, linear.Linear]
    assert all(torch.equal(weights[k], v) for k, v in tower.state_dict().items())


def test_the_processor_decides(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    linear.onednn_pays.cache_clear()
    assert not linear.onednn_pays()
    linear.onednn_pays.cache_clear()
