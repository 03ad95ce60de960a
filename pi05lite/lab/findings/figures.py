"""The figure of a finding from its result file, beside the paper's numbers."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.lab.findings.paper import PAPER
from pi05lite.lab.pictures import GREY
from pi05lite.widgets.pictures import COLORS, LAYOUT

SUITES = {"short": "short skills in new homes", "long": "long tasks in new homes",
          "language": "the named one of five, known kinds",
          "language_new": "the named one of five, new kinds"}


def figure(result):
    """A plotly Figure: first the paper's numbers in grey, then ours, all in per cent.

    A dot is the mean over seeds, a stroke one seed; the thick line holds for these runs, the thin
    one for other seeds too. Where chunks were timed, a last panel has success over their seconds.
    """
    paper = PAPER[result["finding"]]
    suites = list(dict.fromkeys(p["suite"] for p in result["points"]))
    timed = any("seconds a chunk" in p for p in result["points"])
    titles = [f"{s.title}<br>({s.source})" for s in paper]
    titles += [f"here: {SUITES.get(s, s)}<br>({metric(result, s)})" for s in suites]
    titles += ["here: success over<br>ms of one chunk"] if timed else []
    columns = min(3, len(titles))
    lines = -(-len(titles) // columns)
    fig = make_subplots(lines, columns, subplot_titles=titles, horizontal_spacing=0.09,
                        vertical_spacing=0.6 / lines if lines > 1 else 0)
    place = iter([dict(row=k // columns + 1, col=k % columns + 1) for k in range(len(titles))])
    for series in paper:
        fig.add_scatter(x=list(series.values), y=list(series.values.values()), mode="markers",
                        marker=dict(color=GREY, size=10, symbol="diamond"),
                        hovertemplate="%{x}: %{y} %<extra>" + series.source + "</extra>",
                        **next(place))
    for suite, color in zip(suites, COLORS):
        ours(fig, [p for p in result["points"] if p["suite"] == suite], color, next(place))
    if timed:
        over_time(fig, [p for p in result["points"] if "seconds a chunk" in p], next(place))
    fig.update_yaxes(range=[-4, 104], ticksuffix=" %", zeroline=False)
    fig.update_layout(**{**LAYOUT, "margin": dict(l=60, r=20, t=110, b=40)}, showlegend=False,
                      height=130 + 330 * lines, title_text=f"{result['finding']} · "
                      f"{result['question']}  ({seeds_in_words(result)})")
    return fig


def metric(result, suite):
    """What is drawn of a suite."""
    return next(p["metric"] for p in result["points"] if p["suite"] == suite)


def seeds_in_words(result):
    """How many seeds and rollouts stand behind a dot."""
    count, n = len(result["seeds"]), min(p["rollouts"] for p in result["points"])
    return f"{count} seed{'s' if count > 1 else ''}, {n} rollouts a dot or more"


def ours(fig, points, color, place):
    """Our points with both intervals and every seed."""
    labels = [p["label"] for p in points]
    found = [p[p["metric"]] for p in points]
    mean = [100 * f["mean"] for f in found]
    for kind, width, cap in (("other seeds", 1, 5), ("these runs", 4, 0)):
        spans = [f[kind] or (f["mean"], f["mean"]) for f in found]
        fig.add_scatter(
            x=labels, y=mean, mode="markers", marker=dict(color=color, size=10),
            error_y=dict(array=[100 * h - m for (_, h), m in zip(spans, mean)],
                         arrayminus=[m - 100 * lo for (lo, _), m in zip(spans, mean)],
                         color=color, thickness=width, width=cap),
            hovertemplate="%{x}: %{y:.1f} %<extra>" + kind + "</extra>", **place)
    each = [(label, 100 * s) for label, f in zip(labels, found) for s in f["seeds"]]
    fig.add_scatter(x=[x for x, _ in each], y=[y for _, y in each], mode="markers",
                    marker=dict(color=color, size=12, symbol="line-ew-open"),
                    hovertemplate="one seed: %{y:.1f} %<extra></extra>", **place)


def over_time(fig, points, place):
    """Success over what a chunk takes."""
    fig.add_trace(go.Scatter(
        x=[1000 * p["seconds a chunk"] for p in points],
        y=[100 * p["success"]["mean"] for p in points], text=[p["label"] for p in points],
        mode="markers", marker=dict(color=COLORS[1], size=9),
        hovertemplate="%{text}: %{y:.1f} %, %{x:.0f} ms<extra></extra>"), **place)
