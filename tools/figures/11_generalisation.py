"""The picture at the head of chapter 11."""

from figures.shapes import canvas, write

from pi05lite.evaluate.film import room
from pi05lite.evaluate.intervals import wilson
from pi05lite.evaluate.trials import HomeTrial
from pi05lite.homes.tasks import Request
from pi05lite.widgets import pictures

BLUE, ORANGE, GREEN = pictures.COLORS[:3]
GREY = "#7a7a7a"
NEW = (("perception", "other looks"), ("skill", "other places, heights"),
       ("semantics", "other kinds of things"))


def house(figure, x, y, color):
    """A small house with its lower left corner at (x, y), 3 wide."""
    path = f"M {x} {y} L {x} {y + 2.2} L {x + 1.5} {y + 3.8} L {x + 3} {y + 2.2} L {x + 3} {y} Z"
    figure.add_shape(type="path", path=path, fillcolor=color, line_width=0, layer="below")


def homes(figure):
    """Homes for training, a wall, and those held out."""
    for row in range(4):
        for column in range(4):
            house(figure, 1.5 + 4.2 * column, 5.5 + 5.8 * row, BLUE)
        house(figure, 22.5, 5.5 + 5.8 * row, ORANGE)
    figure.add_shape(type="line", x0=20, x1=20, y0=4.5, y1=28.5, line=dict(color=GREY, width=5))
    write(figure, 9.3, 2.5, "training", BLUE, 15)
    write(figure, 24, 2.5, "held out", ORANGE, 15)


def kinds_of_new(figure):
    """A room of each suite, and what is new in it."""
    for k, (split, text) in enumerate(NEW):
        trial = HomeTrial(Request("pick", 1_000_012, split, 3, room="kitchen"), 64)
        picture, y = room(trial.world, 240)[50:215], 28.5 - 8.6 * k
        figure.add_layout_image(source=pictures.png(picture), x=33, y=y, sizex=12, sizey=7.8,
                                xref="x", yref="y", sizing="stretch", layer="below")
        write(figure, 46, y - 2.8, split, size=16, anchor="left")
        write(figure, 46, y - 5.3, text, anchor="left")


def sureness(figure):
    """Six of ten, on more and more trials."""
    at = lambda share: 68 + 26 * share  # noqa: E731
    for share in (0, 0.5, 1):
        figure.add_shape(type="line", x0=at(share), x1=at(share), y0=5, y1=28.5,
                         line=dict(color="rgba(127,127,127,0.4)", width=1))
        write(figure, at(share), 2.5, f"{share:.0%}")
    for k, n in enumerate((20, 200, 2000)):
        y, (low, high) = 24.5 - 8.2 * k, wilson(round(0.6 * n), n)
        figure.add_shape(type="line", x0=at(low), x1=at(high), y0=y, y1=y,
                         layer="below", line=dict(color=GREEN, width=7))
        figure.add_scatter(x=[at(0.6)], y=[y], mode="markers", showlegend=False,
                           marker=dict(color="white", size=11, line=dict(color=GREEN, width=3)))
        write(figure, 68.5, y + 2.4, f"{n:,} trials", size=14, anchor="left")


def draw():
    """Which homes, what is new in them, and how sure the answer is."""
    figure = canvas(360, 34)
    homes(figure)
    kinds_of_new(figure)
    sureness(figure)
    for x, text in ((13.5, "which homes?"), (45, "what is new in them?"), (81, "how sure?")):
        write(figure, x, 32, text, size=17)
    return figure
