"""The checks of chapter 11 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest

from pi05lite.checks import general as checks
from pi05lite.evaluate import intervals
from tests.checks.tools import verdict


def split(pick=lambda every, rng, n: rng.permutation(every)[:n], count=None, seeded=True):
    """A split by home, right or with one thing wrong."""
    def of(homes, share, seed):
        every = np.unique(homes)
        n = (count or (lambda share, every: max(1, round(share * len(every)))))(share, every)
        return np.isin(homes, pick(every, np.random.default_rng(seed if seeded else None), n))
    return of


def with_sets(homes, share, seed):
    """The same in plain Python."""
    import random
    every = sorted(set(homes.tolist()))
    chosen = set(random.Random(seed).sample(every, max(1, int(share * len(every) + 0.5))))
    return np.array([home in chosen for home in homes.tolist()])


@pytest.mark.parametrize("mine", [split(), with_sets])
def test_right_splits(mine, capsys):
    assert verdict(checks.check_split_by_home, mine, capsys)[0] == 4


def by_frame(homes, share, seed):
    return np.random.default_rng(seed).random(len(homes)) < share


def contiguous(homes, share, seed):
    return np.arange(len(homes)) < share * len(homes)


def ordered_frames(homes, share, seed):
    """The first homes, until a share of the frames is full; the last one is torn."""
    held = np.zeros(len(homes), bool)
    held[np.argsort(homes, kind="stable")[:int(share * len(homes))]] = True
    return held


@pytest.mark.parametrize("mine, points, says", [
    (by_frame, 0, "Draw homes, not frames"), (contiguous, 0, "on both sides"),
    (ordered_frames, 0, "on both sides"),
    (lambda h, share, seed: ~split()(h, share, seed), 3, "True means held out"),
    (split(count=lambda share, every: round(share * len(every))), 3, "at least one"),
    (lambda h, share, seed: np.zeros(len(h), bool), 2, "on one side"),
    (split(count=lambda share, every: 5), 3, "count homes, not frames"),
    (split(seeded=False), 3, "another split the second time"),
    (split(pick=lambda every, rng, n: every[:n]), 3, "no random sample"),
    (split(pick=lambda every, rng, n: every[-n:]), 3, "no random sample"),
    (lambda h, share, seed: np.flatnonzero(split()(h, share, seed)), 0, "expected bool"),
    (lambda h, share, seed: split()(h, share, seed).astype(int), 0, "expected bool"),
    (lambda h, share, seed: None, 0, "return")])
def test_wrong_splits_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_split_by_home, mine, capsys)
    assert got == points and says in text


def interval(middle=lambda p, k: p + k / 2, half=lambda p, k, n, z: z * (
        p * (1 - p) / n + k / (4 * n)) ** 0.5, by=lambda k: 1 + k, z=None, n=None, out=None):
    """Wilson's interval, right or with one thing wrong."""
    def of(successes, count, given=1.96):
        N, Z = n or count, z or given
        p, k = successes / N, Z * Z / N
        m, h = middle(p, k), half(p, k, N, Z)
        low, high = (m - h) / by(k), (m + h) / by(k)
        return out(low, high) if out else (low, high)
    return of


def by_search(successes, n, z=1.96):
    """The shares that could have given this, from a fine grid, as a list."""
    p = np.linspace(0, 1, 200_001)
    inside = p[np.abs(successes / n - p) <= z * np.sqrt(p * (1 - p) / n) + 1e-12]
    return [inside.min(), inside.max()]


@pytest.mark.parametrize("mine", [interval(), by_search])
def test_right_intervals(mine, capsys):
    assert verdict(checks.check_wilson, mine, capsys)[0] == 4


def schoolbook(s, n, z=1.96):
    half = z * (s / n * (1 - s / n) / n) ** 0.5
    return s / n - half, s / n + half


@pytest.mark.parametrize("mine, points, says", [
    (schoolbook, 0, "the normal interval"),
    (lambda s, n, z: tuple(np.clip(schoolbook(s, n, z), 0, 1)), 0, "a single point"),
    (interval(middle=lambda p, k: p), 0, "middle is still p"),
    (interval(by=lambda k: 1.0), 0, "not divided by"),
    (interval(half=lambda p, k, n, z: z * (p * (1 - p) / n) ** 0.5), 0, "under the root"),
    (interval(half=lambda p, k, n, z: z * (p * (1 - p) / n + k / (4 * n))), 0, "root is missing"),
    (interval(z=1.959964), 3, "z is ignored"), (interval(n=20), 3, "n is ignored"),
    (interval(out=lambda a, b: (b, a)), 0, "swapped"),
    (interval(out=lambda a, b: (100 * a, 100 * b)), 0, "per cent"),
    (interval(out=lambda a, b: (a + b) / 2), 0, "expected 2 values"),
    (lambda s, n, z: None, 0, "expected 2 values"),
    (lambda s, n, z: intervals.wilson(s, n, z), 0, "the package's own")])
