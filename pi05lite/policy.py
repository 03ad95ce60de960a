"""Two-level inference with one set of weights: say the subtask, then act on it.

pi(a, l' | o, l) = pi(a | o, l') pi(l' | o, l): the subtask l' is read from the overall prompt l,
the actions from the subtask alone (pi0.5, section IV-B). Chunks are renewed more often.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch
from safetensors.torch import load_file

from pi05lite.config import Config
from pi05lite.data.examples import Example
from pi05lite.errors import ConfigError, say
from pi05lite.model import realtime
from pi05lite.model.pi05 import Pi05
from pi05lite.model.votes import Spread
from pi05lite.processor import Processor
from pi05lite.tokens.vocabulary import BOS, EOS, PAD, UNK


@dataclass
class Observation:
    """What a robot senses: pictures by camera slot, uint8 (px, px, 3), and its state (S,)."""

    robot: str
    images: dict
    state: np.ndarray


@dataclass
class Chunk:
    """What `act` returns: actions (H, A) in the robot's units, and the subtask they follow."""

    actions: np.ndarray
    subtask: str
    path: list = field(repr=False, default_factory=list)  # normalised x at each step, noise first


class Policy:
    """A trained pi0.5 with its processor, ready to be asked.

    subtask_every: chunks that follow one subtask before it is asked for again; steps: denoising
    steps of a chunk; solver: another than the model's own; beta: the largest guidance weight where
    a chunk goes on from a previous one; pad: prompts fill up a multiple of so many tokens, so that
    `compile_parts` meets few lengths; votes: answers to a prompt of which the most frequent counts.
    """

    def __init__(self, model, processor, subtask_every=2, steps=10, solver=None, beta=5.0,
                 pad=1, votes=8):
        self.model, self.processor, self.pad = model.eval(), processor, pad
        self.votes = votes
        self.subtask_every, self.steps = subtask_every, steps
        self.solver = solver or model.objective.solve
        self.beta = beta
        self.reset()

    def reset(self):
        """Forget the running subtask, at the start of an episode."""
        self.running, self.asked, self.age = None, None, 0

    def batch(self, observation, text, level):
        """The batch of one for an observation and a text."""
        example = Example("", level, text, observation.images, observation.robot,
                          observation.state)
        device = next(self.model.parameters()).device
        return self.processor.collate([example], self.pad).to(device)

    def text_ids(self):
        """(V,) bool: the ids that may stand in an answer (words, boxes, the end)."""
        v = self.model.config.vocabulary
        allowed = torch.ones(v.size, dtype=torch.bool)
        allowed[v.text:v.text + v.actions] = False
        allowed[self.processor.text.size:v.text] = False
        allowed[[PAD, BOS, UNK]] = False
        return allowed.to(next(self.model.parameters()).device)

    def action_ids(self):
        """(V,) bool: the ids that may stand in a discrete chunk, and the end."""
        v = self.model.config.vocabulary
        allowed = torch.zeros(v.size, dtype=torch.bool)
        first = v.action_id(self.processor.actions.vocabulary_size - 1)
        allowed[first:v.text + v.actions] = True
        allowed[EOS] = True
        return allowed.to(next(self.model.parameters()).device)

    def next_action_ids(self, limit):
        """The rule by which every discrete chunk decodes: ids written so far (B, n) -> (B, V) bool.

        Raises ConfigError where `limit` tokens cannot spell a chunk.
        """
        p, device = self.processor, next(self.model.parameters()).device
        need = p.actions.min_length(p.config.horizon, p.token_width)
        if limit < need:
            raise ConfigError(say(
                "room for a chunk in tokens", f"at least {need} tokens", limit,
                "raise config.max_tokens, or take constrained=False and expect broken chunks"))

        def allowed(written):
            rows = [[i for i in row if i != EOS] for row in written.tolist()]
            rows = np.stack([p.next_action_ids(row, limit) for row in rows])
            return torch.from_numpy(rows).to(device)

        return allowed

    def subtask(self, observation, prompt, limit=40, temperature=0.0, generator=None):
        """High level: the overall prompt and the pictures -> what to do next, in words."""
        batch = self.batch(observation, prompt, "high")
        return self.answers(batch, limit, temperature, generator)[0]

    def answers(self, batch, limit=40, temperature=0.0, generator=None):
        """What the model writes behind each prompt of a batch, as a list of texts.

        Boxes that come first, with their labels, are left out: what remains is what to do.
        """
        ids = self.answer_ids(batch, limit, temperature, generator)
        return [self._words(row) for row in ids.tolist()]

    def answer_ids(self, batch, limit=40, temperature=0.0, generator=None):
        """The ids (B, n) of an answer to each prompt of a batch that says what most votes say.

        With a temperature the only one, drawn.
        """
        if temperature > 0:
            return self.model.generate(batch, EOS, limit, self.text_ids(), temperature, generator)
        choose = Spread(self.votes, self.model.config.vocabulary.span("location"), limit)
        ids = self.model.generate(batch, EOS, limit, self.text_ids(), samples=self.votes,
                                  choose=choose)
        ids = ids.unflatten(0, (-1, self.votes))  # (B, votes, n)
        said = [[self._words(row) for row in rows] for rows in ids.tolist()]
        most = [texts.index(Counter(texts).most_common(1)[0][0]) for texts in said]
        return ids[range(len(most)), most]

    def _words(self, row):
        first, end = self.model.config.vocabulary.span("location")
        boxes = sum(kind for kind, _ in groupby(row, lambda i: first <= i < end))
        text = self.processor.text.decode([i for i in row if i < self.processor.text.size])
        return ";".join(text.split(";")[boxes:]).strip()

    def act(self, observation, prompt, seed=0, previous=None, delay=0):
        """Both levels: renew the subtask where it is due, then one chunk for it.

        previous, delay: as in `follow`, for a chunk that goes on from the one being executed.
        """
        if prompt != self.asked or self.age % self.subtask_every == 0:
            self.running, self.asked, self.age = self.subtask(observation, prompt), prompt, 0
        self.age += 1
        return self.follow(observation, self.running, seed, previous, delay)

    def follow(self, observation, subtask, seed=0, previous=None, delay=0):
        """Low level: one chunk for a subtask, by flow matching.

        previous (n, A') in the robot's units: what is left of the chunk being executed, from the
        moment of the observation on; the first `delay` steps of it will be executed before the new
        chunk is there. The new one starts with them and bends away gently (real-time chunking).
        """
        solver = self.solver
        if previous is not None:
            solver = self.going_on(observation, np.asarray(previous), delay)
        points = self.denoise(self.batch(observation, subtask, "low"), observation.robot, seed,
                              solver=solver)
        points = [x[0].cpu().numpy() for x in points]
        actions = self.processor.physical_actions(points[-1], observation.robot,
                                                  observation.state)
        return Chunk(actions, subtask, points)

    def going_on(self, observation, previous, delay):
        """The solver for a chunk that goes on from `previous`, counted from the state now."""
        robot, c = self.processor.robot(observation.robot), self.model.config
        if not self.model.objective.linear:
            raise ConfigError(say("real-time chunking", "an objective whose answer is a velocity "
                                  "(linear = True)", type(self.model.objective).__name__,
                                  "take flow matching, or act without previous="))
        if previous.ndim != 2 or previous.shape[1] != robot.action_size:
            raise ConfigError(say("previous actions", f"(n, {robot.action_size}) in the units of "
                                  f"{robot.name}", previous.shape, "hand in the rest of the last "
                                  "chunk: chunk.actions[executed:]"))
        weights = realtime.soft_weights(c.horizon, delay, len(previous))
        target = torch.zeros(1, c.horizon, c.action_size)
        target[0, :len(previous), :robot.action_size] = torch.as_tensor(
            robot.to_model(previous, observation.state, clip=False))
        return realtime.guided(target, weights, self.beta, self.processor.size_mask(robot.name),
                               self.solver)

    def denoise(self, batch, robot, seed=0, samples=1, solver=None):
        """`samples` chunks for a batch of one from seeded noise: every x (samples, H, A)."""
        # A guided solver differentiates, which tensors of inference mode refuse.
        with torch.no_grad() if solver else torch.inference_mode():
            prefix = self.model.prefix(batch, hidden=False).repeat(samples)
            return self.model.sample(
                prefix, self.steps, size_mask=self.processor.size_mask(robot),
                generator=torch.Generator().manual_seed(seed), solver=solver or self.solver)

    def chunks(self, batch, noise, size_mask):
        """Chunks (B, H, A) normalised for a batch of prompts, from noise (B, H, A).

        size_mask (B, A) bool. A policy of another kind acts in another way here.
        """
        with torch.inference_mode():
            return self.model.sample(batch, self.steps, noise, size_mask=size_mask,
                                     solver=self.solver)[-1].cpu().numpy()

    def follow_tokens(self, observation, subtask, **options):
        """Low level by discrete action tokens: actions (H, A) in the robot's units, and whether the
        tokens were well formed. options: as in `token_chunks`."""
        batch = self.batch(observation, subtask, "low")
        chunks, ok = self.token_chunks(batch, **options)
        actions = self.processor.physical_actions(chunks[0], observation.robot, observation.state)
        return actions, bool(ok[0])

    def token_chunks(self, batch, limit=None, temperature=0.0, generator=None, constrained=True):
        """A chunk in discrete tokens for each prompt: (B, H, A) normalised, and well formed (B,).

        constrained: only tokens may follow that can still become a whole chunk within `limit`, so
        every chunk is well formed; without it the model may write any action token at any place.
        """
        p, room = self.processor, self.model.config.max_tokens - batch.tokens.shape[1]
        if p.actions is None:
            raise ConfigError(say("action tokenizer", "one", None,
                                  "this checkpoint has none: use `follow`"))
        limit = room if limit is None else limit
        allowed = self.next_action_ids(limit) if constrained else self.action_ids()
        ids = self.model.generate(batch, EOS, limit, allowed, temperature, generator)
        return p.chunks_of_tokens([[i for i in row if i != EOS] for row in ids.tolist()])


