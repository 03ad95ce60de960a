"""The sequence widget: the token layout, and who sees whom, for each mode."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import plotly.graph_objects as go
import torch

from pi05lite.model.masks import Layout
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.vocabulary import PAD
from pi05lite.widgets.attention import PART_COLORS
from pi05lite.widgets.pictures import COLORS, LAYOUT, scrubber
from pi05lite.widgets.stage import Stage, Staged, figure_pane, text_pane

# What may look at what, and the colours of the blocks of a sequence.
PARTS = {"pictures": COLORS[0], "prompt": PART_COLORS["prompt"], "text": PART_COLORS["subtask"],
         "action": PART_COLORS["tokens"], "state": PART_COLORS["state"],
         "flow": PART_COLORS["flow"], "padding": PART_COLORS["padding"]}
WORDS = {"text": "subtask", "action": "action tokens", "flow": "action steps (flow)"}
MOST = 24  # tokens that are drawn of one block; more would be the same again


@dataclass(frozen=True)
class Mode:
    """One way in which a sequence is laid out: how many tokens of each part, in order."""

    name: str
    says: str
    parts: tuple  # ((part, how many), ...)
    labels: tuple = ()  # what each token says, where that is known

    @property
    def tokens(self):
        """The part of each token, (T,) list."""
        return [part for part, count in self.parts for _ in range(count)]

    @property
    def layout(self):
        """The Layout (one row) that the model would make of it."""
        kind = {"pictures": Kind.PROMPT, "padding": Kind.PROMPT, **{k.label: k for k in Kind}}
        return Layout(torch.tensor([[int(kind[part]) for part in self.tokens]]),
                      torch.tensor([[part != "padding" for part in self.tokens]]))


def modes(model, prompt=20, text=6, tokens=12, padding=4):
    """The modes of a Pi05, with its own cameras, patches and horizon.

    The other numbers are examples: prompt, text, tokens, padding.
    """
    c = model.config
    pictures = len(c.cameras) * model.vision.tokens_per_image(c.vision.image_size)
    start = (("pictures", pictures), ("prompt", prompt))
    said = (("text", text), ("action", tokens), ("padding", padding))
    expert = tuple(runs(Kind(k).label for k in model.expert.kinds(c.horizon)))
    return [
        Mode("high level", "The overall prompt is read whole; the subtask is written word by word, "
             "each seeing what was written before.", (*start, said[0])),
        Mode("low level", "At run time: the prompt holds the subtask, and the action steps are "
             "denoised together, each seeing all others.", (*start, *expert)),
        Mode("pre-training", "Subtask and action tokens are predicted one after the other; the "
             "action expert does not exist yet.", (*start, *said)),
        Mode("post-training", "All in one sequence. The flow never sees the action tokens, which "
             "say the same chunk; nothing sees the flow, and nothing sees padding.",
             (*start, *said, *expert)),
    ]


def runs(names):
    """Equal neighbours counted: a, a, b -> (a, 2), (b, 1)."""
    return [(name, len(list(same))) for name, same in groupby(names)]


def batch_mode(model, batch, text=None, name="this batch"):
    """The Mode of a batch's first row as the model builds it, flow block included.

    text: the TextTokenizer that tells what its words are.
    """
    expert = model.expert.kinds(model.config.horizon)
    with torch.inference_mode():
        layout = model.embed(batch)[1].append(expert)
    ids = batch.tokens[0].tolist()
    pictures = layout.kinds.shape[1] - len(ids) - len(expert)
    parts = ["pictures"] * pictures + [Kind(k).label for k in layout.kinds[0, pictures:].tolist()]
    parts = [part if valid else "padding" for part, valid in zip(parts, layout.valid[0].tolist())]
    words = [text.decode([i]) if text and PAD < i < model.config.vocabulary.text else ""
             for i in ids]
    return Mode(name, "The first example of the batch, as the model sees it.", tuple(runs(parts)),
                ("",) * pictures + tuple(words) + ("",) * len(expert))


def blocks(mode):
    """The runs of equal tokens: [(part, the numbers of those that are drawn, how many)]."""
    out, first = [], 0
    for part, count in mode.parts:
        out.append((part, range(first, first + min(count, MOST)), count))
        first += count
    return out


def masks_figure(modes, title="who sees whom: rows look at columns"):
    """Block pictures of the masks of some Modes, a slider from one to the next.

    A column has the colour of its part where the row may look at it. Of long blocks the first
    tokens are drawn, and the axis says so. Works in a saved notebook without a kernel.
    """
    colors = ["rgba(127,127,127,0.12)", *PARTS.values()]
    n = len(colors)
    scale = [[(k + e) / n, color] for k, color in enumerate(colors) for e in (0, 1)]
    frames = [go.Frame(name=mode.name, data=[go.Heatmap(**_cells(mode))], layout=_axes(mode))
              for mode in modes]
    figure = go.Figure(go.Heatmap(
        **_cells(modes[0]), zmin=-0.5, zmax=n - 0.5, colorscale=scale, showscale=False,
        hovertemplate="%{y}<br>looks at %{x}: %{text}<extra></extra>"), layout=frames[0].layout)
    figure.frames = frames
    figure.update_layout(**{**LAYOUT, "margin": dict(l=190, r=90, t=140, b=10)}, height=700,
                         title_text=title, **scrubber(frames, "mode: ", redraw=True))
    return figure


def _cells(mode):
    """The drawn part of the mask: 0 where a row may not look, else 1 + the number of the part."""
    shown = [i for _, drawn, _ in blocks(mode) for i in drawn]
    mask = mode.layout.mask()[0].numpy()[np.ix_(shown, shown)]
    part = np.array([1 + list(PARTS).index(mode.tokens[i]) for i in shown], np.uint8)
    names = _names(mode)
    return dict(z=mask * part[None], x=names, y=names, text=np.where(mask, "yes", "never"))


def _names(mode):
    """A name of its own for each token that is drawn: number in its block, position, word."""
    places, out = mode.layout.positions()[0].tolist(), []
    for part, drawn, count in blocks(mode):
        for k, i in enumerate(drawn, 1):
            where = "" if part == "padding" else f", position {places[i]}"
            said = f" “{mode.labels[i]}”" if mode.labels and mode.labels[i] else ""
            out.append(f"{WORDS.get(part, part)} {k} of {count}{where}{said}")
    return out


def _axes(mode):
    """Both axes, each block named in its middle, and the lines between the blocks."""
    middles, texts, edges, first = [], [], [], 0
    for part, drawn, count in blocks(mode):
        middles.append(first + (len(drawn) - 1) / 2)
        texts.append(f"{WORDS.get(part, part)} {count}" + (
            f" ({MOST} drawn)" if count > MOST else ""))
        edges.append(first - 0.5)
        first += len(drawn)
    ticks = dict(type="category", tickvals=middles, ticktext=texts, showgrid=False, zeroline=False,
                 automargin=False)
    line = dict(type="line", line=dict(color="rgba(127,127,127,0.8)", width=1))
    lines = [dict(line, **{f"{a}0": at, f"{a}1": at, f"{b}ref": "paper", f"{b}0": 0, f"{b}1": 1})
             for at in edges[1:] for a, b in ("xy", "yx")]
    return dict(xaxis=dict(**ticks, side="top", range=[-0.5, first - 0.5], tickangle=-30),
                yaxis=dict(**ticks, range=[first - 0.5, -0.5]), shapes=lines)


class SequenceWidget(Staged):
    """The masks of some Modes, one after the other; hover a cell for the two tokens it is about."""

    title = "who sees whom"

    def __init__(self, modes):
        self.modes = list(modes)
        words = [f"{mode.name}: {mode.says}" for mode in self.modes]
        super().__init__([], Stage([text_pane(words), figure_pane(self.figure(), redraw=True)],
                                   [mode.name for mode in self.modes], caption="mode", beat=2500))

    def figure(self):
        """The plain Figure that a saved notebook shows without a kernel."""
        return masks_figure(self.modes)


def sequences(model, batch=None, text=None):
    """The sequence widget for a Pi05: its modes, and the first example of a batch if given.

    text: the TextTokenizer that tells what the words of the batch are.
    """
    own = [] if batch is None else [batch_mode(model, batch, text)]
    return SequenceWidget([*modes(model), *own])