def test_wrong_intervals_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_wilson, mine, capsys)
    assert got == points and says in text


def scored(progress=lambda h, last: h.any(0).mean(),
           success=lambda h, last: h.any(0).all() and h[-1][last].all()):
    """The score of an episode, right or with one thing wrong."""
    return lambda held, lasting: (progress(held, lasting), success(held, lasting))


def step_by_step(held, lasting):
    """The same with a set, as Python numbers."""
    earned = set()
    for row in held.tolist():
        earned |= {i for i, holds in enumerate(row) if holds}
    kept = [row for row, last in zip(held[-1].tolist(), lasting.tolist()) if last]
    return len(earned) / len(lasting), len(earned) == len(lasting) and all(kept)


@pytest.mark.parametrize("mine", [scored(), step_by_step])
def test_right_scores(mine, capsys):
    assert verdict(checks.check_score, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (scored(lambda h, last: h[-1].mean()), 2, "only the end counts"),
    (scored(lambda h, last: h.mean()), 2, "share of the time"),
    (scored(lambda h, last: h.sum(1).max() / h.shape[1]), 2, "best single moment"),
    (scored(lambda h, last: np.cumprod(h.any(0)).mean()), 2, "any order will do"),
    (scored(lambda h, last: h.any(0).sum()), 2, "how many points"),
    (scored(lambda h, last: h.any(0)[last].mean()), 2, "only the lasting ones"),
    (scored(success=lambda h, last: h.any(0).all()), 2, "then undone"),
    (scored(success=lambda h, last: h[-1].all()), 2, "everything must hold"),
    (scored(success=lambda h, last: h[-1][last].all()), 2, "all points must be earned"),
    (scored(success=lambda h, last: h.any(0).all() and h[-1][~last].all()), 2, "turned round"),
    (scored(success=lambda h, last: h.any(0).all() and h[:, last].all(1).any()), 2,
     "any one moment"),
    (scored(success=lambda h, last: h.any(0).mean() > 0.4), 2, "half of the points"),
    (lambda h, last: h.any(0).mean(), 0, "expected 2 values"),
    (lambda h, last: None, 0, "expected 2 values")])
def test_wrong_scores_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_score, mine, capsys)
    assert got == points and says in text


def follows(keep=lambda r: r is not None, over=None, chance=None, end=None, took=None, floor=None):
    """Following, right or with one thing wrong."""
    def of(right, count):
        taken = [(r, c) for r, c in zip(right, count) if keep(r)]
        share = sum(bool(r) for r, _ in taken) / (over(right) if over else len(taken))
        by = chance(right, count) if chance else np.mean([1 / c for _, c in taken])
        out = end(share, by) if end else (share - by) / (1 - by)
        return (took(right) if took else len(taken) / len(right)), share, (
            out if floor is None else max(floor, out))
    return of


def with_arrays(right, count):
    """The same with NumPy masks, as an array's numbers."""
    value = np.array([np.nan if r is None else float(r) for r in right])
    there = np.isfinite(value)
    chance = (1 / np.asarray(count))[there].mean()
    return [there.mean(), np.nanmean(value), 1 - (1 - np.nanmean(value)) / (1 - chance)]


@pytest.mark.parametrize("mine", [follows(), with_arrays])
def test_right_followings(mine, capsys):
    assert verdict(checks.check_following, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (follows(over=len), 1, "over all trials"), (follows(keep=lambda r: True), 0, "None is counted"),
    (follows(keep=bool), 0, "only those who took the named"),
    (follows(took=lambda r: len(r) - r.count(None)), 3, "it is how many"),
    (follows(end=lambda s, c: s - c), 2, "not stretched"),
    (follows(end=lambda s, c: s / c), 2, "a ratio to chance"),
    (follows(end=lambda s, c: s), 2, "not corrected"),
    (follows(chance=lambda r, c: 0.2), 2, "0.2 in every scene"),
    (follows(chance=lambda r, c: np.mean([1 / x for x in c])), 3, "chance is of all trials"),
    (follows(chance=lambda r, c: len(r) / sum(c)), 3, "not the expected"),
    (follows(chance=lambda r, c: 1 / np.mean([n for x, n in zip(r, c) if x is not None])), 3,
     "1 over the mean count"),
    (follows(floor=0.0), 3, "worse than chance is a finding"),
    (lambda r, c: (0.5, 0.5), 0, "expected 3 values")])
def test_wrong_followings_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_following, mine, capsys)
    assert got == points and says in text
