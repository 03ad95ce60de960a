"""Pictures: functions from arrays to plain plotly Figures. Frames inside, no kernel needed."""

import base64
import io
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
import torch
from PIL import Image
from plotly.subplots import make_subplots

from pi05lite.tokens.kind import Kind

# One colour-blind-safe set (Okabe and Ito) that reads on light and on dark paper.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
TRUTH = "#808080"
_AXIS = dict(gridcolor="rgba(127,127,127,0.25)", zerolinecolor="rgba(127,127,127,0.45)",
             linecolor="rgba(127,127,127,0.6)", automargin=True)
PLAIN = dict(layout=dict(xaxis=_AXIS, yaxis=_AXIS))
LAYOUT = dict(template=PLAIN, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(127,127,127,0.08)",
              font=dict(color="#7a7a7a", size=12), margin=dict(l=50, r=20, t=80, b=45),
              title=dict(x=0.01, xanchor="left"))
# A row of names above the plots, right of the title.
NAMES_ABOVE = dict(orientation="h", x=1, xanchor="right", y=0.99, yanchor="top", yref="container")


def grid(count, columns=4):
    """Rows and columns for `count` small plots."""
    columns = min(columns, count)
    return -(-count // columns), columns


def denoising_figure(trace, title="denoising one chunk"):
    """A slider over flow time: each action dimension over the chunk, K samples, the truth.

    trace: pi05lite.trace.Trace. Works in a saved notebook without a kernel.
    """
    A = len(trace.names)
    rows, columns = grid(A)
    figure = make_subplots(rows, columns, subplot_titles=trace.names, shared_xaxes=True,
                           vertical_spacing=0.3 / rows, horizontal_spacing=0.05)
    for a in range(A):
        place = dict(row=a // columns + 1, col=a % columns + 1)
        if trace.truth is not None:
            figure.add_scatter(x=trace.seconds, y=trace.truth[:, a], name="what was done",
                               mode="lines",
                               line=dict(color=TRUTH, width=3, dash="dot"), legendgroup="truth",
                               showlegend=a == 0, **place)
        for k in range(trace.path.shape[1]):
            figure.add_scatter(x=trace.seconds, y=trace.path[0, k, :, a], name=f"noise {k + 1}",
                               mode="lines",
                               line=dict(color=COLORS[k % len(COLORS)], width=1.5),
                               legendgroup=f"{k}", showlegend=a == 0, **place)
        if trace.velocity is not None:
            figure.add_scatter(**arrows(trace, 0, a), name="velocity x step", mode="lines+markers",
                               legendgroup="velocity", showlegend=a == 0, hoverinfo="skip",
                               line=dict(color=TRUTH, width=1),
                               marker=dict(symbol="arrow", angleref="previous", color=TRUTH,
                                           size=arrow_sizes(trace), line_width=0), **place)
    moving = [i for i, line in enumerate(figure.data) if line.legendgroup != "truth"]
    figure.frames = [go.Frame(name=f"{tau:.4g}", traces=moving, data=moved(trace, n))
                     for n, tau in enumerate(trace.tau)]
    limit = 1.15 * max(1.0, float(np.abs(trace.path).max()))
    figure.update_yaxes(range=[-limit, limit], zeroline=False)
    figure.update_xaxes(zeroline=False)
    figure.update_layout(**LAYOUT, **scrubber(figure.frames), legend=NAMES_ABOVE,
                         title_text=f"{title} (x: seconds)", height=190 * rows + 190)
    return figure


def moved(trace, n):
    """All that moves at step n as it was added: the samples of a dimension, then its arrows."""
    out = []
    for a in range(len(trace.names)):
        out += [go.Scatter(y=trace.path[n, k, :, a]) for k in range(trace.path.shape[1])]
        if trace.velocity is not None:
            out.append(go.Scatter(y=arrows(trace, n, a)["y"]))
    return out


def lines(trace, n):
    """The y values of all samples' lines at step n, dimension by dimension."""
    return [trace.path[n, k, :, a] for a in range(len(trace.names))
            for k in range(trace.path.shape[1])]


def arrow_places(trace):
    """The steps of the chunk that have an arrow, about eight of them."""
    return np.arange(0, trace.path.shape[2], max(1, trace.path.shape[2] // 8))


def arrows(trace, n, a):
    """x, y of arrows from the samples at step n to where the velocity takes them in this step.

    At the end there is no step any more, and the arrows have no length.
    """
    at = arrow_places(trace)
    width = 1 / (len(trace.tau) - 1)
    start = trace.path[n][:, at, a]  # (K, arrows)
    end = start if n == len(trace.velocity) else start + width * trace.velocity[n][:, at, a]
    gap = np.full_like(start, np.nan)
    x = np.broadcast_to(trace.seconds[at].astype(np.float32), start.shape)
    return dict(x=np.stack([x, x, gap], -1).ravel(), y=np.stack([start, end, gap], -1).ravel())


def arrow_sizes(trace):
    """The size of the marker of each point of `arrows`: only ends have one."""
    return np.tile([0, 7, 0], trace.path.shape[1] * len(arrow_places(trace)))


def scrubber(frames, prefix="flow time ", redraw=False):
    """A slider with a stop for each frame and a play button.

    redraw: needed where anything but lines and points changes (heat maps, bars, pictures).
    """
    jump = dict(mode="immediate", frame=dict(duration=0, redraw=redraw),
                transition=dict(duration=0))
    play = dict(fromcurrent=False, frame=dict(duration=250, redraw=redraw),
                transition=dict(duration=0 if redraw else 150))
    stops = [dict(method="animate", label=f.name, args=[[f.name], jump]) for f in frames]
    return dict(
        sliders=[dict(steps=stops, currentvalue=dict(prefix=prefix), pad=dict(t=30),
                      x=0.12, len=0.88)],
        updatemenus=[dict(type="buttons", x=0.0, y=0, xanchor="left", yanchor="top",
                          pad=dict(t=45), showactive=False,
                          buttons=[dict(label="play", method="animate", args=[None, play])])])


def loss_figure(history, names=("text", "tokens", "flow"), title="loss", window=10):
    """Logged losses over steps, means of `window` entries; history: name -> [(step, value)]."""
    figure = go.Figure()
    for color, name in zip(cycle(COLORS), [n for n in names if history.get(n)]):
        steps, values = np.array(history[name]).T
        sums = np.cumsum(np.append(0, values))
        first = np.maximum(np.arange(len(values)) + 1 - window, 0)  # fewer at the start
        values = (sums[1:] - sums[first]) / (np.arange(len(values)) + 1 - first)
        figure.add_scatter(x=steps, y=values, name=name, line=dict(color=color))
    figure.update_yaxes(type="log")
    figure.update_xaxes(title="step")
    figure.update_layout(title_text=title, height=320, **LAYOUT)
    return figure


def contact_sheet(images, title=""):
    """Pictures side by side; images: caption -> uint8 (h, w, 3)."""
    figure = make_subplots(1, len(images), subplot_titles=list(images), horizontal_spacing=0.01)
    for k, image in enumerate(images.values()):
        figure.add_image(source=png(image), row=1, col=k + 1)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(title_text=title, height=300, **LAYOUT)
    return figure


def png(image):
    """A picture as a data address: a tenth of the size of its numbers."""
    return _address(image, "png")


def jpeg(image, quality=75):
    """The same with losses, for the many frames of a film: a third of the size again."""
    return _address(image, "jpeg", quality=quality)


def _address(image, kind, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format=kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode()


def bars(table, title="", y=""):
    """Grouped bars with intervals; table: group -> {name: (value, low, high)}."""
    figure = go.Figure()
    names = list(dict.fromkeys(n for row in table.values() for n in row))
    for color, name in zip(cycle(COLORS), names):
        groups = [g for g in table if name in table[g]]
        value, low, high = np.array([table[g][name] for g in groups]).T
        figure.add_bar(x=groups, y=value, name=name, marker_color=color,
                       error_y=dict(array=high - value, arrayminus=value - low, color="#7a7a7a"))
    figure.update_layout(title_text=title, barmode="group", height=380, yaxis_title=y, **LAYOUT)
    return figure


def episode_figure(seconds, values, names, title=""):
    """Numbers of an episode over time, one line each; seconds (T,), values (T, n)."""
    figure = go.Figure()
    for k, name in enumerate(names):
        figure.add_scatter(x=seconds, y=values[:, k], name=name,
                           line=dict(color=COLORS[k % len(COLORS)],
                                     dash="solid" if k < len(COLORS) else "dot"))
    figure.update_xaxes(title="seconds")
    figure.update_layout(title_text=title, height=320, **LAYOUT)
    return figure


def compare_chunks(seconds, chunks, names, title=""):
    """Several chunks of the same moment; chunks: label -> (H, A)."""
    rows, columns = grid(len(names))
    figure = make_subplots(rows, columns, subplot_titles=names, shared_xaxes=True,
                           vertical_spacing=0.3 / rows, horizontal_spacing=0.05)
    for k, (label, chunk) in enumerate(chunks.items()):
        for a in range(len(names)):
            figure.add_scatter(x=seconds, y=chunk[:, a], name=label, legendgroup=label,
                               mode="lines",
                               showlegend=a == 0, row=a // columns + 1, col=a % columns + 1,
                               line=dict(color=COLORS[k % len(COLORS)],
                                         dash="dot" if k == 0 else "solid"))
    limit = 1.1 * max([1.0, *(float(np.abs(chunk).max()) for chunk in chunks.values())])
    figure.update_yaxes(range=[-limit, limit], zeroline=False)
    figure.update_xaxes(zeroline=False)
    figure.update_layout(**LAYOUT, title_text=title, height=170 * rows + 150, legend=NAMES_ABOVE)
    return figure


def mask_figure(mask, labels, title="who looks at whom: rows look at columns"):
    """Block picture of an attention mask: mask (rows, columns) bool, labels: one kind a column.

    Rows are the last len(mask) tokens of the sequence.
    """
    first = len(labels) - len(mask)  # the row of the first token that has one
    figure = go.Figure(go.Heatmap(
        z=mask.astype(np.uint8), zmin=0, zmax=1, showscale=False, xgap=0.5, ygap=0.5,
        colorscale=[[0, "rgba(127,127,127,0.15)"], [1, COLORS[0]]],
        hovertemplate="row %{y} looks at %{x}: %{z}<extra></extra>"))
    for names, update, line in ((labels, figure.update_xaxes, figure.add_vline),
                                (labels[first:], figure.update_yaxes, figure.add_hline)):
        starts = [i for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
        middle = [(i + j - 1) / 2 for i, j in zip(starts, [*starts[1:], len(names)])]
        update(tickvals=middle, ticktext=[names[i] for i in starts])
        for i in starts[1:]:
            line(i - 0.5, line_color="#7a7a7a", line_width=1)
    figure.update_xaxes(side="top")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(title_text=title, width=620, height=620,
                         **{**LAYOUT, "margin": dict(l=90, r=20, t=110, b=20)})
    return figure


def sequence_figure(model, batch, title="who looks at whom: rows look at columns"):
    """The mask of a batch's first row as the model builds it, the flow block behind the prefix."""
    with torch.inference_mode():
        prefix = model.embed(batch)[1]
    layout = prefix.append(model.expert.kinds(model.config.horizon))
    keep, mask = layout.valid[0], layout.mask()[0]
    pictures = prefix.kinds.shape[1] - batch.tokens.shape[1]
    names = ["pictures"] * pictures + [Kind(k).label for k in layout.kinds[0, pictures:].tolist()]
    labels = [name for name, k in zip(names, keep.tolist()) if k]
    return mask_figure(mask[keep][:, keep].cpu().numpy(), labels, title)
