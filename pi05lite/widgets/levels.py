"""Pictures of chapter 10: who runs when, and ways that are joined from two chunks."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.widgets.pictures import COLORS, LAYOUT, NAMES_ABOVE, TRUTH


def clock_figure(spans, title=""):
    """Who runs when, to scale; spans: (row, what, start, end), seconds."""
    figure = go.Figure()
    rows = list(dict.fromkeys(row for row, *_ in spans))
    kinds = list(dict.fromkeys(what for _, what, *_ in spans))
    for k, kind in enumerate(kinds):
        mine = [span for span in spans if span[1] == kind]
        figure.add_bar(
            orientation="h", name=kind, y=[row for row, *_ in mine],
            base=[start for *_, start, _ in mine], x=[end - start for *_, start, end in mine],
            marker=dict(color=COLORS[k % len(COLORS)], line=dict(color="#7a7a7a", width=1)),
            customdata=[(start, end) for *_, start, end in mine],
            hovertemplate=f"{kind}: %{{customdata[0]:.3f}} to %{{customdata[1]:.3f}} s"
                          "<extra></extra>")
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1])
    figure.update_xaxes(title="seconds", zeroline=False)
    return figure.update_layout(**LAYOUT, barmode="overlay", bargap=0.25, title_text=title,
                                height=170 + 45 * len(rows), legend=NAMES_ABOVE)


def ways_figure(groups, radius, joint=None, title=""):
    """Ways past a bottle, side by side; groups: name -> (N, T, 2), joint: step where they change.

    Ways that run into the bottle are drawn in another colour; a dot marks the joint.
    """
    figure = make_subplots(1, len(groups), subplot_titles=list(groups), shared_yaxes=True,
                           horizontal_spacing=0.02)
    for k, ways in enumerate(groups.values(), start=1):
        place = dict(row=1, col=k)
        figure.add_shape(type="circle", x0=-radius, x1=radius, y0=-radius, y1=radius, **place,
                         line_color=TRUTH, fillcolor="rgba(127,127,127,0.35)", layer="below")
        for way in ways:
            hit = bool(((way**2).sum(-1) < radius**2).any())
            figure.add_scatter(x=way[:, 0], y=way[:, 1], mode="lines", hoverinfo="skip",
                               line=dict(color=COLORS[5 if hit else 0], width=1.2), **place)
            if joint is not None:
                figure.add_scatter(x=way[joint:joint + 1, 0], y=way[joint:joint + 1, 1],
                                   mode="markers", hoverinfo="skip", **place,
                                   marker=dict(color=TRUTH, size=4))
    figure.update_xaxes(range=[-1.05, 1.05], zeroline=False)
    figure.update_yaxes(range=[-1.05, 1.05], zeroline=False)
    return figure.update_layout(**LAYOUT, showlegend=False, height=330, title_text=title)
