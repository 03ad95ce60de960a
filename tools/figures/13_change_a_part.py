"""The picture at the head of chapter 13."""

import numpy as np
from figures.shapes import canvas

from pi05lite.widgets import pictures

BLUE, ORANGE, GREEN, _, SKY, RED = pictures.COLORS
GREY = "#7a7a7a"
PARTS = ("picture tower", "attention", "norm", "time", "objective")
PROMISES = ("shapes", "masks", "padding", "cache", "gradients")


def box(figure, x, y, wide, text, color, ink="white"):
    """A filled box with its middle at (x, y), and words in it."""
    figure.add_shape(type="rect", x0=x - wide / 2, x1=x + wide / 2, y0=y - 2.3, y1=y + 2.3,
                     fillcolor=color, line_width=0, layer="below")
    write(figure, x, y, text, ink)


def write(figure, x, y, text, ink=GREY, size=13, **more):
    """Words with their middle at (x, y)."""
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font=dict(color=ink, size=size),
                          **more)


def arrow(figure, start, end):
    """An arrow between two points."""
    figure.add_annotation(ax=start[0], ay=start[1], x=end[0], y=end[1], axref="x", ayref="y",
                          showarrow=True, arrowhead=2, arrowwidth=1.5, arrowcolor=GREY, text="")


def seeds(figure, left, right):
    """Five pairs of losses drawn for the picture: one line a seed, all of them falling."""
    luck = np.array([26.5, 23.5, 19.5, 15.5, 12])
    fall = np.array([3.2, 2.4, 3.4, 2.2, 2.8])
    for high, drop in zip(luck, fall):
        figure.add_scatter(x=[left, right], y=[high, high - drop], mode="lines+markers",
                           line=dict(color=GREY, width=1.5), showlegend=False,
                           marker=dict(color=[BLUE, ORANGE], size=11))
    write(figure, left, 7, "pi0.5", BLUE)
    write(figure, right, 7, "your part", "#b47a00")


def draw():
    """A swapped part, its contract, and pairs of runs."""
    figure = canvas(360, 36)
    for n, name in enumerate(PARTS):
        y = 27 - 5.2 * n
        if name == "time":
            figure.add_shape(type="rect", x0=4, x1=20, y0=y - 2.3, y1=y + 2.3,
                             line=dict(color=BLUE, width=2, dash="dot"))
            box(figure, 29, y, 13, "your part", ORANGE, "black")
            arrow(figure, (22.3, y), (20.3, y))
        else:
            box(figure, 12, y, 16, name, BLUE)
    for n, name in enumerate(PROMISES):
        y, broken = 27 - 5.2 * n, name == "cache"
        write(figure, 46, y, "✗" if broken else "✓", RED if broken else GREEN, 20)
        write(figure, 48.5, y, name, RED if broken else GREY, 15, xanchor="left")
    seeds(figure, 72, 88)
    for x, text in ((17, "one part is exchanged"), (50, "a contract names what it breaks"),
                    (80, "a line a seed: pair, then judge")):
        write(figure, x, 33.5, text, size=15)
    write(figure, 66.5, 18, "loss", textangle=-90)
    return figure
