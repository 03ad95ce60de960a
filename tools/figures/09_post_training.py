"""The picture at the head of chapter 09."""


from figures.shapes import canvas

from pi05lite.widgets import pictures

BLUE, ORANGE, GREEN, _, SKY, _ = pictures.COLORS
GREY = "#7a7a7a"


def write(figure, x, y, text, ink=GREY, size=13, **more):
    """Words with their middle at (x, y)."""
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font=dict(color=ink, size=size),
                          **more)


def box(figure, left, right, y, text, color, ink="white"):
    """A filled box round y, and words in it."""
    figure.add_shape(type="rect", x0=left, x1=right, y0=y - 2.1, y1=y + 2.1, fillcolor=color,
                     line_width=0, layer="below")
    write(figure, (left + right) / 2, y, text, ink)


def asleep(figure, left, right, y, text):
    """A dotted box: a part that is not there yet."""
    figure.add_shape(type="rect", x0=left, x1=right, y0=y - 2.1, y1=y + 2.1,
                     line=dict(color=ORANGE, width=2, dash="dot"))
    write(figure, (left + right) / 2, y, text)


def draw():
    """Two ways through one budget, and by what each acts."""
    figure = canvas(370, 37)
    write(figure, 35, 35, "pre-training", size=15)
    write(figure, 64, 35, "post-training", size=15)
    for y, text in ((26.5, "discrete first"), (10.5, "flow from<br>the start")):
        write(figure, 9, y, text, size=15)
    box(figure, 20, 49, 29, "VLM: text + FAST tokens", BLUE)
    asleep(figure, 20, 49, 24, "no expert: alpha = 0")
    box(figure, 51, 77, 29, "VLM goes on: text + FAST", BLUE)
    box(figure, 51, 77, 24, "new expert: flow, alpha = 10", ORANGE, "black")
    box(figure, 20, 77, 13, "VLM: no loss of its own", SKY, "black")
    box(figure, 20, 77, 8, "expert: flow", ORANGE, "black")
    figure.add_shape(type="line", x0=50, x1=50, y0=21.5, y1=36,
                     line=dict(color=GREY, width=1.5, dash="dot"))
    write(figure, 87.5, 26.5, "acts by flow;<br>FAST tokens<br>have taught it", GREEN, 14)
    write(figure, 87.5, 10.5, "acts by flow", GREEN, 14)
    figure.add_annotation(ax=20, x=77, ay=2.8, y=2.8, axref="x", ayref="y", showarrow=True,
                          arrowhead=2, arrowwidth=1.5, arrowcolor=GREY, text="")
    write(figure, 9, 2.8, "steps, the same for both")
    return figure
