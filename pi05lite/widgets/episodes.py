"""Pictures of robot data: an episode as a film, control rates, clocks and ranges."""

from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.widgets.pictures import COLORS, LAYOUT, TRUTH, jpeg, scrubber

STOPS = 40  # moments of a film: more make its file large and its slider slow


def film_figure(images, seconds, panels, chunk=None, title="one episode", stops=STOPS):
    """A slider over an episode: what the cameras see, and where state and actions are meanwhile.

    images: camera -> uint8 (T, h, w, 3); seconds (T,); panels: name -> (values (T, n), n names);
    chunk: a function of the frame that gives (values (H, n), real (H,)), as dots in the last panel.
    """
    cameras, count = list(images), len(images)
    figure = make_subplots(
        1 + len(panels), count, subplot_titles=[*cameras, *panels], vertical_spacing=0.09,
        horizontal_spacing=0.02, row_heights=[1.6, *[1] * len(panels)],
        specs=[[{}] * count, *([{"colspan": count}, *[None] * (count - 1)] for _ in panels)])
    frames = np.unique(np.linspace(0, len(seconds) - 1, stops).astype(int))
    for column, camera in enumerate(cameras, 1):
        figure.add_image(source=jpeg(images[camera][0]), row=1, col=column)
    figure.update_xaxes(visible=False, row=1)
    figure.update_yaxes(visible=False, row=1)
    for row, (values, names) in enumerate(panels.values(), 2):
        for k, name in enumerate(names):
            figure.add_scatter(x=_short(seconds), y=_short(values[:, k]), name=name, mode="lines",
                               line=dict(color=COLORS[k % len(COLORS)], width=1.5), row=row, col=1,
                               showlegend=False, hovertemplate=f"{name} %{{y:.3g}}<extra></extra>")
        figure.update_yaxes(zeroline=False, row=row, col=1)
        figure.update_xaxes(zeroline=False, range=[0, float(seconds[-1])], row=row, col=1)
    fixed = len(figure.data)
    for row, line in _moving(panels, seconds, chunk, 0):
        figure.add_trace(line, row=row, col=1)
    if chunk is not None:
        values, real = chunk(0)
        figure.data[-1].update(mode="markers", hoverinfo="skip", marker=dict(size=5, color=[
            COLORS[k % len(COLORS)] for k in range(values.shape[1]) for _ in real]))
    moving = [*range(count), *range(fixed, len(figure.data))]
    figure.frames = [go.Frame(
        name=f"{seconds[t]:.1f} s", traces=moving,
        data=[*(go.Image(source=jpeg(images[camera][t])) for camera in cameras),
              *(line for _, line in _moving(panels, seconds, chunk, t))]) for t in frames]
    figure.update_layout(**LAYOUT, **scrubber(figure.frames, "", redraw=True), showlegend=False,
                         title_text=title, height=360 + 190 * len(panels))
    return figure


def _moving(panels, seconds, chunk, t):
    """(row, trace) of what changes: a cursor in each panel, then all dots of the chunk as one."""
    for row, (values, _) in enumerate(panels.values(), 2):
        ends = [float(np.min(values)), float(np.max(values))]
        yield row, go.Scatter(x=[float(seconds[t])] * 2, y=ends, mode="lines", hoverinfo="skip",
                              line=dict(color=TRUTH, width=2))
    if chunk is not None:
        rows, real = chunk(t)
        beat = float(np.diff(seconds).mean()) if len(seconds) > 1 else 1.0
        at = float(seconds[t]) + beat * np.arange(len(rows))
        rows = np.where(np.asarray(real)[:, None], rows, np.nan)  # no dot where nothing is real
        yield 1 + len(panels), go.Scatter(x=_short(np.tile(at, rows.shape[1])),
                                          y=_short(rows.T.ravel()))


def _short(values):
    """Numbers with as many digits as a picture needs."""
    return np.asarray(values, np.float32).round(4)


def rates_figure(robots, horizon, title=""):
    """One dot for each step of a chunk, over the seconds that it covers; robots: name -> Hz."""
    figure = go.Figure()
    for color, (name, rate) in zip(cycle(COLORS), robots.items()):
        at = np.arange(horizon) / rate
        figure.add_scatter(x=at, y=[f"{name}, {rate:g} Hz"] * horizon, mode="markers",
                           marker=dict(color=color, size=5), showlegend=False,
                           hovertemplate="step %{pointNumber}: %{x:.2f} s<extra></extra>")
        figure.add_annotation(x=at[-1], y=f"{name}, {rate:g} Hz", text=f"  {horizon / rate:.3g} s",
                              showarrow=False, xanchor="left")
    longest = horizon / min(robots.values())
    figure.update_xaxes(title="seconds from now", range=[-0.02 * longest, 1.12 * longest],
                        zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    return figure.update_layout(**LAYOUT, height=170 + 36 * len(robots), title_text=title)


def clock_figure(clocks, fps, title="seconds between two frames"):
    """Measured intervals over an episode; clocks: name -> recorded seconds (T,); fps: as stated."""
    figure = go.Figure()
    for color, (name, seconds) in zip(cycle(COLORS), clocks.items()):
        seconds = np.asarray(seconds, np.float64).reshape(-1)
        figure.add_scatter(x=_short(seconds[1:] - seconds[0]), y=_short(np.diff(seconds)),
                           name=name, mode="markers", marker=dict(color=color, size=5))
    figure.add_hline(y=1 / fps, line=dict(color=TRUTH, dash="dot"), annotation_text=f"1 / {fps:g}",
                     annotation_font_color="#7a7a7a")
    figure.update_xaxes(title="seconds", zeroline=False)
    figure.update_yaxes(rangemode="tozero", zeroline=False)
    return figure.update_layout(**LAYOUT, height=320, title_text=title)


def ranges_figure(columns, title=""):
    """How numbers are spread, dimension by dimension, in planes side by side.

    columns: name of the plane -> {dimension: values (N,)}. Thick: 1 % to 99 %; thin: all values.
    """
    figure = make_subplots(1, len(columns), subplot_titles=list(columns), horizontal_spacing=0.04,
                           shared_yaxes=True)
    for column, rows in enumerate(columns.values(), 1):
        ends = [[np.min(values), np.max(values)] for values in rows.values()]
        low, high = float(np.min(ends)), float(np.max(ends))
        edge = 0.03 * (high - low)  # so that no thick end is cut off
        figure.update_xaxes(range=[low - edge, high + edge], zeroline=False, row=1, col=column)
        for color, (name, values) in zip(cycle(COLORS), rows.items()):
            ends = _short([np.min(values), np.max(values)])
            middle = _short(np.quantile(values, [0.01, 0.99]))
            for x, width in ((ends, 2), (middle, 9)):
                figure.add_scatter(x=x, y=[name, name], mode="lines", row=1, col=column,
                                   line=dict(color=color, width=width), showlegend=False,
                                   hovertemplate=f"{name}: %{{x:.3g}}<extra></extra>")
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    tallest = max(len(rows) for rows in columns.values())
    return figure.update_layout(**LAYOUT, height=150 + 28 * tallest, title_text=title)
