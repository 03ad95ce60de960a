"""The picture at the head of chapter 04."""

from figures.shapes import arrow, box, canvas, write

from pi05lite.homes.album import Album
from pi05lite.tokens.boxes import box_bins
from pi05lite.widgets import pictures

SIDE, AT = 27.0, (2.0, 8.0)  # of the picture, and where its lower left corner is
HOME, FRAME = 40_003, None


def seen(size=256):
    """(picture, name, box) of a home: the largest of few things."""
    album = Album(1, HOME, count=12, size=size)
    views = [album.seen(i) for i in range(len(album))]
    picture, things = max((v for v in views if 2 <= len(v[1]) <= 4), key=lambda v: largest(v[1])[0])
    return picture, *largest(things)[1]


def largest(things):
    """(area, (name, box)) of the largest thing."""
    return max(((b[2] - b[0]) * (b[3] - b[1]), (name, b)) for name, b in things)


def draw():
    """Picture, tower, projector, one sequence with its answer, and the box in the picture."""
    figure = canvas(390, 39)
    blue, orange, green, _, sky = pictures.COLORS[:5]
    picture, name, place = seen()
    x0, y0 = AT
    figure.add_layout_image(source=pictures.png(picture), xref="x", yref="y", x=x0, y=y0 + SIDE,
                            sizex=SIDE, sizey=SIDE, sizing="stretch", layer="below")
    for k in range(5):
        for line in (dict(x0=x0 + SIDE * k / 4, x1=x0 + SIDE * k / 4, y0=y0, y1=y0 + SIDE),
                     dict(x0=x0, x1=x0 + SIDE, y0=y0 + SIDE * k / 4, y1=y0 + SIDE * k / 4)):
            figure.add_shape(type="line", **line, line=dict(color="rgba(255,255,255,0.6)", width=1))
    top, left, bottom, right = place
    figure.add_shape(type="rect", x0=x0 + SIDE * left, x1=x0 + SIDE * right,
                     y0=y0 + SIDE * (1 - top), y1=y0 + SIDE * (1 - bottom),
                     line=dict(color=orange, width=4))
    write(figure, x0 + SIDE / 2, 37, "16 patches")
    box(figure, 36, 27, 9, 6, "tower", green)
    box(figure, 36, 16, 9, 6, "projector", green)
    arrow(figure, (29.5, 27), (31.2, 27))
    arrow(figure, (36, 23.8), (36, 19.3))
    arrow(figure, (40.8, 16), (44.2, 16))
    for k in range(4):
        box(figure, 46.5 + 3.2 * k, 16, 2.8, 5, "" if k != 2 else "…", blue)
    write(figure, 51.3, 11.5, "picture")
    words = ["detect", name, "⏎"]
    for k, word in enumerate(words):
        box(figure, 61.2 + 6.2 * k, 16, 5.8, 5, word, sky, "black", 12)
    write(figure, 67.4, 11.5, "question")
    box(figure, 59.9, 27, 29.8, 5, "language model", "#8a8a8a")
    figure.add_shape(type="line", x0=45, x1=76.5, y0=20.4, y1=20.4,
                     line=dict(color="#7a7a7a", width=2))
    write(figure, 60.7, 22, "all see each other")
    said = [f"y {k}" if i % 2 == 0 else f"x {k}" for i, k in enumerate(box_bins(place, 64))]
    for k, word in enumerate([*said, name, "end"]):
        box(figure, 86.5, 34.2 - 5.1 * k, 12, 4.4, word, orange, "black")
        if k:
            arrow(figure, (93.7, 34.2 - 5.1 * (k - 1)), (93.7, 34.2 - 5.1 * k + 0.8))
    arrow(figure, (75, 27), (79.8, 27))
    write(figure, 86.5, 37.8, "answer, token by token")
    write(figure, 58, 3.5, "four location tokens are a box in the picture: y before x, in 64 bins")
    return figure
