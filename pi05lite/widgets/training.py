"""Training live: losses of every source and a sample chunk, updated while Lightning trains.

    live = TrainingWidget(observation, "pick up the cup", truth)
    display(live)                                    # before, or in a cell of its own
    fit(model, processor, mixture, recipe, out, callbacks=[live.callback(processor)])
"""

import time
from itertools import cycle
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import plotly.graph_objects as go
import torch
from lightning.pytorch.strategies import FSDPStrategy

from pi05lite.policy import Policy
from pi05lite.train.fit import history
from pi05lite.widgets.pictures import (
    COLORS,
    LAYOUT,
    TRUTH,
    denoising_figure,
    loss_figure,
    scrubber,
)
from pi05lite.widgets.stage import Stage, Staged, figure_pane

TERMS = ("text", "tokens", "flow")
SNAPSHOTS = 60  # sample chunks that are kept; then every other one is dropped


def sources_figure(history, title="loss of each source (dashed: flow)", window=10):
    """The losses of each source of the mixture over steps; history: as of `train.fit.history`.

    Cross-entropy of its words and tokens, and the flow error of its actions.
    """
    kinds = {"tokens/": "solid", "flow/": "dash"}
    sources = sorted({name.split("/", 1)[1] for name in history if name.startswith(tuple(kinds))})
    figure = loss_figure({}, (), title)
    for kind, dash in kinds.items():
        for color, source in zip(cycle(COLORS), sources):
            for line in loss_figure(history, (kind + source,), window=window).data:
                known = any(other.name == source for other in figure.data)
                figure.add_scatter(x=line.x, y=line.y, name=source, legendgroup=source,
                                   showlegend=not known, line=dict(color=color, dash=dash))
    return figure


def samples_figure(steps, chunks, truth, names, seconds, title="a sample chunk while it trains"):
    """The same moment's chunks after some training steps, a slider over those steps.

    steps (F,); chunks (F, K, H, A) and truth (H, A) or None normalised; the noise is the same.
    """
    tau = np.arange(len(steps))
    shown = SimpleNamespace(tau=tau, path=np.asarray(chunks, np.float32), names=names, truth=truth,
                            seconds=seconds, velocity=None)
    figure = denoising_figure(shown, title)
    for step, frame in zip(steps, figure.frames):
        frame.name = str(step)
    return figure.update_layout(scrubber(figure.frames, "step "))


def still_figure(losses, sources, samples=None):
    """The figures of a training in one: losses side by side, the sample chunks below.

    A line in the losses stands where the shown sample was drawn.
    """
    figure = go.Figure(samples) if samples else go.Figure(layout=dict(LAYOUT, height=60))
    share = 340 / (340 + figure.layout.height)  # of the plots' height, for the losses
    for axis in figure.select_yaxes() if samples else ():
        axis.domain = [(1 - share) * end for end in axis.domain]
    for note in figure.layout.annotations:
        note.y *= 1 - share
    for k, part in enumerate((losses, sources)):
        n, left = 101 + k, 0.54 * k
        place = dict(xaxis=f"x{n}", yaxis=f"y{n}", legend=f"legend{2 + k}")
        figure.add_traces([line.update(mode="lines", **place) for line in go.Figure(part).data])
        figure.update_layout({
            f"xaxis{n}": dict(domain=[left, left + 0.46], anchor=f"y{n}", zeroline=False),
            f"yaxis{n}": dict(domain=[1 - 0.65 * share, 1], anchor=f"x{n}", type="log"),
            f"legend{2 + k}": dict(x=left + 0.46, xanchor="right", y=1, yanchor="top",
                                   bgcolor="rgba(127,127,127,0.1)")})
        figure.add_annotation(text=part.layout.title.text, xref="paper", yref="paper", x=left,
                              xanchor="left", y=1, yanchor="bottom", showarrow=False)
        _mark(figure, [value for line in part.data for value in line.y], place)
    return figure.update_layout(
        height=figure.layout.height + 340, title_text="training",
        legend=dict(yref="paper", y=1 - 0.83 * share, yanchor="middle"))


def _mark(figure, values, place):
    """Add an upright line that stands at each frame's step; values: that it reaches over."""
    if not figure.frames:
        return
    y = [min(values, default=1), max(values, default=1)]
    steps = [int(frame.name) for frame in figure.frames]
    figure.add_scatter(x=[steps[0]] * 2, y=y, mode="lines", showlegend=False, hoverinfo="skip",
                       line=dict(color=TRUTH, width=1), **place)
    for frame, step in zip(figure.frames, steps):
        frame.traces = [*frame.traces, len(figure.data) - 1]
        frame.data = [*frame.data, go.Scatter(x=[step] * 2, y=y)]


