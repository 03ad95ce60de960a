"""The codebook and FAST widget: a chunk, its tokens, what each adds; change one and see."""

import ipywidgets as ui
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.widgets.pictures import COLORS, LAYOUT, NAMES_ABOVE, TRUTH, grid, scrubber
from pi05lite.widgets.stage import Stage, Staged, figure_pane

MOST = 48  # places of the slider: with more tokens it goes several at a time


def prefixes(tokenizer, tokens, shape):
    """What the first n tokens decode to: the numbers n shown (F,), and the chunks (F, H, A)."""
    counts = np.unique(np.linspace(0, len(tokens), min(MOST, len(tokens) + 1)).astype(int))
    return counts, tokenizer.decode([list(tokens[:n]) for n in counts], *shape)[0]


def codes_figure(chunk, counts, decoded, names=None, seconds=None, changed=None,
                 title="the chunk that the first tokens spell"):
    """A chunk (H, A) normalised against what its first n tokens decode to, n on a slider.

    counts, decoded: of `prefixes`; changed (H, A): what the tokens decode to with a change. Works
    in a saved notebook without a kernel.
    """
    H, A = chunk.shape
    names = names or [f"action {a}" for a in range(A)]
    seconds = np.arange(H) if seconds is None else np.asarray(seconds)
    rows, columns = grid(A)
    figure = make_subplots(rows, columns, subplot_titles=names, shared_xaxes=True,
                           vertical_spacing=0.3 / rows, horizontal_spacing=0.05)
    drawn = {"chunk": (chunk, dict(color=TRUTH, width=3, dash="dot")),
             "with the token changed": (changed, dict(color=COLORS[5], width=2)),
             "first tokens": (decoded[0], dict(color=COLORS[0], width=2))}
    drawn = {name: pair for name, pair in drawn.items() if pair[0] is not None}
    for a in range(A):
        for name, (values, line) in drawn.items():
            figure.add_scatter(x=seconds, y=values[:, a], mode="lines", name=name, line=line,
                               legendgroup=name, showlegend=a == 0,
                               row=a // columns + 1, col=a % columns + 1)
    moving = [i for i, line in enumerate(figure.data) if line.name == "first tokens"]
    figure.frames = [go.Frame(name=str(n), traces=moving, data=[
        go.Scatter(y=decoded[f, :, a]) for a in range(A)]) for f, n in enumerate(counts)]
    limit = 1.15 * max(1.0, *(float(np.abs(values).max()) for values, _ in drawn.values()),
                       float(np.abs(decoded).max()))
    figure.update_yaxes(range=[-limit, limit], zeroline=False)
    figure.update_xaxes(zeroline=False)
    figure.update_layout(**LAYOUT, title_text=title, height=170 * rows + 200, legend=NAMES_ABOVE,
                         **scrubber(figure.frames, "tokens: "))
    return figure


def tokens_figure(chunk, tokens, counts, decoded, chosen=None):
    """One bar a token: how much of the chunk's error it takes away; a line where the slider is.

    counts, decoded: of `prefixes`; chosen: the place of a token to point out. For a codebook a
    missing code stands for the average one, so a first code can make it worse.
    """
    error = np.sqrt(np.square(decoded - chunk).mean(axis=(1, 2)))
    gain = -np.diff(error)
    steps = list(zip(counts, counts[1:]))
    text = [f"token {j}: id {tokens[i]}" if j == i + 1 else
            f"tokens {i + 1} to {j}: ids {', '.join(map(str, tokens[i:j]))}" for i, j in steps]
    figure = go.Figure(go.Bar(
        x=counts[1:], y=gain.astype(np.float32), text=text, textposition="none",
        marker=dict(line_width=0, color=[
            COLORS[5] if chosen is not None and i <= chosen < j else COLORS[0] for i, j in steps]),
        hovertemplate="%{text}<br>takes away %{y:.3f}<extra></extra>"))
    low, high = float(min(0, gain.min(initial=0))), float(gain.max(initial=1e-3))
    figure.add_scatter(x=[0.5, 0.5], y=[low, high], mode="lines", line=dict(color=TRUTH, width=2),
                       hoverinfo="skip")
    figure.frames = [go.Frame(name=str(n), traces=[1], data=[
        go.Scatter(x=[n + 0.5] * 2, y=[low, high])]) for n in counts]
    figure.update_xaxes(title="token", zeroline=False, range=[0.3, len(tokens) + 0.7])
    figure.update_yaxes(title="error taken away", zeroline=False)
    figure.update_layout(**LAYOUT, showlegend=False, height=380, title_text="what each token adds "
                         f"(RMSE {error[0]:.3f} with none, {error[-1]:.3f} with all)",
                         **scrubber(figure.frames, "tokens: ", redraw=True))
    return figure


def usage(tokenizer, chunks):
    """How often each id occurs in chunks (B, H, A): counts (V,), and their perplexity."""
    ids = [i for row in tokenizer.encode(chunks) for i in row]
    counts = np.bincount(ids, minlength=tokenizer.vocabulary_size)
    share = counts[counts > 0] / max(1, counts.sum())
    return counts, float(np.exp(-(share * np.log(share)).sum()))


def usage_figure(counts, perplexity, where="some chunks"):
    """How often each id of the vocabulary occurs, most frequent first; of `usage`."""
    order = np.argsort(-counts, kind="stable")
    figure = go.Figure(go.Scatter(
        x=np.arange(1, len(counts) + 1), y=counts[order], mode="lines", fill="tozeroy",
        line=dict(color=COLORS[2], shape="hvh"), text=[f"id {i}" for i in order],
        hovertemplate="%{text}: %{y} times<extra></extra>"))
    figure.update_xaxes(title="ids, most frequent first", zeroline=False)
    figure.update_yaxes(title="times", zeroline=False, rangemode="tozero")
    figure.update_layout(**LAYOUT, height=320, title_text=(
        f"{(counts > 0).sum()} of {len(counts)} ids occur in {where}; perplexity {perplexity:.0f}"))
    return figure


class CodesWidget(Staged):
    """A chunk in tokens: scrub how many of them are decoded, change one of them.

    tokenizer: any ActionTokenizer; chunk (H, A) normalised; chunks (B, H, A): for usage and
    perplexity, or None. `tokens` are the chunk's, `changed` those with the change. A click on a
    token's bar chooses it.
    """

    def __init__(self, tokenizer, chunk, names=None, seconds=None, chunks=None):
        self.tokenizer, self.chunk = tokenizer, np.asarray(chunk, np.float32)
        self.names, self.seconds = names, seconds
        self.tokens = [int(i) for i in tokenizer.encode(self.chunk[None])[0]]
        self.counts, self.decoded = prefixes(tokenizer, self.tokens, self.chunk.shape)
        self.usage = None if chunks is None else figure_pane(
            usage_figure(*usage(tokenizer, chunks), f"{len(chunks)} chunks"),
            flex="1 1 420px")
        self.title = f"{type(tokenizer).__name__}: {self.chunk.size} numbers, " \
                     f"{len(self.tokens)} tokens"
        wide = dict(continuous_update=False, style=dict(description_width="initial"),
                    layout=ui.Layout(width="420px"))
        self.place = ui.IntSlider(1, 1, len(self.tokens), description="change token", **wide)
        self.id = ui.IntSlider(self.tokens[0], 0, tokenizer.vocabulary_size - 1,
                               description="to id", **wide)
        self.back = ui.Button(description="its own again")
        self.said = ui.HTML()
        self.place.observe(self.choose, "value")
        self.id.observe(self.compute, "value")
        self.back.on_click(self.choose)
        super().__init__([ui.HBox([self.place, self.id, self.back],
                                  layout=ui.Layout(flex_flow="row wrap")), self.said],
                         Stage(caption="tokens decoded", beat=200))
        self.compute()
        self.stage.at = self.stage.count - 1
        self.stage.observe(self._clicked, "clicked")

    @property
    def changed(self):
        """The tokens with the change."""
        k = self.place.value - 1
        return [*self.tokens[:k], self.id.value, *self.tokens[k + 1:]]

    def choose(self, _=None):
        """Another token is to be changed: begin from its own id."""
        own = self.tokens[self.place.value - 1]
        if self.id.value == own:
            self.compute()
        self.id.value = own  # which computes, if it is another

    def _clicked(self, change):
        if change.new["pane"] == 1 and change.new["curve"] == 0:
            self.place.value = change.new["x"]

    def compute(self, _=None):
        """Decode and draw again."""
        k = self.place.value - 1
        spelled, ok = self.tokenizer.decode([self.changed], *self.chunk.shape)
        self.other = None if self.changed == self.tokens else spelled[0]
        self.said.value = "tokens: " + " ".join(
            f"<b>{i}</b>" if n == k else str(i) for n, i in enumerate(self.changed))
        if self.other is not None:
            error = np.sqrt(np.square(self.other - self.chunk).mean())
            self.said.value += f"; RMSE with the change {error:.3f}" + (
                "" if ok[0] else ", and the tokens no longer spell a whole chunk")
        adds = tokens_figure(self.chunk, self.tokens, self.counts, self.decoded, k)
        panes = [figure_pane(self.figure()), figure_pane(adds, True, "1 1 420px")]
        self.put(panes + ([self.usage] if self.usage else []),
                 [f"{n} of {len(self.tokens)} tokens" for n in self.counts])

    def figure(self):
        """The plain Figure that a saved notebook shows without a kernel."""
        return codes_figure(self.chunk, self.counts, self.decoded, self.names, self.seconds,
                            self.other, self.title)


def codes(tokenizer, chunk, names=None, seconds=None, chunks=None):
    """The codebook and FAST widget for one chunk: see CodesWidget."""
    return CodesWidget(tokenizer, chunk, names, seconds, chunks)
