"""One episode as it went, and its pictures: the film, the time line, plans against deeds."""

from dataclasses import dataclass
from itertools import islice
from textwrap import shorten

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.errors import Pi05Error, say
from pi05lite.evaluate.film import room
from pi05lite.homes.robots import HZ
from pi05lite.widgets.pictures import COLORS, LAYOUT, TRUTH, grid, jpeg, scrubber


@dataclass
class Played:
    """One episode as it went. F frames, one every `every` steps, T actions of size A."""

    prompt: str
    every: int
    names: list  # A names of the action dimensions
    pictures: dict  # camera, and "room" -> F addresses of pictures
    texts: list  # F subtasks that were followed
    plans: list  # (step, chunk (H, A) or None for a driver without chunks)
    actions: np.ndarray  # (T, A) what was done
    points: list  # (name, step when it was earned, or None)
    success: bool
    failure: str

    @property
    def steps(self):
        """The step of each frame, (F,)."""
        return np.minimum(np.arange(len(self.texts)) * self.every, len(self.actions))

    def plan_at(self, step):
        """The plan that was followed at a step, with its first step."""
        return [plan for plan in self.plans if plan[0] <= step][-1]


def play(driver, trial, execute=25, every=10, size=160, most=None, watch=None):
    """Run a trial and keep all that can be shown, a Played.

    execute: steps of a plan that are done before the driver is asked again; every: steps between
    frames; size: pixels of the pictures; most: steps after which to stop, whatever is done by then;
    watch(step): called at each frame.
    """
    most = most or trial.episode.limit
    pictures = {name: [] for name in ["room", *trial.cameras.values()]}
    texts, plans, done, earned = [], [], [], {}

    def frame():
        for name, picture in _seen(trial, pictures, size).items():
            pictures[name].append(jpeg(picture))
        texts.append(text)
        if watch:
            watch(trial.steps)

    while not trial.over and trial.steps < most:
        [(actions, text)] = driver.plans([trial])
        start = trial.steps
        plans.append((start, actions if isinstance(actions, np.ndarray) else None))
        for action in islice(actions, min(execute, most - start)):
            if trial.over:
                break
            if trial.steps % every == 0:
                frame()
            done.append(np.clip(action, trial.low, trial.high))
            trial.step(action)
            earned |= {i: trial.steps for i in trial.episode.rubric.earned - set(earned)}
        if trial.steps == start:  # it would be asked for ever
            raise Pi05Error(say("plan of the driver", "one action at least", "none",
                                "give a chunk of the model's horizon, and execute >= 1"))
    frame()
    rubric = trial.episode.rubric
    points = [(_point(trial.episode, p), earned.get(i)) for i, p in enumerate(rubric.points)]
    return Played(trial.prompt, every, list(trial.robot.action_names), pictures, texts, plans,
                  np.array(done), points, bool(rubric.success), rubric.failure)


def _seen(trial, names, size):
    """{name: picture} of the room and the cameras."""
    cameras = [name for name in names if name != "room"]
    return {"room": room(trial.world, size), **trial.world.images(size, cameras)}


def _point(episode, point):
    """A point of the rubric in words."""
    name, about = point
    if name in ("open", "close", "wipe", "go"):
        return f"{name} {episode.home.pieces[about].names[0]}"
    return f"{name} {episode.things[about if name == 'pick' else about.thing].name}"


def timeline_figure(played, title=None):
    """Subtasks over time, and the points of the rubric where they were earned."""
    steps, seconds = played.steps, played.steps / HZ
    kinds = list(dict.fromkeys(text or "-" for text in played.texts))
    figure = go.Figure()
    starts = [i for i, text in enumerate(played.texts) if i == 0 or played.texts[i - 1] != text]
    for i, j in zip(starts, [*starts[1:], len(seconds) - 1]):
        text = played.texts[i] or "-"
        room = int(120 * (seconds[j] - seconds[i]) / max(seconds[-1], 1e-6))  # letters
        figure.add_scatter(
            x=[seconds[i], seconds[j]], y=["subtask"] * 2, name=text,
            text=[shorten(text, room, placeholder=" …") if room > 8 else "", ""],
            mode="lines+markers+text", textposition="top right", marker=dict(size=18, opacity=0),
            line=dict(color=COLORS[kinds.index(text) % len(COLORS)], width=14),
            hovertemplate=f"{text}<br>from {seconds[i]:.1f} s<extra></extra>")
    for name, step in played.points:
        figure.add_scatter(x=[seconds[-1] if step is None else step / HZ], y=[name],
                           mode="markers", hovertemplate=f"{name}: %{{x:.1f}} s<extra></extra>",
                           marker=dict(size=12, symbol="circle-open" if step is None else "star",
                                       color=TRUTH if step is None else COLORS[2]))
    rows = ["subtask", *dict.fromkeys(name for name, _ in played.points)]
    figure.add_scatter(x=[0, 0], y=[rows[0], rows[-1]], mode="lines", hoverinfo="skip",
                       line=dict(color=TRUTH, width=3))
    now = len(figure.data) - 1
    figure.frames = [go.Frame(name=str(step), traces=[now], data=[
        go.Scatter(x=[at, at], y=[rows[0], rows[-1]])]) for step, at in zip(steps, seconds)]
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1],
                        range=[-0.5, len(rows) - 0.2])
    figure.update_xaxes(title="seconds", range=[-0.02 * seconds[-1], 1.03 * seconds[-1] + 0.1])
    earned = sum(step is not None for _, step in played.points)
    figure.update_layout(
        **LAYOUT, showlegend=False, height=260 + 30 * len(rows),
        title_text=title or f"“{played.prompt}”: {earned} of {len(played.points)} points, "
        f"{'success' if played.success else played.failure or 'stopped'} (stars: points earned)",
        **scrubber(figure.frames, "step "))
    return figure


