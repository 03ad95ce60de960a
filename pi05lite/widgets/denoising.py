"""The live denoising widget: scrub flow time, change the noise and the number of steps."""

import ipywidgets as ui
import plotly.graph_objects as go

from pi05lite.trace import trace
from pi05lite.widgets.pictures import denoising_figure, lines


class DenoisingWidget(ui.VBox):
    """A slider over flow time for one observation, with the samples computed as you ask.

    policy: Policy; observation: Observation; subtask: text; truth (H, A') in the robot's units or
    None. `.figure()` gives the plain Figure that a saved notebook shows without a kernel.
    """

    def __init__(self, policy, observation, subtask, truth=None, names=None, samples=4):
        self.ask = dict(policy=policy, observation=observation, subtask=subtask, truth=truth,
                        names=names)
        self.samples = ui.IntSlider(samples, 1, 6, description="samples", continuous_update=False)
        self.steps = ui.SelectionSlider(options=sorted({1, 2, 5, 10, 20, 50, policy.steps}),
                                        value=policy.steps,
                                        description="steps", continuous_update=False)
        self.seed = ui.IntText(0, description="noise seed", layout=ui.Layout(width="170px"))
        self.at = ui.IntSlider(0, 0, policy.steps, description="at step",
                               layout=ui.Layout(width="60%"))
        self.said = ui.Label()
        self.picture = ui.Box()
        for control in (self.samples, self.steps, self.seed):
            control.observe(self.compute, "value")
        self.at.observe(self.show, "value")
        super().__init__([ui.HBox([self.samples, self.steps, self.seed]),
                          ui.HBox([self.at, self.said]), self.picture])
        self.compute()

    def compute(self, _=None):
        """Denoise again and draw from the start."""
        self.trace = trace(samples=self.samples.value, steps=self.steps.value,
                           seed=self.seed.value, **self.ask)
        plain = self.figure()
        plain.frames = ()  # the widget's own slider moves the lines
        plain.layout.sliders = plain.layout.updatemenus = ()
        self.live = go.FigureWidget(plain)
        self.moving = [line for line in self.live.data if line.legendgroup != "truth"]
        self.picture.children = [self.live]
        self.at.max = self.steps.value
        self.show()

    def show(self, _=None):
        """Move the lines to the chosen step."""
        n = min(self.at.value, len(self.trace.tau) - 1)
        self.said.value = f"flow time {self.trace.tau[n]:.2f} (0 noise, 1 action)"
        with self.live.batch_update():
            for line, y in zip(self.moving, lines(self.trace, n)):
                line.y = y

    def figure(self):
        """The plain Figure with frames of what is shown."""
        return denoising_figure(self.trace, f"denoising: {self.ask['subtask']}")
