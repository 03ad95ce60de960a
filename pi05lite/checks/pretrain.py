"""Checks of chapter 08, pre-training: the mixture, a scale for each robot, the loss by source."""

import numpy as np
import torch

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, several
from pi05lite.data import mixture, stats
from pi05lite.train import module

SIZES = {"large": 8000, "middle": 1000, "small": 125}


@check("mix", 4, seals=(mixture.by_size, mixture.Mixture._shares))
def check_mix(mix):
    """mix(sizes, power, examples) -> (shares, passes), two dicts."""
    for power, points in ((0.5, 2), (1.0, 1)):
        yield from judge_mix(mix, power, points)


def judge_mix(mix, power, points):
    """The claims about one power; that about the passes is made once."""
    examples, n = 4000, np.array(list(SIZES.values()), dtype=float)
    shares, passes = several(mix(dict(SIZES), power, examples), 2, "shares, passes")
    shares = values(shares, "shares")
    weights = n**power
    right = weights / weights.sum()
    what = f"shares at power {power:g}"
    if power == 1:
        yield compare(what, shares, right, points, {
            "all sources get the same": np.full(3, 1 / 3),
        }, "At power 1 all examples are alike, whichever source they lie in.")
        return
    yield compare(what, shares, right, points, {
        "they are not divided by their sum: shares add up to 1": weights,
        "the power is not used (and as a factor it would change no share)": n / n.sum(),
        "they were divided by the sum first and raised after: then they do not add up to 1":
            (n / n.sum()) ** power,
        "the power is used as a temperature, n ** (1 / power): that makes large sources larger":
            n ** (1 / power) / (n ** (1 / power)).sum(),
        "the smallest source got the largest share": (1 / weights) / (1 / weights).sum(),
        "all sources get the same": np.full(3, 1 / 3),
    }, "Each size to the power, over the sum of these.")
    passes = values(passes, "passes")
    yield compare("passes", passes, examples * right / n, 1, {
        "that is how many examples are drawn; a pass is as many as the source has":
            examples * right,
        "every source was passed over alike: examples / all sizes. That is so at power 1 alone":
            np.full(3, examples / n.sum()),
        "the wrong way up: drawn examples over the size": n / (examples * right),
        "the share is missing: not all examples are drawn from one source": examples / n,
        "they are rounded to whole passes: a source that is drawn from in part has a pass below 1":
            np.round(examples * right / n),
    }, "How many examples are drawn from a source, over how many it has.")


def values(table, what):
    """The numbers of a dict by the sources' names, as an array."""
    if not isinstance(table, dict) or set(table) != set(SIZES):
        raise Wrong(f"{what}: expected a dict with a number for each of {list(SIZES)}, got "
                    f"{list(table) if isinstance(table, dict) else type(table).__name__}")
    return as_array(what, [float(table[name]) for name in SIZES])


@check("scales", 4, seals=(stats.of_values, stats._column_stats))
def check_scales(scales):
    """scales(actions, real, robot) -> low, high (R, A) each."""
    g = np.random.default_rng(4)
    n = 300
    robot = np.arange(2 * n) % 2  # the rows of both robots are mixed
    actions = np.where(robot[:, None] == 0, 40.0, 0.5) * g.normal(1, 0.3, (2 * n, 3))
    actions[7], actions[8] = 900.0, -30.0  # a frame each that went wrong
    real = np.ones((2 * n, 3), dtype=bool)
    real[robot == 0, 2] = False
    actions = np.where(real, actions, 0.0)
    low, high = several(scales(actions.copy(), real.copy(), robot.copy()), 2, "low, high")
    got = np.stack([as_array("low", low), as_array("high", high)])
    if got.shape != (2, 2, 3):
        raise Wrong("low and high: expected the shape (2, 3) each, a row for each robot, got "
                    f"{got.shape[1:]}")
    there = np.array([[True, True, False], [True, True, True]])
    right = ranges(actions, real, robot, by=lambda x: np.quantile(x, [0.01, 0.99]))
    pooled = [np.quantile(actions[real[:, a], a], [0.01, 0.99]) for a in range(3)]
    mixed = [np.quantile(actions[:, a], [0.01, 0.99]) for a in range(3)]
    one = np.broadcast_to(np.array(pooled).T[:, None], (2, 2, 3))
    slips = {
        "one set for all robots: the quicker robot's range is taken for the other too": one,
        "one set for all robots, and padding counts too":
            np.broadcast_to(np.array(mixed).T[:, None], (2, 2, 3)),
        "smallest and largest value: one frame that went wrong sets the range":
            ranges(actions, real, robot, by=lambda x: (x.min(), x.max())),
        "mean and deviation; pi0.5 takes the 1 % and 99 % quantiles":
            ranges(actions, real, robot, by=lambda x: (x.mean() - x.std(), x.mean() + x.std())),
        "the 5 % and 95 % quantiles; pi0.5 takes 1 % and 99 %":
            ranges(actions, real, robot, by=lambda x: np.quantile(x, [0.05, 0.95])),
        "low and high are swapped": right[::-1],
        "the two robots are swapped": right[:, ::-1],
        "one range for all numbers of a robot: metres and shares of a grip lie in one row":
            whole(actions, real, robot),
    }
    yield compare("the range of each number that a robot has", got[:, there], right[:, there], 3,
                  {said: x[:, there] for said, x in slips.items()},
                  "The quantiles of that robot's own real values, one number at a time.")
    low, high = got[:, 0, 2]
    yield claim(np.isfinite([low, high]).all() and abs(low + 1) < 1e-6 and abs(high - 1) < 1e-6, 1,
                "a number that a robot lacks gets -1 and 1, so that its padding stays 0",
                "a number that a robot lacks must get -1 and 1; "
                + ("NaN came: quantiles of nothing" if not np.isfinite([low, high]).all() else
                   "its range has no width here, and to scale by it divides by 0" if low == high
                   else f"here it is {low:.3g} and {high:.3g}"))


