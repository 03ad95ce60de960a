"""A weighted mixture of sources in which example i is a pure function of the seed and i.

So there is no state to save: a run that stopped after n examples goes on with example n and sees
what it would have seen.
"""

from collections import Counter

import numpy as np
from torch.utils.data import Dataset

from pi05lite.errors import DataError, say


class Mixture(Dataset):
    """Endless examples from `sources` (each with a name, a length and an index), by weight.

    weights: source name -> share (any positive scale); None: by size, see `by_size`.
    """

    def __init__(self, sources, weights=None, seed=0):
        self.sources, self.seed = list(sources), seed
        names = [s.name for s in self.sources]
        if not names or len(set(names)) < len(names):
            raise DataError(say("mixture sources", "one or more, each with a name of its own",
                                names, "give each source another name"))
        for source in self.sources:
            if len(source) == 0:
                raise DataError(say(f"mixture source {source.name}", "at least one example", 0,
                                    "take it out of the mixture or give it data"))
        self.names = names
        self.shares = self._shares(weights)

    def _shares(self, weights):
        if weights is None:
            weights = {s.name: by_size(s) for s in self.sources}
        if set(weights) != set(self.names) or min(weights.values()) <= 0:
            raise DataError(say("mixture weights", f"a positive weight for each of {self.names}",
                                weights, "name every source once, leave out those not wanted"))
        shares = np.array([float(weights[name]) for name in self.names])
        return shares / shares.sum()

    def draw(self, i):
        """Which source, and which of its examples, example i is."""
        u, v = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, i])).random(2)
        s = min(int(np.searchsorted(np.cumsum(self.shares), u, side="right")), len(self.shares) - 1)
        return s, int(v * len(self.sources[s]))

    def __getitem__(self, i):
        s, j = self.draw(i)
        return self.sources[s][j]

    def report(self, start, stop):
        """What examples start .. stop - 1 are: source name -> count."""
        counts = Counter(self.names[self.draw(i)[0]] for i in range(start, stop))
        return {name: counts[name] for name in self.names}


def by_size(source, power=0.43):
    """Examples ** power: large sources count for more, but do not crowd out small ones (pi0)."""
    return len(source) ** power
