"""Checks of chapter 14, the real pi0.5."""

import torch

from pi05lite.checks.core import check, compare
from pi05lite.config import TransformerConfig
from pi05lite.model import describe
from pi05lite.train import lora

PARTS = [(90e9, 3e8, 1), (4e9, 6e9, 1), (1e9, 4e8, 10)]  # multiply-adds, bytes, runs
DEVICES = (("a fast card", 2e13, 1e12), ("a slow one", 3e12, 8e11))


@check("chunk_floor", 4, seals=(describe.describe, describe.Part.floor))
def check_chunk_floor(chunk_floor):
    """chunk_floor(parts, flops, bandwidth) -> the least seconds of one chunk."""
    for name, flops, bandwidth in DEVICES:
        got = chunk_floor(list(PARTS), flops, bandwidth)
        yield compare(f"the floor on {name}", got, floor(flops, bandwidth), 2,
                      floors(flops, bandwidth),
                      "For each part the longer of arithmetic and moving, times its runs; then the "
                      "sum.", 1e-9)


def floor(flops, bandwidth, ops=2, each=max, byte=1, runs=lambda r: (r, r), total=sum):
    """The least seconds, or what they are with one thing done otherwise."""
    return total(each(runs(r)[0] * ops * macs / flops, runs(r)[1] * byte * moved / bandwidth)
                 for macs, moved, r in PARTS)


def floors(flops, bandwidth):
    """Floors with one thing wrong: sentence -> seconds."""
    on = lambda **wrong: floor(flops, bandwidth, **wrong)  # noqa: E731
    arithmetic = on(each=lambda a, b: a)
    moving = on(each=lambda a, b: b)
    once = on(each=lambda a, b: a, ops=1)
    return {
        "a multiply-add is two operations, and it was counted as one": on(ops=1),
        "that is the larger of the two sums. A part that waits for memory and one that computes "
        "come one after the other: take the larger in each part, then add": max(arithmetic, moving),
        "that is the larger of the two sums, and a multiply-add counted as one operation":
            max(once, moving),
        "arithmetic and moving were added; they go on at the same time":
            on(each=lambda a, b: a + b),
        "the weights were moved once only: every run reads them anew, for they do not fit into the "
        "chip's own memory": on(runs=lambda r: (r, 1)),
        "each part was run once; the expert runs ten times": on(runs=lambda r: (1, 1)),
        "the arithmetic was done once only; every run does its own": on(runs=lambda r: (1, r)),
        "that is the moving alone": moving,
        "the shorter of the two was taken; the longer one keeps the other waiting": on(each=min),
        "that is the slowest part; they come one after the other": on(total=max),
        "bytes were taken for bits": on(byte=8),
        "these are milliseconds": 1000 * on()}


SHAPE = TransformerConfig(width=48, depth=5, mlp=100, heads=12, kv_heads=3, head_dim=10)


@check("cache_bytes", 3)
def check_cache_bytes(cache_bytes):
    """cache_bytes(valid, c, size) -> bytes of the keys and values of all layers."""
    whole = torch.ones(1, 7, dtype=torch.bool)
    padded = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] * 5 + [0] * 2]).bool()
    for what, valid, size, points in (("one example of 7 tokens in fp32", whole, 4, 2),
                                      ("three examples with padding in bf16", padded, 2, 1)):
        got = cache_bytes(valid.clone(), SHAPE, size)
        yield compare(what, got, caches(valid, size), points, slips_of_caches(valid, size),
                      "Keys and values, in every layer, of every place.", 1e-9)


def caches(valid, size, places=None, pairs=2, heads=3, K=10, layers=5):
    """Bytes of a cache, or with one number wrong."""
    return size * pairs * layers * heads * K * (valid.numel() if places is None else places)


def slips_of_caches(valid, size):
    """Bytes with one thing wrong: sentence -> bytes."""
    B, T = valid.shape
    with_one = lambda size=size, **wrong: caches(valid, size, **wrong)  # noqa: E731
    return {
        "padded places take room too: the tensors hold B x T places":
            with_one(places=int(valid.sum())),
        "the batch is missing: each example has a cache of its own": with_one(places=T),
        "one layer has been counted; each layer has keys and values of its own": with_one(layers=1),
        "half of it: keys and values are two, and a number takes `size` bytes": with_one(pairs=1),
        "the queries were kept as well; nobody needs them again": with_one(pairs=1, heads=12 + 6),
        "there are `heads` queries, but only `kv_heads` keys and values": with_one(heads=12),
        "the width of the stream is not kept: a key has head_dim numbers": with_one(heads=1, K=48),
        "head_dim is missing": with_one(K=1),
        "kv_heads is missing": with_one(heads=1),
        "these are numbers; each takes `size` bytes": with_one(1),
        "that is in float32, and `size` was handed in": with_one(4),
        "these are bits": with_one(8 * size),
        "T x T are the scores of attention, and those are not kept": with_one(places=B * T * T)}


