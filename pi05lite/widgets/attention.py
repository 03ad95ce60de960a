"""Token attention: point at any token, an action step too, and see what it reads."""

import math

import anywidget
import numpy as np
import plotly.graph_objects as go
import traitlets
from plotly.subplots import make_subplots

from pi05lite.errors import ConfigError, say
from pi05lite.trace import rollouts, trace
from pi05lite.widgets import page
from pi05lite.widgets.pictures import COLORS, LAYOUT, jpeg, png, scrubber

MOST = 8_000_000  # bytes of attention that go to the browser at once; more is fetched row by row
FULL = 65535  # a share of 1 in the rows that the browser gets
HEAT = (232, 115, 26)  # the colour of what is read most
STILLS = 26  # tokens that the still has a frame for
PART_COLORS = {"prompt": COLORS[1], "state": COLORS[4], "subtask": COLORS[2], "tokens": COLORS[3],
               "flow": COLORS[5], "padding": "#8a8f98"}


def attend(policy, observation, subtask, prompt=None, truth=None, **options):
    """The attention widget for one observation.

    subtask: what the actions follow; prompt: the overall prompt, to see all parts in one sequence
    as in training (None: the low level as it runs, which reads the subtask alone); truth (H, A') in
    the robot's units, for the action tokens. options: of `pi05lite.trace.trace` (steps, seed, ...).
    """
    options = {"samples": 1, "tokens": True, "pad": 8, **options}
    return AttentionWidget(trace(policy, observation, subtask, truth, prompt=prompt, **options))


class Attention:
    """Rows of attention of a Trace: what token i of the prefix, or action step h, reads."""

    def __init__(self, trace):
        self.trace = trace
        self.layers, self.heads, self.T = trace.prefix_attention.shape[:3]
        self.steps, self.H = len(trace.flow_attention), trace.flow_attention.shape[3]
        self.rolled = rollouts(trace.prefix_attention)  # (layers, T, T)
        self.flow_rolled = [rollouts(a, self.rolled)[-1] for a in trace.flow_attention]
        self.parts = [*trace.parts, *["flow"] * self.H]

    def row(self, token, step=-1, layer=None, head=None):
        """The shares (S,) that token `token` reads of each token; sums to 1.

        token: 0 to T - 1 in the prefix, then the H action steps, at denoising step `step`.
        layer, head: None for the mean of all; layer "rollout": over the layers. Raises ConfigError
        for a token that is not there, or padding.
        """
        rows, rolled = self._rows(token, step)
        if layer == "rollout":
            return rolled
        rows = rows if layer is None else rows[layer:layer + 1]
        return (rows if head is None else rows[:, head:head + 1]).mean(axis=(0, 1))

    def _rows(self, token, step):
        """All rows (layers, heads, S) of a token, and its rollout (S,)."""
        if not 0 <= token < self.T + self.H or self.parts[token] == "padding":
            raise ConfigError(say("token", f"0 to {self.T + self.H - 1}, and not padding", token,
                                  "widget.attention.parts tells what each token belongs to"))
        if token < self.T:
            return self.trace.prefix_attention[:, :, token], self.rolled[-1, token]
        h = token - self.T
        return self.trace.flow_attention[step][:, :, h], self.flow_rolled[step][h]

    def mass(self, token, **view):
        """{part: share} of what a token reads, in the order of the sequence; view: as in `row`."""
        row, out = self.row(token, **view), {}
        for part, share in zip(self.parts, row):
            out[part] = out.get(part, 0.0) + float(share)
        return out

    def packed(self, key):
        """The rows of one key as uint16 (layers * heads + 1, S): 0 only where it may not look.

        key: a prefix token, or T + step * H + h.
        """
        if key < self.T and self.parts[key] == "padding":
            return np.zeros((self.layers * self.heads + 1, self.T), np.uint16)
        step, h = divmod(key - self.T, self.H)
        rows, rolled = self._rows(key if key < self.T else self.T + h, step)
        rows = np.concatenate([rows.reshape(-1, rows.shape[-1]), rolled[None]])
        return np.where(rows > 0, np.maximum(1, np.rint(rows * FULL)), 0).astype(np.uint16)

    @property
    def keys(self):
        """How many keys there are."""
        return self.T + self.steps * self.H

    @property
    def size(self):
        """Bytes of all packed rows."""
        return 2 * (self.layers * self.heads + 1) * (
            self.T**2 + self.steps * self.H * (self.T + self.H))

    def cameras(self):
        """[(slot, first token, rows, columns)] of the pictures."""
        found = []
        for slot in dict.fromkeys(p for p in self.parts if p in self.trace.images):
            count, side = self.parts.count(slot), math.isqrt(self.parts.count(slot))
            square = side * side == count
            found.append((slot, self.parts.index(slot), side if square else 1,
                          side if square else count))
        return found


