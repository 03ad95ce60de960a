"""Random numbers that belong to an example, whichever process computes it.

Every example of a run has a generator of its own that follows from the seed and the example's
number, so a batch that several devices share is drawn as if one device had it all.
"""

import numpy as np
import torch

from pi05lite.model import flow


class Draws:
    """One CPU generator per row of a batch; rows: their numbers in the run."""

    def __init__(self, seed, rows):
        seeds = [int(np.random.SeedSequence([seed, i]).generate_state(1)[0]) for i in rows]
        self.each = [torch.Generator().manual_seed(s) for s in seeds]

    def select(self, rows):
        """The draws of some rows (a bool tensor)."""
        some = object.__new__(Draws)
        some.each = [g for g, wanted in zip(self.each, rows.tolist()) if wanted]
        return some

    def rand(self, *shape):
        """Uniform in [0, 1): (B, *shape)."""
        return torch.stack([torch.rand(shape, generator=g) for g in self.each])

    def flow(self, c, draws, times=None):
        """Noise (B * draws, H, A) and flow times (B * draws,) for a config.

        times: the law of the flow times, `times(count, generator)`; the paper's if left out.
        """
        times = times or flow.FlowMatching(c).times
        noise = [torch.randn(draws, c.horizon, c.action_size, generator=g) for g in self.each]
        return torch.cat(noise), torch.cat([times(draws, g) for g in self.each])
