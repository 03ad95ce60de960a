"""The picture at the head of chapter 07."""

from figures.shapes import arrow, box, canvas, write

from pi05lite.widgets import pictures


def draw():
    """The VLM and the expert side by side, and what goes between them."""
    figure = canvas(390, 39)
    blue, orange, green = pictures.COLORS[:3]
    for layer, y in enumerate((14, 21.5, 29), start=1):
        box(figure, 24, y, 36, 4.5, f"VLM, layer {layer}", blue)
        box(figure, 66, y, 16, 4.5, f"expert, layer {layer}", orange, "black")
        arrow(figure, (42.3, y), (57.7, y))
        write(figure, 48, y + 1.6, "keys, values")
        arrow(figure, (84, 21.5), (74.3, y), green)
        figure.add_shape(type="line", x0=54.6, x1=54.6, y0=y - 1.6, y1=y + 2.6,
                         line=dict(color=pictures.COLORS[5], width=5))
    write(figure, 54.6, 34.2, "no gradient back", pictures.COLORS[5])
    box(figure, 88, 21.5, 8, 4.5, "time", green, "black")
    write(figure, 86.5, 29.5, "scale, shift, gate")
    for x, text, wide in ((12, "pictures", 12), (26, "prompt, state", 13), (38, "subtask", 8)):
        box(figure, x, 6.5, wide, 4, text, pictures.COLORS[4], "black")
        arrow(figure, (x, 8.7), (x, 11.5))
    box(figure, 66, 6.5, 16, 4, "noisy chunk", "#F2CF80", "black")
    for low, high in ((8.7, 11.5), (16.5, 19), (24, 26.5), (31.5, 35.5)):
        arrow(figure, (66, low), (66, high))
    for low, high in ((16.5, 19), (24, 26.5), (31.5, 35.5)):
        arrow(figure, (24, low), (24, high))
    write(figure, 24, 37.2, "words, action tokens")
    write(figure, 66, 37.2, "velocity of the chunk")
    write(figure, 24, 1.8, "once a chunk", size=15)
    write(figure, 66, 1.8, "ten times a chunk", size=15)
    return figure
