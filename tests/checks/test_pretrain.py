"""The checks of chapter 08 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest
import torch

from pi05lite.checks import pretrain as checks
from pi05lite.data.mixture import by_size
from tests.checks.tools import verdict


def mixed(share=lambda n, p: n**p / (n**p).sum(), passes=lambda s, n, k: k * s / n):
    """The mixture, right or with one thing wrong."""
    def mix(sizes, power, examples):
        n = np.array(list(sizes.values()), dtype=float)
        s = share(n, power)
        return dict(zip(sizes, s)), dict(zip(sizes, passes(s, n, examples)))
    return mix


def by_loop(sizes, power, examples):
    """The same in plain Python."""
    total = sum(size**power for size in sizes.values())
    shares = {name: size**power / total for name, size in sizes.items()}
    return shares, {name: share * examples / sizes[name] for name, share in shares.items()}


@pytest.mark.parametrize("mine", [mixed(), by_loop])
def test_right_mixtures(mine, capsys):
    assert verdict(checks.check_mix, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (mixed(share=lambda n, p: n**p), 0, "not divided by their sum"),
    (mixed(share=lambda n, p: n / n.sum()), 1, "the power is not used"),
    (mixed(share=lambda n, p: (n / n.sum()) ** p), 1, "raised after"),
    (mixed(share=lambda n, p: n ** (1 / p) / (n ** (1 / p)).sum()), 1, "as a temperature"),
    (mixed(share=lambda n, p: n**-p / (n**-p).sum()), 0, "smallest source got the largest"),
    (mixed(share=lambda n, p: np.full(3, 1 / 3)), 0, "all sources get the same"),
    (mixed(passes=lambda s, n, k: k * s), 3, "how many examples are drawn"),
    (mixed(passes=lambda s, n, k: np.full(3, k / n.sum())), 3, "passed over alike"),
    (mixed(passes=lambda s, n, k: n / (k * s)), 3, "wrong way up"),
    (mixed(passes=lambda s, n, k: k / n), 3, "share is missing"),
    (mixed(passes=lambda s, n, k: np.round(k * s / n)), 3, "whole passes"),
    (lambda sizes, power, examples: mixed()(sizes, power, examples)[0], 0, "expected 2 values"),
    (lambda sizes, power, examples: ([1], [2]), 0, "expected a dict"),
    (lambda sizes, power, examples: None, 0, "expected 2 values")])
def test_wrong_mixtures_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_mix, mine, capsys)
    assert got == points and says in text


def test_the_packages_weights_are_no_answer(capsys):
    def mix(sizes, power, examples):
        weights = {name: by_size(range(size), power) for name, size in sizes.items()}
        total = sum(weights.values())
        shares = {name: w / total for name, w in weights.items()}
        return shares, {name: s * examples / sizes[name] for name, s in shares.items()}
    got, text = verdict(checks.check_mix, mix, capsys)
    assert got == 0 and "without the package" in text


def ranged(by=lambda x: np.quantile(x, [0.01, 0.99]), own=True, padding=False,
           absent=(-1.0, 1.0), apart=True):
    """Ranges by robot, right or with one thing wrong."""
    def scales(actions, real, robot):
        R, A = robot.max() + 1, actions.shape[1]
        out = np.empty((2, R, A))
        for r in range(R):
            for a in range(A):
                rows = (robot == r) if own else np.ones(len(robot), dtype=bool)
                seen = rows if padding else rows & real[:, a]
                x = actions[seen, a] if apart else actions[rows][real[rows]]
                out[:, r, a] = by(x) if len(x) else absent
        return out[0], out[1]
    return scales


def by_nan(actions, real, robot):
    """The same with NaN for what is not there; returns lists."""
    table = np.where(real, actions, np.nan)
    low, high = [], []
    for r in np.unique(robot):
        mine = table[robot == r]
        lacking = np.isnan(mine).all(0)
        mine = np.where(lacking, 0.0, mine)
        q = np.nanquantile(mine, [0.01, 0.99], axis=0)
        low.append(np.where(lacking, -1, q[0]).tolist())
        high.append(np.where(lacking, 1, q[1]).tolist())
    return low, high


@pytest.mark.parametrize("mine", [ranged(), by_nan])
def test_right_scales(mine, capsys):
    assert verdict(checks.check_scales, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (ranged(own=False), 0, "one set for all robots: the quicker"),
    (ranged(own=False, padding=True), 0, "padding counts too"),
    (ranged(padding=True), 3, "no width here"),
    (ranged(by=lambda x: (x.min(), x.max())), 1, "smallest and largest"),
    (ranged(by=lambda x: (x.mean() - x.std(), x.mean() + x.std())), 1, "mean and deviation"),
    (ranged(by=lambda x: np.quantile(x, [0.05, 0.95])), 1, "5 % and 95 %"),
    (lambda *a: ranged()(*a)[::-1], 0, "low and high are swapped"),
    (lambda *a: tuple(np.asarray(x)[::-1] for x in ranged()(*a)), 0, "two robots are swapped"),
    (ranged(apart=False), 0, "one range for all numbers"),
    (ranged(absent=(np.nan, np.nan)), 3, "quantiles of nothing"),
    (ranged(absent=(0.0, 0.0)), 3, "no width here"),
    (ranged(absent=(0.0, 1.0)), 3, "here it is 0 and 1"),
    (lambda *a: tuple(np.asarray(x)[0] for x in ranged()(*a)), 0, "a row for each robot"),
    (lambda *a: None, 0, "expected 2 values")])
def test_wrong_scales_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_scales, mine, capsys)
    assert got == points and says in text


def by_source(mean=lambda total, tokens, rows, whole: total / tokens.clamp(min=1),
              tokens=lambda tokens, rows: tokens, masked=True):
    """Means by source, right or with one thing wrong."""
    def split(loss, target, source, count):
        of = (source == torch.arange(count)[:, None]).float()  # (S, B)
        seen = target if masked else torch.ones_like(target)
        total, n = of @ (loss * seen).sum(1), (of @ seen.float().sum(1))
        return mean(total, n, of.sum(1), target.sum()), tokens(n, of.sum(1))
    return split


def by_index(loss, target, source, count):
    """The same by index_add, in NumPy at the end."""
    rows, _ = target.nonzero(as_tuple=True)
    sums = torch.zeros(count).index_add(0, source[rows], loss[target])
    n = torch.bincount(source[rows], minlength=count)
    return np.where(n.numpy() > 0, sums.numpy() / np.maximum(n.numpy(), 1), 0.0), n.tolist()


def of_rows(loss, target, source, count):
    """Each example's mean first."""
    rows = (loss * target).sum(1) / target.sum(1)
    means = [rows[source == s].mean() if (source == s).any() else torch.zeros(())
             for s in range(count)]
    return torch.stack(means), by_source()(loss, target, source, count)[1]


