"""The checks of chapter 02 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pi05lite.checks import sequence as checks
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.prompt import robot_prompt, sequence
from pi05lite.tokens.vocabulary import BOS, EOS
from tests.checks.tools import verdict


def cut(image, size, order="rcCij"):
    """Patches, right or with axes in another order (named as in checks/sequence.py)."""
    grid = image.unfold(1, size, size).unfold(2, size, size)  # C, r, c, i, j
    return grid.permute(["Crcij".index(letter) for letter in order]).reshape(-1, 3 * size * size)


def by_loops(image, size):
    """Patches one after the other."""
    _, h, w = image.shape
    return torch.stack([image[:, y:y + size, x:x + size].flatten()
                        for y in range(0, h, size) for x in range(0, w, size)])


@pytest.mark.parametrize("mine", [
    cut, by_loops, lambda image, size: F.unfold(image[None], size, stride=size)[0].T])
def test_right_patches(mine, capsys):
    assert verdict(checks.check_patchify, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, says", [
    (lambda x, s: cut(x, s, "crCij"), "column by column"),
    (lambda x, s: x.reshape(-1, 3 * s * s), "in one go"),
    (lambda x, s: cut(x, s, "rcijC"), "channels stand last"),
    (lambda x, s: cut(x, s, "rcCji"), "swapped within each patch"),
    (lambda x, s: cut(x, s, "crCji"), "mirrored"),
    (lambda x, s: cut(x, s, "Crcij"), "one channel come before"),
    (lambda x, s: by_loops(x, s).T, "expected the shape (6, 48)"),
    (lambda x, s: x.unfold(1, s, s).unfold(2, s, s), "expected the shape")])
def test_wrong_patches_are_named(mine, says, capsys):
    got, text = verdict(checks.check_patchify, mine, capsys)
    assert got == 0 and says in text


def write(bins=lambda v: np.clip(np.floor((v.clip(-1, 1) + 1) * 128), 0, 255).astype(int),
          form="Task: {}, State: {};\nAction: ", join=lambda b: " ".join(map(str, b))):
    """A prompt, right or with one thing wrong."""
    return lambda task, values: form.format(task, join(bins(values)))


def by_edges(task, values):
    """Right, by looking for the bin."""
    edges = np.linspace(-1, 1, 257)[:-1]
    numbers = [max(0, int(np.searchsorted(edges, v, side="right")) - 1) for v in values]
    return f"Task: {task}, State: {' '.join(str(k) for k in numbers)};\nAction: "


EDGES = np.linspace(-1, 1, 257)[:-1]


@pytest.mark.parametrize("mine", [write(), by_edges])
def test_right_prompts(mine, capsys):
    assert verdict(checks.check_write_prompt, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (write(lambda v: np.digitize(v, EDGES) - 1), 3, 'would say "-1"'),
    (write(lambda v: np.floor((v.clip(-1, 1) + 1) * 128).astype(int)), 3, "bin 256 does not"),
    (write(lambda v: np.floor((v + 1) * 128).astype(int).clip(min=0)), 3, "bin 256 does not"),
    (write(lambda v: np.round((v.clip(-1, 1) + 1) / 2 * 255).astype(int)), 2, "rounded to 256"),
    (write(lambda v: np.floor((v.clip(-1, 1) + 1) / 2 * 255).astype(int)), 2, "255 bins here"),
    (write(lambda v: np.digitize(v.clip(-1, 1), EDGES)), 1, "start at 1"),
    (write(lambda v: np.floor(v.clip(-1, 1) * 256).astype(int)), 1, "from 0 to 1"),
    (write(lambda v: v), 1, "values themselves"),
    (write(join=lambda b: ", ".join(map(str, b))), 1, "without commas"),
    (write(join=str), 1, "NumPy"),
    (write(join=lambda b: " ".join(f"{k:.1f}" for k in b)), 1, "12 and not 12.0"),
    (write(form="Task: {}, State: {};\nAction:"), 3, "space behind"),
    (write(form="Task: {}, State: {}; Action: "), 3, "new line before"),
    (write(form="Task: {}, State: {}\nAction: "), 3, "semicolon"),
    (write(form="task: {}, State: {};\nAction: "), 3, "expected 'Task"),
    (lambda t, v: write()(t.lower(), v), 3, "expected 'Task"),
    (lambda t, v: f"Task: {t}", 0, 'no "State: "'), (lambda t, v: 7, 0, "expected a string"),
    (lambda t, v: robot_prompt(t, v, "low"), 0, "without the package's own")])
def test_wrong_prompts_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_write_prompt, mine, capsys)
    assert got == points and says in text


def lay_out(start=True, ends=(True, True), prompt_end=False, each=False, swap=False,
            end_kind=None, action_kind=Kind.ACTION, target=lambda t, n: t, empty=False):
    """A sequence, right or with one thing wrong."""
    def make(prompt, answer, actions):
        rows = [(BOS, Kind.PROMPT, False)] * start + [(i, Kind.PROMPT, False) for i in prompt]
        rows += [(EOS, Kind.PROMPT, False)] * prompt_end
        n = len(rows)
        parts = [(answer, Kind.TEXT, ends[0]), (actions, action_kind, ends[1])]
        for ids, kind, end in parts[::-1] if swap else parts:
            if ids is None and not empty:
                continue
            rows += [(BOS, kind, True)] * each + [(i, kind, True) for i in ids or []]
            rows += [(EOS, kind if end_kind is None else end_kind, True)] * end
        tokens, kinds, targets = zip(*rows)
        return list(tokens), list(kinds), target(list(targets), n)
    return make


def by_tensors(prompt, answer, actions):
    """Right, with tensors."""
    parts = [torch.tensor([BOS, *prompt])]
    parts += [torch.tensor([*ids, EOS]) for ids in (answer, actions) if ids is not None]
    kinds = [0] + [k for k, ids in ((1, answer), (2, actions)) if ids is not None]
    kinds = torch.cat([torch.full_like(part, k) for k, part in zip(kinds, parts)])
    return torch.cat(parts), kinds, kinds > 0


@pytest.mark.parametrize("mine", [lay_out(), by_tensors])
def test_right_sequences(mine, capsys):
    assert verdict(checks.check_lay_out, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (lay_out(start=False), 0, "no start (BOS)"),
    (lay_out(ends=(False, True)), 1, "answer has no end (EOS)"),
    (lay_out(ends=(True, False)), 0, "actions have no end"),
    (lay_out(ends=(False, False)), 0, "neither answer nor actions"),
    (lay_out(prompt_end=True), 0, "prompt has an end"), (lay_out(each=True), 0, "each part has a"),
    (lay_out(swap=True), 2, "before the answer"),
    (lay_out(end_kind=Kind.PROMPT), 2, "kind of what it ends"),
    (lay_out(action_kind=Kind.TEXT), 2, "are of the kind ACTION"),
    (lay_out(target=lambda t, n: [True] * len(t)), 2, "the prompt is a target too"),
    (lay_out(target=lambda t, n: [False] + [True] * (len(t) - 1)), 2, "BOS aside"),
    (lay_out(target=lambda t, n: [not x for x in t]), 2, "inverted"),
    (lay_out(target=lambda t, n: t[1:] + [False]), 2, "what comes next"),
    (lay_out(empty=True), 3, "no end of it either"),
    (lambda *parts: [1, 2], 0, "expected 3 values"),
    (lambda p, t, a: (s := sequence(p, t, a)) and (s.tokens, s.kinds, s.target), 0, "without the")])
def test_wrong_sequences_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_lay_out, mine, capsys)
    assert got == points and says in text


def count(patches=lambda px, p: (px // p)**2, cameras=True, text=True, more=0, flow=lambda h, s: h,
          pairs=lambda n, h, s: n**2 + s * h * (n + h)):
    """Counts of tokens and pairs, right or with one thing wrong."""
    def counts(C, px, patch, words, horizon, steps):
        right = C * (px // patch)**2 + words
        prefix = (C if cameras else 1) * patches(px, patch) + (words if text else 0) + more * C
        return prefix, flow(horizon, steps), pairs(right, horizon, steps)
    return counts


def by_adding(C, px, patch, words, horizon, steps):
    """Right, counted one by one."""
    prefix = sum(1 for _ in range(C) for _ in range(0, px, patch) for _ in range(0, px, patch))
    prefix += words
    return prefix, horizon, sum([prefix] * prefix) + sum([horizon * (prefix + horizon)] * steps)


@pytest.mark.parametrize("mine", [count(), by_adding])
def test_right_counts(mine, capsys):
    assert verdict(checks.check_count, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (count(patches=lambda px, p: px // p), 2, "along one side only"),
    (count(cameras=False), 2, "every camera has its own"),
    (count(patches=lambda px, p: px**2), 2, "pixels are counted"),
    (count(text=False), 2, "text is missing"), (count(more=1), 2, "class token"),
    (count(flow=lambda h, s: 32 * h), 2, "a step is one token"),
    (count(flow=lambda h, s: s * h), 2, "count them once"),
    (count(pairs=lambda n, h, s: s * (n + h)**2), 2, "run again in every step"),
    (count(pairs=lambda n, h, s: n**2 + s * h * n), 2, "look at each other too"),
    (count(pairs=lambda n, h, s: n**2 + s * h * h), 2, "do not look at the prefix"),
    (count(pairs=lambda n, h, s: n**2 + h * (n + h)), 2, "asks the flow tokens anew"),
    (count(pairs=lambda n, h, s: (n + h)**2), 2, "run once, with the flow tokens"),
    (count(pairs=lambda n, h, s: s * h * (n + h)), 2, "prefix itself is missing"),
    (lambda *a: 968, 0, "expected 3 values")])
def test_wrong_counts_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_count, mine, capsys)
    assert got == points and says in text
