"""Boxes, words and arrows for the pictures at the heads of chapters."""


def box(figure, x, y, wide, high, text, color, ink="white", size=13):
    """A filled box with its middle at (x, y), and words in it."""
    figure.add_shape(type="rect", x0=x - wide / 2, x1=x + wide / 2, y0=y - high / 2,
                     y1=y + high / 2, fillcolor=color, line_width=0, layer="below")
    write(figure, x, y, text, ink, size)


def write(figure, x, y, text, ink="#7a7a7a", size=13, anchor="center"):
    """Words at (x, y): their middle, or the side that the anchor names."""
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, xanchor=anchor,
                          font=dict(color=ink, size=size))


def arrow(figure, start, end, color="#7a7a7a"):
    """An arrow between two points."""
    figure.add_annotation(ax=start[0], ay=start[1], x=end[0], y=end[1], axref="x", ayref="y",
                          showarrow=True, arrowhead=2, arrowwidth=1.5, arrowcolor=color, text="")