class AttentionWidget(anywidget.AnyWidget):
    """The whole sequence as coloured blocks; hover previews what a token reads, a click locks it.

    trace: pi05lite.trace.Trace; most: bytes of its rows that go to the browser, and into a saved
    notebook, all at once; where there are more, each is fetched when it is asked for. `selected`,
    `step`, `layer`, `head` can be set from Python as well: selected: a token (the T of the prefix,
    then the action steps); layer, head: -1 for the mean, layer -2 for the rollout. Keys: arrows
    left and right choose a token, up and down what is shown, [ and ] the denoising step, enter
    locks, escape unlocks.
    """

    _esm, _css = page.script("attention.js"), page.FOLDER.joinpath("attention.css").read_text()
    exported = ("data", "selected", "locked", "step", "layer", "head")
    data = traitlets.Dict().tag(sync=True)
    rows = traitlets.Bytes().tag(sync=True)
    selected = traitlets.Int().tag(sync=True)
    locked = traitlets.Bool(False).tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    layer = traitlets.Int(-1).tag(sync=True)
    head = traitlets.Int(-1).tag(sync=True)

    def __init__(self, trace, title="who reads what", most=None):
        self.attention, self.title = Attention(trace), title
        a, most = self.attention, MOST if most is None else most
        everything = (a.packed(key).tobytes() for key in range(a.keys))
        super().__init__(data=self._data(trace), selected=a.T, step=a.steps - 1,
                         rows=b"".join(everything) if a.size <= most else b"")
        self.on_msg(self._answer)

    def _data(self, trace):
        a = self.attention
        names = [readable(trace, i) for i in range(a.T)]
        cameras = [{"slot": slot, "src": png(trace.images[slot]), "first": first, "rows": rows,
                    "columns": columns} for slot, first, rows, columns in a.cameras()]
        return {"tokens": names, "parts": trace.parts, "cameras": cameras, "layers": a.layers,
                "heads": a.heads, "steps": a.steps, "T": a.T, "H": a.H,
                "tau": [round(float(t), 4) for t in trace.tau],
                "seconds": [round(float(s), 3) for s in trace.seconds]}

    def _answer(self, _, message, buffers):
        """Send the rows of a key that the browser lacks."""
        if "need" in message:
            key = int(message["need"])
            self.send({"row": key}, [self.attention.packed(key).tobytes()])

    def reading(self):
        """The shares (S,) that are shown now."""
        layer = "rollout" if self.layer == -2 else None if self.layer < 0 else self.layer
        return self.attention.row(self.selected, self.step, layer,
                                  None if self.head < 0 else self.head)

    def figure(self):
        """The plain Figure that a saved notebook shows without a kernel."""
        return attention_figure(self.attention.trace, self.title)

    def _ipython_display_(self, **_):
        page.show(self, self.figure())

    def save_html(self, path):
        """Write the widget as one HTML file; returns the path.

        Where all rows are too large for a file, the heads are averaged.
        """
        if self.rows:
            return page.write(path, self, self.title)
        a = self.attention
        whole = a.trace if a.size <= MOST else averaged(a.trace)
        return page.write(path, AttentionWidget(whole, self.title), self.title)


