"""The baseline: each number is one of 256 uniform bins (RT-2, arXiv 2307.15818; OpenVLA)."""

import numpy as np

from pi05lite.errors import ConfigError, say
from pi05lite.tokens.actions import ActionTokenizer, check_for_fit, to_rows


class BinsTokenizer(ActionTokenizer):
    """H * A tokens a chunk, step by step; the error of a value is at most 1 / bins."""

    kind = "bins"

    def __init__(self, bins=256):
        if bins < 2:
            raise ConfigError(say("BinsTokenizer.bins", "at least 2", str(bins), "use 256"))
        self.vocabulary_size = bins

    def max_length(self, horizon, action_size):
        """H * A: every chunk takes that many."""
        return horizon * action_size

    def fit(self, chunks, mask=None):
        """Nothing to learn: checks the chunks and counts the values outside the range."""
        check_for_fit(self.prepare(chunks, mask))
        return self

    def _encode(self, chunks):
        """Chunks (B, H, A) -> B lists of H * A bin numbers."""
        bins = np.floor((chunks.astype(np.float64) + 1) / 2 * self.vocabulary_size).astype(int)
        bins = np.minimum(bins, self.vocabulary_size - 1)
        return [row.ravel().tolist() for row in bins]

    def _decode(self, ids, counts, horizon, action_size):
        """Bin centres (B, H, A); values missing at the end repeat the step before, ok False."""
        length = horizon * action_size
        centres = ((ids + 0.5) / self.vocabulary_size * 2 - 1).astype(np.float32)
        chunks = to_rows(centres, counts, length)
        for row in np.flatnonzero(counts < length):
            for i in range(max(counts[row], action_size), length):
                chunks[row, i] = chunks[row, i - action_size]
        return chunks.reshape(-1, horizon, action_size), counts == length

    def _config(self, folder):
        return {"bins": self.vocabulary_size}

    @classmethod
    def _from_config(cls, config, folder):
        return cls(bins=config["bins"])