@check("training_bytes", 3, seals=(lora.cost,))
def check_training_bytes(training_bytes):
    """training_bytes(trained, frozen, average) -> what AdamW holds besides activations."""
    t, f = 1_000_003, 40_000_007
    for what, given, right, wrong in (
            ("all weights trained", (t, 0, False), 16 * t, held(t)),
            ("most weights frozen", (t, f, False), 16 * t + 2 * f, frozen(t, f)),
            ("with a moving average", (t, f, True), 20 * t + 2 * f, averaged(t, f))):
        yield compare(what, training_bytes(*given), right, 1, wrong,
                      "Count the copies of each kind, and the bytes of a number in each.", 1e-9)


def held(t):
    """All trained, one thing wrong: sentence -> bytes."""
    return {"the weights alone": 4 * t,
            "two copies are missing (or all four were taken in bf16): weights, gradients and two "
            "moments, in fp32": 8 * t,
            "one copy is missing: weights, gradients, and two moments are four": 12 * t,
            "a bf16 copy was added; autocast makes it on the way, layer by layer": 18 * t,
            "a moving average was counted that nobody asked for": 20 * t,
            "these are bits": 128 * t}


def frozen(t, f):
    """Most frozen, one thing wrong: sentence -> bytes."""
    return {"frozen weights take room too: they must be run": 16 * t,
            "frozen weights have no gradients and no moments": 16 * (t + f),
            "frozen weights are never added to, so bf16 is enough for them": 16 * t + 4 * f,
            "frozen weights have no moments": 16 * t + 10 * f,
            "frozen weights have no gradients": 16 * t + 6 * f,
            "the frozen weights alone": 2 * f}


def averaged(t, f):
    """With an average, one thing wrong: sentence -> bytes."""
    return {"the average is missing: one more copy of what is trained": 16 * t + 2 * f,
            "the average is of what is trained; frozen weights are their own average":
                20 * t + 6 * f,
            "frozen weights are their own average, and need no other copy": 20 * t + 4 * f,
            "the average takes small steps and stays in fp32": 18 * t + 2 * f}


COUNTS = {"text": [3, 50, 9], "flow": [100, 40, 10]}


@check("global_gradient", 4)
def check_global_gradient(global_gradient):
    """global_gradient(gradients, counts, alpha) -> the gradient of text + alpha * flow."""
    g = torch.Generator().manual_seed(4)
    grads = {name: torch.randn(3, 6, generator=g) for name in COUNTS}

    def ask(counts, what, points):
        given = {name: x.clone() for name, x in grads.items()}
        for name, numbers in counts.items():
            given[name][numbers == 0] = 0
        return compare(what, global_gradient({k: x.clone() for k, x in given.items()},
                                             {k: n.clone() for k, n in counts.items()}, 10.0),
                       shared(given, counts), points, unshared(given, counts),
                       "Each term: the sum over the processes of count x gradient, over all its "
                       "counts.")

    as_counts = lambda table: {k: torch.tensor(n) for k, n in table.items()}  # noqa: E731
    same = {"text": [4, 4, 4], "flow": [8, 8, 8]}
    yield ask(as_counts(same), "equal shares", 1)
    yield ask(as_counts(COUNTS), "unequal shares", 2)
    yield ask(as_counts({"text": [0, 0, 0], "flow": [8, 2, 0]}),
              "a batch without any text, and a process without any action", 1)


def weighed(g, n):
    """One term's gradient (D,) of the whole batch, from each process's mean (P, D), counts (P,)."""
    return (n[:, None] * g).sum(0) / n.sum().clamp(min=1)


def shared(grads, counts, alpha=10.0, of=weighed):
    """The gradient of the whole batch, or with one thing wrong."""
    return of(grads["text"], counts["text"]) + alpha * of(grads["flow"], counts["flow"])


def unshared(grads, counts):
    """Gradients with one thing wrong: sentence -> (D,)."""
    total = sum(counts.values())
    mean = lambda g, n: g.mean(0)  # noqa: E731
    some = lambda g, n: g[n > 0].sum(0) / max(1, int((n > 0).sum()))  # noqa: E731
    lumped = (total[:, None] * (grads["text"] + 10 * grads["flow"])).sum(0) / total.sum()
    plain = lambda g, n: (n[:, None] * g).sum(0)  # noqa: E731
    return {
        "that is the mean of the means: a process with 3 words counts as much as one with 50":
            shared(grads, counts, of=mean),
        "that is the mean of the means of those that have any": shared(grads, counts, of=some),
        "text and flow have counts of their own; here both are weighed by one": lumped,
        "both are weighed by the counts of the flow": shared(
            grads, {k: counts["flow"] for k in counts}),
        "both are weighed by the counts of the text": shared(
            grads, {k: counts["text"] for k in counts}),
        "the gradients were added up, which makes the step as many times longer as there are "
        "processes": shared(grads, counts, of=lambda g, n: g.sum(0)),
        "the sums were not divided by the counts": shared(grads, counts, of=plain),
        "the mean over the processes was taken besides: it is P times too short":
            shared(grads, counts) / 3,
        "alpha is missing": shared(grads, counts, 1.0),
        "alpha is on the text; it weighs the flow": 10 * shared(grads, counts, 0.1),
        "the flow is missing": shared(grads, counts, 0.0)}