def load(path, device="cpu", build=Pi05, processor=Processor, kind=Policy, **options):
    """The policy saved in a checkpoint folder, or in the newest checkpoint of a run folder.

    build, processor, kind: the model, Processor and Policy that it was trained with, if others.
    Raises ConfigError where the folder holds no whole checkpoint or does not fit.
    """
    from pi05lite.train.checkpoint import newest

    folder = newest(path)
    if not (folder / "model.safetensors").is_file():
        raise ConfigError(say(f"{folder}", "model.safetensors", "adapters alone (LoRA)",
                              "pi05lite.train.lora.load(path, the model that it started from)"))
    config = Config.from_json((folder / "config.json").read_text())
    model = build(config)
    weights = load_file(folder / "model.safetensors")
    ours = model.state_dict()
    missing = set(ours) ^ set(weights)
    wrong = [k for k in ours if k in weights and weights[k].shape != ours[k].shape]
    if missing or wrong:
        raise ConfigError(say(f"{folder / 'model.safetensors'}",
                              "the tensors of the model that its config.json describes",
                              f"missing or unexpected: {sorted(missing)[:5]}, "
                              f"other shapes: {wrong[:5]}",
                              "load it with the same parts that it was trained with (build=...)"))
    model.load_state_dict(weights)
    return kind(model.to(device), processor.load(folder, config), **options)
