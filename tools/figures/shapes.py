"""Boxes, words and arrows for the pictures at the heads of chapters."""

import plotly.graph_objects as go

from pi05lite.widgets import pictures


def canvas(height, up):
    """An empty picture, 960 pixels wide and `height` high: x from 0 to 96, y from 0 to `up`."""
    figure = go.Figure(layout=dict(pictures.LAYOUT, width=960, height=height,
                                   margin=dict.fromkeys("lrtb", 5), plot_bgcolor="rgba(0,0,0,0)"))
    return figure.update_xaxes(range=[0, 96], visible=False).update_yaxes(
        range=[0, up], visible=False)


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
