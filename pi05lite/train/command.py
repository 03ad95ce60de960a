"""`pi05lite train`: the two stages in homes, from nothing to a policy, each resumable."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import torch
from safetensors.torch import load_file

from pi05lite import config as configs
from pi05lite.data.cache import atomic_path
from pi05lite.data.mixture import Mixture
from pi05lite.errors import ConfigError, say
from pi05lite.evaluate.drivers import PolicyDriver
from pi05lite.evaluate.intervals import wilson
from pi05lite.evaluate.rollout import rollouts
from pi05lite.evaluate.trials import HomeTrial, requests
from pi05lite.homes.sources import HomeSource, NamesSource, ThingsSource, open_home_data
from pi05lite.model.pi05 import Pi05
from pi05lite.model.saving import save_file
from pi05lite.policy import Policy, load
from pi05lite.train import homes, recipe
from pi05lite.train.averaging import MovingAverage
from pi05lite.train.checkpoint import checkpoints
from pi05lite.train.fit import fit, quickest_precision
from pi05lite.train.look import look
from pi05lite.train.point import point
from pi05lite.train.read import read

LOOKED_AT = {"WD": 0.5, "MM": 0.25, "HL": 0.15, "ME": 0.1}


def pretrain(data, out, steps=None, config=None, reweight=False, **options):
    """Words and pictures, then pre-training on all sources; returns the Policy.

    steps: of (looking, pre-training), None: the recipes' own; a tenth as many of reading follow
    those of looking, and as many of pointing. options go to `fit`.
    """
    config = config or configs.homes()
    first, second = steps or (None, None)
    setup = homes.prepare(data, config, "pretrain", reweight=reweight)
    model = start(setup, data, Path(out) / "look", with_steps(recipe.home_look, first))
    return run(model, setup, with_steps(recipe.home_pretrain, second), out, options)


def posttrain(data, out, begin, steps=None, insulate=False, reweight=False, evaluate_every=0,
              **options):
    """The expert alone, all together, the expert alone, from checkpoint `begin`: the Policy.

    The first two keep folders of their own in `out`, expert and together. steps: of the three,
    None: the recipes' own. insulate: knowledge insulation (no flow gradient in the VLM, alpha = 1).
    """
    model, processor = begun(begin)
    alone, setup = (homes.prepare(data, model.config, stage, reweight=reweight, processor=processor)
                    for stage in ("expert", "posttrain"))
    first, second, third = steps or (None, None, None)
    run(model, alone, with_steps(recipe.home_expert, first), Path(out) / "expert", options)
    r = with_steps(recipe.home_posttrain, second)
    r = replace(r, insulate=True, alpha=1.0) if insulate else r
    run(model, setup, r, Path(out) / "together", options, evaluate_every)
    return run(model, alone, with_steps(recipe.home_settle, third), out, options, evaluate_every)


def begun(begin):
    """(model, processor) of checkpoint `begin`, with the spread of the mobile robot's actions."""
    before = load(begin)
    robots, c = before.processor.robots, before.model.config
    if "mobile" in robots:
        c = replace(c, action_spread=homes.action_spread(robots["mobile"], c))
    model = Pi05(c)
    model.load_state_dict(before.model.state_dict())
    return model, before.processor


def with_steps(make, steps):
    """A recipe, with another number of steps where one is given."""
    return make() if steps is None else make(steps)


def run(model, setup, r, out, options, evaluate_every=0):
    """Train by a recipe, saying how it goes."""
    extra = [Losses()]
    if evaluate_every:
        extra.append(ClosedLoop(setup.processor, evaluate_every))
    options = {**options, "precision": options.get("precision") or quickest_precision()}
    return fit(model, setup.processor, setup.mixture, r, out, callbacks=extra, **options)


