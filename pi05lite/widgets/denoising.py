"""The denoising widget: scrub flow time, change noise, samples, steps and solver."""

import ipywidgets as ui

from pi05lite.model.flow import SOLVERS
from pi05lite.trace import trace
from pi05lite.widgets.paths import camera_figure, modes_figure, path_figure
from pi05lite.widgets.pictures import denoising_figure
from pi05lite.widgets.stage import Stage, Staged, figure_pane


def denoise(policy, observation, subtask, truth=None, **options):
    """The denoising widget for one observation: see DenoisingWidget."""
    return DenoisingWidget(policy, observation, subtask, truth, **options)


class DenoisingWidget(Staged):
    """From noise to a chunk, for one observation, with the samples computed as you ask.

    policy: Policy; observation: Observation; subtask: text; truth (H, A') in the robot's units or
    None; names of the action dimensions; world: of the home that the observation is from, for the
    exact places of its cameras. Each dimension over the chunk with this step's velocity as arrows;
    where the robot's geometry is known, the gripper's path in 3-D and in the cameras' pictures; and
    where the samples part ways.
    """

    def __init__(self, policy, observation, subtask, truth=None, names=None, samples=4, world=None):
        self.ask = dict(policy=policy, observation=observation, subtask=subtask, truth=truth,
                        names=names, world=world)
        self.title = f"denoising: {subtask}"
        own = {} if policy.solver in SOLVERS.values() else {"policy's own": policy.solver}
        short = dict(continuous_update=False, layout=ui.Layout(width="260px"))
        self.samples = ui.IntSlider(samples, 1, 16, description="samples", **short)
        self.steps = ui.SelectionSlider(options=sorted({1, 2, 5, 10, 20, 50, policy.steps}),
                                        value=policy.steps, description="steps", **short)
        self.solver = ui.Dropdown(options=list({**SOLVERS, **own}.items()),
                                  value=policy.solver, description="solver",
                                  layout=ui.Layout(width="200px"))
        self.seed = ui.IntText(0, description="noise seed", layout=ui.Layout(width="170px"))
        controls = (self.samples, self.steps, self.solver, self.seed)
        for control in controls:
            control.observe(self.compute, "value")
        super().__init__([ui.HBox(controls, layout=ui.Layout(flex_flow="row wrap"))],
                         Stage(caption="flow time", beat=150))
        self.compute()

    @property
    def at(self):
        """The denoising step that is shown; set it to move there."""
        return self.stage.at

    @at.setter
    def at(self, n):
        self.stage.at = n

    def compute(self, _=None):
        """Denoise again and draw."""
        self.trace = t = trace(samples=self.samples.value, steps=self.steps.value,
                               seed=self.seed.value, solver=self.solver.value, **self.ask)
        panes = [figure_pane(self.figure())]
        if t.places is not None:
            panes += [figure_pane(path_figure(t), True, "1 1 380px"),
                      figure_pane(camera_figure(t), flex="2 1 480px")]
        if t.path.shape[1] > 1:
            panes.append(figure_pane(modes_figure(t), flex="1 1 420px"))
        self.put(panes, [f"flow time {tau:.2f} (0 noise, 1 action)" for tau in t.tau])

    def figure(self):
        """The plain Figure with frames of what is shown."""
        return denoising_figure(self.trace, self.title)
