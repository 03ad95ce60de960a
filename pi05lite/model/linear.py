"""Linear layers that use the whole of an AMD processor.

On CPUs PyTorch hands float32 matrix products to MKL, which leaves AVX-512 alone on any processor
that is not Intel's: half of the arithmetic of a Zen 4 or Zen 5 core is never used. oneDNN, which is
in PyTorch too, has no such rule. Everywhere else (GPUs, Intel, half precision, torch.compile) this
is `torch.nn.Linear` and nothing more.
"""

import platform
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

SMALL = 2_000_000  # multiplications below which MKL's quicker start wins


class Linear(nn.Linear):
    """y = x W^T + b, by oneDNN where that is quicker."""

    def forward(self, x):
        """x (..., inputs) -> (..., outputs)."""
        if (x.numel() * self.out_features < SMALL or torch.compiler.is_compiling()
                or x.device.type != "cpu" or not x.dtype == self.weight.dtype == torch.float32
                or not onednn_pays() or torch.is_autocast_enabled("cpu")):
            return F.linear(x, self.weight, self.bias)
        product = Product.apply if torch.is_grad_enabled() else onednn
        return product(x.flatten(0, -2), self.weight, self.bias).unflatten(0, x.shape[:-1])


class Product(torch.autograd.Function):
    """x (M, K), weight (N, K), bias (N,) or None -> x weight^T + bias, with its gradient."""

    @staticmethod
    def forward(x, weight, bias):
        return onednn(x, weight, bias)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, weight, bias = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        dx = Product.apply(grad, weight.T, None) if need_x else None
        dw = None
        if need_weight:  # oneDNN copies its first argument where it is transposed: the smaller one
            dw = (Product.apply(grad.T, x.T, None) if grad.shape[1] <= x.shape[1]
                  else Product.apply(x.T, grad.T, None).T)
        return dx, dw, grad.sum(0) if need_bias else None


def onednn(x, weight, bias=None):
    """x (M, K), weight (N, K), bias (N,) or None -> (M, N)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@cache
def onednn_pays():
    """Whether this is an AMD processor with AVX-512 and PyTorch has oneDNN."""
    cpuinfo = Path("/proc/cpuinfo")
    maker = cpuinfo.read_text() if cpuinfo.exists() else platform.processor()
    return ("AuthenticAMD" in maker and torch.backends.cpu.get_cpu_capability() == "AVX512"
            and torch.backends.mkldnn.is_available()
            and hasattr(torch.ops.mkldnn, "_linear_pointwise"))


def use_in(module):
    """Turn every plain `nn.Linear` of a module (a timm tower, say) into this one, in place."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = Linear
    return module