def start(setup, data, folder, r, shares=None, elsewhere=None):
    """A new model that knows what its pictures show, and what the prompts of robots say and name.

    Kept in `folder` for the next time; stopped on the way, it goes on from its checkpoints there.

    shares: source -> share of the pictures (None: LOOKED_AT, as far as it is in the folder `data`);
    elsewhere: source -> another folder that holds it.
    """
    torch.manual_seed(r.seed)
    c, text = setup.config, setup.processor.text
    model = Pi05(c)
    reading, pointing = (make(max(1, r.steps // 10)) for make in
                         (recipe.home_read, recipe.home_point))
    kept, about = folder / "model.safetensors", {"config": c.to_json(), "recipe": vars(r),
                                                 "reading": vars(reading),
                                                 "pointing": vars(pointing)}
    if kept.is_file():
        if json.loads((folder / "made.json").read_text()) != json.loads(json.dumps(about)):
            raise ConfigError(say(f"{folder}", "made with the config and recipe of this run",
                                  "others", "use another run folder, or remove this one"))
        model.load_state_dict(load_file(kept))
        return model
    model.order(torch.tensor([text.encode(f" {i}")[0] for i in range(c.state_bins)]))
    model.order(torch.arange(*c.vocabulary.span("location")))
    shares = shares or {name: share for name, share in LOOKED_AT.items()
                        if (Path(data) / name).is_dir()}
    parts = [ThingsSource(open_home_data((elsewhere or {}).get(name, data), name,
                                         c.vision.image_size), name=name) for name in shares]
    mixture = Mixture(parts, shares, r.seed)
    look(model, text, mixture, r, folder, resume=True)
    texts = subtasks(setup.mixture)
    if texts:  # none where no robot's data is there
        read(model, setup.processor, texts, reading, folder / "read", resume=True)
    named = names_of(setup.mixture, r.seed)
    if named:
        point(model, setup.processor, named, pointing, folder / "point", resume=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.json").write_text(json.dumps(about))
    with atomic_path(kept) as temporary:
        save_file(model.state_dict(), temporary)
    for run in (folder, folder / "read", folder / "point"):
        for checkpoint in checkpoints(run):
            shutil.rmtree(checkpoint)
    return model


def names_of(mixture, seed):
    """A mixture of made-up prompts with the pictures of a mixture's robots; None without any."""
    found = {}
    for s in mixture.sources:
        part = s.name.split("/")[0] + "/names"
        if isinstance(s, HomeSource) and part in homes.POINT:
            found[part] = NamesSource(s.dataset, s.robot, s.horizon, name=part)
    if not found:
        return None
    return Mixture(found.values(), {part: homes.POINT[part] for part in found}, seed)


def subtasks(mixture):
    """Name of a robot -> the subtasks that it is given, in words."""
    found = {}
    for source in mixture.sources:
        if source.name.endswith("/low"):
            columns = [source.dataset.column(e, "subtask")
                       for e in range(len(source.dataset.episodes))]
            found.setdefault(source.robot.name, set()).update(str(s) for c in columns for s in c)
    return {robot: sorted(texts) for robot, texts in found.items()}


class Losses(pl.Callback):
    """Prints the losses, those of each source too, every so many steps."""

    def __init__(self, every=100):
        self.every = every

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        """One line."""
        if trainer.global_step % self.every == 0 and trainer.is_global_zero:
            found = {name.removeprefix("tokens/"): float(value) for name, value
                     in trainer.callback_metrics.items() if name not in ("bar", "gradient_norm")}
            print(f"step {trainer.global_step}: "
                  + ", ".join(f"{name} {value:.3f}" for name, value in found.items()), flush=True)


class ClosedLoop(pl.Callback):
    """A few short skills in homes never seen, every so many steps, with the averaged weights."""

    def __init__(self, processor, every, count=24, suite="short"):
        self.processor, self.every, self.count, self.suite = processor, every, count, suite

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        """Run the trials and print how many succeeded."""
        if trainer.global_step % self.every or "mobile" not in self.processor.robots:
            return
        average = next(c for c in trainer.callbacks if isinstance(c, MovingAverage))
        if not trainer.is_global_zero:  # the others wait with the next step's gradients
            return
        average.swap(module)
        done = closed_loop(Policy(module.model, self.processor), self.suite, self.count)
        average.swap(module)
        module.model.train()
        share, low, high = done / self.count, *wilson(done, self.count)
        trainer.logger.log_metrics({f"success/{self.suite}": share}, trainer.global_step)
        print(f"step {trainer.global_step}: {self.suite} skills {100 * share:.0f} % "
              f"[{100 * low:.0f}, {100 * high:.0f}] of {self.count} trials", flush=True)


def closed_loop(policy, suite, count):
    """Successes in the first `count` trials of a suite, told the skill in words."""
    size = policy.model.config.vision.image_size
    trials = [partial(HomeTrial, request, size) for request in requests(suite, count)]
    return sum(o.success for o in rollouts(PolicyDriver(policy, "none"), trials, progress=False))