def plans_figure(played, title=None):
    """Each action dimension: the chunk that was being followed against what was executed."""
    if title is None:
        planned = any(chunk is not None for _, chunk in played.plans)
        title = ("what was planned (coloured) and what was done (grey)" if planned
                 else "what was done (this driver decides each step by itself, without chunks)")
    rows, columns = grid(len(played.names))
    figure = make_subplots(rows, columns, subplot_titles=played.names, shared_xaxes=True,
                           vertical_spacing=0.3 / rows, horizontal_spacing=0.05)
    done = played.actions.astype(np.float32)  # (T, A)
    time = np.arange(len(done)) / HZ
    high = [float(np.abs(done[:, a]).max(initial=0)) for a in range(done.shape[1])]
    for _, chunk in played.plans:
        if chunk is not None:
            high = [max(h, float(np.abs(chunk[:, a]).max())) for a, h in enumerate(high)]
    for a in range(len(played.names)):
        place = dict(row=a // columns + 1, col=a % columns + 1)
        figure.add_scatter(x=time, y=done[:, a], mode="lines", line=dict(color=TRUTH, width=1.5),
                           name="done", **place)
        figure.add_scatter(**_plan(played, 0, a), mode="lines", name="planned", meta="moves",
                           line=dict(color=COLORS[5], width=2.5), **place)
        figure.add_scatter(**_now(0, high[a]), mode="lines", name="now", meta="moves",
                           hoverinfo="skip", line=dict(color=TRUTH, width=1), **place)
        figure.update_yaxes(range=[-1.15 * high[a] - 1e-3, 1.15 * high[a] + 1e-3], **place)
    moving = [i for i, line in enumerate(figure.data) if line.meta == "moves"]
    figure.frames = [go.Frame(name=str(step), traces=moving, data=[
        line for a in range(len(played.names))
        for line in (go.Scatter(**_plan(played, step, a)), go.Scatter(**_now(step, high[a])))])
        for step in played.steps]
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(zeroline=False)
    figure.update_layout(**LAYOUT, showlegend=False, title_text=f"{title}; x: seconds",
                         height=160 * rows + 190, **scrubber(figure.frames, "step "))
    return figure


def _plan(played, step, a):
    """The line of one dimension of the plan that is followed at a step."""
    first, chunk = played.plan_at(step)
    if chunk is None:
        return dict(x=[None], y=[None])
    return dict(x=((first + np.arange(len(chunk))) / HZ).astype(np.float32),
                y=chunk[:, a].astype(np.float32))


def _now(step, high):
    return dict(x=[step / HZ, step / HZ], y=[-1.15 * high, 1.15 * high])


def film_figure(played, title=None, most=16):
    """The pictures of an episode and its subtask, a slider over time (at most so many frames)."""
    title = title or f"“{played.prompt}”"
    words = [f"{title}: {text or '-'}" for text in played.texts]
    pick = np.unique(np.linspace(0, len(played.texts) - 1, most).astype(int))
    names = list(played.pictures)
    figure = make_subplots(1, len(names), subplot_titles=names, horizontal_spacing=0.01)
    for k, name in enumerate(names):
        figure.add_image(source=played.pictures[name][pick[0]], row=1, col=k + 1)
    figure.frames = [go.Frame(name=str(played.steps[i]), data=[
        go.Image(source=played.pictures[name][i]) for name in names],
        layout=dict(title_text=words[i])) for i in pick]
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(**LAYOUT, height=380, title_text=words[0],
                         **scrubber(figure.frames, "step ", redraw=True))
    return figure
