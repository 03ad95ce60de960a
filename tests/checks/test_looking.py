"""The checks of chapter 12 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest
import torch

from pi05lite import interventions, trace
from pi05lite.checks import looking as checks
from tests.checks.tools import verdict


def rms(a, b):
    return float((a - b).square().mean().sqrt())


def effect(sample, before, after, seeds):
    return sum(rms(sample(before, s), sample(after, s)) for s in seeds) / len(seeds)


def stacked_effect(sample, before, after, seeds):
    """Differently written: all chunks first."""
    a, b = (np.stack([np.asarray(sample(x, s)) for s in seeds]) for x in (before, after))
    return np.sqrt(((a - b) ** 2).mean((1, 2))).mean()


def of_pairs(measure=rms, other=lambda s: s, total=np.mean):
    """An effect with one thing wrong."""
    return lambda sample, before, after, seeds: total(
        [measure(sample(before, s), sample(after, other(s))) for s in seeds])


def averaged_first(sample, before, after, seeds):
    a, b = (torch.stack([sample(x, s) for s in seeds]).mean(0) for x in (before, after))
    return rms(a, b)


def pooled(sample, before, after, seeds):
    a, b = (torch.stack([sample(x, s) for s in seeds]) for x in (before, after))
    return rms(a, b)


def all_at_once(sample, before, after, seeds):
    return rms(sample(before, seeds), sample(after, seeds))


def borrowed_effect(sample, before, after, seeds):
    return np.mean([interventions.distance(np.asarray(sample(before, s)),
                                           np.asarray(sample(after, s))) for s in seeds])


@pytest.mark.parametrize("mine", [effect, stacked_effect])
def test_right_effects(mine, capsys):
    assert verdict(checks.check_effect, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (of_pairs(other=lambda s: s + 1), 0, "different noises"),
    (of_pairs(measure=lambda a, b: (a - b).square().mean()), 2, "root is missing"),
    (of_pairs(measure=lambda a, b: (b - a).mean()), 2, "opposite signs cancel"),
    (of_pairs(measure=lambda a, b: (a - b).abs().mean()), 2, "mean absolute"),
    (of_pairs(measure=lambda a, b: (a - b).norm()), 2, "grows with the chunk"),
    (of_pairs(total=sum), 2, "summed over the seeds"),
    (of_pairs(total=max), 2, "largest of the seeds"),
    (averaged_first, 2, "cancel"), (pooled, 2, "seed by seed"), (all_at_once, 0, "one seed"),
    (lambda sample, a, b, seeds: rms(sample(a, seeds[0]), sample(b, seeds[0])), 2, "first seed"),
    (borrowed_effect, 0, "package's own"), (lambda *a: None, 0, "nothing came back")])
def test_wrong_effects(mine, points, says, capsys):
    got, said = verdict(checks.check_effect, mine, capsys)
    assert got == points and says in said


def rollout(attention):
    T = attention.shape[-1]
    out = np.eye(T)
    for layer in attention:
        out = (np.eye(T) + layer.mean(0)) / 2 @ out
    return out


def recursive_rollout(attention):
    """Differently written: from the last layer down, rows made to sum to 1 at the end."""
    both = attention.mean(axis=1) + np.eye(attention.shape[-1])
    out = both[0]
    for layer in both[1:]:
        out = np.einsum("ij,jk->ik", layer, out)
    return out / out.sum(-1, keepdims=True)


def no_way_past(attention):
    out = np.eye(attention.shape[-1])
    for layer in attention:
        out = layer.mean(0) @ out
    return out


def unhalved(attention):
    out = np.eye(attention.shape[-1])
    for layer in attention:
        out = (np.eye(len(out)) + layer.mean(0)) @ out
    return out


def turned(attention):
    return rollout(attention[::-1])


def spoiling(attention):
    attention[:] = (attention + np.eye(attention.shape[-1])) / 2
    out = np.eye(attention.shape[-1])
    for layer in attention:
        out = layer.mean(0) @ out
    return out


@pytest.mark.parametrize("mine", [rollout, recursive_rollout])
def test_right_rollouts(mine, capsys):
    assert verdict(checks.check_rollout, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (no_way_past, 1, "passes by"), (unhalved, 0, "not made to sum to 1"),
    (turned, 1, "wrong way round"), (lambda a: a.mean((0, 1)), 1, "averaged"),
    (lambda a: ((a.mean(1) + np.eye(a.shape[-1])) / 2).mean(0), 1, "averaged"),
    (lambda a: rollout(a.sum(1, keepdims=True)), 0, "heads were summed"),
    (lambda a: a[-1].mean(0), 1, "last layer alone"),
    (lambda a: rollout(a[:, :1]), 1, "one head"),
    (lambda a: rollout(a).T, 0, "swapped"), (spoiling, 3, "was changed"),
    (lambda a: trace.rollout(a), 0, "package's own"),
    (lambda a: rollout(a)[0], 0, "shape")])
def test_wrong_rollouts(mine, points, says, capsys):
    got, said = verdict(checks.check_rollout, mine, capsys)
    assert got == points and says in said


def patched(cache, other, layer, tokens):
    out = [(k.clone(), v.clone()) for k, v in cache]
    for mine, theirs in zip(out[layer], other[layer]):
        mine[:, :, tokens] = theirs[:, :, tokens]
    return out


def masked_patch(cache, other, layer, tokens):
    """Differently written: with a mask, nothing written in place."""
    here = torch.zeros(cache[0][0].shape[2], dtype=torch.bool)
    here[tokens] = True
    pick = lambda a, b: torch.where(here[:, None], b, a)  # noqa: E731
    return [tuple(map(pick, pair, other[n])) if n == layer else pair
            for n, pair in enumerate(cache)]


def in_place(cache, other, layer, tokens):
    for mine, theirs in zip(cache[layer], other[layer]):
        mine[:, :, tokens] = theirs[:, :, tokens]
    return cache


def everywhere(cache, other, layer, tokens):
    out = cache
    for n in range(len(cache)):
        out = patched(out, other, n, tokens)
    return out


def one_of(which):
    """Only keys or only values."""
    def patch(cache, other, layer, tokens):
        out = patched(cache, other, layer, tokens)
        pair = list(cache[layer])
        pair[which] = out[layer][which]
        out[layer] = tuple(pair)
        return out
    return patch


def whole_layer(cache, other, layer, tokens):
    return [other[n] if n == layer else pair for n, pair in enumerate(cache)]


@pytest.mark.parametrize("mine", [patched, masked_patch])
def test_right_patches(mine, capsys):
    assert verdict(checks.check_patched, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (in_place, 3, "no clean run"), (everywhere, 3, "which layer carries it"),
    (one_of(0), 2, "only the keys"), (one_of(1), 2, "only the values"),
    (whole_layer, 2, "all tokens"), (lambda c, o, layer, t: c, 2, "nothing was taken"),
    (lambda c, o, layer, t: patched(o, c, layer, t), 1, "the wrong way round"),
    (lambda c, o, layer, t: patched(c, o, layer, t)[layer], 0, "one a layer"),
    (lambda c, o, layer, t: interventions.patched(c, o, layer, t), 0, "package's own"),
    (lambda c, o, layer, t: None, 0, "list")])
def test_wrong_patches(mine, points, says, capsys):
    got, said = verdict(checks.check_patched, mine, capsys)
    assert got == points and says in said