def averaged(trace):
    """A smaller Trace to export: heads averaged, the last denoising step, in layers if it fits."""
    from dataclasses import replace

    prefix, flow = (x.mean(axis=axis, keepdims=True, dtype=np.float32) for x, axis in (
        (trace.prefix_attention, 1), (trace.flow_attention[-1:], 2)))
    small = replace(trace, prefix_attention=prefix, flow_attention=flow, tau=trace.tau[-2:])
    if Attention(small).size > MOST:
        small = replace(small, prefix_attention=prefix.mean(axis=0, keepdims=True),
                        flow_attention=flow.mean(axis=1, keepdims=True))
    return small


def attention_figure(trace, title="who reads what", layer=None, head=None):
    """What words and action steps read: heat over each camera's patches, and the share of each part

    A slider over some words and action steps; layer, head: as in `Attention.row`. Works in a saved
    notebook without a kernel.
    """
    a = Attention(trace)
    cameras, parts = a.cameras(), list(dict.fromkeys(a.parts))
    figure = make_subplots(1, len(cameras) + 1, horizontal_spacing=0.04, column_widths=[
        *[1] * len(cameras), 1.3], subplot_titles=[*[c[0] for c in cameras], "share of each part"])
    words = [i for i in range(a.T) if a.parts[i] in ("subtask", "tokens", "prompt")]
    asked = [*_spread(words, STILLS // 2), *_spread(range(a.T, a.T + a.H), STILLS // 2)]

    def traces(i):
        row = np.pad(a.row(i, layer=layer, head=head), (0, a.H if i < a.T else 0))
        most = max([row[f:f + r * c].max() for _, f, r, c in cameras] or [1.0]) or 1.0
        seen = [go.Image(source=jpeg(heated(trace.images[slot], row[f:f + r * c].reshape(r, c)
                                            / most))) for slot, f, r, c in cameras]
        mass = [sum(row[k] for k, p in enumerate(a.parts) if p == part) for part in parts]
        return [*seen, go.Bar(x=np.array(mass, np.float32))]

    first = traces(asked[0])
    for k in range(len(cameras)):
        figure.add_trace(first[k], row=1, col=k + 1)
        figure.update_xaxes(visible=False, row=1, col=k + 1)
        figure.update_yaxes(visible=False, row=1, col=k + 1)
    first[-1].update(y=parts, orientation="h", hovertemplate="%{y}: %{x:.1%}<extra></extra>",
                     marker_color=[PART_COLORS.get(p, COLORS[0]) for p in parts])
    figure.add_trace(first[-1], row=1, col=len(cameras) + 1)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", row=1, col=len(cameras) + 1)
    figure.update_yaxes(autorange="reversed", row=1, col=len(cameras) + 1)
    figure.frames = [go.Frame(name=_name(trace, a, i), data=traces(i)) for i in asked]
    figure.update_layout(**LAYOUT, **scrubber(figure.frames, "token: ", redraw=True), height=420,
                         showlegend=False, title_text=title)
    return figure


def heated(image, heat):
    """A picture (px, px, 3) uint8 under the heat (rows, columns) of its patches in [0, 1]."""
    rows = np.arange(image.shape[0]) * heat.shape[0] // image.shape[0]
    columns = np.arange(image.shape[1]) * heat.shape[1] // image.shape[1]
    heat = np.clip(heat[rows][:, columns], 0, 1)[..., None]  # (px, px, 1)
    dark = image * (0.6 + 0.4 * heat)
    return np.rint(dark + 0.72 * heat * (np.array(HEAT) - dark)).astype(np.uint8)


def _spread(items, count):
    """At most `count` of the items, evenly spread."""
    items = list(items)
    return [items[k] for k in np.unique(np.linspace(0, len(items) - 1, count).astype(int))
            ] if items else []


def readable(trace, i):
    """A name for token i of the prefix, never empty."""
    label, part = trace.labels[i], trace.parts[i]
    if part == "padding":
        return "-"
    if not label:
        return "<eos>" if part in ("subtask", "tokens") else "<bos>"
    return label.strip("<>") if part == "tokens" else label


def _name(trace, a, i):
    """A name for a frame, unlike any other."""
    if i >= a.T:
        return f"action step {i - a.T + 1}"
    return f"{i} {readable(trace, i).strip()} ({a.parts[i]})"
