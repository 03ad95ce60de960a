"""Checks of chapter 12, looking inside."""

import numpy as np
import torch

from pi05lite import interventions, trace
from pi05lite.checks.core import Wrong, check, claim, compare

SEEDS = (3, 27, 11, 4)


class Sampler:
    """A stand-in for a policy: how far an input moves its chunk depends on the noise."""

    def __init__(self):
        self.calls = []  # (name of the input, seed)

    def __call__(self, given, seed):
        if given not in ("before", "after"):
            raise Wrong("sample takes `before` or `after` as they were handed in, then a seed")
        if isinstance(seed, (list, tuple, range)):
            raise Wrong("sample takes one seed at a time; ask it for each of them")
        self.calls.append((given, int(seed)))
        g = np.random.default_rng([int(seed), 1])
        noise, way = g.normal(size=(2, 5, 3))
        return torch.tensor(noise + (given == "after") * (0.4 * way + 0.1), dtype=torch.float32)

    def pair(self, seed, other=None):
        """Chunks before and after, of one seed or of two."""
        return (self("before", seed).double().numpy(),
                self("after", seed if other is None else other).double().numpy())


@check("effect", 4, seals=(interventions.distance,))
def check_effect(effect):
    """effect(sample, before, after, seeds) -> one number."""
    sample = Sampler()
    got = effect(sample, "before", "after", SEEDS)
    asked = [[s for given, s in sample.calls if given == kind] for kind in ("before", "after")]
    yield compare("the effect", got, mean_of(rms), 2, slips(), "For each seed the root of the mean "
                  "squared difference of its two chunks; then the mean over the seeds.")
    same = sorted(asked[0]) == sorted(asked[1])
    yield claim(same, 1, "both runs of a pair start from the same noise",
                f"before was asked with the seeds {asked[0]}, after with {asked[1]}: then they "
                "differ although nothing was changed")
    nothing = effect(Sampler(), "before", "before", SEEDS)
    yield compare("the effect of changing nothing", nothing, 0.0, 1, {
        "it is not 0: what differs then is the noise": rms(*two_noises())},
        "It must be exactly 0.", tolerance=1e-9)


def rms(a, b):
    """Root of the mean squared difference."""
    return np.sqrt(np.square(a - b).mean())


def mean_of(measure):
    """The mean over the seeds of a measure of the two chunks."""
    return np.mean([measure(*Sampler().pair(s)) for s in SEEDS])


def two_noises():
    """Two chunks of the same input from two noises."""
    return Sampler().pair(SEEDS[0])[0], Sampler().pair(SEEDS[1])[0]


def slips():
    """Effects with one thing wrong: sentence -> number."""
    pairs = [Sampler().pair(s) for s in SEEDS]
    a, b = (np.stack(side) for side in zip(*pairs))
    nexts = [rms(*Sampler().pair(s, s + 1)) for s in SEEDS]
    turned = [rms(x, y) for x, y in zip(a, np.roll(b, 1, 0))]
    back = [rms(x, y) for x, y in zip(a, np.roll(b, -1, 0))]
    unlike = ("before and after start from different noises, so the noise itself is measured: "
              "hand both the same seed")
    return {
        unlike: np.mean(nexts), unlike + " (pair them up)": np.mean(turned),
        unlike + " (they are off by one)": np.mean(back),
        "the chunks were averaged over the seeds first: moves to opposite sides cancel":
            rms(a.mean(0), b.mean(0)),
        "the root is missing": mean_of(lambda x, y: np.square(x - y).mean()),
        "the root was taken of the mean over all seeds; take it seed by seed":
            rms(a, b),
        "differences were not squared, so opposite signs cancel":
            mean_of(lambda x, y: (y - x).mean()),
        "differences were not squared, so opposite signs cancel (and the sign is turned round)":
            mean_of(lambda x, y: (x - y).mean()),
        "it is the mean absolute difference; take the root of the mean square":
            mean_of(lambda x, y: np.abs(x - y).mean()),
        "it is the length of the whole difference, which grows with the chunk; take the mean":
            mean_of(lambda x, y: np.linalg.norm(x - y)),
        "only the first seed was used": rms(a[0], b[0]),
        "only the last seed was used": rms(a[-1], b[-1]),
        "the effects were summed over the seeds; take their mean": len(SEEDS) * mean_of(rms),
        "it is the largest of the seeds": max(rms(x, y) for x, y in pairs)}


@check("rollout", 4, seals=(trace.rollout, trace.rollouts))
def check_rollout(rollout):
    """rollout(attention) (layers, heads, T, T) -> (T, T)."""
    g = np.random.default_rng(6)
    attention = g.dirichlet(np.full(5, 0.4), size=(3, 2, 5))
    attention[:, :, 0, 1:], attention[:, :, 0, 0] = 0, 1  # a token that sees itself alone
    kept = attention.copy()
    got = rollout(attention)
    right = rolled(kept)
    found = compare("the rollout", got, right, 3, wrong_rollouts(kept),
                    "Mean of the heads, half of it and half of the identity, then the layers "
                    "multiplied, the last on the left.")
    yield found
    sums = np.asarray(got).sum(-1)
    whole = sums.shape == (5,) and np.allclose(sums, 1, atol=1e-4)
    yield claim(whole and np.array_equal(attention, kept), 1,
                "each row shares out 1", "the attention that was handed in was changed"
                if not np.array_equal(attention, kept) else
                f"rows must share out 1; these sum to {np.round(sums, 2).tolist()}")


