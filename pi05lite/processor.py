"""Between the world and the model: examples to a Batch, model output back to words and actions.

It holds what a checkpoint needs besides weights: both tokenizers and each robot's statistics.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from pi05lite.data.images import to_float
from pi05lite.data.robots import Robot
from pi05lite.data.stats import DatasetStats
from pi05lite.errors import ConfigError, say
from pi05lite.model.batch import Batch
from pi05lite.tokens import actions as action_tokenizers
from pi05lite.tokens.boxes import box_bins, encode_boxes
from pi05lite.tokens.prompt import question_prompt, robot_prompt, sequence
from pi05lite.tokens.text import TextTokenizer
from pi05lite.tokens.vocabulary import EOS


class Processor:
    """Turns examples into batches of the config's sizes and normalised units, and back.

    text: TextTokenizer; actions: an ActionTokenizer or None (no discrete actions);
    robots: name -> Robot; sources: names of the mixture's sources, for losses per source.
    """

    def __init__(self, config, text, actions, robots, sources=()):
        self.config, self.text, self.actions = config, text, actions
        self.robots, self.sources = dict(robots), list(sources)
        self.cut = Counter()  # source -> examples whose answer or actions did not fit max_tokens
        # One shape for the action tokenizer: narrower robots get zeros behind their own numbers.
        self.token_width = max((r.action_size for r in self.robots.values()), default=0)
        # A state token is as wide as an action; without room for it the state is text only.
        self.states_fit = all(r.state_size <= config.action_size for r in self.robots.values())
        self._check()

    def _check(self):
        c = self.config
        sizes = {"text": self.text.size,
                 "actions": self.actions.vocabulary_size if self.actions else 0}
        for name, size in sizes.items():
            room = getattr(c.vocabulary, name)
            if size > room:
                raise ConfigError(say(f"{name} tokenizer", f"at most {room} ids", size,
                                      f"raise config.vocabulary.{name} or train a smaller one"))
        if self.actions:
            self.actions.check_shape(self.config.horizon, self.token_width)
        for robot in self.robots.values():
            if robot.action_size > c.action_size:
                raise ConfigError(say(f"action size of {robot.name}", f"<= {c.action_size}",
                                      robot.action_size, "raise config.action_size"))
            if not set(robot.cameras) <= set(c.cameras):
                raise ConfigError(say(f"camera slots of {robot.name}", f"some of {c.cameras}",
                                      tuple(robot.cameras), "map its cameras to those slots"))

    def robot(self, name):
        """The robot of that name; raises ConfigError where its statistics are not known."""
        if name not in self.robots:
            raise ConfigError(say("robot", f"one of {sorted(self.robots)}", name,
                                  "train with it, or add its Robot to the processor"))
        return self.robots[name]

    # ---- examples to tensors ---------------------------------------------------------------

    def prompt_ids(self, example):
        """Ids of the prompt: the text with the state in bins, or a question."""
        if example.level == "words":
            return self.text.encode(question_prompt(example.text))
        return self.text.encode(robot_prompt(
            example.text, self.prompt_state(example), example.level, self.config.state_bins))

    def prompt_state(self, example):
        """The state (S,) that stands in the prompt as text; None for none."""
        return self.normal_state(example)

    def normal_state(self, example):
        """The state (S,) in [-1, 1], blurred where training asks for it."""
        state = self.robot(example.robot).stats.state.normalize(example.state)
        return state if example.blur is None else state + example.blur

    def answer_ids(self, example):
        """Ids of what is to be said: boxes first, then words (pi0.5, section IV-C)."""
        if example.answer is None and example.objects is None:
            return None
        ids = encode_boxes(example.objects or [], self.text, self.config.vocabulary)
        if example.answer:
            ids += self.text.encode((" ; " if ids else "") + example.answer)
        return ids

    def named(self, example, tokens):
        """Yield (place of the last token, name, camera, bins of the box) of what the prompt names.
        """
        count = self.config.vocabulary.locations
        for slot, seen in example.named.items():
            for name, box in seen:
                ids = self.text.encode(f" {name}")
                for place in range(len(tokens) - len(ids) + 1):
                    if tokens[place:place + len(ids)] == ids:
                        yield (place + len(ids) - 1, name, self.config.cameras.index(slot),
                               box_bins(box, count))
                        break

    def shown(self, example, target):
        """Yield (place of a box's last token, camera, bins) for each box of the answer and camera
        that shows what the box's label, which comes next, names; target: of the sequence."""
        if not example.seen or not example.objects:
            return
        place, count = target.index(True) - 1, self.config.vocabulary.locations
        for k, (label, _) in enumerate(example.objects):
            so_far = encode_boxes(example.objects[:k + 1], self.text, self.config.vocabulary)
            last = place + len(so_far) - len(self.text.encode(f" {label.strip()}"))
            for slot, seen in example.seen.items():
                for name, other in seen:
                    if name == label:
                        yield last, self.config.cameras.index(slot), box_bins(other, count)
                        break

    def things(self, examples):
        """Ids of names (B, C, M, n) and boxes (B, C, M, 4) of what pictures show, 0 for no more."""
        named = {name for e in examples for seen in (e.seen or {}).values() for name, _ in seen}
        ids = {name: torch.tensor(self.text.encode(f" {name}")) for name in named}
        most = max((len(seen) for e in examples for seen in (e.seen or {}).values()), default=0)
        longest = max(map(len, ids.values()), default=1)
        shape = len(examples), len(self.config.cameras), most
        things, boxes = torch.zeros(*shape, longest, dtype=torch.long), torch.zeros(*shape, 4)
        for b, example in enumerate(examples):
            for slot, seen in (example.seen or {}).items():
                c = self.config.cameras.index(slot)
                for m, (name, box) in enumerate(seen):
                    things[b, c, m, :len(ids[name])] = ids[name]
                    boxes[b, c, m] = torch.tensor(box)
        return things, boxes

    def normal_actions(self, example):
        """The chunk (H, A') in [-1, 1]."""
        return self.robot(example.robot).to_model(example.actions, example.state)

    def action_ids(self, example):
        """Ids of the chunk as discrete tokens, in the action range of the vocabulary."""
        if example.actions is None or self.actions is None:
            return None
        chunk = self.normal_actions(example)
        chunk = np.pad(chunk, ((0, 0), (0, self.token_width - chunk.shape[1])))
        tokens = self.actions.encode(chunk[None], example.steps[None])[0]
        return [self.config.vocabulary.action_id(t) for t in tokens]

    def chunks_of_tokens(self, rows):
        """B lists of ids in the action range -> the chunks (B, H, A) they spell, and which are well
        formed (B,)."""
        v = self.config.vocabulary
        tokens = [[int(v.action_token(i)) for i in ids] for ids in rows]
        return self.actions.decode(tokens, self.config.horizon, self.token_width)

    def chunk_of_tokens(self, ids):
        """Ids in the action range -> the chunk (H, A) they spell, and if they are well formed."""
        chunks, ok = self.chunks_of_tokens([ids])
        return chunks[0], bool(ok[0])

    def next_action_ids(self, ids, limit):
        """(V,) bool: what may follow these ids so that the chunk is whole in `limit` tokens: action
        ids as long as it is not, then the end."""
        v = self.config.vocabulary
        tokens = [int(v.action_token(i)) for i in ids]
        may = self.actions.may_follow(tokens, self.config.horizon, self.token_width, limit)
        allowed = np.zeros(v.size, dtype=bool)
        allowed[v.action_id(np.flatnonzero(may))] = True
        allowed[EOS] = not may.any()
        return allowed

    def sequence(self, example):
        """The ids, kinds and targets of one example, within max_tokens."""
        s = sequence(self.prompt_ids(example), self.answer_ids(example), self.action_ids(example))
        room, prompt = self.config.max_tokens, len(s.tokens) - sum(s.target)
        most = room - any(s.target)  # room for at least one token to be predicted
        if prompt > most:
            raise ConfigError(say(f"prompt of {example.source}", f"at most {most} tokens", prompt,
                                  "raise config.max_tokens, or train a larger text vocabulary"))
        if len(s.tokens) > room:
            self.cut[example.source] += 1
        return s

    def slot(self, source, name, image):
        """The place of a camera slot; ConfigError for an unknown one or a picture of other size."""
        px = self.config.vision.image_size
        if name not in self.config.cameras:
            raise ConfigError(say(f"camera slot of {source}", f"one of {self.config.cameras}", name,
                                  "map the camera to one of the config's slots"))
        if np.shape(image) != (px, px, 3):
            raise ConfigError(say(f"picture {name} of {source}", f"shape {(px, px, 3)}",
                                  np.shape(image), "make it square with pi05lite.data.images.fit"))
        return self.config.cameras.index(name)

    def collate(self, examples, multiple=1):
        """Examples to a Batch padded to the longest, rounded up to a multiple, on the CPU."""
        c = self.config
        sequences = [self.sequence(e) for e in examples]
        longest = -(-max(len(s.tokens) for s in sequences) // multiple) * multiple
        B, L = len(examples), min(longest, c.max_tokens)
        px = c.vision.image_size
        images = torch.zeros(B, len(c.cameras), 3, px, px)
        image_mask = torch.zeros(B, len(c.cameras), dtype=torch.bool)
        tokens, kinds = torch.zeros(B, L, dtype=torch.long), torch.zeros(B, L, dtype=torch.long)
        valid, target = tokens.bool(), tokens.bool()
        actions = torch.zeros(B, c.horizon, c.action_size)
        action_mask = torch.zeros(B, c.horizon, c.action_size, dtype=torch.bool)
        state = torch.zeros(B, c.action_size) if self.states_fit else None
        places = torch.full((B, L, len(c.cameras), 4), -1)
        way, docks = torch.full((B, 3), torch.nan), torch.full((B, L, 3), torch.nan)
        for b, (example, s) in enumerate(zip(examples, sequences)):
            for slot, image in example.images.items():
                k = self.slot(example.source, slot, image)
                images[b, k] = torch.from_numpy(to_float(image)).permute(2, 0, 1)
                image_mask[b, k] = True
            n = min(len(s.tokens), L)
            tokens[b, :n], kinds[b, :n] = torch.tensor(s.tokens[:n]), torch.tensor(s.kinds[:n])
            valid[b, :n], target[b, :n] = True, torch.tensor(s.target[:n])
            for place, name, camera, box in self.named(example, s.tokens):
                places[b, place, camera] = torch.from_numpy(box)
                if name in example.docks:
                    docks[b, place] = torch.from_numpy(example.docks[name])
            for place, camera, bins in self.shown(example, s.target):
                if place < n:
                    places[b, place, camera] = torch.from_numpy(bins)
            if example.actions is not None:
                size = example.actions.shape[1]
                actions[b, :, :size] = torch.as_tensor(self.normal_actions(example))
                action_mask[b, :, :size] = torch.as_tensor(example.steps)[:, None]
            if example.state is not None and state is not None:
                state[b, :len(example.state)] = torch.as_tensor(self.normal_state(example))
            if example.way is not None:
                way[b] = torch.as_tensor(example.way)
        things, boxes = self.things(examples)
        source = [self.sources.index(e.source) if e.source in self.sources else -1
                  for e in examples]
        return Batch(images, image_mask, tokens, kinds, valid, target, actions, action_mask,
                     torch.tensor(source), state, places, way, docks, things, boxes)

    # ---- tensors back to the world ---------------------------------------------------------

    def physical_actions(self, chunk, robot, state):
        """A normalised chunk (H, A) -> (H, A') float32 in the robot's own units."""
        r = self.robot(robot)
        return r.from_model(np.asarray(chunk)[:, :r.action_size], state)

    def size_mask(self, robot):
        """(1, A) bool: the action sizes that the robot has."""
        mask = torch.zeros(1, self.config.action_size, dtype=torch.bool)
        mask[:, :self.robot(robot).action_size] = True
        return mask

    # ---- files -----------------------------------------------------------------------------

    def save(self, folder):
        """Write tokenizers and robots into a folder."""
        folder = Path(folder)
        self.text.save(folder / "text.json")
        if self.actions is not None:
            self.actions.save(folder / "actions")
        for robot in self.robots.values():
            robot.stats.save(folder / f"stats.{robot.name}.json")
        table = {"sources": self.sources,
                 "robots": {r.name: {"cameras": r.cameras, "fps": r.fps, "relative": r.relative,
                                     "remember": r.remember}
                            for r in self.robots.values()}}
        (folder / "processor.json").write_text(json.dumps(table, indent=2))

    @classmethod
    def load(cls, folder, config):
        """The processor that `save` wrote."""
        folder = Path(folder)
        table = json.loads((folder / "processor.json").read_text())
        robots = {}
        for name, r in table["robots"].items():
            stats = DatasetStats.load(folder / f"stats.{name}.json")
            relative = tuple(map(tuple, r["relative"]))
            robots[name] = Robot(name, stats, r["cameras"], r["fps"], relative,
                                 tuple(r["remember"]))
        actions = folder / "actions"
        return cls(config, TextTokenizer.load(folder / "text.json"),
                   action_tokenizers.load(actions) if actions.exists() else None,
                   robots, table["sources"])
