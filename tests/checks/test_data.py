"""The checks of chapter 01 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest

from pi05lite.checks import data as checks
from pi05lite.data import stats
from pi05lite.data.robots import Robot
from pi05lite.evaluate.tokens import resampled
from tests.checks.tools import verdict


def at_rate(times):
    """Straight lines at the times that `times(T, fps, rate)` gives."""
    def resample(actions, fps, rate):
        seconds = times(len(actions), fps, rate)
        return np.stack([np.interp(seconds, np.arange(len(actions)) / fps, column)
                         for column in actions.T], axis=1)
    return resample


def by_hand(actions, fps, rate):
    """The same, step by step."""
    out, k = [], 0
    while k * fps <= (len(actions) - 1) * rate:
        place = k * fps / rate
        i = min(int(place), len(actions) - 2)
        out.append(actions[i] + (place - i) * (actions[i + 1] - actions[i]))
        k += 1
    return out


lines = at_rate(lambda T, f, r: np.arange((T - 1) * r // f + 1) / r)


@pytest.mark.parametrize("mine", [lines, by_hand])
def test_right_rates(mine, capsys):
    assert verdict(checks.check_at_rate, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (at_rate(lambda T, f, r: np.arange(0, (T - 1) / f - 1e-9, 1 / r)), 0, "step is missing"),
    (at_rate(lambda T, f, r: np.arange((T + 3) * r // f) / r), 1, "goes on after the last"),
    (lambda a, f, r: a[(np.arange((len(a) - 1) * r // f + 1) * f) // r], 0, "whole recorded"),
    (lambda a, f, r: a[np.arange(0, len(a) - 0.9, f / r).round().astype(int)], 0, "nearest ones"),
    (lambda a, f, r: a[:10:2] if r < f else lines(a, f, r), 2, "every second one"),
    (lambda a, f, r: lines(a, f, r) if r < f else np.repeat(a, 4, axis=0)[:13], 1, "repeated"),
    (at_rate(lambda T, f, r: np.linspace(0, (T - 1) / f, (T - 1) * r // f + 1, endpoint=False)),
     0, "stretched"),
    (at_rate(lambda T, f, r: np.arange((T - 1) * r // f + 1) / f), 0, "swapped"),
    (lambda a, f, r: a, 0, "expected the shape (5, 2)"), (lambda a, f, r: None, 0, "return"),
    (lambda a, f, r: resampled(a, f, r), 0, "without the package's own"),
    (lambda a, f, r: checks.lines(a, f, np.arange((len(a) - 1) * r // f + 1) / r), 0,
     "without the package's own")])
def test_wrong_rates_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_at_rate, mine, capsys)
    assert got == points and says in text


def cut(fill=None, start=0, real=lambda steps, last: steps <= last, runs=False):
    """A chunk from a table, right or with one thing wrong."""
    def chunk(actions, episode, t, horizon):
        last = np.flatnonzero(episode == episode[t])[-1]
        steps = t + start + np.arange(horizon)
        rows = actions[np.minimum(steps, len(actions) - 1 if runs else last)]
        if fill is not None:
            rows[steps > last] = fill(actions, t)
        return rows, real(t + np.arange(horizon), last)
    return chunk


def by_loop(actions, episode, t, horizon):
    """The same, step by step, as lists."""
    chunk, real = [], []
    for k in range(t, t + horizon):
        inside = k < len(episode) and episode[k] == episode[t]
        chunk.append(actions[k] if inside else chunk[-1])
        real.append(int(inside))
    return chunk, real


def moved_back(actions, episode, t, horizon):
    last = np.flatnonzero(episode == episode[t])[-1]
    first = min(t, last - horizon + 1)
    return actions[first:first + horizon], np.arange(horizon) < last - t + 1


@pytest.mark.parametrize("mine", [cut(), by_loop])
def test_right_chunks(mine, capsys):
    assert verdict(checks.check_cut_chunk, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (cut(runs=True), 3, "runs into the next episode"),
    (cut(fill=lambda a, t: 0), 2, "the rest is zeros"),
    (cut(fill=lambda a, t: a[t]), 2, "chunk's first action"),
    (cut(start=1), 2, "one step late"), (moved_back, 3, "moved back"),
    (cut(real=lambda steps, last: steps > last), 3, "inverted"),
    (cut(real=lambda steps, last: steps >= 0), 2, "padding counts as real"),
    (cut(real=lambda steps, last: steps < last), 2, "the episode's last step is real"),
    (cut(real=lambda steps, last: steps <= last + 1), 2, "one step too many"),
    (lambda a, e, t, h: (a[t:t + h], np.ones(h)), 1, "runs into the next episode"),
    (lambda a, e, t, h: (a[t:t + h][e[t:t + h] == e[t]], np.ones(h)), 1, "expected the shape"),
    (lambda a, e, t, h: a[t:t + h], 0, "expected 2 values")])
def test_wrong_chunks_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_cut_chunk, mine, capsys)
    assert got == points and says in text


def by_columns(chunk, state, joints):
    """Right, a column at a time, and joints as numbers."""
    out = np.array(chunk)
    for j in np.flatnonzero(joints):
        out[:, j] = chunk[:, j] - state[j]
    return out


def in_place(chunk, state, joints):
    chunk[:, joints] -= state[joints]
    return chunk


def of(value):
    """`value(chunk, state)` in the joints, the chunk elsewhere."""
    return lambda chunk, state, joints: np.where(joints, value(chunk, state), chunk)


@pytest.mark.parametrize("mine", [of(lambda c, s: c - s), by_columns,
                                  lambda c, s, j: c - s * j])
def test_right_relative_chunks(mine, capsys):
    assert verdict(checks.check_relative, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (in_place, 2, "was changed"),
    (of(lambda c, s: np.diff(c, axis=0, prepend=s[None])), 1, "counted from the step before"),
    (of(lambda c, s: np.diff(c, axis=0, prepend=c[:1])), 1, "the state is not used"),
    (of(lambda c, s: c - c[0]), 1, "chunk's first action"),
    (lambda c, s, j: c - s, 1, "gripper is made relative"),
    (of(lambda c, s: s - c), 1, "wrong way round"), (lambda c, s, j: c, 1, "nothing is relative"),
    (lambda c, s, j: (c - s) * j, 1, "gripper is lost"),
    (lambda c, s, j: (c - s)[:, j], 1, "expected the shape (5, 4)"),
    (lambda c, s, j: Robot.origin(None, s), 0, "without the package's own")])
def test_wrong_relative_chunks_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_relative, mine, capsys)
    assert got == points and says in text


def scale(ends=lambda v: np.quantile(v, [0.01, 0.99], axis=0), chosen=True, clip=True,
          to=lambda x: 2 * x - 1, back=lambda y, low, high: (y + 1) / 2 * (high - low) + low):
    """A scale by the ends of a range, right or with one thing wrong."""
    def make(episodes, training):
        low, high = ends(np.concatenate([episodes[e] for e in training] if chosen else episodes))

        def to_model(x):
            y = to((x - low) / (high - low))
            return y.clip(-1, 1) if clip else y
        return to_model, lambda y: back(y, low, high)
    return make


def by_percentile(episodes, training):
    """Right, a dimension at a time."""
    pooled = np.vstack([episodes[e] for e in training])
    low = np.array([np.percentile(column, 1) for column in pooled.T])
    half = (np.array([np.percentile(column, 99) for column in pooled.T]) - low) / 2
    return (lambda x: np.minimum(np.maximum((x - low) / half - 1, -1), 1),
            lambda y: low + half + half * y)


def z_score(episodes, training):
    values = np.concatenate([episodes[e] for e in training])
    mean, std = values.mean(0), values.std(0)
    return lambda x: (x - mean) / std, lambda y: y * std + mean


def averaged(episodes, training):
    low, high = np.mean([np.quantile(episodes[e], [0.01, 0.99], axis=0) for e in training], axis=0)
    return (lambda x: ((x - low) / (high - low) * 2 - 1).clip(-1, 1),
            lambda y: (y + 1) / 2 * (high - low) + low)


def packaged(episodes, training):
    found = stats.of_values(np.concatenate([episodes[e] for e in training]))
    return found.normalize, found.unnormalize


@pytest.mark.parametrize("mine", [scale(), by_percentile])
def test_right_scales(mine, capsys):
    assert verdict(checks.check_make_scale, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (scale(chosen=False), 2, "held-out episodes too"), (scale(clip=False), 3, "not clipped"),
    (scale(ends=lambda v: (v.min(0), v.max(0))), 1, "one glitch of one frame"),
    (z_score, 1, "z-scoring"), (averaged, 2, "of each episode and then averaged"),
    (scale(ends=lambda v: np.quantile(v, [0.01, 0.99])), 1, "share one range"),
    (scale(ends=lambda v: np.percentile(v, [0.01, 0.99], axis=0)), 2, "counts in percent"),
    (scale(ends=lambda v: np.quantile(v, [0.05, 0.95], axis=0)), 2, "other quantiles"),
    (scale(to=lambda x: x, back=lambda y, low, high: y * (high - low) + low), 2, "[0, 1], not"),
    (scale(back=lambda y, low, high: (y + 1) / 2 * (high - low)), 3, "shift is missing"),
    (scale(back=lambda y, low, high: y * (high - low) + low), 3, "taken for [0, 1]"),
    (scale(back=lambda y, low, high: y), 3, "gives back what it gets"),
    (lambda episodes, training: np.zeros(2), 0, "expected 2 values"),
    (lambda episodes, training: (1, 2), 0, "return two functions"),
    (packaged, 0, "without the package's own")])
def test_wrong_scales_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_make_scale, mine, capsys)
    assert got == points and says in text
