"""What a whole model promises, whatever part of it is new.

B batch, T tokens of the prefix, L text places, H horizon, A action size.
"""

from dataclasses import replace

import torch

from pi05lite.lab.alone import awake
from pi05lite.lab.promise import must, same, shape
from pi05lite.model.batch import Batch
from pi05lite.model.layers import attention_bias
from pi05lite.tokens.kind import Kind

TAU = torch.tensor([0.1, 0.4, 0.6, 0.9])


class Case:
    """A nano model with its weights awake, and a batch with padding and absent cameras."""

    def __init__(self, name, build, config, seed):
        self.name, self.build, self.config, self.seed = name, build, config, seed

    def make(self):
        """The model, the same weights each time."""
        torch.manual_seed(self.seed)
        return awake(self.build(self.config), self.seed)

    def start(self):
        """Build the model and the batch."""
        self.model = self.make()
        self.config = self.model.config  # a builder may have changed it
        self.batch = make_batch(self.config)
        g = torch.Generator().manual_seed(self.seed)
        self.noise = torch.randn(self.batch.actions.shape, generator=g)

    def prefix(self, batch=None, **options):
        """The prefix of a batch, without gradients."""
        with torch.no_grad():
            return self.model.prefix(batch or self.batch, **options)

    def velocity(self, batch=None, x=None, tau=TAU, prefix=None):
        """The expert's answer on a batch, without gradients."""
        with torch.no_grad():
            return self.model.velocity(prefix or self.prefix(batch),
                                       self.noise if x is None else x, tau)

    def other(self, **changes):
        """The batch with some tensors changed by functions of them."""
        return replace(self.batch, **{name: change(getattr(self.batch, name).clone())
                                      for name, change in changes.items()})

    def losses(self, insulate=False, flow=True, text=True):
        """Gradients (name -> tensor or None) of the sum of the losses asked for."""
        self.model.zero_grad()
        prefix = self.model.prefix(self.batch)
        loss = self.model.token_losses(prefix, self.batch)[0].mean() if text else 0
        if flow:
            loss = loss + self.model.flow_losses(
                prefix, self.batch.actions, self.batch.action_mask, insulate=insulate,
                noise=self.noise, tau=TAU).mean()
        loss.backward()
        return {n: p.grad for n, p in self.model.named_parameters() if p.requires_grad}


def make_batch(c, B=4, prompt=8, text=4, action=5):
    """Prompt, answer and action tokens, rows of different lengths; what is absent or padding holds
    ordinary content, so that a leak shows."""
    g = torch.Generator().manual_seed(1)
    L, px, C = prompt + text + action, c.vision.image_size, len(c.cameras)
    kinds = torch.tensor([int(Kind.PROMPT)] * prompt + [int(Kind.TEXT)] * text
                         + [int(Kind.ACTION)] * action).repeat(B, 1)
    valid, image_mask = torch.ones(B, L).bool(), torch.ones(B, C).bool()
    valid[1, L - 3:] = False
    image_mask[1, 0] = image_mask[2, 1] = False
    mask = torch.ones(B, c.horizon, c.action_size).bool()
    mask[..., -2:] = False
    actions = torch.rand(B, c.horizon, c.action_size, generator=g) * 2 - 1
    return Batch(torch.randn(B, C, 3, px, px, generator=g), image_mask,
                 torch.randint(4, c.vocabulary.text, (B, L), generator=g), kinds, valid,
                 (kinds != Kind.PROMPT) & valid, actions * mask, mask,
                 torch.zeros(B, dtype=torch.long),
                 torch.rand(B, c.action_size, generator=g) * 2 - 1)


def shapes(case):
    c, batch, prefix = case.config, case.batch, case.prefix()
    B, T = prefix.valid.shape
    shape(prefix.hidden, (B, T, c.vlm.width), "prefix.hidden")
    must(len(prefix.cache) == c.vlm.depth, "prefix.cache", f"{c.vlm.depth} layers",
         len(prefix.cache), "give keys and values of every layer")
    for pair in prefix.cache:
        for x in pair:
            shape(x, (B, c.vlm.kv_heads, T, c.vlm.head_dim), "prefix.cache, keys and values")
    shape(case.velocity(), batch.actions.shape, "the expert's answer")
    with torch.no_grad():
        points = case.model.sample(batch, 3, case.noise)
        shape(points[-1], batch.actions.shape, "a sampled chunk")
        loss, places = case.model.token_losses(prefix, batch)
    shape(loss, (int(batch.target.sum()),), "token losses")


