"""The kinds of token in a sequence; masks, positions and losses follow from them."""

from enum import IntEnum


class Kind(IntEnum):
    """What a token is."""

    PROMPT = 0  # pictures and the prompt with the state: one bidirectional block
    TEXT = 1  # an answer in words (a subtask, a caption, boxes): causal
    ACTION = 2  # discrete action tokens (FAST, VQ, bins): causal
    FLOW = 3  # the noisy actions that the expert moves: one bidirectional block
    STATE = 4  # the state as one token of the expert (pi0): a block of its own before the flow

    @property
    def label(self):
        """The word for pictures: "prompt", "text", "action", "flow" or "state"."""
        return self.name.lower()
