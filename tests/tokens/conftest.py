"""Chunks to try the action tokenizers on."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def smooth():
    """smooth(count, horizon, size, seed): chunks of slow sine waves within [-1, 1]."""

    def make(count, horizon=50, size=7, seed=0):
        random = np.random.default_rng(seed)
        shape = (count, 1, size)
        time = np.linspace(0, 1, horizon)[None, :, None]
        phase = random.uniform(0, 2 * np.pi, shape) + random.uniform(1, 6, shape) * time
        chunks = random.uniform(-0.3, 0.3, shape) + random.uniform(0, 0.6, shape) * np.sin(phase)
        return chunks.astype(np.float32)

    return make
