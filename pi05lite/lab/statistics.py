"""How sure a difference is when both training seeds and trials were drawn.

values (S, N): S training seeds, N trials, the same trials for all seeds and variants.
"""

import numpy as np

from pi05lite.errors import DataError, say
from pi05lite.evaluate.intervals import wilson


def interval(values, level=0.95, draws=4000, seed=0):
    """(mean, low, high) by bootstrap over trials and, if there are several, over seeds.

    With two or three seeds the spread between seeds is only roughly known: more seeds say more.
    One seed of zeros and ones: Wilson's interval.
    """
    values = np.asarray(values, dtype=float)
    S, N = values.shape
    if S == 1 and level == 0.95 and np.isin(values, (0, 1)).all():
        return float(values.mean()), *wilson(int(values.sum()), N)
    rng = np.random.default_rng(seed)
    trials = rng.integers(N, size=(draws, N))
    counts = rng.multinomial(S, np.full(S, 1 / S), size=draws) / S  # (draws, S)
    by_seed = np.stack([row[trials].mean(1) for row in values], axis=1)  # (draws, S)
    means = (by_seed * counts).sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def difference(a, b, comparisons=1):
    """(mean, low, high, significant) of a - b, paired by seed and trial.

    The interval is at 95 % over all comparisons together (Bonferroni). Significant: it leaves out 0
    and every seed has the same sign.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise DataError(say("values to compare", "the same seeds and trials for both",
                            f"{a.shape} and {b.shape}", "let the evaluation give one number a "
                            "trial, of the same trials each time"))
    mean, low, high = interval(a - b, 1 - 0.05 / comparisons)
    signs = np.sign((a - b).mean(axis=1))
    return mean, low, high, bool((low > 0 or high < 0) and abs(signs.sum()) == len(signs))
