"""Pictures of where a chunk would take the hand, and of where samples part ways."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.widgets.pictures import COLORS, LAYOUT, TRUTH, png, scrubber


def color(k):
    """The colour of sample k."""
    return COLORS[k % len(COLORS)]


def names_of(trace):
    """A name for each frame: its flow time."""
    return [f"{tau:.4g}" for tau in trace.tau]


def path_figure(trace, title="the hand's path, metres before the base"):
    """The hands' paths in 3-D at each flow time: K samples, and what was really done."""
    hands = range(trace.places.shape[3])
    figure = go.Figure()
    if trace.true_places is not None:
        for h in hands:
            figure.add_scatter3d(**_xyz(trace.true_places[:, h]), mode="lines",
                                 name="what was done", line=dict(color=TRUTH, width=7))
    first = len(figure.data)
    for k in range(trace.path.shape[1]):
        for h in hands:
            figure.add_scatter3d(**_xyz(trace.places[0, k, :, h]), mode="lines",
                                 name=f"noise {k + 1}", line=dict(color=color(k), width=4))
    moving = list(range(first, len(figure.data)))
    figure.frames = [go.Frame(name=name, traces=moving, data=[
        go.Scatter3d(**_xyz(trace.places[n, k, :, h]))
        for k in range(trace.path.shape[1]) for h in hands])
        for n, name in enumerate(names_of(trace))]
    figure.add_scatter3d(**_xyz(trace.places[0, 0, :1, 0]), mode="markers", name="now",
                         marker=dict(size=5, color=TRUTH))
    axes = {f"{axis}axis": dict(title=axis, range=limits, nticks=4,
                                gridcolor="rgba(127,127,127,0.4)",
                                showbackground=False, zeroline=False)
            for axis, limits in zip("xyz", _limits(trace))}
    figure.update_layout(**{**LAYOUT, "margin": dict(l=0, r=0, t=50, b=0)}, height=400,
                         title_text=title, showlegend=False, uirevision="path",
                         scene=dict(**axes, aspectmode="cube",
                                    camera=dict(eye=dict(x=-1.9, y=-1.4, z=1.1))),
                         **scrubber(figure.frames, redraw=True))
    return figure


def _xyz(places):
    """Places (n, 3) as the arguments of a 3-D trace."""
    x, y, z = np.asarray(places, np.float32).T
    return dict(x=x, y=y, z=z)


def _limits(trace):
    """The range of each axis, the same length, round all paths at the end."""
    last = trace.places[-1].reshape(-1, 3)
    if trace.true_places is not None:
        last = np.concatenate([last, trace.true_places.reshape(-1, 3)])
    low, high = last.min(0), last.max(0)
    half = max(0.1, 0.65 * float((high - low).max()))
    return [[m - half, m + half] for m in (low + high) / 2]


def camera_figure(trace, title="the hand's path in the cameras' pictures"):
    """The paths at each flow time drawn onto what each camera sees now."""
    slots = [slot for slot in trace.images if slot in trace.sights]
    figure = make_subplots(1, max(1, len(slots)), subplot_titles=slots, horizontal_spacing=0.02)
    K, hands = trace.path.shape[1], range(trace.places.shape[3])
    for column, slot in enumerate(slots, 1):
        figure.add_layout_image(source=png(trace.images[slot]), x=0, y=0, sizex=1, sizey=1,
                                sizing="stretch", layer="below", row=1, col=column)
        if trace.true_places is not None:
            for h in hands:
                figure.add_scatter(**_uv(trace, slot, trace.true_places[:, h]), mode="lines",
                                   name="what was done", row=1, col=column,
                                   line=dict(color="#fff", width=4, dash="dot"))
        for k in range(K):
            for h in hands:
                figure.add_scatter(**_uv(trace, slot, trace.places[0, k, :, h]), mode="lines",
                                   name=f"noise {k + 1}", meta="moves", row=1, col=column,
                                   line=dict(color=color(k), width=3))
        figure.update_xaxes(range=[0, 1], visible=False, row=1, col=column)
        figure.update_yaxes(range=[1, 0], visible=False, row=1, col=column,
                            scaleanchor=f"x{column if column > 1 else ''}")
    moving = [i for i, line in enumerate(figure.data) if line.meta == "moves"]
    figure.frames = [go.Frame(name=name, traces=moving, data=[
        go.Scatter(**_uv(trace, slot, trace.places[n, k, :, h]))
        for slot in slots for k in range(K) for h in hands])
        for n, name in enumerate(names_of(trace))]
    figure.update_layout(**{**LAYOUT, "margin": dict(l=5, r=5, t=80, b=10)}, height=400,
                         title_text=title, showlegend=False, **scrubber(figure.frames))
    return figure


def _uv(trace, slot, places):
    """Places (n, 3) in a camera's picture; a line breaks where it leaves it or wraps round."""
    uv = trace.sights[slot].project(places).astype(np.float32)
    uv[(uv < -0.5).any(axis=1) | (uv > 1.5).any(axis=1)] = np.nan
    return dict(x=uv[:, 0], y=uv[:, 1])


def modes_figure(trace, title="where the samples part ways"):
    """Every sample over flow time along the direction in which the finished chunks differ most.

    Lines that end in separate bundles are separate ways to do it; the share of the spread that this
    one direction holds is in the title. Needs two samples at least.
    """
    flat = trace.path.reshape(*trace.path.shape[:2], -1).astype(np.float64)  # (N + 1, K, H A)
    middle = flat[-1].mean(0)
    _, spread, ways = np.linalg.svd(flat[-1] - middle, full_matrices=False)
    along = ((flat - middle) @ ways[0]).astype(np.float32)  # (N + 1, K)
    share = spread[0]**2 / max(float((spread**2).sum()), 1e-12)
    figure = go.Figure()
    for k in range(along.shape[1]):
        figure.add_scatter(x=trace.tau, y=along[:, k], mode="lines", name=f"noise {k + 1}",
                           line=dict(color=color(k), width=1.5))
    figure.add_scatter(x=np.zeros(along.shape[1]), y=along[0], mode="markers", name="now",
                       marker=dict(size=9, color=[color(k) for k in range(along.shape[1])]))
    if trace.truth is not None:
        at = float((trace.truth.reshape(-1) - middle) @ ways[0])
        figure.add_scatter(x=[1], y=[at], mode="markers", name="what was done",
                           marker=dict(size=13, color=TRUTH, symbol="star"))
    now = along.shape[1]
    figure.frames = [go.Frame(name=name, traces=[now], data=[
        go.Scatter(x=np.full(now, tau, np.float32), y=along[n])])
        for n, (name, tau) in enumerate(zip(names_of(trace), trace.tau))]
    figure.update_xaxes(title="flow time", range=[-0.03, 1.06], zeroline=False)
    figure.update_yaxes(title="along the main difference", zeroline=False)
    figure.update_layout(**LAYOUT, height=400, showlegend=False, **scrubber(figure.frames),
                         title_text=f"{title} ({share:.0%} of their spread)")
    return figure
