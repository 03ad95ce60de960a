"""The checks of chapter 13 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest
import torch
from torch import nn

from pi05lite.checks import swap as checks
from pi05lite.lab import statistics
from pi05lite.lab.swaps import norms
from pi05lite.model import expert, layers
from tests.checks.tools import verdict


def added(way=lambda tokens, wave: tokens + wave[:, None], condition=lambda wave: None,
          norm=layers.RMSNorm, make=nn.Linear):
    """A time conditioning, right or with one thing wrong."""
    class Added(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.read = make(width, width)

        def forward(self, tokens, wave):
            return way(tokens, self.read(wave)), condition(wave)
    if norm:
        Added.norm = norm
    return Added


class Deeper(nn.Module):
    """Differently written and as right: two layers, the first of which starts closed."""

    norm = layers.RMSNorm

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 32), nn.SiLU(), nn.Linear(32, width))
        nn.init.zeros_(self.layers[2].weight)

    def forward(self, tokens, wave):
        added = self.layers(wave).unsqueeze(1)
        return added.expand_as(tokens) + tokens, None


class Mixed(expert.MixedTime):
    """Delegates to the package's."""


def only(step):
    """The time at one step of the chunk alone."""
    def way(tokens, wave):
        out = tokens.clone()
        out[:, step] += wave
        return out
    return way


class Same(nn.Module):
    """No weights."""

    def __init__(self, *sizes):
        super().__init__()

    def forward(self, wave):
        return wave


@pytest.mark.parametrize("mine", [added(), Deeper, added(way=lambda x, w: x - w[:, None])])
def test_right_times(mine, capsys):
    assert verdict(checks.check_added_time, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (added(norm=None), 0, "class attribute `norm`"),
    (added(norm=layers.AdaptiveRMSNorm), 0, "reads 3 vectors"),
    (added(way=lambda x, w: x + w), 0, "RuntimeError"),
    (added(way=lambda x, w: (x + w[:, None]).mean(1)), 0, "axis for the steps"),
    (added(way=lambda x, w: w[:, None].expand_as(x)), 0, "tokens are lost"),
    (added(way=lambda x, w: x * (1 + w[:, None])), 2, "depends on the tokens"),
    (added(way=lambda x, w: x), 0, "the time is not used"), (added(way=only(0)), 2, "one token"),
    (added(way=only(-1)), 2, "one token"),
    (added(way=lambda x, w: x + w.mean(0)), 0, "another's time"),
    (added(way=lambda x, w: x + w[:, None] * torch.arange(x.shape[1])[:, None]), 2,
     "different times"),
    (added(make=Same), 2, "nothing is learned"),
    (added(condition=lambda wave: wave), 2, "must be None"),
    (added(way=lambda x, w: x + w[:, None].detach()), 2, "gradient"),
    (added(way=lambda x, w: x + nn.functional.dropout(w, 0.5)[:, None], make=nn.Linear), 0,
     "depends on the tokens"),
    (norms.AddedTime, 0, "without the package's own"), (Mixed, 0, "without the package's own"),
    (type("Stays", (norms.AddedTime,), {}), 0, "without the package's own")])
def test_wrong_times_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_added_time, mine, capsys)
    assert got == points and says in text, text


def pairs(error=lambda a, b, d: d.std(ddof=1) / len(d) ** 0.5, factor=None,
          middle=lambda a, b: (a - b).mean(), ends=lambda low, high: (low, high)):
    """A paired interval, right or with one thing wrong."""
    def paired(a, b, t):
        mid = middle(a, b)
        half = (factor or t) * error(a, b, a - b)
        return mid, *ends(mid - half, mid + half)
    return paired


def by_torch(a, b, t):
    d = torch.tensor(a) - torch.tensor(b)
    half = t * (d.var() / len(d)).sqrt()
    return d.mean(), d.mean() - half, d.mean() + half


def by_hand(a, b, t):
    d = [x - y for x, y in zip(a, b)]
    mean = sum(d) / len(d)
    root = (sum((x - mean) ** 2 for x in d) / (len(d) - 1) / len(d)) ** 0.5
    return [mean, mean - t * root, mean + t * root]


