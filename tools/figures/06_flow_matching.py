"""The picture at the head of chapter 06."""

import torch

from pi05lite.model import flow
from pi05lite.widgets import pictures, plane


def demonstrations(count):
    """Two good ways round a bottle, (count, 2)."""
    angle = torch.randint(2, (count,)) * torch.pi + 0.3 * torch.randn(count)
    return (1 + 0.07 * torch.randn(count))[:, None] * torch.stack([angle.cos(), angle.sin()], 1)


def true_velocity(data):
    """E[a - noise | x_tau] of a set of actions (N, 2), exactly: what a perfect network says."""
    def velocity(x, tau):
        t = tau[:, None].clamp(max=0.98)
        far = ((x[:, None] - t[..., None] * data) ** 2).sum(-1) / (1 - t) ** 2  # (B, N)
        a = (-far / 2).softmax(-1) @ data
        return (a - x) / (1 - t)
    return velocity


def draw():
    """Demonstrations and their mean; ways from noise; samples."""
    torch.manual_seed(1)
    data = demonstrations(500)
    way = torch.stack(flow.euler(true_velocity(data), torch.randn(300, 2), 40))
    figure = plane.plane(["demonstrations, and their mean", "from noise to actions", "samples"])
    plane.obstacle(figure, 0.6, (1, 2, 3))
    dots = lambda xy, column, color, size=4, symbol="circle": figure.add_scatter(  # noqa: E731
        x=xy[:, 0], y=xy[:, 1], mode="markers", row=1, col=column, showlegend=False,
        marker=dict(color=color, size=size, symbol=symbol))
    dots(data, 1, pictures.COLORS[0])
    dots(data.mean(0, keepdim=True), 1, pictures.COLORS[5], 14, "x")
    for k in range(40):
        figure.add_scatter(x=way[:, k, 0], y=way[:, k, 1], mode="lines", row=1, col=2,
                           line=dict(color=pictures.TRUTH, width=1), showlegend=False)
    dots(way[0, :40], 2, pictures.COLORS[1])
    dots(way[-1, :40], 2, pictures.COLORS[0])
    dots(way[-1], 3, pictures.COLORS[0])
    return figure.update_layout(width=960, height=360, margin=dict(t=40))
