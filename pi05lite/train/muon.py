"""Muon for the matrices of layers, AdamW for all else (arXiv 2502.16982; K. Jordan, 2024).

A gradient moves a few directions of a matrix much and most of them hardly, and AdamW, which sees
numbers and no matrices, leaves it so. Muon takes its average over steps and makes all directions
count alike: the nearest matrix with orthogonal rows or columns, by Newton and Schulz's iteration.
What a small net learns, it learns in a third of the steps (data/results/homes_log.md). Embeddings
and what reads or writes numbers are no such matrices.
"""

import torch

# of the polynomial a x + b x^3 + c x^5 that takes singular values of (0, 1] to some 0.7 to 1.2
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


class Muon(torch.optim.AdamW):
    """AdamW, but in groups with "muon": True all weights are matrices, or convolutions' kernels."""

    def __init__(self, groups, *args, momentum=0.95, **options):
        super().__init__([{"muon": False} | group for group in groups], *args, **options)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure=None):
        """One step of both; weights without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"] if group["muon"] else ():
                if weight.grad is not None:
                    self.turn(weight, group["lr"])
        super().step()
        return loss

    def turn(self, weight, rate):
        """One step of a matrix; its gradient is used up, so that AdamW leaves it alone."""
        state = self.state[weight]
        if not state:  # AdamW looks for "step" where it loads
            state.update(step=torch.zeros(()), average=torch.zeros_like(weight))
        average = state["average"].lerp_(weight.grad, 1 - self.momentum)
        update = orthogonal(weight.grad.lerp(average, self.momentum).flatten(1))
        wide = max(1.0, update.shape[0] / update.shape[1]) ** 0.5  # the same size in each output
        weight.add_(update.view_as(weight), alpha=-rate * wide)
        weight.grad = None


def orthogonal(matrix):
    """The matrix (m, n) with all its singular values near 1."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = (x / (x.norm() + 1e-7)).bfloat16().contiguous()
    for _ in range(ITERATIONS):
        squares = x @ x.T
        x = A * x + (B * squares + C * squares @ squares) @ x
    x = x.to(matrix.dtype)
    return x.T if matrix.shape[0] > matrix.shape[1] else x
