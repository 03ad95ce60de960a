"""The checks of chapter 10 on right answers, and on wrong ones that they must name."""

import math

import numpy as np
import pytest
import torch

from pi05lite.checks import levels as checks
from tests.checks.tools import verdict


def controller(again=lambda age, every: age == every, given=lambda text, prompt: text, heard=True,
               first=0, whole=False, fresh=True, still=False, old=False, restart=True):
    """A class of two levels, right or with one thing wrong."""
    class Levels:
        def __init__(self, say, move, execute, every):
            self.say, self.move, self.execute, self.every = say, move, execute, every
            self.clock, self.age, self.asked, self.chunk = 0, 0, None, None

        def step(self, observation, prompt):
            end = None if self.chunk is None else len(self.chunk) if whole else self.execute
            if self.chunk is None or self.clock == end:
                changed = prompt != self.asked
                if self.chunk is None or again(self.age, self.every) or (heard and changed):
                    self.subtask = self.say(observation, self.asked if old and self.asked else
                                            prompt)
                    self.age = 0 if restart or not changed or self.chunk is None else self.age
                    self.age = 0 if self.age == self.every else self.age
                    self.asked = prompt
                self.seen = observation if fresh or self.chunk is None else self.seen
                self.chunk = self.move(self.seen, given(self.subtask, prompt))
                self.age, self.clock = self.age + 1, 0
            self.clock += 1
            return self.chunk[0 if still else self.clock - 1 + first]
    return Levels


class Generator:
    """The same, a generator inside."""

    def __init__(self, say, move, execute, every):
        self.now, self.run = None, self.actions(say, move, execute, every)

    def step(self, observation, prompt):
        self.now = observation, prompt
        return next(self.run)

    def actions(self, say, move, execute, every):
        while True:
            subtask, asked = say(*self.now), self.now[1]
            for _ in range(every):
                if self.now[1] != asked:
                    break
                yield from move(self.now[0], subtask)[:execute]


class EveryStep(controller()):
    """Both levels at every step."""

    def step(self, observation, prompt):
        return self.move(observation, self.say(observation, prompt))[0]


class AtOnce(controller()):
    """A new prompt breaks off the chunk."""

    def step(self, observation, prompt):
        if self.asked not in (None, prompt):
            self.clock = self.execute
        return super().step(observation, prompt)


class More(controller()):
    """The prompt as a third thing."""

    def step(self, observation, prompt):
        move = self.move
        self.move = lambda o, text: move(o, text, prompt)
        action, self.move = super().step(observation, prompt), move
        return action


@pytest.mark.parametrize("mine", [controller(), Generator])
def test_right_controllers(mine, capsys):
    assert verdict(checks.check_two_levels, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (controller(given=lambda text, prompt: f"{prompt}: {text}"), 3, "the overall prompt: it must"),
    (controller(given=lambda text, prompt: prompt), 3, "the overall prompt: it must"),
    (More, 3, "nothing else belongs there"),
    (controller(again=lambda *_: True), 1, "asked for every chunk"),
    (controller(again=lambda *_: False, heard=False), 1, "once and never again"),
    (controller(heard=False), 2, "when the old subtask was over"),
    (controller(old=True), 3, "with the old prompt"),
    (controller(restart=False), 2, "did not begin anew"),
    (AtOnce, 1, "broke off the running chunk"), (EveryStep, 0, "asked at every step"),
    (controller(whole=True), 0, "carried out to its end"),
    (controller(still=True), 3, "again and again"), (controller(first=1), 3, "its second step"),
    (controller(fresh=False), 3, "an old observation"),
    (type("Silent", (controller(),), {"step": lambda *_: None}), 0, "return")])
def test_wrong_controllers_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_two_levels, mine, capsys)
    assert got == points and says in text


def hand(count=math.ceil, frozen=lambda old, e, d: old[e:e + d], most=lambda H, e, d: H - d):
    """A handover, right or with one thing wrong."""
    def handover(old, execute, latency, hz):
        d = count(latency * hz)
        n = int(d)
        return d, frozen(old, execute, n), most(len(old), execute, n)
    return handover


