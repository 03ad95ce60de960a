"""The picture at the head of chapter 12."""

import numpy as np
from figures.shapes import canvas

from pi05lite.data.glances import PIXELS, Glances, cells, things
from pi05lite.widgets import attention, pictures

GREEN, RED = pictures.COLORS[2], pictures.COLORS[5]
GREY = "#7a7a7a"
SWITCHES = (("words", True), ("upper camera", False), ("hand's camera", True), ("state", True),
            ("layer 2, head 1", True), ("keys, values", True))


def picture(figure, image, left):
    """A picture with its left upper corner at (left, 31), 26 wide."""
    figure.add_layout_image(source=pictures.png(image), x=left, y=31, sizex=26, sizey=26,
                            xref="x", yref="y", sizing="stretch", layer="below")


def write(figure, x, y, text, ink=GREY, size=14, **more):
    """Words with their middle at (x, y)."""
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font=dict(color=ink, size=size),
                          **more)


def chunk(figure, left, start, end, color, dash="solid"):
    """A way from one place of the table to another, drawn onto the picture at `left`."""
    share = np.linspace(0, 1, 9)[:, None]
    ways = np.array(start) + share * (np.array(end) - start)
    ways[:, 0] += 0.3 * (share * (1 - share))[:, 0]
    x, y = left + 26 * ways[:, 0], 31 - 26 * ways[:, 1]
    figure.add_scatter(x=x, y=y, mode="lines", showlegend=False,
                       line=dict(color=color, width=4, dash=dash))
    figure.add_scatter(x=x[-1:], y=y[-1:], mode="markers", showlegend=False,
                       marker=dict(color=color, size=10))


def switch(figure, y, label, on):
    """A switch with its name."""
    figure.add_shape(type="rect", x0=71, x1=76, y0=y - 1, y1=y + 1, line_width=0,
                     layer="below", fillcolor=GREEN if on else "rgba(127,127,127,0.5)")
    figure.add_scatter(x=[75 if on else 72], y=[y], mode="markers", showlegend=False,
                       marker=dict(color="white", size=14, line=dict(color=GREY, width=1)))
    write(figure, 77.5, y, label, xanchor="left", size=15)


def draw():
    """What was read, what covering it changes, and what can be switched."""
    figure = canvas(360, 36)
    glances = Glances(30, seed=1)
    gaps = [min(np.linalg.norm(place - t.hand[:2]) for _, place, _ in things(t)[:2])
            for t in glances.tables]
    n = int(np.argmax(gaps))
    table, image = glances.tables[n], glances.images[n]["base"]
    block, other = things(table)[:2]
    heat = np.full(36, 0.12)
    heat[cells(block)] = 0.75
    picture(figure, attention.heated(image, heat.reshape(6, 6)), 2)
    hidden = image.copy()
    x, y = (np.array(block[1]) * PIXELS).astype(int)
    hidden[max(0, y - 6):y + 6, max(0, x - 6):x + 6] = image.mean((0, 1))
    picture(figure, hidden, 35)
    figure.add_shape(type="rect", line=dict(color="white", width=1, dash="dot"), **{
        k: v + 26 * (block[1][i] + side / 8) * (1 - 2 * i) for k, v, i, side in (
            ("x0", 35, 0, -1), ("x1", 35, 0, 1), ("y0", 31, 1, -1), ("y1", 31, 1, 1))})
    chunk(figure, 35, table.hand[:2], block[1], "white", "dot")
    chunk(figure, 35, table.hand[:2], other[1], RED)
    for n, (label, on) in enumerate(SWITCHES):
        switch(figure, 28.5 - 4.3 * n, label, on)
    for left, wide, text in ((2, 26, "what was read"), (35, 26, "what covering it changes"),
                             (71, 18, "what can be changed")):
        write(figure, left + wide / 2, 33.5, text, size=16)
    write(figure, 48, 2.5, "two chunks from one noise")
    write(figure, 15, 2.5, f"“reach the {block[0]}”")
    return figure