def determinism(case):
    for mode in (True, False):
        case.model.train(mode)
        a, b = ((p.hidden, case.velocity(prefix=p)) for p in (case.prefix(), case.prefix()))
        for x, y in zip(a, b):
            must(torch.equal(x, y), f"the model in {'training' if mode else 'evaluation'}, called "
                 "twice", "the same numbers", f"a difference of {float((x - y).abs().max()):.2g}",
                 "leave out dropout and other global random numbers; or accept it: "
                 'without=["determinism"]')


def saves(case):
    torch.manual_seed(case.seed + 1)
    again = case.build(case.config).eval()
    again.load_state_dict(case.model.state_dict())
    case.model.eval()
    with torch.no_grad():
        answer = again.velocity(again.prefix(case.batch), case.noise, TAU)
    same(answer, case.velocity(), "the model from saved weights", "the same answer",
         "keep tensors as parameters or buffers, so that a checkpoint has them")


def masks(case):
    """The prefix never changes with the suffix, tokens see no later ones, and FAST and flow tokens
    never see each other."""
    prefix = case.prefix()
    kept, hidden, real = prefix.map(torch.clone), prefix.hidden, prefix.valid
    base = case.velocity(prefix=prefix)
    for old, new in zip(kept.cache, prefix.cache):
        for a, b in zip(old, new):
            same(b, a, "the prefix's keys and values after the expert looked at them", "as they "
                 "were: the prefix never changes with the suffix",
                 "write nothing into context.past")
    same(case.prefix().hidden[real], hidden[real], "the prefix after a flow step", "as before",
         "keep no state between calls")
    acts = case.batch.kinds == Kind.ACTION
    other = case.prefix(case.other(tokens=lambda x: x.masked_fill(acts, 7)))
    same(case.velocity(prefix=other), base, "the expert's answer at other action tokens",
         "the same: flow tokens never see action tokens", "add context.bias to the logits")
    before = prefix.hidden.shape[1] - int(acts.sum(1)[0])
    early = real[:, :before]
    same(other.hidden[:, :before][early], hidden[:, :before][early], "tokens before action tokens",
         "no sight of later tokens", "add bias to the logits")
    same(case.prefix(case.other(actions=lambda x: x + 1)).hidden[real], hidden[real],
         "the prefix for other actions", "the same: tokens never see the flow",
         "read no actions in the prefix")
    same(case.velocity(case.batch[2:3], case.noise[2:3], TAU[2:3]), base[2:3],
         "one example by itself", "what it gives within a batch", "look for norms over the batch",
         1e-4)


def padding(case):
    b, prefix = case.batch, case.prefix()
    other = replace(b, tokens=b.tokens.masked_fill(~b.valid, 11), images=torch.where(
        b.image_mask[..., None, None, None], b.images, 5.0))
    changed = case.prefix(other)
    same(changed.hidden[prefix.valid], prefix.hidden[prefix.valid], "tokens beside other padding",
         "the same: padding and absent cameras get no weight", "add bias to the logits")
    same(case.velocity(prefix=changed), case.velocity(prefix=prefix), "the expert beside other "
         "padding", "the same answer", "add context.bias to the logits")
    with torch.no_grad():
        error = case.model.flow_losses(prefix, b.actions, b.action_mask, noise=case.noise, tau=TAU)
        noise = case.noise + 3.0 * ~b.action_mask
        same(error[~b.action_mask], torch.zeros(()), "the flow loss of sizes that a robot lacks",
             "0", "multiply by the mask")
        same(case.model.flow_losses(prefix, b.actions, b.action_mask, noise=noise, tau=TAU), error,
             "the flow loss with other numbers in sizes that a robot lacks", "the same",
             "let them hold 0 on the whole path")


