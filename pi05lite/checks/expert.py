"""Checks of chapter 07, the action expert."""

import torch
from torch import nn

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, several
from pi05lite.model import flow, layers, pi05, transformer

BLIND = -1e30


def read(q, k, v, mask=None, scale=None):
    """What queries (S, K) read of keys and values (T, K); mask (S, T) bool."""
    scores = q @ k.T * (q.shape[-1] ** -0.5 if scale is None else scale)
    return (scores if mask is None else scores.masked_fill(~mask, BLIND)).softmax(-1) @ v


@check("shared_attention", 4, seals=(layers.attend, layers.attention_weights))
def check_shared_attention(shared_attention):
    """shared_attention(x, y, vlm, expert, valid) -> what the prefix and what the flow reads."""
    g = torch.Generator().manual_seed(7)
    x, y = torch.randn(6, 8, generator=g), torch.randn(4, 5, generator=g)
    vlm = [torch.randn(8, 16, generator=g) / 2 for _ in range(3)]
    expert = [torch.randn(5, 16, generator=g) / 2 for _ in range(3)]
    valid = torch.tensor([1, 1, 1, 1, 1, 0], dtype=torch.bool)
    q, k, v = (x @ w for w in vlm)
    eq, ek, ev = (y @ w for w in expert)
    got = shared_attention(x.clone(), y.clone(), list(vlm), list(expert), valid.clone())
    prefix, chunk = several(got, 2, "what the prefix reads, what the flow reads")
    seen, all_k, all_v = valid.expand(6, 6), torch.cat([k, ek]), torch.cat([v, ev])
    both = torch.cat([valid, valid.new_ones(4)])
    prefix = rows(prefix, 6, "what the prefix reads")[valid]
    yield compare("what the prefix reads", prefix, read(q, k, v, seen)[valid], 2, {
        "the prefix sees the flow tokens: then its keys would change with every step of the noise, "
        "and nothing could be cached": read(q, all_k, all_v, both.expand(6, 10))[valid],
        "the prefix sees the flow tokens, and padding too": read(q, all_k, all_v)[valid],
        "padding is attended": read(q, k, v)[valid],
        "the prefix reads causally; pictures and prompt are one block":
            read(q, k, v, seen & torch.ones(6, 6).tril().bool())[valid],
        "the scores are not scaled by the root of K": read(q, k, v, seen, 1.0)[valid],
        "keys and values are swapped": read(q, v, k, seen)[valid],
    }, "The prefix reads as if there were no flow tokens.")
    whole, own = both.expand(4, 10), torch.ones(4, 4, dtype=torch.bool)
    apart = read(eq, k, v, seen[:4]), read(eq, ek, ev)
    causal = torch.cat([seen[:4], own.tril()], 1)
    yield compare("what the flow reads", chunk, read(eq, all_k, all_v, whole), 2, {
        "it reads the prefix alone (cross-attention): a step of the chunk must see the others":
            apart[0],
        "it reads its own tokens alone: nothing of pictures and prompt comes in": apart[1],
        "there are two softmaxes whose readings are added, so that each row shares out 2; put the "
        "keys side by side and share out 1": sum(apart),
        "there are two softmaxes whose readings are averaged: half goes to the own tokens however "
        "little they fit": sum(apart) / 2,
        "the chunk is read causally; its steps are one block and see each other":
            read(eq, all_k, all_v, causal),
        "padding is attended": read(eq, all_k, all_v),
        "its own keys stand there with the prefix's values behind them, or the other way round":
            read(eq, torch.cat([ek, k]), all_v),
        "the scores are not scaled by the root of K": read(eq, all_k, all_v, whole, 1.0),
        "keys and values are swapped": read(eq, all_v, all_k, whole),
    }, "One softmax over the prefix's keys and the flow tokens' own.")


def rows(value, count, what):
    """The value as a tensor of `count` rows; Wrong where it has another shape."""
    value = torch.as_tensor(as_array(what, value))
    if value.ndim != 2 or len(value) != count:
        raise Wrong(f"{what}: expected {count} rows, one a token, got the shape "
                    f"{tuple(value.shape)}")
    return value


