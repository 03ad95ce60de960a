"""One set of weights in place of two: the VLM's own layers move the actions.

Only the way in, the way out and the time are the expert's. What is shared cannot be insulated.
"""

from dataclasses import replace
from functools import partial

from pi05lite.model.expert import ActionExpert, MixedTime
from pi05lite.model.pi05 import Pi05
from pi05lite.model.transformer import start


class OneSet(Pi05):
    def __init__(self, config, **parts):
        config = replace(config, expert=config.vlm)
        super().__init__(config, expert=partial(ActionExpert, time=MixedTime), **parts)
        self.expert.transformer = self.vlm

    def new_expert(self):
        for part in (self.expert.action_in, self.expert.time, self.expert.action_out):
            start(part)


def one_set(variant):
    return replace(variant, build=OneSet)