@pytest.mark.parametrize("mine", [by_source(), by_index])
def test_right_losses_by_source(mine, capsys):
    assert verdict(checks.check_loss_by_source, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (of_rows, 2, "each example's mean"),
    (by_source(masked=False), 1, "prompt and padding"),
    (by_source(mean=lambda t, n, r, w: t / (9 * r).clamp(min=1)), 2, "over all places"),
    (by_source(mean=lambda t, n, r, w: t), 2, "sums"),
    (by_source(mean=lambda t, n, r, w: t / r.clamp(min=1)), 2, "how many examples there are"),
    (by_source(mean=lambda t, n, r, w: t / w), 2, "what is rare looks easy"),
    (by_source(mean=lambda t, n, r, w: t.sum() / w * (n > 0)), 2, "for every source"),
    (by_source(mean=lambda t, n, r, w: t / n), 3, "gives NaN"),
    (by_source(mean=lambda t, n, r, w: torch.where(n > 0, t / n.clamp(min=1), -1.0)), 3,
     "must have 0"),
    (by_source(tokens=lambda n, r: r), 3, "those are examples"),
    (by_source(tokens=lambda n, r: n.clamp(min=1)), 3, "has 0 tokens"),
    (lambda *a: by_source()(*a)[0], 0, "expected 2 values"),
    (lambda *a: None, 0, "expected 2 values")])
def test_wrong_losses_by_source_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_loss_by_source, mine, capsys)
    assert got == points and says in text
