"""Quantisers of the learned codebook: latent vectors to codes and back, one interface.

A quantiser is a module with `codes` (ids it uses), `depth` (codes a latent takes), `width` (numbers
of a latent), and the methods below. Hand the class, or one made with other numbers, to VQTokenizer.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from pi05lite.errors import ConfigError, say


class Quantizer(nn.Module):
    """Latents (..., width) <-> codes (..., depth) below `codes`."""

    kind = None  # the name of the class in saved files
    depth = 1

    def __init__(self, codes, width):
        super().__init__()
        self.codes, self.width = codes, width

    def encode(self, latents):
        """Codes (..., depth) of latents (..., D)."""
        raise NotImplementedError

    def lookup(self, codes):
        """Latents (..., D) of codes (..., depth); code -1 is a missing one: the average."""
        raise NotImplementedError

    def commitment(self, latents, quantised):
        """The loss that keeps latents near their codes."""
        return F.mse_loss(latents, quantised.detach())

    def forward(self, latents):
        """Latents (..., D) -> (quantised with a straight-through gradient, codes, commitment)."""
        codes = self.encode(latents)
        quantised = self.lookup(codes)
        passed = latents + (quantised - latents).detach()
        return passed, codes, self.commitment(latents, quantised)

    def start(self, latents, generator):
        """Begin where the latents (M, D) are."""

    def follow(self, latents):
        """One step towards latents (M, D)."""

    def revive(self, latents, generator):
        """Move dead codes onto latents of (M, D); returns how many."""
        return 0

    def settings(self):
        """The constructor's arguments, as plain JSON values."""
        return {"codes": self.codes, "width": self.width}


class VectorQuantizer(Quantizer):
    """The nearest of K code vectors (VQ-VAE, arXiv 1711.00937).

    The codes follow the latents by a moving average (appendix A.1); codes that nothing uses are
    moved onto random latents, because no gradient could ever bring them back.
    """

    kind = "vector"

    def __init__(self, codes=256, width=4, decay=0.98):
        super().__init__(codes, width)
        self.decay = decay
        self.register_buffer("codebook", torch.zeros(codes, width))
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", torch.zeros(codes, width))

    def nearest(self, latents):
        """Codes (...) of latents (..., D)."""
        # |z - e|^2 without |z|^2, which is the same for every code.
        distance = self.codebook.square().sum(-1) - 2 * latents @ self.codebook.T
        return distance.argmin(-1)

    def encode(self, latents):
        """Codes (..., 1) of latents (..., D)."""
        return self.nearest(latents)[..., None]

    def lookup(self, codes):
        """Latents (..., D) of codes (..., 1)."""
        average = (self.count @ self.codebook) / self.count.sum()
        return torch.where(codes < 0, average, self.codebook[codes[..., 0].clamp(min=0)])

    @torch.no_grad()
    def start(self, latents, generator, rounds=10):
        """k-means on latents (M, D): the codebook begins where the latents are."""
        pick = torch.randint(len(latents), (len(self.codebook),), generator=generator)
        self.codebook.copy_(latents[pick])
        for _ in range(rounds):
            count, total = self._sums(latents)
            used = count > 0
            self.codebook[used] = total[used] / count[used, None]
        count, _ = self._sums(latents)
        self.count.copy_(count.clamp(min=1))
        self.total.copy_(self.codebook * self.count[:, None])

    @torch.no_grad()
    def follow(self, latents):
        """One moving-average step of the codebook towards latents (M, D)."""
        count, total = self._sums(latents)
        self.count.lerp_(count, 1 - self.decay)
        self.total.lerp_(total, 1 - self.decay)
        self.codebook.copy_(self.total / self.count[:, None].clamp(min=1e-5))

    @torch.no_grad()
    def revive(self, latents, generator, share=0.05):
        """Move every code used less than `share` of the average onto a random latent of (M, D)."""
        average = self.count.mean()
        dead = (self.count < share * average).nonzero()[:, 0]
        pick = torch.randint(len(latents), (len(dead),), generator=generator)
        self.codebook[dead] = latents[pick]
        self.count[dead] = average
        self.total[dead] = latents[pick] * average
        return len(dead)

    def _sums(self, latents):
        """How many latents (M, D) each code has (K,), and their sums (K, D)."""
        hot = F.one_hot(self.nearest(latents), len(self.codebook)).to(latents)
        return hot.sum(0), hot.T @ latents


