"""FAST only, VQ only: actions are written token by token and there is no expert to train."""

from dataclasses import replace

from pi05lite.lab.variant import tokens
from pi05lite.policy import Chunk, Policy
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.vq import VQTokenizer


class TokenPolicy(Policy):
    def follow(self, observation, subtask, seed=0, previous=None, delay=0):
        actions, _ = self.follow_tokens(observation, subtask)
        return Chunk(actions, subtask)

    def chunks(self, batch, noise, size_mask):
        return self.token_chunks(batch)[0]


def only(tokenizer):
    def swap(variant):
        recipe = replace(variant.recipe, alpha=0.0, new_expert=False)
        room = lambda: tokenizer(variant)  # noqa: E731
        return replace(tokens(room)(variant), recipe=recipe, policy=TokenPolicy)
    return swap


fast_only = only(lambda variant: FastTokenizer(variant.config.vocabulary.actions))
vq_only = only(lambda variant: VQTokenizer())