def cache(case):
    """Token by token with keys and values kept gives what one pass over all gives."""
    model, b = case.model, case.batch
    ends = (b.kinds == Kind.PROMPT).sum(1)[0]
    n = int((b.kinds[0] == Kind.TEXT).sum())
    whole = case.prefix(b[:1]).hidden
    part = case.prefix(replace(b[:1], tokens=b.tokens[:1, :ends], kinds=b.kinds[:1, :ends],
                               valid=b.valid[:1, :ends]))
    layout, kept, first = part.layout, part.cache, part.hidden.shape[1]
    for i in range(n):
        layout = layout.append([Kind.TEXT])
        with torch.no_grad():
            hidden, kept = model.vlm(model.embed_tokens(b.tokens[:1, ends + i:ends + i + 1]),
                                     attention_bias(layout.mask(1), whole.dtype),
                                     model.vlm.turn(layout.positions(1)), kept)
        same(hidden[:, 0], whole[:, first + i], f"word {i + 1} of an answer with a cache",
             "what it is without one", "put past's keys and values in front, turn by `turn` alone")
    bare = case.prefix(hidden=False)
    for old, new in zip(case.prefix().cache, bare.cache):
        for x, y in zip(old, new):
            same(y, x, "keys and values of prefix(hidden=False)", "those of the full prefix",
                 "attention.project must give what forward gives")
    twice = case.velocity(x=case.noise.repeat_interleave(2, 0), tau=TAU.repeat_interleave(2),
                          prefix=case.prefix().repeat(2))
    same(twice[::2], case.velocity(), "several flow draws on one prefix", "what each gives alone",
         "take care of the batch dimension", 1e-4)


def gradients(case):
    grads = case.losses()
    silent = [n for n, g in grads.items() if (g is None or not g.any())
              and not n.startswith("vision.tower.")]  # published towers have heads nobody reads
    must(not silent, "gradient of the whole loss", "one for every weight that is trained",
         f"none for {silent[:4]}", "look for detach(), no_grad() or a weight that nothing reads")
    bad = [n for n, g in grads.items() if g is not None and not g.isfinite().all()]
    must(not bad, "gradient of the whole loss", "finite numbers", f"NaN in {bad[:4]}",
         "look for sqrt or log at 0")
    free = case.losses(text=False)
    reached = [n for n, g in free.items() if g is not None and g.any()]
    # The last layer's keys and values are the last that the expert reads.
    for place in ("vlm.layers.0.", "embedding.", "vision.", "expert."):
        wanted = any(n.startswith(place) for n in free)
        must(not wanted or any(n.startswith(place) for n in reached),
             f"gradient of the flow loss without insulation at {place}*", "some", "none",
             "keep detach() out of the parts: insulation is the recipe's matter")


def insulation(case):
    kept = case.losses(insulate=True, text=False)
    leaks = [n for n, g in kept.items() if not n.startswith("expert.")
             and g is not None and g.any()]
    must(not leaks, "gradient of the insulated flow loss outside the expert", "exactly 0",
         f"some at {leaks[:4]}", "let the expert read nothing of the VLM but context.past; parts "
         'that share weights cannot be insulated: without=["insulation"]')
    free = case.losses(insulate=False, text=False)
    for name, g in kept.items():
        if name.startswith("expert.") and g is not None:
            same(g, free[name], f"gradient of {name} under insulation", "what it is without",
                 "insulation must cut the way to the VLM alone")


def reach(case):
    """The expert uses what it may look at: pictures, prompt, answer, time, the whole chunk."""
    base, b = case.velocity(), case.batch
    changes = {
        "the pictures": case.other(images=lambda x: x.flip(0)),
        "the prompt": case.other(tokens=lambda x: x.masked_fill(b.kinds == Kind.PROMPT, 7)),
        "the answer": case.other(tokens=lambda x: x.masked_fill(b.kinds == Kind.TEXT, 7))}
    answers = {what: case.velocity(batch) for what, batch in changes.items()}
    x = case.noise.clone()
    x[:, -1] += 1
    answers["the last step of the noisy chunk"] = case.velocity(x=x)[:, :1]
    answers["the flow time"] = case.velocity(tau=TAU.flip(0))
    for what, answer in answers.items():
        must(not torch.allclose(answer, base[:, :answer.shape[1]], atol=1e-5),
             f"the expert's answer with {what} changed", "another one", "the same",
             f"let it look at {what}, or say that it need not: without=[\"reach\"]")


PROMISES = {"shapes": shapes, "determinism": determinism, "saves": saves, "masks": masks,
            "padding": padding, "cache": cache, "gradients": gradients,
            "insulation": insulation, "reach": reach}