def ranges(actions, real, robot, by):
    """(2, R, A): `by` of each robot's real values, one number at a time; else -1 and 1."""
    out = np.stack([-np.ones((2, actions.shape[1])), np.ones((2, actions.shape[1]))])
    for r in range(2):
        for a in range(actions.shape[1]):
            mine = actions[(robot == r) & real[:, a], a]
            if len(mine):
                out[:, r, a] = by(mine)
    return out


def whole(actions, real, robot):
    """(2, R, A): one range over all numbers of a robot."""
    pairs = [np.quantile(actions[robot == r][real[robot == r]], [0.01, 0.99]) for r in range(2)]
    return np.broadcast_to(np.array(pairs).T[:, :, None], (2, 2, actions.shape[1]))


@check("loss_by_source", 4, seals=(module.TrainingModule.losses, module.TrainingModule.terms_of))
def check_loss_by_source(loss_by_source):
    """loss_by_source(loss, target, source, count) -> means (S,), tokens (S,)."""
    g = torch.Generator().manual_seed(6)
    source, lengths = torch.tensor([2, 0, 2, 0, 4]), torch.tensor([9, 2, 3, 6, 4])
    target = torch.arange(9) < lengths[:, None]  # (5, 9)
    target[:, 0] = False  # a prompt stands in front
    target[1] = torch.arange(9) == 1
    loss = torch.rand(5, 9, generator=g) + source[:, None] + 1
    got = loss_by_source(loss.clone(), target.clone(), source.clone(), 5)
    means, tokens = several(got, 2, "means, tokens")
    tokens = as_array("tokens", tokens)
    by = torch.stack([source == s for s in range(5)])  # (S, B)
    counts = (by[:, :, None] & target).sum((1, 2))
    sums = (by[:, :, None] * loss * target).sum((1, 2))
    right = sums / counts.clamp(min=1)
    absent = [1, 3]
    yield compare("how many tokens each source has", tokens, counts, 1, {
        "those are examples; count the tokens that are to be predicted": by.sum(1),
        "prompt and padding are counted too": by.sum(1) * 9,
        "a source that is not in the batch has 0 tokens": counts.clamp(min=1),
    }, "The places of target that are True, in the rows of that source.")
    found = as_array("means", means)
    if found.shape != (5,):
        raise Wrong(f"means: expected the shape (5,), a number for each source, got {found.shape}")
    here = [s for s in range(5) if s not in absent]
    rows = (loss * target).sum(1) / target.sum(1)
    of_rows = (by * rows).sum(1) / by.sum(1).clamp(min=1)
    yield compare("the mean loss of each source in the batch", found[here], right[here], 2, {
        "prompt and padding are in it: only what `target` marks is to be predicted":
            ((by[:, :, None] * loss).sum((1, 2)) / (by.sum(1) * 9).clamp(min=1))[here],
        "the loss of targets over all places: padding makes it small":
            (sums / (by.sum(1) * 9).clamp(min=1))[here],
        "the mean of each example's mean: a short answer weighs as much as a long one, and the "
        "same examples in other batches give another number": of_rows[here],
        "sums: a source with many tokens looks hard": sums[here],
        "the sum over how many examples there are, not tokens":
            (sums / by.sum(1).clamp(min=1))[here],
        "its part of the mean over the whole batch: what is rare looks easy":
            (sums / counts.sum())[here],
        "the mean over the whole batch, for every source":
            (sums.sum() / counts.sum()).expand(5)[here],
    }, "The sum over the source's own targets, over how many they are.")
    lost = found[absent]
    yield claim((lost == 0).all(), 1, "a source that is not in the batch has 0, and spoils nothing",
                "a source that is not in the batch gives NaN, and every sum that it goes into"
                if not np.isfinite(lost).all() else
                "a source that is not in the batch must have 0 (its count says that it is nothing)")
