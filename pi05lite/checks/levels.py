"""Checks of chapter 10, two levels with one set of weights."""

import math

import numpy as np
import torch

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, several
from pi05lite.model import realtime
from pi05lite.policy import Policy

H, EXECUTE, EVERY = 9, 4, 2  # of the controller's trial
CHANGE = 25  # the step with a new prompt, in the middle of a chunk and of a subtask
PROMPTS = ["tidy up"] * CHANGE + ["lay the table"] * 21  # what is asked for at each step


class Asked:
    """A model of both levels that notes when it was asked what; the step is the observation."""

    def __init__(self):
        self.high, self.low, self.more = [], [], False

    def say(self, observation, prompt):
        """The high level: a subtask that holds nothing of the prompt."""
        self.high.append((observation, prompt))
        return f"subtask {len(self.high)}"

    def move(self, observation, *given):
        """The low level: chunk n holds 100 n + its step, (H, 1)."""
        self.more |= len(given) != 1
        self.low.append((observation, given[0] if given else None))
        return 100.0 * len(self.low) + np.arange(H)[:, None]


def driven(TwoLevels):
    """The notes of a model under a controller, and the actions that it gave, (T,)."""
    asked, actions = Asked(), []
    robot = TwoLevels(asked.say, asked.move, EXECUTE, EVERY)
    for step, prompt in enumerate(PROMPTS):
        action = as_array("the action", robot.step(step, prompt))
        if action.shape != (1,):
            raise Wrong(f"step() must return one action, here (1,); got the shape {action.shape}")
        actions.append(float(action[0]))
    return asked, actions


