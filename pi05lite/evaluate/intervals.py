"""How sure a figure is: intervals for shares and means, and paired differences."""

from math import sqrt

import numpy as np

Z = 1.959964  # 95 %


def wilson(successes, n, z=Z):
    """(low, high) of a share by Wilson's method; n = 0 gives (0, 1)."""
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n; received {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    p, k = successes / n, z * z / n
    middle, half = p + k / 2, z * sqrt(p * (1 - p) / n + k / (4 * n))
    low, high = (middle - half) / (1 + k), (middle + half) / (1 + k)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def bootstrap(values, draws=2000, seed=0):
    """(mean, low, high) of the mean of values, 95 %."""
    values = np.asarray(values, dtype=float)
    pick = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    low, high = np.quantile(values[pick].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def paired(a, b, draws=2000, seed=0):
    """(mean, low, high) of a - b over pairs: two policies on the same trials."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"expected two lists of one length; received {a.shape} and {b.shape}")
    return bootstrap(a - b, draws, seed)
