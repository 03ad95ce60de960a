"""What an attention promises by itself.

B batch, T tokens, S keys, D width, N' key heads, K head size.
"""

import torch

from pi05lite.lab import alone
from pi05lite.lab.alone import B, T, alive, changed, spread, twice
from pi05lite.lab.promise import must, same, shape
from pi05lite.model.layers import attention_bias, rotary


class Case(alone.Case):
    """An attention under a causal mask."""

    def start(self):
        """Draw the input."""
        super().start()
        self.mask = torch.ones(B, T, T).bool().tril()
        self.turn = rotary(torch.arange(T).expand(B, T), self.c.head_dim)

    def attention(self):
        c = self.c
        return self.make(c.width, c.heads, c.kv_heads, c.head_dim)

    def attend(self, x, mask=None, part=None, **options):
        """What the attention gives for x under a mask (B, T, S); causal if left out."""
        part = part or self.attention()
        bias = attention_bias(self.mask if mask is None else mask, x.dtype)
        return part(x, bias, options.pop("turn", self.turn), **options)


def shapes(case):
    y, (k, v) = case.attend(case.x)
    c, each = case.c, (B, case.c.kv_heads, T, case.c.head_dim)
    shape(y, (B, T, c.width), "attention, what it gives")
    shape(k, each, "attention, its keys")
    shape(v, each, "attention, its values")
    q, k2, _ = case.attention().project(case.x, case.turn)
    must(q.shape[:2] == (B, T) and k2.shape == each, "attention.project", f"queries of {(B, T)} "
         f"tokens and keys of shape {each}", (tuple(q.shape), tuple(k2.shape)),
         "project(x, turn) gives queries, keys and values before they meet")


def determinism(case):
    part = case.attention()
    twice(lambda: case.attend(case.x, part=part)[0], "attention")


def masks(case):
    y, kv = case.attend(case.x)
    y2, kv2 = case.attend(changed(case.x, slice(None), -1))
    same(y2[:, :-1], y[:, :-1], "attention under a causal mask", "no token sees a later one",
         "add bias to the logits before the softmax")
    for a, b, what in zip(kv2, kv, ("keys", "values")):
        same(a[:, :, :-1], b[:, :, :-1], f"attention, its {what}", "each made of its own token "
             "alone", "let tokens meet nowhere but in the softmax")
    y3, _ = case.attend(changed(case.x, 1))
    same(y3[0], y[0], "attention", "no example of a batch sees another",
         "take care of the batch dimension")


def padding(case):
    mask = torch.ones(B, T, T).bool()
    mask[:, :, 2] = False
    y, _ = case.attend(case.x, mask)
    other, _ = case.attend(changed(case.x, slice(None), 2), mask)
    others = [0, 1, 3, 4, 5]
    same(other[:, others], y[:, others], "attention on padding", "no weight at all",
         "add bias to the logits before the softmax; add nothing after it")


def cache(case):
    whole, _ = case.attend(case.x)
    first, past = case.attend(case.x[:, :4], case.mask[:, :4, :4],
                              turn=tuple(t[:, :4] for t in case.turn))
    before = [p.clone() for p in past]
    rest, both = case.attend(case.x[:, 4:], case.mask[:, 4:], past=past,
                             turn=tuple(t[:, 4:] for t in case.turn))
    for a, b in zip(before, past):
        same(b, a, "attention's past", "left as it was", "join with torch.cat, write nothing in "
             "place")
    must(both[0].shape[2] == T, "attention's keys with a past", f"the past's in front, {T} in all",
         both[0].shape[2], "torch.cat([past[0], k], dim=2)")
    same(torch.cat([first, rest], 1), whole, "attention with a cache", "what it gives without one",
         "look at past's keys and values in front of your own, and turn by `turn` alone")


def gradients(case):
    part, x = case.attention(), case.x.clone().requires_grad_()
    past = tuple(torch.randn(B, case.c.kv_heads, 3, case.c.head_dim, requires_grad=True)
                 for _ in range(2))
    y, kv = case.attend(x, torch.ones(B, T, T + 3).bool(), part, past=past)
    alive(part, spread(y) + spread(kv[0]), "the attention")
    for name, p in (("keys", past[0]), ("values", past[1]), ("input", x)):
        must(p.grad is not None and p.grad.any(), f"gradient of the attention's {name}",
             "one, since the expert's loss trains the VLM through it", "none",
             "keep detach() out of it: insulation is the recipe's matter")


PROMISES = {"shapes": shapes, "determinism": determinism, "masks": masks, "padding": padding,
            "cache": cache, "gradients": gradients}
