"""The picture at the head of chapter 01."""

import numpy as np
from figures.episode import played
from plotly.subplots import make_subplots

from pi05lite.widgets import pictures


def draw():
    """What a camera sees and what is done over an episode, and two chunks of 50 steps."""
    (seen, actions), names = played("mobile")
    last, moments = len(actions) - 1, 5
    figure = make_subplots(2, moments, row_heights=[1, 1.3], vertical_spacing=0.04,
                           horizontal_spacing=0.01,
                           specs=[[{}] * moments, [{"colspan": moments}, *[None] * (moments - 1)]])
    for k, t in enumerate(np.linspace(0, last, moments).astype(int), 1):
        figure.add_image(source=pictures.png(seen[t]), row=1, col=k)
    figure.update_xaxes(visible=False, row=1).update_yaxes(visible=False, row=1)
    moves = [k for k in range(len(names)) if np.ptp(actions[:, k]) > 0.05]
    for color, k in zip(pictures.COLORS, moves):
        figure.add_scatter(x=np.arange(last + 1) / 50, y=actions[:, k], mode="lines", row=2, col=1,
                           line=dict(color=color, width=2), showlegend=False)
    for start, color in ((20, pictures.COLORS[0]), (last - 30, pictures.COLORS[5])):
        for x0, x1, solid in ((start, min(start + 50, last), True), (last, start + 50, False)):
            if x1 > x0:
                figure.add_shape(type="rect", x0=x0 / 50, x1=x1 / 50, y0=0, y1=1, yref="y6 domain",
                                 xref="x6", opacity=0.25 if solid else 1, line=dict(
                                     color=color, width=0 if solid else 2, dash="dot"),
                                 fillcolor=color if solid else "rgba(0,0,0,0)")
        figure.add_annotation(x=(start + 1) / 50, y=1, yref="y6 domain", xref="x6", xanchor="left",
                              yanchor="top", text="a chunk", showarrow=False, font_color=color)
    figure.add_annotation(x=(last + 1) / 50, y=0, yref="y6 domain", xref="x6", text="padding",
                          showarrow=False, xanchor="left", yanchor="bottom",
                          font_color=pictures.COLORS[5])
    figure.add_vline(x=last / 50, line=dict(color="#7a7a7a", width=2), row=2, col=1)
    figure.update_xaxes(title="seconds", range=[0, (last + 25) / 50], zeroline=False, row=2)
    figure.update_yaxes(zeroline=False, row=2)
    return figure.update_layout(**{**pictures.LAYOUT, "margin": dict(l=40, r=10, t=10, b=45)},
                                width=960, height=460)