def right_order():
    """The steps at which each level is asked, with what; and the actions."""
    high, low, age, asked = [], [], 0, None
    for step in range(0, len(PROMPTS), EXECUTE):
        if PROMPTS[step] != asked or age == EVERY:
            high, asked, age = [*high, (step, PROMPTS[step])], PROMPTS[step], 0
        low.append((step, f"subtask {len(high)}"))
        age += 1
    return high, low, [100.0 * (t // EXECUTE + 1) + t % EXECUTE for t in range(len(PROMPTS))]


@check("TwoLevels", 4, seals=(Policy.act,))
def check_two_levels(TwoLevels):
    """TwoLevels(say, move, execute, every): its step(observation, prompt) -> one action."""
    asked, actions = driven(TwoLevels)
    high, low, right = right_order()
    steps, turns = np.arange(len(PROMPTS)), np.array([t for t, _ in low])
    yield compare("the actions", actions, right, 1, {
        "each chunk is carried out to its end: only the first `execute` steps are":
            100.0 * (steps // H + 1) + steps % H,
        "the first action of the chunk is given again and again": 100.0 * (steps // EXECUTE + 1),
        "each chunk starts at its second step": np.array(right) + 1,
        "there is a new chunk at every step": 100.0 * (steps + 1),
        "there was one chunk only, which is never renewed": 100.0 + steps % H,
    }, f"With execute = {EXECUTE}: steps 0 to {EXECUTE - 1} of a chunk, then of the next one.")
    yield claim(not asked.more and asked.low == low, 1,
                "the low level reads the subtask alone, with what is seen now",
                low_wrongly(asked, low))
    before, due = ([o for o, _ in said if o < CHANGE] for said in (asked.high, high))
    yield claim(before == due, 1,
                f"the high level is asked at the first chunk, then every {EVERY} chunks",
                high_wrongly(before, turns))
    yield claim(asked.high == high, 1, "a new prompt is heard at the next chunk",
                prompt_wrongly(asked.high) if before == due else
                "a new prompt: judged when the high level is asked at the right steps")


def low_wrongly(asked, low):
    """What is wrong with what the low level was given."""
    texts, steps = [text for _, text in asked.low], [o for o, _ in asked.low]
    if asked.more:
        return "move() takes an observation and the subtask; nothing else belongs there"
    if any(prompt in str(text) for text in texts for prompt in PROMPTS):
        return ("the low level was given the overall prompt: it must read the subtask alone, or "
                "the high level could say what it likes")
    if steps == [o for o, _ in low]:
        return "the subtask that it was given is not the one that the high level said last"
    if len(set(steps)) < len(steps):
        return "it was asked with an old observation: hand in what is seen when the chunk is due"
    return f"it was asked at steps {steps[:6]} ..., and not each {EXECUTE} steps"


def high_wrongly(got, turns):
    """What is wrong with when the high level was asked under the first prompt."""
    if not got:
        return "the high level was never asked"
    if got == list(range(CHANGE)):
        return "the high level was asked at every step"
    if got == [t for t in turns if t < CHANGE]:
        return f"the high level was asked for every chunk; a subtask is for {EVERY} of them"
    if len(got) == 1:
        return ("the high level was asked once and never again: nobody tells it that a subtask is "
                "done, so it must look again")
    if got == list(range(0, CHANGE, EVERY)):
        return "`every` counts chunks, not steps"
    return f"the high level was asked at steps {got}"


def prompt_wrongly(got):
    """What is wrong with what was asked after the prompt changed."""
    late = [(o, text) for o, text in got if o >= CHANGE]
    if late and late[0][1] == PROMPTS[0]:
        return "the high level was asked with the old prompt after a new one had come"
    if late and late[0][0] == CHANGE:
        return "a new prompt broke off the running chunk; here it waits for the next one"
    if late and late[0][0] == 28 and len(late) > 1 and late[1][0] == 32:
        return (f"behind a new prompt the count of chunks did not begin anew: its first subtask "
                f"must last for {EVERY} chunks too")
    return "a new prompt was not heard at the next chunk, but when the old subtask was over"


@check("handover", 3)
def check_handover(handover):
    """handover(old, execute, latency, hz) -> delay, the frozen steps, the most to execute."""
    old = torch.arange(50.0)[:, None] * torch.tensor([1.0, -0.5])  # (H, A)
    cases = [(25, 0.073, 50), (20, 0.1, 50), (16, 0.25, 20), (10, 0.05, 10), (30, 0.21, 15)]
    got = [several(handover(old.clone(), *case), 3, "delay, frozen, most") for case in cases]
    exact = np.array([latency * hz for _, latency, hz in cases])
    delay = np.ceil(exact)
    yield compare("the delay", [as_array("the delay", d) for d, _, _ in got], delay, 1, {
        "rounded down: in the step that has begun the chunk is not there yet": np.floor(exact),
        "rounded to the nearest: half of the time the chunk comes too late": np.round(exact),
        "one too many where the latency is a whole number of steps": np.floor(exact) + 1,
        "not rounded: a delay is a whole number of steps": exact,
        "the latency is in seconds, and a step takes 1 / hz of one":
            [math.ceil(latency) for _, latency, _ in cases],
        "seconds over hz; steps are seconds times hz":
            [math.ceil(latency / hz) for _, latency, hz in cases],
    }, "How many steps of 1 / hz seconds begin while the next chunk is computed?")
    execute, d = cases[0][0], int(delay[0])
    rest = old[execute:]
    frozen = as_array("the frozen steps", got[0][1])
    if frozen.shape == tuple(rest.shape):
        yield claim(False, 1, "", "the frozen steps: this is all that is left of the old chunk; "
                    "decided are only the steps that are executed while the next one is computed")
    else:
        yield compare("the frozen steps", frozen, rest[:d], 1, {
            "these are the first steps of the old chunk; they were executed long ago": old[:d],
            "these steps are done when the next chunk is asked for; frozen is what comes after":
                old[execute - d:execute],
            "these are the last steps of the old chunk": old[-d:],
            "one step too late: the next step is the first": old[execute + 1:execute + 1 + d],
        }, f"{execute} steps are done when the next chunk is asked for, and it takes {d} more.")
    yield compare("the most that may be executed", [as_array("most", m) for _, _, m in got],
                  50 - delay, 1, {
        "then the old chunk ends when the next one is asked for, and the robot waits":
            50 + 0 * delay,
        "this is what is left of the old chunk, not how far one may go in it":
            [50 - e for e, _, _ in cases],
        "`execute` does not come into it: what is asked for is its limit":
            [50 - e - n for (e, _, _), n in zip(cases, delay)],
        "this is the smallest number, not the largest": delay,
        "one too few: the step at which the next chunk takes over needs none of the old one":
            49 - delay,
        "the delay is added; it must still fit behind": 50 + delay,
    }, "execute + delay steps must come out of the old chunk of 50.")


def soft(w):
    """The decay of the weights: 1 stays 1, 0 stays 0."""
    return w * np.expm1(w) / (math.e - 1)


@check("soft_mask", 3, seals=(realtime.soft_weights,))
def check_soft_mask(soft_mask):
    """soft_mask(horizon, frozen, overlap) -> how much each step is held, (H,)."""
    cases = [(10, 2, 6), (16, 4, 12), (50, 4, 25), (8, 0, 5)]
    got = []
    for case in cases:
        got.append(as_array("the mask", soft_mask(*case)))
        if got[-1].shape != case[:1]:
            raise Wrong(f"soft_mask{case}: expected the shape {case[:1]}, got {got[-1].shape}")
    with_rule = lambda rule: np.concatenate([rule(np.arange(h), d, n) for h, d, n in cases])  # noqa: E731
    even = lambda i, d, n: np.clip((n - i) / (n - d + 1), 0, 1)  # noqa: E731
    ends = with_rule(lambda i, d, n: (i < d) | (i >= n))
    right, mine = with_rule(lambda i, d, n: soft(even(i, d, n))), np.concatenate(got)
    raw = with_rule(lambda i, d, n: soft(np.minimum((n - i) / (n - d + 1), 1)))
    yield compare("1 at first, 0 in the end", mine[ends], right[ends], 1, {
        "behind the overlap there is no old step to be held to: keep w at 0 there": raw[ends],
        "the frozen steps are free and the others held: turned round": 1 - right[ends],
    }, "The frozen steps are held fully, the steps behind the overlap not at all.")
    yield compare("the decay between", mine[~ends], right[~ends], 2, {
        "w itself, a straight line; then comes w (e^w - 1) / (e - 1)":
            with_rule(even)[~ends],
        "a hard mask: the rest of the old chunk is not used at all": 0 * right[~ends],
        "all of the old chunk is held fully: nothing new can come in": 0 * right[~ends] + 1,
        "w starts at 1 behind the frozen steps: divide by overlap - frozen + 1":
            with_rule(lambda i, d, n: soft(np.clip((n - i) / (n - d), 0, 1)))[~ends],
        "w rises: it counts from the end of the overlap back":
            with_rule(lambda i, d, n: soft(np.clip((i - d + 1) / (n - d + 1), 0, 1)))[~ends],
        "the factor w in front is missing":
            with_rule(lambda i, d, n: np.expm1(even(i, d, n)) / (math.e - 1))[~ends],
        "e^w - 1, and not e^w":
            with_rule(lambda i, d, n: even(i, d, n) * np.exp(even(i, d, n)) / (math.e - 1))[~ends],
        "the 1 stands in the exponent: it is (e^w) - 1, not e^(w - 1)":
            with_rule(lambda i, d, n: even(i, d, n) * np.exp(even(i, d, n) - 1)
                      / (math.e - 1))[~ends],
        "it is not divided by e - 1": (right * (math.e - 1))[~ends],
        "divided by e, and not by e - 1": (right * (math.e - 1) / math.e)[~ends],
    }, "First w, evenly from just below 1 to just above 0; then w (e^w - 1) / (e - 1).")
