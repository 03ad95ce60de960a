"""The text in front of the model, and the one sequence that training and inference share.

    [pictures] BOS Task: <text>, State: <bins>;\\n<ending>   bidirectional
    <answer> EOS                                            causal, predicted (subtask, boxes)
    <action tokens> EOS                                     causal, predicted (FAST, VQ or bins)
"""

from dataclasses import dataclass

from pi05lite.tokens.kind import Kind
from pi05lite.tokens.state import state_text
from pi05lite.tokens.vocabulary import BOS, EOS

ENDINGS = {"low": "Action: ", "high": "Subtask: "}


def clean(text):
    """One line without underscores, as openpi hands it to its tokenizer."""
    return text.strip().replace("_", " ").replace("\n", " ")


def robot_prompt(text, state, level, bins=256):
    """The prompt of a robot example.

    text: the subtask at level "low" (actions follow), the overall prompt at level "high" (a subtask
    follows); state (S,) normalised, or None for a robot without one. openpi's pi0.5 format.
    """
    state = "" if state is None else f", State: {state_text(state, bins)}"
    return f"Task: {clean(text)}{state};\n{ENDINGS[level]}"


def question_prompt(text):
    """The prompt of a picture-and-words example, closed by a newline as in PaliGemma."""
    return f"{clean(text)}\n"


@dataclass
class Sequence:
    """The ids of one example with the kind of each, and which of them are to be predicted."""

    tokens: list[int]
    kinds: list[int]
    target: list[bool]


def sequence(prompt, answer=None, actions=None):
    """Lay out ids: the prompt, then what is to be predicted (None: nothing of that kind)."""
    n = len(prompt) + 1
    s = Sequence([BOS, *prompt], [int(Kind.PROMPT)] * n, [False] * n)
    for ids, kind in ((answer, Kind.TEXT), (actions, Kind.ACTION)):
        if ids is not None:
            s.tokens += [*ids, EOS]
            s.kinds += [int(kind)] * (len(ids) + 1)
            s.target += [True] * (len(ids) + 1)
    return s
