"""The picture at the head of chapter 10."""

from figures.shapes import arrow, canvas, write

from pi05lite.widgets import pictures


def box(figure, x0, x1, y, text, color, ink="white", high=4.4, size=13):
    """A filled box from x0 to x1 with its middle at y, and words in it."""
    figure.add_shape(type="rect", x0=x0, x1=x1, y0=y - high / 2, y1=y + high / 2,
                     fillcolor=color, line_width=0, layer="below")
    write(figure, (x0 + x1) / 2, y, text, ink, size)


def draw():
    """A clock with four rows: what is asked, the two levels, the robot."""
    figure = canvas(390, 39)
    blue, orange, green, pink, sky = pictures.COLORS[:5]
    for y, name in ((34.5, "a person"), (26, "high level"), (17.5, "low level"), (8, "robot")):
        write(figure, 1, y, name, size=15, anchor="left")
    box(figure, 15, 94, 34.5, "“put the dishes in the sink”", pink, "black")
    said = ["go to the table", "pick up the mug", "pick up the mug"]
    for k, text in enumerate(said):
        x = 15 + 30 * k
        box(figure, x, x + 6, 26, "", blue)
        if x + 7 < 90:
            write(figure, x + 7, 26, f"“{text}”", anchor="left")
        arrow(figure, (x + 3, 32.2), (x + 3, 28.5))
    for k in range(6):
        x = 15 + 15 * k
        at = x + (6.5 if k % 2 == 0 else 0)
        box(figure, at, at + 2.2, 17.5, "", orange, "black")
        if k % 2 == 0:
            arrow(figure, (x + 7.6, 24.3), (x + 7.6, 20), blue)
        if at + 9 < 96:
            arrow(figure, (at + 2.4, 15.3), (min(x + 10, 94.5), 10.4), orange)
    for k in range(6):
        start, end = (15 if k == 0 else 10 + 15 * k), min(25 + 15 * k, 94)
        box(figure, start, end, 8, f"chunk {k}" if k else "last chunk",
            green if k % 2 == 0 else sky, "black")
    write(figure, 24, 21.8, "the overall prompt stops here", pictures.COLORS[5], anchor="left")
    write(figure, 15, 3.3, "0 s", anchor="left")
    for k in range(1, 6):
        write(figure, 15 + 15 * k, 3.3, f"{0.5 * k:.1f} s")
        figure.add_shape(type="line", x0=15 + 15 * k, x1=15 + 15 * k, y0=4.6, y1=5.4,
                         line=dict(color="#7a7a7a", width=1))
    return figure
