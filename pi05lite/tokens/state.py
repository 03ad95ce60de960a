"""The robot's state as text: each number becomes one of 256 bins, written in the prompt."""

import numpy as np

from pi05lite.errors import DataError, say


def state_bins(state, bins=256):
    """Bin number, 0 to bins - 1, of each value of a state (..., S) normalised to [-1, 1].

    The bins are pi0.5's (openpi, PaligemmaTokenizer). Values are clipped first: digitising alone
    gives -1 below the range, and the prompt would carry the text "-1". Raises DataError on NaN.
    """
    state = np.asarray(state)
    if state.dtype.kind not in "fiu" or np.isnan(state).any():
        raise DataError(say(
            "state", "numbers without NaN", f"{state.dtype}, shape {state.shape}",
            "drop the frames with missing state, or fill them, before making tokens",
        ))
    edges = np.linspace(-1, 1, bins + 1)[:-1]
    return np.digitize(np.clip(state, -1, 1), edges) - 1


def state_text(state, bins=256):
    """The bins of one state (S,) as decimal text, for example "12 255 0"."""
    state = np.asarray(state)
    if state.ndim != 1:
        raise DataError(say(
            "state", "one vector (S,)", f"shape {state.shape}", "call it once per sample"
        ))
    return " ".join(str(k) for k in state_bins(state, bins))
