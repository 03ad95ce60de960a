"""Figures of a comparison."""

from itertools import cycle

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.widgets.pictures import COLORS, LAYOUT

GREY = "#7a7a7a"


def comparison_figure(comparison, metric, title=None):
    """Left: each variant's mean with its interval, its seeds as small points; right: how far the
    others are from the first, filled where that is significant."""
    names, first = comparison.names, comparison.names[0]
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=[
        metric, f"difference to {first}"])
    for name, color in zip(names, cycle(COLORS)):
        mean, low, high = comparison.measured(metric)[name]
        bar(figure, 1, name, mean, low, high, color, True)
        seeds = comparison.values(metric, name).mean(axis=1)
        figure.add_scatter(x=seeds, y=[name] * len(seeds), mode="markers", row=1, col=1,
                           marker=dict(color=color, size=7, symbol="line-ns-open"),
                           hovertemplate="one seed: %{x:.3f}<extra></extra>")
        if name != first:
            mean, low, high, sure = comparison.differences(metric)[name]
            bar(figure, 2, name, mean, low, high, color, sure)
    figure.add_vline(x=0, line_color=GREY, line_dash="dot", row=1, col=2)
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    figure.update_layout(**{**LAYOUT, "margin": dict(l=150, r=20, t=80, b=40)}, showlegend=False,
                         height=170 + 40 * len(names), title_text=title or "")
    return figure


def bar(figure, column, name, mean, low, high, color, sure):
    """One point with its interval."""
    figure.add_scatter(
        x=[mean], y=[name], mode="markers", row=1, col=column,
        marker=dict(color=color, size=11, symbol="circle" if sure else "circle-open",
                    line=dict(width=2)),
        error_x=dict(array=[high - mean], arrayminus=[mean - low], color=color),
        hovertemplate=f"{name}: {mean:.3f} [{low:.3f}, {high:.3f}]<extra></extra>")


def curves_figure(comparison, loss):
    """A loss over seconds of training, a line for each seed of each variant."""
    figure = go.Figure()
    for name, color in zip(comparison.names, cycle(COLORS)):
        for k, run in enumerate(r for r in comparison.of(name) if r["curves"].get(loss)):
            steps, values = zip(*run["curves"][loss])
            figure.add_scatter(x=[s * run["seconds_a_step"] for s in steps], y=values, name=name,
                               legendgroup=name, showlegend=k == 0, mode="lines",
                               line=dict(color=color, width=1.5),
                               hovertemplate=f"{name}, seed {run['seed']}: %{{y:.3g}}"
                                             "<extra></extra>")
    figure.update_yaxes(type="log")
    figure.update_xaxes(title="seconds of training")
    figure.update_layout(**LAYOUT, title_text=f"training loss: {loss}", height=340)
    return figure
