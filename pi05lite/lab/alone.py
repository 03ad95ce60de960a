"""What a part promises by itself: a norm, a feed-forward, a time conditioning, a picture tower.

B batch, T tokens, S keys, D width, K head size, H horizon, A action size.
"""

import torch

from pi05lite.lab.parts import name_of
from pi05lite.lab.promise import must, same, shape
from pi05lite.model.flow import time_embedding

B, T = 2, 6


class Case:
    """A part, made twice from one seed by `start`, and input for it."""

    def __init__(self, part, config, seed):
        self.part, self.config, self.seed, self.name = part, config, seed, name_of(part)
        self.c = config.vlm

    def make(self, *sizes):
        """The part for these sizes, the same weights each time; in training, as it is used."""
        torch.manual_seed(self.seed)
        return awake(self.part(*sizes), self.seed)

    def start(self):
        """Draw the input."""
        g = torch.Generator().manual_seed(self.seed)
        self.x = torch.randn(B, T, self.c.width, generator=g)
        px = self.config.vision.image_size
        self.images = torch.randn(3, 3, px, px, generator=g)
        self.wave = time_embedding(torch.tensor([0.1, 0.8]), self.c.width)


@torch.no_grad()
def awake(part, seed):
    """The part with every weight that starts at one constant (a closed gate, say) drawn anew."""
    if isinstance(part, torch.nn.Module):
        g = torch.Generator().manual_seed(seed + 1)
        for p in part.parameters():
            if p.numel() > 1 and p.min() == p.max():
                p.add_(0.3 * torch.randn(p.shape, generator=g))
    return part


def changed(x, *place):
    """x with other numbers at a place."""
    x = x.clone()
    x[place] += 1.5
    return x


def alive(part, loss, thing):
    """Every weight of a part that is trained has a finite gradient that is not 0."""
    if not isinstance(part, torch.nn.Module):
        return
    loss.backward()
    wanted = {n: p for n, p in part.named_parameters() if p.requires_grad}
    silent = [n for n, p in wanted.items() if p.grad is None or not p.grad.any()]
    must(not silent, f"gradient of {thing}", "one for every weight", f"none for {silent[:4]}",
         "look for detach(), no_grad(), or a weight that nothing reads; freeze a weight that is "
         "not meant to learn by requires_grad_(False)")
    bad = [n for n, p in wanted.items() if not p.grad.isfinite().all()]
    must(not bad, f"gradient of {thing}", "finite numbers", f"NaN or infinity in {bad[:4]}",
         "look for sqrt or log at 0")


def spread(y, seed=0):
    """A scalar that depends on every number of y, none of them alike."""
    return (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))).sum()


def twice(call, thing):
    """The same call gives the same numbers, also in training."""
    a, b = call(), call()
    must(torch.equal(a, b), f"{thing}, called twice", "the same numbers, also in training",
         f"a difference of {float((a - b).detach().abs().max()):.2g}",
         "leave out dropout and other global random numbers: a run is resumed from its seed and "
         'step; or accept it: without=["determinism"]')


def tokens_alone(case, call, thing):
    """No token's answer depends on another token or another example."""
    y, other = call(case.x), call(changed(case.x, slice(None), -1))
    same(other[:, :-1], y[:, :-1], thing, "each token by itself",
         "work on the last dimension alone: what mixes tokens sees through every mask")
    same(call(changed(case.x, 1))[0], y[0], thing, "no example of a batch sees another",
         "take care of the batch dimension")


# ---- norms and feed-forwards ---------------------------------------------------------------------


def norm_call(case, x, part=None):
    part = part or case.make(case.c.width)
    g = torch.Generator().manual_seed(3)
    return part(x, *(torch.randn(B, 1, x.shape[-1], generator=g) for _ in range(part.reads)))


def norm_shapes(case):
    out = norm_call(case, case.x)
    must(isinstance(out, tuple) and len(out) == 2, "a norm's answer", "(x, gate or None)",
         type(out).__name__, "return the normed x and None")
    shape(out[0], case.x.shape, "norm, what it gives")
    must(out[1] is None or torch.broadcast_shapes(out[1].shape, case.x.shape) == case.x.shape,
         "a norm's gate", f"None, or one that fits {tuple(case.x.shape)}",
         getattr(out[1], "shape", None), "return x, None")


def norm_determinism(case):
    part = case.make(case.c.width)
    twice(lambda: norm_call(case, case.x, part)[0], "norm")


def norm_masks(case):
    tokens_alone(case, lambda x: norm_call(case, x)[0], "norm")


