"""From the six sources of the homes to everything that a stage of training needs.

Pre-training mixes robots, subtasks in words, and pictures with words; the target robot is a few
percent of it. Post-training drops the laboratory and adds verbal instructions (pi0.5, section IV).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pi05lite.data.mixture import Mixture
from pi05lite.errors import DataError, say
from pi05lite.homes.sources import (
    HomeSource,
    NamesSource,
    ThingsSource,
    WordsSource,
    describe_home_robot,
    open_home_data,
)
from pi05lite.processor import Processor
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.prompt import question_prompt, robot_prompt
from pi05lite.tokens.text import TextTokenizer
from pi05lite.train.setup import Setup

# Share of the examples that each part of a source gets. "low": subtask -> actions; "high": prompt
# -> boxes and subtask; "things": where things are in the robots' own pictures; "names": prompts
# that name them and ask for no action.
PRETRAIN = {"MM/low": 0.06, "ME/low": 0.20, "CE/low": 0.12, "HL/high": 0.14, "MM/things": 0.12,
            "HL/things": 0.08, "ME/things": 0.06, "WD": 0.22}
POSTTRAIN = {"MM/low": 0.48, "ME/low": 0.04, "HL/high": 0.16, "MM/high": 0.06, "VI/high": 0.03,
             "MM/things": 0.08, "HL/things": 0.06, "MM/names": 0.05, "WD": 0.04}
POINT = {"MM/names": 0.45, "HL/names": 0.25, "ME/names": 0.2, "CE/names": 0.1}
EXPERT = {"MM/low": 1.0}
SHARES = {"pretrain": PRETRAIN, "expert": EXPERT, "posttrain": POSTTRAIN, "settle": EXPERT}
# What an expert alone sees of each skill: half of MM's frames are ways to go, 4 % of them wiping.
SKILLS = {"pick": 0.28, "go": 0.20, "wipe": 0.14, "open": 0.13, "close": 0.13, "put": 0.12}
ROBOTS = ("MM", "ME", "CE")  # whose statistics normalise what their robots sense and do


def prepare(folder, config, stage="pretrain", shares=None, reweight=False, processor=None,
            cache=None, seed=0, actions=FastTokenizer, elsewhere=None):
    """Open the datasets of `pi05lite homes data` and build a Setup.

    shares: part -> share of the examples (None: those of the stage); reweight: go on without parts
    whose source is missing, the others sharing their place; processor: of the checkpoint that the
    stage starts from (None: tokenizers and statistics are made from the data). Raises DataError for
    a missing source otherwise. actions: makes an action tokenizer from how many ids it may have
    (None: no discrete actions); elsewhere: source -> another folder that holds it.
    """
    shares = dict(SHARES[stage] if shares is None else shares)
    names = list(dict.fromkeys(part.split("/")[0] for part in shares))
    where = {name: (elsewhere or {}).get(name, folder) for name in names}
    missing = [name for name in names if not (Path(where[name]) / name).is_dir()]
    if missing and not reweight:
        raise DataError(say(f"sources in {folder}", f"{names}", f"no {', no '.join(missing)}",
                            f"pi05lite homes data {folder}, or --reweight to share the place of "
                            "what is missing among the others"))
    names = [name for name in names if name not in missing]
    shares = {part: share for part, share in shares.items() if part.split("/")[0] in names}
    if not shares:
        raise DataError(say(f"sources in {folder}", "at least one", "none",
                            f"pi05lite homes data {folder}"))
    size = config.vision.image_size
    data = {name: open_home_data(where[name], name, size, cache).prepare(progress=False)
            for name in names}
    robots = known_robots(data) if processor is None else {
        name: processor.robot(dataset.robot) for name, dataset in data.items() if name != "WD"}
    sources = [open_part(part, data, robots, config) for part in shares]
    if stage in ("expert", "settle"):
        for source in (s for s in sources if s.name.endswith("/low")):
            source.balance(SKILLS)
    mixture = Mixture(sources, shares, seed)
    if processor is None:
        text = TextTokenizer.train(corpus(data), config.vocabulary.text)
        actions = actions and actions(config.vocabulary.actions)
        if actions:
            fit_actions(actions, [s for s in sources if s.name.endswith("/low")])
        unique = {robot.name: robot for robot in robots.values()}
        processor = Processor(config, text, actions, unique, mixture.names)
    else:
        processor = Processor(config, processor.text, processor.actions, processor.robots,
                              mixture.names)
    return Setup(config, processor, mixture)


def action_spread(robot, config):
    """`Config.action_spread` for a robot: the deviation of each normalised action, else 1."""
    action = robot.stats.action
    wide = 2 * action.std / (action.q99 - action.q01)  # [q01, q99] is mapped to [-1, 1]
    rest = config.action_size - robot.action_size
    return (*(round(float(x), 4) for x in wide.clip(0.05)), *[1.0] * rest)


def known_robots(data):
    """Source -> Robot; sources of one robot share the statistics of the first of them."""
    found, out = {}, {}
    for name in sorted(data, key=lambda n: (n not in ROBOTS, n)):
        if name != "WD":
            robot = data[name].robot
            found[robot] = found.get(robot) or describe_home_robot(data[name])
            out[name] = found[robot]
    return out


def open_part(part, data, robots, config):
    """The source of a part: "MM/low", "HL/high", "MM/things", "MM/names" or "WD"."""
    name, _, level = part.partition("/")
    if name == "WD":
        return WordsSource(data[name], name=part)
    if level == "things":
        return ThingsSource(data[name], name=part)
    robot = robots[name]
    slots = {s: camera for s, camera in robot.cameras.items() if s in config.cameras}
    robot = replace(robot, cameras=slots)
    if level == "names":
        return NamesSource(data[name], robot, config.horizon, name=part)
    return HomeSource(data[name], robot, config.horizon, level, name=part)


def corpus(data):
    """The words that the text tokenizer learns from: prompts and answers of every source."""
    lines = []
    for name, dataset in data.items():
        for e in range(len(dataset.episodes)):
            if name == "WD":
                for column in ("question", "answer"):
                    lines += [question_prompt(str(q)) for q in dataset.column(e, column)]
                continue
            lines.append(robot_prompt(dataset.task(e, 0), np.zeros(1), "high"))
            for text in sorted({str(s) for s in dataset.column(e, "subtask")}):
                lines.append(robot_prompt(text, np.zeros(1), "low"))
    return lines


def fit_actions(tokenizer, sources, most=20_000):
    """Fit the action tokenizer on at most so many chunks, evenly from all robots."""
    widest = max(s.robot.action_size for s in sources)
    chunks, masks = [], []
    for source in sources:
        for i in range(0, len(source), -(-len(source) * len(sources) // most)):
            e, t = source.dataset.locate(source.frames[i])
            chunk, mask = source.dataset.chunk(e, t, source.horizon)
            chunk = source.robot.to_model(chunk, source.states[e][t])
            chunks.append(np.pad(chunk, ((0, 0), (0, widest - chunk.shape[1]))))
            masks.append(mask)
    tokenizer.fit(np.stack(chunks), np.stack(masks))
