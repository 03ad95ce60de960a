"""The checks of chapter 14 on right answers, and on wrong ones that they must name."""

import pytest
import torch

from pi05lite.checks import real as checks
from pi05lite.model import describe
from pi05lite.train import lora
from tests.checks.tools import verdict


def floor(ops=2, each=max, runs=lambda r: (r, r), total=sum, scale=1):
    """The least seconds, right or with one thing wrong."""
    def chunk_floor(parts, flops, bandwidth):
        return scale * total(each(runs(r)[0] * ops * macs / flops, runs(r)[1] * moved / bandwidth)
                             for macs, moved, r in parts)
    return chunk_floor


def by_loop(parts, flops, bandwidth):
    seconds = 0.0
    for macs, moved, runs in parts:
        arithmetic, memory = 2 * macs / flops, moved / bandwidth
        for _ in range(runs):
            seconds += arithmetic if arithmetic > memory else memory
    return seconds


def by_tensors(parts, flops, bandwidth):
    macs, moved, runs = torch.tensor(parts, dtype=torch.float64).T
    return (runs * torch.maximum(2 * macs / flops, moved / bandwidth)).sum()


def of_sums(parts, flops, bandwidth):
    return max(sum(2 * m * r for m, _, r in parts) / flops,
               sum(b * r for _, b, r in parts) / bandwidth)


def packaged(parts, flops, bandwidth):
    device = describe.Device("", flops, bandwidth)
    return sum(describe.Part("", 0, int(2 * m), int(b), r).floor(device) for m, b, r in parts)


@pytest.mark.parametrize("mine", [floor(), by_loop, by_tensors])
def test_right_floors(mine, capsys):
    assert verdict(checks.check_chunk_floor, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (floor(ops=1), 0, "multiply-add is two operations"), (of_sums, 0, "larger of the two sums"),
    (floor(each=lambda a, b: a + b), 0, "at the same time"),
    (floor(runs=lambda r: (r, 1)), 2, "moved once only"),
    (floor(runs=lambda r: (1, r)), 2, "every run does its own"),
    (floor(runs=lambda r: (1, 1)), 0, "expert runs ten times"),
    (floor(each=min), 0, "the shorter"), (floor(total=max), 0, "slowest part"),
    (floor(each=lambda a, b: a), 0, "larger of the two sums"),
    (floor(each=lambda a, b: b), 0, "moving alone"), (floor(scale=1000), 0, "milliseconds"),
    (lambda parts, flops, bandwidth: None, 0, "return"), (lambda *a: [1, 2], 0, "shape"),
    (packaged, 0, "without the package's own")])
def test_wrong_floors_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_chunk_floor, mine, capsys)
    assert got == points and says in text, text


def cache(per=lambda c: 2 * c.depth * c.kv_heads * c.head_dim, places=lambda v: v.numel(),
          size=lambda s: s):
    """Bytes of a cache, right or with one thing wrong."""
    return lambda valid, c, s: size(s) * per(c) * places(valid)


def by_shapes(valid, c, size):
    B, T = valid.shape
    pair = [torch.empty(B, c.kv_heads, T, c.head_dim) for _ in "kv"]
    return sum(x.numel() * size for x in pair for _ in range(c.depth))


@pytest.mark.parametrize("mine", [cache(), by_shapes])
def test_right_caches(mine, capsys):
    assert verdict(checks.check_cache_bytes, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (cache(places=lambda v: int(v.sum())), 2, "padded places take room"),
    (cache(places=lambda v: v.shape[1]), 2, "the batch is missing"),
    (cache(lambda c: 2 * c.kv_heads * c.head_dim), 0, "one layer"),
    (cache(lambda c: c.depth * c.kv_heads * c.head_dim), 0, "keys and values are two"),
    (cache(lambda c: 2 * c.depth * c.heads * c.head_dim), 0, "only `kv_heads` keys"),
    (cache(lambda c: 2 * c.depth * c.width), 0, "width of the stream"),
    (cache(lambda c: c.depth * (c.heads + 2 * c.kv_heads) * c.head_dim), 0, "queries were kept"),
    (cache(lambda c: 2 * c.depth * c.kv_heads), 0, "head_dim is missing"),
    (cache(lambda c: 2 * c.depth * c.head_dim), 0, "kv_heads is missing"),
    (cache(size=lambda s: 1), 0, "these are numbers"), (cache(size=lambda s: 4), 2, "float32"),
    (cache(size=lambda s: 8 * s), 0, "bits"),
    (cache(places=lambda v: v.numel() * v.shape[1]), 0, "scores of attention"),
    (lambda valid, c, size: None, 0, "return")])