def norm_gradients(case):
    part = case.make(case.c.width)
    alive(part, spread(norm_call(case, case.x, part)[0]), "the norm") if any(
        p.requires_grad for p in part.parameters()) else None


def forward_call(case, x, part=None):
    return (part or case.make(case.c.width, case.c.mlp))(x)


def forward_shapes(case):
    shape(forward_call(case, case.x), case.x.shape, "feed-forward, what it gives")


def forward_determinism(case):
    part = case.make(case.c.width, case.c.mlp)
    twice(lambda: forward_call(case, case.x, part), "feed-forward")


def forward_masks(case):
    tokens_alone(case, lambda x: forward_call(case, x), "feed-forward")


def forward_gradients(case):
    part = case.make(case.c.width, case.c.mlp)
    alive(part, spread(forward_call(case, case.x, part)), "the feed-forward")


# ---- time conditioning ---------------------------------------------------------------------------


def time_call(case, tokens, wave, part=None):
    return (part or case.make(case.c.width))(tokens, wave)


def time_shapes(case):
    part = case.make(case.c.width)
    tokens, condition = time_call(case, case.x, case.wave, part)
    shape(tokens, case.x.shape, "time conditioning, its tokens")
    if part.norm.reads:
        must(condition is not None, "time conditioning, its condition",
             f"(B, D'), since {name_of(part.norm)} reads {part.norm.reads} vectors from it", None,
             "return the condition, or take norm = RMSNorm")
        shape(condition, (B, case.c.width), "time conditioning, its condition")


def time_determinism(case):
    part = case.make(case.c.width)
    twice(lambda: torch.cat(flat(time_call(case, case.x, case.wave, part))), "time conditioning")


def time_masks(case):
    base = time_call(case, case.x, case.wave)
    other = time_call(case, changed(case.x, 1), changed(case.wave, 1))
    for a, b in zip(base, other):
        if a is not None:
            same(b[0], a[0], "time conditioning", "no example of a batch sees another",
                 "take care of the batch dimension")


def time_reach(case):
    base, other = (torch.cat(flat(time_call(case, case.x, w))) for w in
                   (case.wave, case.wave.flip(0)))
    must(not torch.allclose(base, other, atol=1e-4), "time conditioning", "another answer at "
         "another flow time", "the same", "use `wave`: an expert that is not told the time cannot "
         "tell how much noise is left")


def time_gradients(case):
    part = case.make(case.c.width)
    alive(part, sum(spread(y) for y in flat(time_call(case, case.x, case.wave, part))),
          "the time conditioning") if any(p.requires_grad for p in part.parameters()) else None


def flat(pair):
    """The tensors of (tokens, condition or None), each as one row."""
    return [y.flatten() for y in pair if y is not None]


# ---- picture towers ------------------------------------------------------------------------------


def tower(case):
    return case.make(case.config.vision, case.c.width)


def vision_shapes(case):
    part = tower(case)
    with torch.no_grad():
        count = part.tokens_per_image(case.config.vision.image_size)
        shape(part(case.images), (3, count, case.c.width), "picture tower, what it gives",
              "as many tokens of the VLM's width as tokens_per_image says")


def vision_determinism(case):
    part = tower(case)
    twice(lambda: part(case.images), "picture tower")


def vision_masks(case):
    part = tower(case)
    y, other = part(case.images), part(changed(case.images, 1))
    same(other[0], y[0], "picture tower", "no picture of a batch sees another",
         "take no batch norm: a picture's tokens must not depend on what else is in the batch",
         1e-4)


def vision_gradients(case):
    part = tower(case)
    spread(part(case.images)).backward()
    wanted = [p for p in part.parameters() if p.requires_grad]
    must(any(p.grad is not None and p.grad.any() for p in wanted), "gradient of the picture tower",
         "one for some of its weights", "none", "look for detach() and no_grad()")


PROMISES = {
    "norm": {"shapes": norm_shapes, "determinism": norm_determinism, "masks": norm_masks,
             "gradients": norm_gradients},
    "feed_forward": {"shapes": forward_shapes, "determinism": forward_determinism,
                     "masks": forward_masks, "gradients": forward_gradients},
    "time": {"shapes": time_shapes, "determinism": time_determinism, "masks": time_masks,
             "reach": time_reach, "gradients": time_gradients},
    "vision": {"shapes": vision_shapes, "determinism": vision_determinism, "masks": vision_masks,
               "gradients": vision_gradients},
}
