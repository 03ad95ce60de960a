"""What a training step of a variant holds and does: parameters, arithmetic, memory.

Arithmetic is counted on the code that runs; memory is what must be held for a step and no more:
weights, gradients, two moments, the average, and everything that is saved for the backward pass.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from pi05lite.lab.budget import Stepper


def costs(variant, device):
    """Parameters, trained ones, GFLOP of a step (forward and backward), MB of a step."""
    stepper, saved = Stepper(variant, device), {}

    def keep(x):
        storage = x.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return x

    with FlopCounterMode(display=False, custom_mapping=products()) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss = stepper.loss()
        loss.backward()
    weights = {p.data_ptr(): p for p in stepper.model.parameters()}
    bytes_of = lambda p: p.numel() * p.element_size()  # noqa: E731
    trained = [p for p in weights.values() if p.requires_grad]
    held = sum(map(bytes_of, weights.values())) + 4 * sum(map(bytes_of, trained))
    activations = sum(n for place, n in saved.items() if place not in weights)
    return {"parameters": sum(p.numel() for p in weights.values()),
            "trained": sum(p.numel() for p in trained),
            "gflop_a_step": counter.get_total_flops() / 1e9,
            "megabytes": (held + activations) / 1e6}


def products():
    """The kit's own product on AMD processors, which PyTorch's counter does not know."""
    def flops(x, weight, *rest, out_shape=None, **options):
        return 2 * x[0] * x[1] * weight[0]

    known = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return {} if known is None else {known: flops}
