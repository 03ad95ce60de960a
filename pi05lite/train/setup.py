"""From names of datasets to everything that training needs, in one call."""

from dataclasses import dataclass, field, replace

import numpy as np

from pi05lite.data import paths
from pi05lite.data.mixture import Mixture, by_size
from pi05lite.data.robots import KNOWN, describe_robot, open_known
from pi05lite.data.sources import BoxSource, CaptionSource, RobotSource
from pi05lite.errors import ConfigError, say
from pi05lite.processor import Processor
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.prompt import question_prompt, robot_prompt
from pi05lite.tokens.text import TextTokenizer

SHARES = {"low": 1.0, "high": 0.25, "words": 0.1}  # times examples ** power


@dataclass
class Setup:
    """A mixture with the processor that fits it, and the held-out part of each robot."""

    config: object
    processor: Processor
    mixture: Mixture
    train: dict = field(default_factory=dict)  # robot name -> RobotSource at level "low"
    held_out: dict = field(default_factory=dict)  # the same on episodes that are not in the mixture

    def high(self, name):
        """The held-out source of a robot at level "high": overall prompt -> subtask."""
        return at_level(self.held_out[name], "high")


def available(*names):
    """Those robots whose data is here, or the kit's own toy robot; says so in one line."""
    found = [name for name in names if paths.find(KNOWN[name].folder)]
    if not found:
        print("No real robot data found: using the kit's own toy table (set PI05LITE_DATA, or see "
              "`pi05lite data list`).")
    return found or ["toy"]


def prepare(names, config, actions=None, words=True, shares=None, power=0.43, seed=0):
    """Open the datasets of known robots and build a Setup.

    names: robots of `pi05lite.data.robots.KNOWN`;
    actions: an ActionTokenizer, fitted here unless it is already (None: FAST);
    words: with captions and boxes where they are here; shares: how much each level counts;
    power: how much the size of a source counts, 1 draws every frame alike.
    The config's action_size is raised to the largest robot's. Decodes pictures at the first call.
    """
    if not names:
        raise ConfigError(say("robots", f"one or more of {sorted(KNOWN)}", "none", "name one"))
    train, held_out = {}, {}
    for name in names:
        known = KNOWN[name]
        parts = open_known(name, config.vision.image_size)
        robot = describe_robot(parts[0], known, config.horizon)
        for table, part in zip((train, held_out), parts):
            table[name] = RobotSource(part.prepare(), robot, config.horizon, "low", known.gripper)
    size = max(source.robot.action_size for source in train.values())
    config = replace(config, action_size=max(size, config.action_size))
    sources = [*train.values(), *(at_level(s, "high") for s in train.values())]
    sources += word_sources(config.vision.image_size) if words else []
    shares = SHARES | (shares or {})
    weights = {s.name: shares[getattr(s, "level", "words")] * by_size(s, power) for s in sources}
    mixture = Mixture(sources, weights, seed)
    text = TextTokenizer.train(corpus(sources), config.vocabulary.text)
    actions = fit_actions(actions or FastTokenizer(config.vocabulary.actions), train)
    robots = {name: source.robot for name, source in train.items()}
    processor = Processor(config, text, actions, robots, mixture.names)
    return Setup(config, processor, mixture, train, held_out)


def at_level(source, level):
    """The same robot data at another level."""
    return RobotSource(source.dataset, source.robot, source.horizon, level, source.gripper)


def word_sources(image_size):
    """The picture-and-words sets that are here: DROID captions, playing cards with boxes."""
    found = [(CaptionSource, paths.find("vl/droid_captions")),
             (BoxSource, paths.find("vl/playing_cards"))]
    return [source(folder, image_size) for source, folder in found if folder]


def corpus(sources):
    """The words that the text tokenizer learns from: prompts and answers of every source."""
    lines = []
    for source in sources:
        if isinstance(source, RobotSource):
            for e, episode in enumerate(source.dataset.episodes):
                for t in (0, episode.length // 2, episode.length - 1):
                    lines.append(robot_prompt(source.subtask(e, t), np.zeros(1), source.level))
        elif isinstance(source, CaptionSource):
            lines += [question_prompt("caption en"), *(r["instruction"] for r in source.rows)]
        else:
            lines += [question_prompt(source[i].text) for i in range(min(50, len(source)))]
    return lines


def fit_actions(tokenizer, train):
    """The action tokenizer, fitted on every training chunk of every robot unless it is already."""
    if tokenizer.fitted:
        return tokenizer
    chunks, masks = zip(*(all_chunks(source) for source in train.values()))
    # A tokenizer is fitted on one shape: narrower robots get zeros behind their own numbers.
    widest = max(c.shape[2] for c in chunks)
    chunks = [np.pad(c, ((0, 0), (0, 0), (0, widest - c.shape[2]))) for c in chunks]
    return tokenizer.fit(np.concatenate(chunks), np.concatenate(masks))


def all_chunks(source):
    """Every chunk of a RobotSource, normalised (F, H, A), and which steps are real (F, H)."""
    dataset, chunks, masks = source.dataset, [], []
    for e, episode in enumerate(dataset.episodes):
        pairs = [dataset.chunk(e, t, source.horizon) for t in range(episode.length)]
        chunks.append(source.robot.to_model(np.stack([c for c, _ in pairs]), source.states[e]))
        masks.append(np.stack([m for _, m in pairs]))
    return np.concatenate(chunks), np.concatenate(masks)
