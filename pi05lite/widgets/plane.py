"""Pictures of flow matching where all of it can be seen: actions that are points in a plane."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.widgets.pictures import COLORS, LAYOUT, TRUTH, scrubber

LIMIT = 2.6  # half the width of the plane that is shown


def plane(titles=("",)):
    """Square empty planes side by side."""
    figure = make_subplots(1, len(titles), subplot_titles=titles, horizontal_spacing=0.06)
    figure.update_xaxes(range=[-LIMIT, LIMIT], zeroline=False, showgrid=False)
    figure.update_yaxes(range=[-LIMIT, LIMIT], zeroline=False, showgrid=False)
    for k in range(1, len(titles) + 1):
        figure.update_yaxes(scaleanchor=f"x{k if k > 1 else ''}", row=1, col=k)
    one = len(titles) == 1
    figure.update_layout(**{**LAYOUT, "margin": dict(l=40, r=20, t=100, b=40)},
                         height=480 if one else 370, width=560 if one else 270 * len(titles),
                         legend=dict(orientation="h", x=0, y=1.02, yanchor="bottom"))
    return figure


def obstacle(figure, radius, columns=(1,)):
    """The bottle, a disc in the middle of these planes."""
    for column in columns:
        figure.add_shape(type="circle", x0=-radius, x1=radius, y0=-radius, y1=radius, row=1,
                         col=column, line_color=TRUTH, fillcolor="rgba(127,127,127,0.35)",
                         layer="below")
    return figure


def points_figure(groups, radius, title=""):
    """Clouds of points round the bottle; groups: name -> (N, 2)."""
    figure = obstacle(plane(), radius)
    for color, (name, points) in zip(COLORS, groups.items()):
        few = len(points) < 5
        figure.add_scatter(x=points[:, 0], y=points[:, 1], name=name, mode="markers",
                           marker=dict(color=color, size=14 if few else 4,
                                       symbol="x" if few else "circle"))
    return figure.update_layout(title_text=title)


def journey_figure(points, radius, title="", lines=0):
    """A slider over flow time: a cloud on its way; points (N + 1, K, 2), the first at tau = 0.

    lines: so many of the points draw their whole way.
    """
    points = np.asarray(points, dtype=np.float32).round(3)
    figure = obstacle(plane(), radius)
    for k in range(lines):
        figure.add_scatter(x=points[:, k, 0], y=points[:, k, 1], mode="lines", hoverinfo="skip",
                           line=dict(color="rgba(127,127,127,0.8)", width=1), showlegend=False)
    figure.add_scatter(x=points[0, :, 0], y=points[0, :, 1], mode="markers", name="chunks",
                       marker=dict(color=COLORS[0], size=5), showlegend=False)
    figure.frames = [go.Frame(name=f"{tau:.3g}", traces=[lines],
                              data=[go.Scatter(x=now[:, 0], y=now[:, 1])])
                     for tau, now in zip(np.linspace(0, 1, len(points)), points)]
    return figure.update_layout(**scrubber(figure.frames), title_text=title, height=560)


def field_figure(fields, radius, title=""):
    """Arrows of a velocity field at several flow times.

    fields: name -> (places (M, 2), velocities (M, 2)), a plane each.
    """
    figure = obstacle(plane(list(fields)), radius, range(1, len(fields) + 1))
    for column, (places, velocity) in enumerate(fields.values(), start=1):
        end = places + 0.14 * velocity
        shafts = np.stack([places, end, np.full_like(end, np.nan)], axis=1)  # NaN lifts the pen
        x, y = shafts.reshape(-1, 2).round(3).T
        figure.add_scatter(x=x, y=y, mode="lines", line=dict(color=COLORS[0], width=1),
                           hoverinfo="skip", showlegend=False, row=1, col=column)
        figure.add_scatter(x=end[:, 0], y=end[:, 1], mode="markers", hoverinfo="skip",
                           marker=dict(color=COLORS[5], size=4), showlegend=False, row=1,
                           col=column)
    return figure.update_layout(title_text=title)


def steps_figure(rows, title="", y="", floor=None):
    """How good samples are by the number of network calls; rows: name -> {calls: value}."""
    figure = go.Figure()
    for color, (name, row) in zip(COLORS, rows.items()):
        figure.add_scatter(x=list(row), y=list(row.values()), name=name, mode="lines+markers",
                           line=dict(color=color))
    if floor is not None:
        figure.add_hline(y=floor, line=dict(color=TRUTH, dash="dot"),
                         annotation_text="two sets of real ones", annotation_font_color="#7a7a7a")
    figure.update_xaxes(type="log", title="calls of the network for one sample", zeroline=False,
                        tickvals=sorted({c for row in rows.values() for c in row}))
    figure.update_yaxes(title=y, zeroline=False, type="log", dtick=1)
    return figure.update_layout(**LAYOUT, title_text=title, height=380)
