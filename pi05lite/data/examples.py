"""One example of any source: what was seen, what was asked, what is to be said or done."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Example:
    """Robot data at either level, or a picture with words; absent parts are None.

    level "low": text is a subtask, actions follow. level "high": text is the overall prompt, the
    answer is the subtask. level "words": text is a question, the answer a caption or boxes.
    """

    source: str
    level: str
    text: str
    images: dict = field(default_factory=dict)  # camera slot -> uint8 (px, px, 3)
    robot: str | None = None  # whose statistics normalise state and actions
    state: np.ndarray | None = None  # (S,) in the robot's own units
    blur: np.ndarray | None = None  # (S,) added to the normalised state in the prompt, in training
    answer: str | None = None
    objects: list | None = None  # [(label, (y0, x0, y1, x1))] in [0, 1], said before the answer
    # Camera slot -> [(label, box)] of what is seen there: where the words of the prompt point to.
    named: dict = field(default_factory=dict)
    # ... and of all that is known to be in a picture: what patches show, and where to look before
    # a label of objects is said. None: nothing is known.
    seen: dict | None = None
    way: np.ndarray | None = None  # (3,) m, m, rad: ahead, left and turn to where the subtask ends
    docks: dict = field(default_factory=dict)  # name of furniture -> (3,), the way to before it
    actions: np.ndarray | None = None  # (H, A) in the robot's own units
    steps: np.ndarray | None = None  # (H,) bool, False past the end of the episode
