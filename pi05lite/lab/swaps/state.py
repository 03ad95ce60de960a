"""The state as text in the prompt (pi0.5), as a token of the expert (pi0), or absent."""

from pi05lite.lab.variant import part
from pi05lite.processor import Processor


class NoStateInPrompt(Processor):
    def prompt_state(self, example):
        return None


def state_as_text(variant):
    return variant.process(Processor)


def without_state(variant):
    return variant.process(NoStateInPrompt)


def state_as_token(variant):
    return part(state_token=True)(without_state(variant))
