"""The rollout widget: play an episode in a home, change the instruction, run it again."""

from dataclasses import replace

import ipywidgets as ui

from pi05lite.errors import Pi05Error
from pi05lite.evaluate.drivers import PolicyDriver, ScriptedDriver
from pi05lite.evaluate.trials import LONG, SHORT, HomeTrial
from pi05lite.homes.robots import HZ
from pi05lite.homes.tasks import Request
from pi05lite.widgets.played import film_figure, plans_figure, play, timeline_figure
from pi05lite.widgets.stage import Stage, Staged, figure_pane, pictures_pane, text_pane

# Who can drive -> where a policy's subtask comes from.
DRIVERS = {"scripted expert": "expert", "policy": "own", "policy, told the subtask": "script",
           "policy, the instruction as its subtask": "none"}


class RolloutWidget(Staged):
    """Play an episode and scrub it; then another task, home, seed, driver or instruction.

    policy: a Policy that knows the homes' robots, or None for the scripted expert alone; seconds:
    after which an episode is stopped; options: of `play`. In a long task the policy says its own
    subtasks, in a short skill it takes the instruction for one. A changed instruction is what the
    policy reads; the points stay those of the task. The script reads no words.
    """

    def __init__(self, policy=None, request=None, seconds=15, **options):
        self.policy, self.options = policy, {"size": 128, **options}
        request = request or Request("pick", 7, "new", 3)
        drivers = DRIVERS if policy else {"scripted expert": "expert"}
        wide = ui.Layout(width="420px")
        usual = "own" if request.task in LONG else "none"  # a skill is a subtask as it is said
        self.driver = ui.Dropdown(options=drivers, value=usual if policy else "expert",
                                  description="driver", layout=ui.Layout(width="320px"))
        self.task = ui.Dropdown(options=SHORT + LONG, value=request.task, description="task")
        self.home = ui.BoundedIntText(request.home, 0, 10**9, description="home")
        self.seed = ui.BoundedIntText(request.seed, 0, 10**9, description="seed")
        self.most = ui.IntSlider(seconds, 1, 180, description="seconds at most",
                                 style=dict(description_width="initial"))
        self.words = ui.Text(placeholder="the task's own words", description="instruction",
                             layout=wide, continuous_update=False)
        self.run = ui.Button(description="run again", button_style="primary")
        self.said, self.base = ui.Label(), request
        self.run.on_click(self._again)
        self.driver.observe(self._reads, "value")
        self._reads()
        for small in (self.task, self.home, self.seed):
            small.layout.width = "190px"
        rows = [ui.HBox(row, layout=ui.Layout(flex_flow="row wrap")) for row in (
            [self.driver, self.task, self.home, self.seed], [self.words, self.most],
            [self.run, self.said])]
        super().__init__(rows, Stage(caption="time"))
        self.compute()

    def trial(self):
        """A fresh trial of what is asked for."""
        request = replace(self.base, task=self.task.value, home=self.home.value,
                          seed=self.seed.value)
        if self.policy is None:
            return HomeTrial(request)
        known = self.policy.processor.robots.get(self.base.robot)
        slots = set(known.cameras) if known else set(self.policy.model.config.cameras)
        trial = HomeTrial(request, self.policy.model.config.vision.image_size)
        trial.cameras = {s: c for s, c in trial.robot.slots.items() if s in slots}
        return trial

    def compute(self):
        """Run the episode and show it from its start."""
        self.said.value = "making the home"
        trial = self.trial()
        if self.words.value.strip() and not self.words.disabled:
            trial.episode.prompt = self.words.value.strip()
        every = 25 if self.task.value in LONG else 10
        script = self.driver.value == "expert"
        driver = ScriptedDriver() if script else PolicyDriver(self.policy, self.driver.value)
        self.played = play(driver, trial, most=self.most.value * HZ, watch=self._progress,
                           **{"every": every, **self.options})
        self._show()

    def _again(self, _):
        self.run.disabled = True
        try:
            self.compute()
        except Pi05Error as error:  # a task that this home cannot have, a robot that is not known
            self.said.value = " ".join(str(error).split())
        finally:
            self.run.disabled = False

    def _reads(self, _=None):
        """The instruction can be changed where a driver reads it."""
        self.words.disabled = self.driver.value not in ("own", "none")

    def _progress(self, step):
        self.said.value = f"running: {step / HZ:.1f} s"

    def _show(self):
        p = self.played
        earned = [f"{name} {'✓' if step is not None else '–'}" for name, step in p.points]
        self.title = f"“{p.prompt}”"
        self.said.value = f"{self.title} · " + " · ".join(earned)
        words = [f"{step / HZ:5.1f} s   subtask: {text or '-'}   points: " + ", ".join(
            name for name, when in p.points if when is not None and when <= step)
            for step, text in zip(p.steps, p.texts)]
        panes = [pictures_pane(p.pictures, 190), text_pane(words),
                 figure_pane(timeline_figure(p))]
        self.stage.at, self.stage.beat = 0, 1000 * p.every // HZ
        self.put([*panes, figure_pane(plans_figure(p))],
                 [f"{step / HZ:.1f} s" for step in p.steps])

    def figure(self):
        """The plain Figure that a saved notebook shows without a kernel."""
        return film_figure(self.played)


def rollout(policy=None, task="pick", home=7, seed=3, split="new", **options):
    """The rollout widget, an episode run at once: see RolloutWidget."""
    return RolloutWidget(policy, Request(task, home, split, seed), **options)
