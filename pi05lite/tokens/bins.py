"""The baseline: each number is one of 256 uniform bins (RT-2, arXiv 2307.15818; OpenVLA)."""

import numpy as np

from pi05lite.errors import ConfigError, say
from pi05lite.tokens.actions import ActionTokenizer, check_for_fit, check_ids


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

    def encode(self, chunks, mask=None):
        """Chunks (B, H, A) -> B lists of H * A bin numbers."""
        chunks = self.prepare(chunks, mask)
        bins = np.floor((chunks.astype(np.float64) + 1) / 2 * self.vocabulary_size).astype(int)
        bins = np.minimum(bins, self.vocabulary_size - 1)
        return [row.ravel().tolist() for row in bins]

    def decode(self, tokens, horizon, action_size):
        """Bin centres (B, H, A); values missing at the end repeat the step before, ok False."""
        tokens = check_ids(tokens, self.vocabulary_size)
        length = horizon * action_size
        chunks = np.zeros((len(tokens), length), dtype=np.float32)
        for row, ids in zip(chunks, tokens):
            centres = (np.array(ids[:length]) + 0.5) / self.vocabulary_size * 2 - 1
            row[: len(centres)] = centres
            for i in range(max(len(centres), action_size), length):
                row[i] = row[i - action_size]
        ok = np.array([len(ids) == length for ids in tokens], dtype=bool)
        return chunks.reshape(-1, horizon, action_size), ok

    def _config(self, folder):
        return {"bins": self.vocabulary_size}

    @classmethod
    def _from_config(cls, config, folder):
        return cls(bins=config["bins"])