@check("AdaptiveBlock", 4, seals=(layers.AdaptiveRMSNorm, layers.unit_rms, transformer.add))
def check_adaptive_block(AdaptiveBlock):
    """AdaptiveBlock(width, cond_width, branch): its forward(x, cond) -> x."""
    g = torch.Generator().manual_seed(8)
    x, cond = 1 + 2 * torch.randn(2, 5, 8, generator=g), torch.randn(2, 3, generator=g)
    torch.manual_seed(1)
    branch = nn.Linear(8, 8)
    block = AdaptiveBlock(8, 3, branch)
    reader = getattr(block, "read", None)
    if not isinstance(reader, nn.Linear) or reader.weight.shape != (24, 3):
        raise Wrong("leave self.read = nn.Linear(cond_width, 3 * width) as it is: scale, shift, "
                    "gate, in this order")
    start = block(x.clone(), cond)
    if start is None:
        raise Wrong("nothing came back. Is there a `return`?")
    same = start.shape == x.shape and torch.equal(start, x)
    yield claim(same, 1, "a new block changes nothing", started(start, x, branch))
    start.square().sum().backward()
    grad = reader.weight.grad
    yield claim(same and grad is not None and grad[16:].abs().max() > 0, 1,
                "and its gate has a gradient, so that it can open", closed(same, grad))
    with torch.no_grad():
        reader.weight.copy_(torch.randn(24, 3, generator=g) / 2)
        reader.bias.copy_(torch.randn(24, generator=g) / 2)
        scale, shift, gate = (cond @ reader.weight.T + reader.bias)[:, None].chunk(3, dim=-1)
        yield compare("with its gates open", block(x.clone(), cond),
                      x + gate * branch(normed(x) * (1 + scale) + shift), 2,
                      slips(x, scale, shift, gate, branch),
                      "x, plus the gate times what the branch makes of the modulated norm of x.")


def normed(x):
    """x over its root mean square."""
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def started(out, x, branch):
    """What is wrong with a block that does not start as the identity."""
    if out.shape != x.shape:
        return f"expected the shape {tuple(x.shape)}, got {tuple(out.shape)}"
    if near(out, x + branch(normed(x))):
        return ("a new block adds the whole branch: with the gate at 0 it must add nothing (was "
                "the gate added, or 1 + gate?)")
    if near(out, branch(normed(x))) or near(out, normed(x)):
        return "x itself is lost: the branch is added to x as it came in"
    if near(out, 0 * x):
        return "a new block gives 0: x itself must pass by the gate"
    return ("a new block must give back x exactly: start the weight and the bias of self.read at "
            "0, so that all gates are closed")


def closed(same, grad):
    """What is wrong with a gate that cannot open."""
    if not same:
        return "judged when a new block changes nothing"
    return ("the gate gets no gradient, so it stays closed for ever: start self.read at 0, and not "
            "the branch")


def slips(x, scale, shift, gate, branch):
    """What a block gives with one thing wrong: sentence -> x."""
    inner = normed(x) * (1 + scale) + shift
    centred = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-6)
    return {
        "the gate was added, not multiplied": x + gate + branch(inner),
        "1 + gate: then a closed gate still lets the branch through":
            x + (1 + gate) * branch(inner),
        "the gate is on x, not on the branch": gate * x + branch(inner),
        "the gate is on the sum; x itself must pass by it": gate * (x + branch(inner)),
        "the gate goes into the branch, not onto what it gives": x + branch(gate * inner),
        "the gate is not used": x + branch(inner),
        "the gate went through a sigmoid; it is a plain number": x + gate.sigmoid() * branch(inner),
        "x itself is lost: the branch is added to x as it came in": gate * branch(inner),
        "what passes by is the normed x; it must be x as it came in":
            normed(x) + gate * branch(inner),
        "the scale is used as it is: at 0 it would shut out x, so it is 1 + scale":
            x + gate * branch(normed(x) * scale + shift),
        "the shift is scaled too: scale first, then shift":
            x + gate * branch((normed(x) + shift) * (1 + scale)),
        "the shift is not used": x + gate * branch(normed(x) * (1 + scale)),
        "scale and shift are swapped": x + gate * branch(normed(x) * (1 + shift) + scale),
        "the order is scale, shift, gate": x + scale * branch(normed(x) * (1 + shift) + gate),
        "x is not normed": x + gate * branch(x * (1 + scale) + shift),
        "this norm takes the mean away (LayerNorm); RMSNorm only divides by the root mean square":
            x + gate * branch(centred * (1 + scale) + shift),
    }