def test_wrong_caches_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_cache_bytes, mine, capsys)
    assert got == points and says in text, text


def held(trained=4, gradients=4, moments=8, frozen=2, average=4, average_frozen=0):
    """Bytes of training, right or with one thing wrong."""
    def training_bytes(t, f, a):
        return ((trained + gradients + moments + a * average) * t
                + (frozen + a * average_frozen) * f)
    return training_bytes


def by_list(trained, frozen, average):
    copies = ["weights", "gradients", "mean", "square"] + ["average"] * average
    return sum(4 * trained for _ in copies) + frozen * 2.0


def costed(trained, frozen, average):
    model = torch.nn.ParameterList([torch.empty(trained, device="meta"),
                                    torch.empty(frozen, device="meta")])
    model[1].requires_grad_(False)
    c = lora.cost(model)
    return c.total if average else c.total - c.average


@pytest.mark.parametrize("mine", [held(), by_list])
def test_right_memories(mine, capsys):
    assert verdict(checks.check_training_bytes, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (held(moments=4), 0, "one copy is missing"), (held(gradients=0), 0, "one copy is missing"),
    (held(gradients=0, moments=0), 0, "the weights alone"),
    (held(moments=0), 0, "two copies are missing"), (held(2, 2, 4), 0, "all four were taken in"),
    (held(trained=6), 0, "autocast"), (held(frozen=0), 1, "take room too"),
    (held(frozen=4), 1, "bf16 is enough"), (held(frozen=6), 1, "no gradients"),
    (held(frozen=10), 1, "no moments"), (held(frozen=16), 1, "no gradients and no moments"),
    (held(average=0), 2, "the average is missing"), (held(average=2), 2, "stays in fp32"),
    (held(average_frozen=4), 2, "of what is trained"),
    (held(average_frozen=2), 2, "their own average"),
    (lambda t, f, a: held()(t, f, True), 1, "nobody asked for"),
    (lambda t, f, a: None, 0, "return"),
    (costed, 0, "without the package's own")])
def test_wrong_memories_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_training_bytes, mine, capsys)
    assert got == points and says in text, text


def term(g, n):
    """One term over all processes."""
    return (n[:, None] * g).sum(0) / n.sum().clamp(min=1)


def both(of=term, alpha=1.0, counts=lambda c, name: c[name], end=lambda g: g, text=1.0):
    """The gradient of a global batch, right or with one thing wrong."""
    def global_gradient(gradients, c, a):
        parts = {k: of(g, counts(c, k)) for k, g in gradients.items()}
        return end(text * parts["text"] + a**alpha * parts["flow"])
    return global_gradient


def by_processes(gradients, counts, alpha):
    total = 0
    for name, weight in {"text": 1.0, "flow": alpha}.items():
        n = counts[name].tolist()
        for g, mine in zip(gradients[name], n):
            total = total + weight * g * (mine / max(sum(n), 1))
    return total.numpy()


def lumped(gradients, counts, alpha):
    n = counts["text"] + counts["flow"]
    return term(gradients["text"] + alpha * gradients["flow"], n)


@pytest.mark.parametrize("mine", [both(), by_processes])
def test_right_gradients(mine, capsys):
    assert verdict(checks.check_global_gradient, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (both(lambda g, n: g.mean(0)), 1, "mean of the means"),
    (both(lambda g, n: g[n > 0].sum(0) / max(1, int((n > 0).sum()))), 1, "as much as one with 50"),
    (both(lambda g, n: g.sum(0)), 0, "added up"),
    (both(lambda g, n: (n[:, None] * g).sum(0)), 0, "not divided by the counts"),
    (lumped, 2, "counts of their own"),
    (both(counts=lambda c, k: c["flow"]), 2, "weighed by the counts of the flow"),
    (both(counts=lambda c, k: c["text"]), 1, "weighed by the counts of the text"),
    (both(alpha=0.0), 0, "alpha is missing"), (both(end=lambda g: g / 3), 0, "P times too short"),
    (lambda g, c, a: a * term(g["text"], c["text"]) + term(g["flow"], c["flow"]), 0,
     "alpha is on the text"),
    (lambda g, c, a: term(g["text"], c["text"]), 0, "the flow is missing"),
    (both(lambda g, n: (n[:, None] * g).sum(0) / n.sum()), 3, "NaN"),
    (lambda g, c, a: None, 0, "return")])
def test_wrong_gradients_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_global_gradient, mine, capsys)
    assert got == points and says in text, text