def rolled(attention, keep=0.5, mean=lambda a: a.mean(1)):
    """The rollout; keep: the share of the identity."""
    out = np.eye(attention.shape[-1])
    for weights in mean(attention):
        out = (keep * np.eye(len(out)) + (1 - keep) * weights) @ out
    return out


def wrong_rollouts(attention):
    """Rollouts with one thing wrong: sentence -> (T, T)."""
    eye, mean = np.eye(attention.shape[-1]), attention.mean(1)
    half = [(eye + weights) / 2 for weights in mean]
    whole = [eye + weights for weights in mean]
    times = lambda parts: np.linalg.multi_dot(parts[::-1])  # noqa: E731
    summed = rolled(attention, mean=lambda a: a.sum(1))
    return {
        "what passes by the layer is missing: each layer adds to x, so half of it is x itself":
            rolled(attention, keep=0.0),
        "the identity was added, but the rows not made to sum to 1 again": times(whole),
        "the layers are multiplied the wrong way round: the last layer stands on the left":
            times(half[::-1]),
        "the layers are multiplied the wrong way round, and what passes by is missing":
            times(list(mean)[::-1]),
        "the layers were averaged; what layer 2 reads was read in layer 1 already, so multiply":
            np.mean(half, 0),
        "the layers were averaged, and what passes by is missing": mean.mean(0),
        "the heads were summed, not averaged": summed,
        "it is the last layer alone": mean[-1], "it is the first layer alone": mean[0],
        "only one head was used": rolled(attention[:, :1]),
        "the largest head was taken, not the mean": rolled(attention, mean=lambda a: a.max(1)),
        "the layers were multiplied number by number; it is a matrix product": np.prod(half, 0),
        "rows and columns are swapped: row i says what token i reads": rolled(attention).T}


@check("patched", 4, seals=(interventions.patched,))
def check_patched(patched):
    """patched(cache, other, layer, tokens) -> a cache with some tokens of a layer from another."""
    g = torch.Generator().manual_seed(7)
    cache, other = ([tuple(torch.randn(2, 1, 2, 6, 3, generator=g)) for _ in range(3)]
                    for _ in range(2))
    tokens = [1, 4]
    copies = [[(k.clone(), v.clone()) for k, v in c] for c in (cache, other)]
    got = patched(cache, other, 1, tokens)
    if not isinstance(got, (list, tuple)) or len(got) != 3:
        size = f" of {len(got)}" if hasattr(got, "__len__") else ""
        raise Wrong("expected a list of three (keys, values) pairs, one a layer, got "
                    f"{type(got).__name__}{size}")
    clean, theirs = copies
    untouched = all(torch.equal(x, y) for now, then in zip((cache, other), copies)
                    for a, b in zip(now, then) for x, y in zip(a, b))
    mine = flat([got[1]])
    yield compare("keys and values of that layer", mine, flat([mixed(clean[1], theirs[1])]), 2, {
        "only the keys were taken over; the expert reads values too":
            flat([mixed(clean[1], theirs[1], value=False)]),
        "only the values were taken over; keys say where to look":
            flat([mixed(clean[1], theirs[1], key=False)]),
        "all tokens were taken over, not only the chosen ones": flat([theirs[1]]),
        "nothing was taken over": flat([clean[1]]),
        "the wrong way round: it is the other run's, with tokens of the first in it":
            flat([mixed(theirs[1], clean[1])]),
        "the heads were indexed, not the tokens: keys are (B, N', T, K)":
            flat([mixed(clean[1], theirs[1], axis=1)]),
        "another layer's keys and values were taken": flat([mixed(clean[1], theirs[0])]),
    }, "cache[layer] with the rows `tokens` of other[layer], for keys and for values.")
    yield compare("the other layers", flat([got[0], got[2]]), flat([clean[0], clean[2]]), 1, {
        "all layers were patched; the question is which layer carries it":
            flat([mixed(clean[n], theirs[n]) for n in (0, 2)]),
        "they come from the other run": flat([theirs[0], theirs[2]])}, "They stay as they were.")
    yield claim(untouched, 1, "neither run was changed",
                "the cache that was handed in was changed in place: after the first patch there is "
                "no clean run to compare with. Copy first (clone)")


def mixed(mine, theirs, key=True, value=True, axis=2):
    """A pair with tokens 1 and 4 of another's."""
    out = []
    for wanted, x, y in zip((key, value), mine, theirs):
        x = x.clone()
        if wanted and axis == 2:
            x[:, :, [1, 4]] = y[:, :, [1, 4]]
        elif wanted:
            x[:, 1] = y[:, 1]
        out.append(x)
    return tuple(out)


def flat(pairs):
    """All numbers of some pairs in a row."""
    return torch.cat([x.flatten() for pair in pairs for x in pair])