def near(a, b):
    """Whether two tensors agree."""
    return torch.allclose(a, b, atol=1e-5)


@check("denoise", 4, seals=(flow.euler, flow._march))
def check_denoise(denoise):
    """denoise(prefix, expert, noise, steps) -> the chunk, from one run of the prefix."""
    g = torch.Generator().manual_seed(9)
    noise, steps, calls = torch.randn(3, 4, generator=g), 4, []
    keys, values = torch.randn(2, 5, 4, generator=g)

    def prefix():
        calls.append("prefix")
        return keys.clone(), values.clone()

    def expert(x, tau, cache):
        k, v = several(cache, 2, "keys, values of the cache")
        if len(k) < len(keys):
            raise Wrong("the expert was not handed the cache that prefix() gave")
        calls.append((float(tau), len(k)))
        longer = torch.cat([k, x]), torch.cat([v, x])
        return (1 + float(tau)) * read(x, *longer) - x, longer

    def walk(taus, size=1 / steps, grow=False):
        x, cache = noise, (keys, values)
        for tau in taus:
            longer = torch.cat([cache[0], x]), torch.cat([cache[1], x])
            x = x + size * ((1 + tau) * read(x, *longer) - x)
            cache = longer if grow else cache
        return x

    chunk = denoise(prefix, expert, noise.clone(), steps)
    runs, asked = calls.count("prefix"), [c for c in calls if c != "prefix"]
    k = torch.arange(steps) / steps
    grown = any(n > len(keys) for _, n in asked)
    yield compare("the chunk", chunk, walk(k), 2, {
        "the longer cache was handed on: from the second step on the flow tokens read what they "
        "were in earlier steps, and the cache grows": walk(k, grow=True),
        "the steps are subtracted; the velocity points to the action, so steps add":
            walk(k, -1 / steps),
        "each step is as long as the whole way: N steps share it": walk(k, 1.0),
        "time runs from 1 to 0; noise is at tau = 0 here": walk(1 - k),
        "tau is where each step ends; ask where it starts": walk(k + 1 / steps),
        "tau stands still at 0": walk(0 * k),
        "there was only one step": walk(k[:1]), "the noise came back": noise,
    }, "Each step: ask the expert at (x, tau) on the prefix's cache, go 1 / steps along.")
    yield claim(runs == 1, 1, "the prefix ran once",
                "the prefix did not run: its cache is what the expert reads" if not runs else
                f"the prefix ran {runs} times for {steps} steps: nothing in it depends on x, so "
                "run it once, before the loop")
    yield claim(len(asked) == steps and not grown, 1, f"the expert ran {steps} times on it",
                "the cache that the expert read grew: it gives back its own tokens' keys behind "
                "the prefix's, and those are only good for this x" if grown else
                f"{steps} steps ask the expert {steps} times; it was asked {len(asked)} times")


