"""The recipe on real data alone, to show that nothing in it depends on the simulator.

    python tools/real_data.py OUT [PRETRAIN POSTTRAIN]       PI05LITE_DATA names the data

Pre-training mixes all robots (G1 and bridge are the other bodies, CE) with captions and boxes on
photographs (WD); post-training drops the other bodies, as in the paper (section IV). Steps of the
two stages: 600 and 1920 unless said. Runs are kept in OUT and go on where they stopped; figures go
to data/results/real_data.json, the picture page to data/results/real_data.png (needs Chromium).
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from draw_figures import shoot
from plotly.subplots import make_subplots

import pi05lite
from pi05lite import config
from pi05lite.data.mixture import Mixture
from pi05lite.evaluate.chunks import compare, subtask_accuracy
from pi05lite.model.pi05 import Pi05
from pi05lite.policy import Observation
from pi05lite.processor import Processor
from pi05lite.train import recipe
from pi05lite.train.fit import fit, history
from pi05lite.train.setup import prepare
from pi05lite.widgets import pictures

ROBOTS, OTHERS = ("cr5", "droid", "droid_new"), ("g1", "bridge", "bridge_vpp")
RESULTS = Path(__file__).resolve().parents[1] / "data" / "results"
TOWER = config.VisionConfig(name="test_convnext3", image_size=64, act=None)
SHOWN = 4  # numbers of an action on the picture page


def train(setup, out, first, second):
    """The Policy after both stages."""
    torch.manual_seed(0)
    fit(Pi05(setup.config), setup.processor, setup.mixture, recipe.pretrain(first),
        out / "pretrain")
    before, mixture = pi05lite.load(out / "pretrain"), without(setup.mixture, OTHERS)
    p = before.processor
    processor = Processor(setup.config, p.text, p.actions, p.robots, mixture.names)
    # The flow weighs more than the paper's 10: the tokens of few episodes are soon known by heart.
    post = replace(recipe.posttrain(second), alpha=40.0)
    return fit(before.model, processor, mixture, post, out / "posttrain")


def without(mixture, names):
    """A mixture without the sources of some robots, the others sharing their place."""
    shares = dict(zip(mixture.names, mixture.shares))
    kept = [s for s in mixture.sources if s.name.split("/")[0] not in names]
    return Mixture(kept, {s.name: shares[s.name] for s in kept}, mixture.seed)


def measure(policy, setup, out):
    """What goes into the file: errors on held-out episodes, subtasks, and the losses on the way."""
    found = {}
    for name in ROBOTS:
        share, said = subtask_accuracy(policy, setup.high(name))
        found[name] = {"error": compare(policy, setup.train[name], setup.held_out[name],
                                        setup.high(name)),
                       "subtasks": [share, len(said)],
                       "episodes": [len(part[name].dataset.episodes)
                                    for part in (setup.train, setup.held_out)]}
    logged = {stage: history(out / stage) for stage in ("pretrain", "posttrain")}
    losses = {stage: {name: thinned(log.get(name, [])) for name in ("text", "tokens", "flow")}
              for stage, log in logged.items()}
    return {"shares": dict(zip(setup.mixture.names, map(float, setup.mixture.shares))),
            "robots": found, "losses": losses}


def thinned(curve, window=20):
    """Means of `window` logged values each, [(step, value)]."""
    parts = [curve[k:k + window] for k in range(0, len(curve), window)]
    return [(part[-1][0], round(sum(v for _, v in part) / len(part), 4)) for part in parts]


def page(policy, setup, losses):
    """Losses, and for each robot one held-out moment: what it sees, says and does, beside truth."""
    rows, half = 1 + len(ROBOTS), [{"colspan": 2}, None]
    figure = make_subplots(
        rows, 1 + SHOWN, column_widths=[0.24] + [0.19] * SHOWN, vertical_spacing=0.11,
        specs=[[*half, *half, None], *[[{}] * (1 + SHOWN)] * len(ROBOTS)],
        subplot_titles=["loss, pre-training", "loss, post-training"])
    for column, stage in ((1, "pretrain"), (3, "posttrain")):
        for color, (name, curve) in zip(pictures.COLORS, losses[stage].items()):
            if curve:
                figure.add_scatter(x=[s for s, _ in curve], y=[v for _, v in curve], name=name,
                                   line=dict(color=color), legendgroup=name,
                                   showlegend=stage == "posttrain", row=1, col=column)
        figure.update_yaxes(type="log", row=1, col=column)
    for k, name in enumerate(ROBOTS, start=2):
        moment(figure, k, policy, setup.held_out[name])
    figure.update_layout(**pictures.LAYOUT, height=260 * rows, width=1000)
    return figure


def moment(figure, row, policy, source):
    """One row of the page: a third into the first held-out episode."""
    e, t = 0, source.dataset.episodes[0].length // 3
    example, prompt = source.example(e, t), source.dataset.task(e, t)
    seen = Observation(example.robot, example.images, example.state)
    said, names = policy.subtask(seen, prompt), source.dataset.features["action"]["names"]
    chunks = [policy.follow(seen, said, seed).actions for seed in range(4)]
    seconds = [s / source.robot.fps for s in range(source.horizon)]
    figure.add_image(source=pictures.png(next(iter(example.images.values()))), row=row, col=1)
    figure.update_xaxes(visible=False, row=row, col=1).update_yaxes(visible=False, row=row, col=1)
    for n in range(SHOWN):
        lines = [*((chunk, pictures.COLORS[0], "solid") for chunk in chunks),
                 (example.actions, pictures.TRUTH, "dot")]
        for chunk, color, dash in lines:
            figure.add_scatter(x=seconds, y=chunk[:, n], mode="lines", showlegend=False,
                               line=dict(color=color, dash=dash), row=row, col=2 + n)
        figure.update_xaxes(title=dict(text=f"{names[n]} / s", standoff=2), row=row, col=2 + n)
    words = (f"{example.robot}: told “{prompt}”<br>says “{said[:70]}”, "
             f"label “{source.subtask(e, t)}”")
    box = figure.get_subplot(row, 1).yaxis.domain
    figure.add_annotation(text=words, x=0, y=box[1] + 0.005, xref="paper", yref="paper",
                          showarrow=False, xanchor="left", yanchor="bottom", align="left")


def main(out, first=600, second=1920):
    out = Path(out)
    setup = prepare([*ROBOTS, *OTHERS], replace(config.tiny(), horizon=10, vision=TOWER))
    policy = train(setup, out, int(first), int(second))
    found = {"command": f"python tools/real_data.py OUT {first} {second}", "seed": 0,
             **measure(policy, setup, out)}
    for name, about in found["robots"].items():
        print(name, *(f"{who} {v:.2f} [{low:.2f}, {high:.2f}]"
                      for who, (v, low, high) in about["error"].items()), sep="\n    ")
        print("    subtasks said exactly: {:.0%} of {}".format(*about["subtasks"]))
    (RESULTS / "real_data.json").write_text(json.dumps(found, indent=1) + "\n")
    shoot({RESULTS / "real_data.png": page(policy, setup, found["losses"])})


if __name__ == "__main__":
    main(*sys.argv[1:])