def by_loop(old, execute, latency, hz):
    """The same, counted step by step."""
    delay = next(d for d in range(10**6) if d / hz >= latency)
    return torch.tensor(delay), np.array(old)[execute:][:delay], len(old) - delay


@pytest.mark.parametrize("mine", [hand(), by_loop])
def test_right_handovers(mine, capsys):
    assert verdict(checks.check_handover, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (hand(math.floor), 0, "rounded down"), (hand(round), 1, "to the nearest"),
    (hand(lambda x: int(x) + 1), 1, "one too many"), (hand(lambda x: x), 0, "not rounded"),
    (lambda old, e, latency, hz: hand()(old, e, latency / hz, hz), 0, "1 / hz of one"),
    (hand(frozen=lambda old, e, d: old[:d]), 2, "executed long ago"),
    (hand(frozen=lambda old, e, d: old[e - d:e]), 2, "are done when"),
    (hand(frozen=lambda old, e, d: old[e:]), 2, "all that is left"),
    (hand(frozen=lambda old, e, d: old[-d:]), 2, "the last steps"),
    (hand(most=lambda H, e, d: H), 2, "the robot waits"),
    (hand(most=lambda H, e, d: H - e), 2, "what is left"),
    (hand(most=lambda H, e, d: H - e - d), 2, "does not come into it"),
    (hand(most=lambda H, e, d: d), 2, "the smallest"),
    (hand(most=lambda H, e, d: H - d - 1), 2, "one too few"),
    (lambda *_: 4, 0, "expected 3 values"), (lambda *_: (4, None, 46), 0, "nothing came back")])
def test_wrong_handovers_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_handover, mine, capsys)
    assert got == points and says in text


def mask(curve=lambda w: w * (np.exp(w) - 1) / (np.e - 1), extra=1, clip=True, turned=False):
    """A soft mask, right or with one thing wrong."""
    def soft_mask(horizon, frozen, overlap):
        i = np.arange(horizon)
        w = (i - frozen + 1 if turned else overlap - i) / (overlap - frozen + extra)
        return curve(np.clip(w, 0, 1) if clip else np.minimum(w, 1))
    return soft_mask


def by_steps(horizon, frozen, overlap):
    """The same in PyTorch, one step after another."""
    rest = overlap - frozen
    w = [1.0] * frozen + [1 - k / (rest + 1) for k in range(1, rest + 1)]
    w = torch.tensor(w + [0.0] * (horizon - overlap), dtype=torch.float64)
    return w * torch.expm1(w) / (math.e - 1)


@pytest.mark.parametrize("mine", [mask(), by_steps])
def test_right_masks(mine, capsys):
    assert verdict(checks.check_soft_mask, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (mask(lambda w: w), 1, "a straight line"), (mask(lambda w: w >= 1), 1, "a hard mask"),
    (mask(lambda w: w > 0), 1, "nothing new"), (mask(extra=0), 1, "overlap - frozen + 1"),
    (mask(turned=True), 0, "w rises"), (mask(clip=False), 2, "keep w at 0"),
    (mask(lambda w: (np.exp(w) - 1) / (np.e - 1)), 1, "factor w in front"),
    (mask(lambda w: w * np.exp(w) / (np.e - 1)), 0, "and not e^w"),
    (mask(lambda w: w * np.exp(w - 1) / (np.e - 1)), 0, "in the exponent"),
    (mask(lambda w: w * (np.exp(w) - 1)), 0, "not divided"),
    (mask(lambda w: w * (np.exp(w) - 1) / np.e), 0, "divided by e, and"),
    (mask(lambda w: 1 - w * (np.exp(w) - 1) / (np.e - 1)), 0, "turned round"),
    (lambda *_: np.ones(3), 0, "expected the shape"), (lambda *_: None, 0, "return")])
def test_wrong_masks_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_soft_mask, mine, capsys)
    assert got == points and says in text