class Small(nn.Module):
    """Two layers of a VLM with a cache, a text head and an expert: all one weight each."""

    def __init__(self):
        super().__init__()
        g = torch.Generator().manual_seed(10)
        draw = lambda *shape: nn.Parameter(torch.randn(*shape, generator=g) / 2)  # noqa: E731
        self.vlm, self.keys, self.values = draw(2, 4, 4), draw(2, 4, 3), draw(2, 4, 3)
        self.head, self.expert = draw(4), draw(2, 3)
        self.x = torch.randn(5, 4, generator=g)

    def prefix(self):
        """(hidden (5, 4), cache): a (keys, values) pair for each of the two layers."""
        x, cache = self.x, []
        for layer in range(2):
            cache.append((x @ self.keys[layer], x @ self.values[layer]))
            x = torch.tanh(x @ self.vlm[layer])
        return x, cache

    def text_loss(self, hidden):
        """A number that hangs on the hidden states."""
        return (hidden @ self.head - 1).square().mean()

    def flow_loss(self, cache):
        """A number that hangs on all keys and values, and on the expert."""
        said = sum(read(q[None], k, v).sum() for q, (k, v) in zip(self.expert, cache))
        return (said - 3).square()

    def gradients(self, loss):
        """name -> gradient of each weight, 0 where there is none."""
        names, weights = zip(*self.named_parameters())
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return {n: torch.zeros_like(w) if g is None else g
                for n, w, g in zip(names, weights, found)}


def cut(cache, key=True, value=True, layers=(0, 1)):
    """The cache with the gradient stopped at some of it."""
    stop = lambda x, wanted: x.detach() if wanted else x  # noqa: E731
    return [(stop(k, key and i in layers), stop(v, value and i in layers))
            for i, (k, v) in enumerate(cache)]


@check("insulated_loss", 4, seals=(pi05.Prefix.detach,))
def check_insulated_loss(insulated_loss):
    """insulated_loss(hidden, cache, text_loss, flow_loss, alpha) -> one number."""
    small, alpha = Small(), 2.5

    def of(make):
        hidden, cache = small.prefix()
        return small.gradients(make(hidden, cache))

    hidden, cache = small.prefix()
    text, acts = small.text_loss(hidden), small.flow_loss(cache)
    loss = insulated_loss(hidden, cache, small.text_loss, small.flow_loss, alpha)
    yield compare("the loss", loss, text + alpha * acts, 1, {
        "the text loss is missing": alpha * acts, "the flow loss is missing": text,
        "alpha is missing": text + acts,
        "alpha weighs the text too": alpha * (text + acts),
        "alpha weighs the text, not the flow": alpha * text + acts,
        "keys and values became 0: the expert must still read them, only no gradient may flow back":
            text + alpha * small.flow_loss([(0 * k, 0 * v) for k, v in cache]),
    }, "Insulation changes no number going forward.")
    if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
        raise Wrong("the loss carries no gradient at all, so nothing would be trained: stop it at "
                    "the keys and values alone (no torch.no_grad, no .item())")
    got = small.gradients(loss)
    vlm = lambda g: torch.cat([g[n].flatten() for n in ("vlm", "keys", "values")])  # noqa: E731
    with_cache = lambda c: lambda h, kv: (  # noqa: E731
        small.text_loss(h) + alpha * small.flow_loss(c(kv)))
    right, joint = of(with_cache(cut)), of(with_cache(lambda kv: kv))
    yield compare("the gradient of the VLM's weights", vlm(got), vlm(right), 2, {
        "the flow loss still reaches the VLM: nothing was cut (detach gives a new tensor back)":
            vlm(joint),
        "hidden states were detached, but keys and values still carry gradient: the wrong way was "
        "cut": vlm(of(lambda h, kv: small.text_loss(h.detach()) + alpha * small.flow_loss(kv))),
        "only the values were cut; keys carry gradient too":
            vlm(of(with_cache(lambda kv: cut(kv, key=False)))),
        "only the keys were cut; values carry gradient too":
            vlm(of(with_cache(lambda kv: cut(kv, value=False)))),
        "only the last layer was cut; the expert reads every layer":
            vlm(of(with_cache(lambda kv: cut(kv, layers=(1,))))),
        "only the first layer was cut; the expert reads every layer":
            vlm(of(with_cache(lambda kv: cut(kv, layers=(0,))))),
        "the VLM gets no gradient at all: the text loss must go on training it": 0 * vlm(right),
    }, "It must be the gradient of the text loss alone.")
    yield compare("the gradient of the expert's weights", got["expert"], right["expert"], 1, {
        "the expert gets none: the flow loss itself was detached": 0 * right["expert"],
        "alpha is missing": right["expert"] / alpha,
    }, "The expert is trained as if there were no insulation.")