class ResidualQuantizer(Quantizer):
    """`depth` codebooks, each for what the ones before it left over (arXiv 2107.03312)."""

    kind = "residual"

    def __init__(self, codes=256, width=4, depth=4, decay=0.98):
        super().__init__(codes, width * depth)  # as many numbers a token as the others
        self.depth, self.decay = depth, decay
        self.levels = nn.ModuleList(
            VectorQuantizer(codes, self.width, decay) for _ in range(depth))

    def encode(self, latents):
        """Codes (..., depth) of latents (..., D), coarse ones first."""
        return torch.cat([level.encode(left) for level, left in self._walk(latents)], -1)

    def lookup(self, codes):
        """Latents (..., D) of codes (..., depth)."""
        return sum(level.lookup(codes[..., k:k + 1]) for k, level in enumerate(self.levels))

    @torch.no_grad()
    def start(self, latents, generator):
        """k-means level by level on latents (M, D)."""
        for level, left in self._walk(latents):
            level.start(left, generator)

    @torch.no_grad()
    def follow(self, latents):
        """One moving-average step of every level towards latents (M, D)."""
        for level, left in self._walk(latents):
            level.follow(left)

    @torch.no_grad()
    def revive(self, latents, generator):
        """Move the dead codes of every level."""
        return sum(level.revive(left, generator) for level, left in self._walk(latents))

    def settings(self):
        """The constructor's arguments, as plain JSON values."""
        return {"codes": self.codes, "width": self.width // self.depth, "depth": self.depth}

    def _walk(self, latents):
        """(Level, what is left over for it) from the first to the last; a level may learn."""
        for level in self.levels:
            yield level, latents
            latents = latents - level.lookup(level.encode(latents))


class FiniteQuantizer(Quantizer):
    """Every number of a latent squashed and rounded to a few levels: FSQ (arXiv 2309.15505).

    There is no codebook that could die. levels: per number; their product is how many codes exist.
    """

    kind = "finite"

    def __init__(self, codes=256, width=4, levels=None):
        levels = tuple(levels or even_levels(codes, width))
        super().__init__(math.prod(levels), len(levels))
        if min(levels) < 2 or self.codes > codes:
            raise ConfigError(say(
                "FiniteQuantizer.levels", f"2 or more each, product at most {codes}", levels,
                "the paper's levels for 256 codes are (8, 6, 5)"))
        levels = torch.tensor(levels)
        self.register_buffer("levels", levels)
        self.register_buffer("step", torch.cat([levels.new_ones(1), levels.cumprod(0)[:-1]]))
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def encode(self, latents):
        """Codes (..., 1) of latents (..., D)."""
        share = (torch.tanh((latents - self.mean) / self.scale) + 1) / 2  # (..., D) in 0 ... 1
        digits = (share * (self.levels - 1)).round().long()
        return (digits * self.step).sum(-1, keepdim=True)

    def lookup(self, codes):
        """Latents (..., D) of codes (..., 1): evenly spaced in the squashed range."""
        digits = codes.clamp(min=0) // self.step % self.levels
        grid = digits / (self.levels - 1) * 2 - 1
        return torch.where(codes < 0, 0.0, grid) * self.scale + self.mean

    def commitment(self, latents, quantised):
        """None: nothing can run away from a fixed grid."""
        return latents.new_zeros(())

    def forward(self, latents):
        """As in the base, with the gradient of the squashing."""
        codes = self.encode(latents)
        smooth = torch.tanh((latents - self.mean) / self.scale) * self.scale + self.mean
        passed = smooth + (self.lookup(codes) - smooth).detach()
        return passed, codes, self.commitment(latents, passed)

    @torch.no_grad()
    def start(self, latents, generator):
        """Put the grid over latents (M, D): two standard deviations reach its outer half steps."""
        self.mean.copy_(latents.mean(0))
        self.scale.copy_(latents.std(0).clamp(min=1e-6) * 1.5)

    def settings(self):
        """The constructor's arguments, as plain JSON values."""
        return {"codes": self.codes, "width": self.width, "levels": self.levels.tolist()}


def even_levels(codes, width):
    """`width` levels as equal as can be, with a product of at most `codes`."""
    levels = [max(2, int(codes ** (1 / width) + 1e-9))] * width
    for k in range(width):  # one more where it still fits
        if math.prod(levels) // levels[k] * (levels[k] + 1) <= codes:
            levels[k] += 1
    return levels
