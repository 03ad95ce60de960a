"""Stages of training in a folder, each under a name made from all that it depends on.

A stage that is there is not trained again, whichever plan asks for it; one that was cut off goes on
from its newest checkpoint. Whether the code has changed since, a name cannot tell: the commit is
kept beside every stage and goes into the results.
"""

import json
import shutil
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path

import torch

from pi05lite import config as configs
from pi05lite.data.cache import atomic_path
from pi05lite.evaluate.results import commit
from pi05lite.homes import factory
from pi05lite.homes.sources import open_home_data
from pi05lite.lab.findings.plan import stages
from pi05lite.lab.parts import build as build_with
from pi05lite.lab.runs import versions
from pi05lite.lab.swaps.diffusion import Diffusion
from pi05lite.lab.swaps.tokens_only import TokenPolicy
from pi05lite.model.pi05 import Pi05
from pi05lite.policy import Policy, load
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.vq import VQTokenizer
from pi05lite.train import command, homes
from pi05lite.train.checkpoint import checkpoints, newest

TEST_HOMES, TEST_COUNT = 1_000_000, 200  # where `trials.requests` begins; as many as are tried in
MAKERS = {"FAST": FastTokenizer, "bins": lambda room: BinsTokenizer(),
          "VQ": lambda room: VQTokenizer(), None: None}


@dataclass(frozen=True)
class Place:
    """Where data and trained stages lie, and how training runs.

    data: folder of `pi05lite homes data`; folder: of all stages; episodes: how many of the mobile
    robot each number of homes gets; config: makes the model's sizes; options: of `fit`.
    """

    data: Path
    folder: Path
    episodes: int = 800
    config: object = configs.homes
    cache: Path | None = None  # of decoded pictures
    options: tuple = (("progress", False), ("tensorboard", False))

    @cached_property
    def content(self):
        """Source -> a hash of its tables, so that other data is never taken for the same."""
        size = self.config().vision.image_size
        return {path.name: open_home_data(self.data, path.name, size).content()
                for path in sorted(self.data.iterdir()) if (path / "meta/info.json").is_file()}

    def sizes(self, stage):
        """The config of a stage; bins need room for a token for each number of a chunk."""
        c = self.config()
        if stage.tokens == "bins":
            c = replace(c, max_tokens=c.max_tokens + c.horizon * c.action_size)
        return c

    def facts(self, stage):
        """All that the outcome of a stage depends on, beside the code."""
        sources = {part.split("/")[0] for part in stage.shares} | set(stage.words)
        data = {name: self.content.get(name) for name in sorted(sources)}
        if stage.homes is not None:
            data["MM"] = [stage.homes, self.episodes]
        return {"stage": stage.facts() | {"before": stage.before and self.name(stage.before)},
                "config": json.loads(self.sizes(stage).to_json()), "data": data,
                "precision": dict(self.options).get("precision") or command.quickest_precision()}

    def name(self, stage):
        """The name of its folder."""
        text = json.dumps(self.facts(stage), sort_keys=True, default=str)
        return f"{stage.kind}-{blake2b(text.encode(), digest_size=6).hexdigest()}"

    def of(self, stage):
        """The folder of a stage."""
        return self.folder / self.name(stage)

    def elsewhere(self, stage):
        """Where the mobile robot's data of so many homes lies; made where it is not there yet."""
        if stage.homes is None:
            return {}
        out = self.folder / f"data-{stage.homes}-homes-{self.episodes}"
        test = dict(split="new", first=TEST_HOMES)
        count = TEST_COUNT if stage.homes == "test" else stage.homes
        total = round(self.episodes / factory.SOURCES["MM"].share)
        factory.make(out, ("MM",), total, homes=count, size=self.config().vision.image_size,
                     progress=False, workers=None if self.episodes > 50 else 1,
                     **(test if stage.homes == "test" else {}))
        return {"MM": out}


def done(folder):
    """What is known of a finished stage, or None."""
    file = Path(folder) / "done.json"
    return json.loads(file.read_text()) if file.is_file() else None


def train(place, plan, sizes, seed, tell=print):
    """The folder of a plan's policy, trained as far as it is not yet there."""
    for stage in stages(plan, sizes, seed):
        folder = place.of(stage)
        if stage.kind == "look" or done(folder):
            continue  # looking is part of pre-training, and kept by it
        tell(f"{folder.name}: {stage.recipe.steps} steps, seed {seed}, "
             f"{'; '.join(plan.differs()) or 'the standard recipe'}")
        begin = time.perf_counter()
        (pretrain if stage.kind == "pretrain" else go_on)(place, stage, folder)
        finish(folder, place.facts(stage), time.perf_counter() - begin)
    return folder


def pretrain(place, stage, folder):
    """Words and pictures, then all sources."""
    usual, c, where = place.config(), place.sizes(stage), place.elsewhere(stage)
    ready = partial(homes.prepare, place.data, shares=stage.shares, seed=stage.seed,
                    elsewhere=where, cache=place.cache, actions=MAKERS[stage.tokens])
    setup = ready(usual)
    model = command.start(setup, place.data, place.of(stage.before), stage.before.recipe,
                          stage.before.shares, where)
    if stage.recipe.alpha > 0:  # a flow so early: on a scale of its own, as later
        c = spread(c, setup.processor.robots)
    if c != usual:
        model, setup = same_weights(model, c), ready(c, processor=setup.processor)
    command.run(model, setup, stage.recipe, folder, dict(place.options))


def go_on(place, stage, folder):
    """A stage that begins with the policy of the one before."""
    before = load(place.of(stage.before))
    c = spread(before.model.config, before.processor.robots)
    setup = homes.prepare(place.data, c, shares=stage.shares, processor=before.processor,
                          seed=stage.seed, elsewhere=place.elsewhere(stage), cache=place.cache)
    model = same_weights(before.model, c, builder(stage.diffusion))
    command.run(model, setup, stage.recipe, folder, dict(place.options))


def spread(c, robots):
    """The config with the flow on the scale of the mobile robot's actions."""
    return replace(c, action_spread=homes.action_spread(robots["mobile"], c))


def builder(diffusion):
    """What builds the model."""
    return build_with(objective=Diffusion) if diffusion else Pi05


def same_weights(model, c, build=Pi05):
    """A model of another config with the weights of one that has the same shapes."""
    other = build(c)
    other.load_state_dict(model.state_dict())
    return other


def finish(folder, facts, seconds):
    """Mark a stage as done, and keep of its checkpoints only what acts."""
    for old in checkpoints(folder)[:-1]:
        shutil.rmtree(old)
    for file in newest(folder).glob("training.*"):
        file.unlink()
    about = {"facts": facts, "seconds": seconds, "commit": commit(), "versions": versions()}
    with atomic_path(folder / "done.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1, default=str))


def read_policy(folder, plan=None, device=None):
    """The trained policy of a plan, on the device that is there."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    writes, diffusion = (plan.writes, plan.diffusion) if plan else (False, False)
    return load(folder, device, build=builder(diffusion), kind=TokenPolicy if writes else Policy)