def thinned(rows, most=1000):
    """[(step, value)] as means of neighbours, so that at most so many are left to draw."""
    n = -(-len(rows) // most)
    return rows if n <= 1 else [tuple(np.mean(rows[i:i + n], axis=0))
                                for i in range(0, len(rows), n)]


class TrainingWidget(Staged):
    """Losses and a sample chunk of a running or finished training.

    observation, subtask: the moment whose chunk is sampled, or None for losses alone; truth (H, A')
    in the robot's units; samples: noises; every: seconds between two pictures, at least; losses:
    name -> [(step, value)] of a run that was.
    """

    title = "training"

    def __init__(self, observation=None, subtask=None, truth=None, names=None, samples=3, every=2.0,
                 losses=None):
        self.moment = None if observation is None else (observation, subtask, truth)
        self.names, self.samples, self.every = names, samples, every
        self.losses = dict(losses or {})  # name -> [(step, value)]
        self.steps, self.chunks, self.seen = [], [], None
        super().__init__([], Stage(caption="training step of the sample", beat=200))
        self.draw()

    def callback(self, processor, log_every=1, sample_every=20):
        """The Lightning callback that feeds this widget; both in training steps."""
        return LiveCallback(self, processor, log_every, sample_every)

    def note(self, step, losses):
        """Keep the losses (name -> value) of a step.

        A value that is exactly the last one is left over from a batch before: this one had none.
        """
        for name, value in losses.items():
            kept = self.losses.setdefault(name, [])
            if not kept or kept[-1][1] != value:
                kept.append((step, value))

    def sample(self, step, policy):
        """Denoise the moment's chunk with the model as it is, from the same noise each time."""
        observation, subtask, truth = self.moment
        robot = policy.processor.robot(observation.robot)
        points = policy.denoise(policy.batch(observation, subtask, "low"), robot.name,
                                samples=self.samples)
        self.chunks.append(points[-1][..., :robot.action_size].float().cpu().numpy())
        self.steps.append(step)
        if len(self.steps) > SNAPSHOTS:
            self.steps, self.chunks = self.steps[::2], self.chunks[::2]
        self.seen = dict(
            truth=None if truth is None else robot.to_model(truth, observation.state),
            names=self.names or [f"action {a}" for a in range(robot.action_size)],
            seconds=np.arange(policy.model.config.horizon) / robot.fps)

    def draw(self):
        """Show all that is known now; the slider follows the newest sample if it was there."""
        newest = self.stage.at >= self.stage.count - 1
        losses, sources, *samples = self.figures()
        panes = [figure_pane(losses, flex="1 1 420px"), figure_pane(sources, flex="1 1 420px")]
        panes += [figure_pane(figure) for figure in samples]
        labels = [f"sample after step {step}" for step in self.steps] or [""]
        self.stage.put(panes, labels)
        if newest:
            self.stage.at = self.stage.count - 1

    def figures(self):
        """The losses, those of each source, and the sample chunks if there are any."""
        losses = {name: thinned(rows) for name, rows in self.losses.items()}
        found = [loss_figure(losses, TERMS, "losses (means of 10)"), sources_figure(losses)]
        if self.steps:
            found.append(samples_figure(self.steps, np.stack(self.chunks), **self.seen))
        return found

    def figure(self):
        """The plain Figure that a saved notebook shows without a kernel."""
        return still_figure(*self.figures())


class LiveCallback(pl.Callback):
    """Feeds a TrainingWidget; changes nothing of the run: no random number, no weight, no mode."""

    def __init__(self, widget, processor, log_every, sample_every):
        self.widget, self.processor = widget, processor
        self.log_every, self.sample_every, self.drawn = log_every, sample_every, 0.0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        """Note the losses, sample and draw where it is due; the first process alone."""
        step = trainer.global_step
        if trainer.global_rank or (step % self.log_every and step % self.sample_every):
            return
        if step % self.log_every == 0:
            self.widget.note(step, {name: float(value) for name, value in
                                    trainer.callback_metrics.items() if self._is_loss(name)})
        whole = not isinstance(trainer.strategy, FSDPStrategy)  # no process has it all else
        if self.widget.moment and whole and (step % self.sample_every == 0 or step == 1):
            self._sample(step, module)
        if time.monotonic() - self.drawn > self.widget.every:
            self._draw()

    def on_train_end(self, trainer, module):
        """The last picture, kept in the notebook."""
        if not trainer.global_rank:
            self._draw()
            self.widget.renew()

    def on_exception(self, trainer, module, exception):
        """A training that is interrupted has a last picture too."""
        self.on_train_end(trainer, module)

    def _is_loss(self, name):
        return name in (*TERMS, "loss") or name.startswith(("tokens/", "flow/"))

    def _sample(self, step, module):
        training = module.model.training
        with torch.random.fork_rng(devices=[]):
            self.widget.sample(step, Policy(module.model, self.processor))
        module.model.train(training)

    def _draw(self):
        self.widget.draw()
        self.drawn = time.monotonic()  # after drawing, so that slow machines train in between


def finished(out):
    """The widget of a finished (or interrupted) run, from its logs."""
    return TrainingWidget(losses=history(out))


def compare_figure(runs, name="flow", title=None, window=10):
    """One loss of several runs; runs: label -> run folder."""
    figure = go.Figure()
    for color, (label, out) in zip(cycle(COLORS), runs.items()):
        line = loss_figure(history(out), (name,), window=window).data
        if line:
            figure.add_scatter(x=line[0].x, y=line[0].y, name=label, line=dict(color=color))
    figure.update_yaxes(type="log")
    figure.update_xaxes(title="step")
    figure.update_layout(**LAYOUT, title_text=title or f"{name} loss", height=320)
    return figure