@pytest.mark.parametrize("mine", [pairs(), by_torch, by_hand])
def test_right_pairs(mine, capsys):
    assert verdict(checks.check_paired, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (pairs(lambda a, b, d: ((a.var(ddof=1) + b.var(ddof=1)) / len(a)) ** 0.5), 1, "not paired"),
    (pairs(lambda a, b, d: ((a.var() + b.var()) / len(a)) ** 0.5), 1, "not paired"),
    (pairs(lambda a, b, d: d.std() / len(d) ** 0.5), 1, "ddof=1"),
    (pairs(lambda a, b, d: d.std(ddof=1)), 1, "single seeds scatter"),
    (pairs(lambda a, b, d: d.std(ddof=1) / len(d)), 1, "not by its root"),
    (pairs(factor=1.96), 1, "1.96"), (pairs(factor=1.0), 1, "t is missing"),
    (pairs(lambda a, b, d: d.var(ddof=1) / len(d) ** 0.5), 1, "not rooted"),
    (pairs(lambda a, b, d: (np.sort(a) - np.sort(b)).std(ddof=1) / len(d) ** 0.5), 1, "sorted"),
    (pairs(middle=lambda a, b: (b - a).mean()), 0, "it is b - a"),
    (pairs(middle=lambda a, b: a.min() - b.min()), 0, "two best seeds"),
    (pairs(middle=lambda a, b: a.mean()), 0, "of a alone"),
    (pairs(ends=lambda low, high: (high, low)), 1, "low and high are swapped"),
    (lambda a, b, t: ((a - b).mean(), (a - b).min(), (a - b).max()), 1, "lowest to the highest"),
    (lambda a, b, t: (a - b).mean(), 0, "expected 3 values"), (lambda a, b, t: None, 0, "3 values"),
    (lambda a, b, t: statistics.difference(a[None], b[None])[:3], 0, "without the package's")])
def test_wrong_pairs_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_paired, mine, capsys)
    assert got == points and says in text, text


def buys(of=lambda steps, first, cost: int(steps * first / cost)):
    """Steps for each, by a formula."""
    def steps_for(costs, steps):
        first = next(iter(costs.values()))
        return {name: of(steps, first, cost) for name, cost in costs.items()}
    return steps_for


def by_floor(costs, steps):
    budget, out = None, {}
    for name in costs:
        budget = budget or steps * costs[name]
        out[name] = int(np.floor(budget / costs[name]))
    return out


@pytest.mark.parametrize("mine", [buys(), by_floor,
                                  buys(lambda n, first, c: np.int64(n * first // c))])
def test_right_budgets(mine, capsys):
    assert verdict(checks.check_steps_for, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (buys(lambda n, first, c: int(n * c / first)), 1, "here it buys more"),
    (buys(lambda n, first, c: n), 1, "the same steps for all"),
    (buys(lambda n, first, c: int(np.ceil(n * first / c))), 1, "rounded up"),
    (buys(lambda n, first, c: round(n * first / c)), 1, "rounded"),
    (buys(lambda n, first, c: n * first / c), 0, "part of a step"),
    (buys(lambda n, first, c: n * first // c), 2, "range() wants an int"),
    (buys(lambda n, first, c: int(n * first / c / 3)), 1, "shared out"),
    (buys(lambda n, first, c: int(n * 3.0 / c)), 1, "the dearest"),
    (buys(lambda n, first, c: int(n / c)), 1, "the budget itself"),
    (lambda costs, steps: [steps], 0, "expected a dict"), (lambda costs, steps: None, 0, "a dict")])
def test_wrong_budgets_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_steps_for, mine, capsys)
    assert got == points and says in text, text


def flat(run):
    """Dotted name -> value."""
    return {f"{group}.{name}": value for group, values in run.items()
            for name, value in values.items()}


def differ(a, b, missing=True, skip=(), of=lambda name: name):
    """Names that differ, sorted; or with one thing wrong."""
    a, b = flat(a), flat(b)
    known = {*a, *b} if missing is True else set(a) & set(b) if missing is None else set(a)
    return sorted({of(n) for n in known if a.get(n) != b.get(n) and n not in skip})


def nested(a, b, idea, path=""):
    """The same by recursion, as a set."""
    if isinstance(a, dict) and isinstance(b, dict):
        return {name for key in {*a, *b}
                for name in nested(a.get(key), b.get(key), idea, f"{path}.{key}".lstrip("."))}
    return set() if a == b or path == idea else {path}


@pytest.mark.parametrize("mine", [lambda a, b, idea: differ(a, b, skip=[idea]), nested])
def test_right_confounds(mine, capsys):
    assert verdict(checks.check_confounds, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (lambda a, b, idea: differ(a, b), 0, "is the idea"),
    (lambda a, b, idea: differ(a, b, None, [idea]), 1, "recipe.ema stands in one run alone"),
    (lambda a, b, idea: differ(a, b, False, [idea]), 2, "recipe.ema stands in one run alone"),
    (lambda a, b, idea: differ(a, b, skip=[idea, "recipe.seed"]), 1, "another draw of weights"),
    (lambda a, b, idea: differ(a, b, skip=[idea], of=lambda n: n.split(".")[1]), 1, "bare names"),
    (lambda a, b, idea: sorted(k for k in a if a[k] != b[k]), 0, "groups or bare names"),
    (lambda a, b, idea: sorted({*flat(a)} - {idea}), 0, "the same in both"),
    (lambda a, b, idea: [], 1, "nothing was found"), (lambda a, b, idea: None, 0, "return"),
    (lambda a, b, idea: "recipe.seed", 0, "a list of names"),
    (lambda a, b, idea: 3, 0, "TypeError"),
    (lambda a, b, idea: a["lora"], 0, "KeyError")])
def test_wrong_confounds_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_confounds, mine, capsys)
    assert got == points and says in text, text
