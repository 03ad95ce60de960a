"""How sure a mean is when both training seeds and trials were drawn.

values (S, N): S training seeds, N trials, the same trials for all seeds and variants.

A mean over seeds and trials varies for two reasons, and two numbers say by how much: how far the
seeds' means lie apart, and how far the trials' means do. Each has Student's t of its own degrees of
freedom, since S means say little of their own spread where S is small (at two seeds t is 12.7, not
1.96); drawing again among two or three seeds (bootstrap) does not know that, and calls half of all
equal pairs different. The two are added as squares, which never promises more than it holds
(Banerjee 1960, Sankhya 22, 357). What the spread of single values adds is in both; it is taken out
of the trials' share.
"""

from functools import lru_cache
from math import cos, pi, sin, sqrt, tan

import numpy as np

from pi05lite.errors import DataError, say
from pi05lite.evaluate.intervals import wilson


def interval(values):
    """(mean, low, high), 95 %: what other seeds and other trials would give.

    One seed: over trials alone, so it tells of that trained model and of no other. Shares (zeros
    and ones): never narrower than Wilson's interval of so many trials.
    """
    values = np.asarray(values, dtype=float)
    S, N = values.shape
    mean, half = float(values.mean()), half_width(values)
    low, high = mean - half, mean + half
    if np.isin(values, (0, 1)).all():
        known = wilson(round(mean * N), N)
        low, high = known if S == 1 else (min(low, known[0]), max(high, known[1]))
        low, high = max(0.0, low), min(1.0, high)
    return mean, low, high


def half_width(values, level=0.95):
    """Half the interval of the mean of values (S, N)."""
    S, N = values.shape
    seeds, trials = values.mean(axis=1), values.mean(axis=0)
    of_seeds = seeds.var(ddof=1) / S if S > 1 else 0.0
    of_trials = trials.var(ddof=1) / N if N > 1 else 0.0
    if S > 1 and N > 1:
        single = values - seeds[:, None] - trials + values.mean()
        of_trials = max(0.0, of_trials - (single**2).sum() / ((S - 1) * (N - 1)) / (S * N))
    return sqrt((student(S - 1, level)**2 * of_seeds if S > 1 else 0.0)
                + (student(N - 1, level)**2 * of_trials if N > 1 else 0.0))


def difference(a, b, comparisons=1):
    """(mean, low, high, significant) of a - b, paired by seed and trial.

    The interval is at 95 % over all comparisons together (Bonferroni). Significant: it leaves out
    0. One seed is no verdict on a variant, since nothing tells how far its seeds lie apart: the
    interval is then over trials, of these two trained models, and never significant.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise DataError(say("values to compare", "the same seeds and trials for both",
                            f"{a.shape} and {b.shape}", "let the evaluation give one number a "
                            "trial, of the same trials each time"))
    mean, half = float((a - b).mean()), half_width(a - b, 1 - 0.05 / comparisons)
    return mean, mean - half, mean + half, bool(len(a) > 1 and abs(mean) > half)


@lru_cache
def student(df, level=0.95):
    """Student's t: how many standard errors hold `level` with df degrees of freedom.

    By halving, on the exact series for whole df (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    low, high = 0.0, pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if held(angle, df) < level else (low, angle)
    return sqrt(df) * tan(low)


def held(angle, df):
    """The share of Student's t within +- sqrt(df) tan(angle)."""
    odd = df % 2
    term = cos(angle) if odd else 1.0
    total = term if df > 1 else 0.0
    for k in range(2 + odd, df - 1, 2):
        term *= (k - 1) / k * cos(angle)**2
        total += term
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
