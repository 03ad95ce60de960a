"""Checks of chapter 13, changing a part and comparing fairly."""

import copy

import numpy as np
import torch

from pi05lite import config, lab
from pi05lite.checks.core import Wrong, check, claim, compare, several
from pi05lite.lab import runs, statistics
from pi05lite.lab.alone import awake
from pi05lite.lab.swaps import norms
from pi05lite.model.expert import AdaptiveTime, MixedTime


@check("AddedTime", 4, seals=(norms.AddedTime, MixedTime, AdaptiveTime))
def check_added_time(AddedTime):
    """AddedTime(width): its `norm`, and its forward(tokens, wave) -> the tokens, no condition."""
    reads = getattr(getattr(AddedTime, "norm", None), "reads", None)
    if reads is None:
        raise Wrong("it needs a class attribute `norm`: the norm that the expert's layers use")
    if reads:
        raise Wrong(f"its norm reads {reads} vectors from a condition, and this part gives none: "
                    "RMSNorm reads none")
    torch.manual_seed(1)
    part = awake(AddedTime(8), 0)
    g = torch.Generator().manual_seed(2)
    tokens, wave = torch.randn(3, 5, 8, generator=g), torch.randn(3, 8, generator=g)
    out, condition = several(part(tokens.clone(), wave.clone()), 2, "the tokens, the condition")
    if getattr(out, "shape", None) != tokens.shape:
        raise Wrong(f"the tokens: expected the shape {tuple(tokens.shape)}, got "
                    f"{tuple(getattr(out, 'shape', ()))}. wave (B, D) needs an axis for the steps")
    call = lambda x, w: part(x.clone(), w.clone())[0]  # noqa: E731
    said = misplaced(part, call, tokens, wave, out)
    yield claim(said is None, 2, "each example's time is added to all of its tokens", said)
    try:
        if condition is not None:
            raise Wrong("the condition must be None: RMSNorm reads nothing, so nothing may be "
                        "handed to it")
        lab.check(AddedTime, kind="time")
        broken = None
    except (lab.Broken, Wrong) as error:
        broken = str(error)
    yield claim(broken is None, 2, "it keeps the contract", broken)


def misplaced(part, call, tokens, wave, out):
    """What is wrong with how a part adds the time to tokens, or None."""
    added = out - tokens  # (B, H, D)
    alike = lambda a, b: torch.allclose(a, b, atol=1e-5)  # noqa: E731
    if not alike(call(tokens + 1, wave) - tokens - 1, added):
        lost = alike(call(tokens + 1, wave), out)
        return ("the tokens are lost: the time takes their place, and must be added to them" if lost
                else "what is added depends on the tokens: that is mixing, as in pi0. Read it from "
                "the wave alone")
    if alike(added, torch.zeros(())):
        return "the time is not used"
    if alike(added[:, 1:], torch.zeros(())) or alike(added[:, :-1], torch.zeros(())):
        return "the time is added to one token alone; every step of the chunk must be told"
    if not alike(added, added[:, :1].expand_as(added)):
        return "the steps of a chunk get different times; it has one"
    other = wave.clone()
    other[1] += 1
    if not alike(call(tokens, other)[0], out[0]):
        return "one example is told another's time: each has its own"
    if alike(call(tokens, other)[1], out[1]):
        return "each example must be told its own time, and one of them is not"
    if not any(p.requires_grad for p in part.parameters()):
        return "nothing is learned: put a linear layer between the wave and the tokens"
    return None


T95 = {4: 3.182, 6: 2.571}  # Student's t, 97.5 % quantile with S - 1 degrees of freedom


@check("paired", 4, seals=(statistics.difference, statistics.interval))
def check_paired(paired):
    """paired(a, b, t) -> (mean, low, high) of a - b over the seeds."""
    g = np.random.default_rng(5)
    for S, points in ((6, (1, 2)), (4, (0, 1))):
        seeds = g.normal(2.0, 0.5, S)
        a, b = seeds + g.normal(0.3, 0.3, S), seeds + g.normal(0, 0.3, S)
        found = several(paired(a.copy(), b.copy(), T95[S]), 3, "mean, low, high")
        mean, low, high = (float(np.asarray(x)) for x in found)
        right = float((a - b).mean())
        if points[0]:
            yield compare("the mean difference", mean, right, points[0], {
                "it is b - a: below 0 must mean that a is lower": -right,
                "it is the mean of a alone": a.mean(),
                "it is the difference of the medians": np.median(a) - np.median(b),
                "it is the difference of the two best seeds: the luckiest run of each says little "
                "about either": a.min() - b.min()}, "The mean of a - b, seed by seed.")
        yield compare(f"the interval over {S} seeds", [low, high], span(a - b, T95[S]), points[1],
                      slips(a, b, T95[S]),
                      "The mean difference, plus and minus t times its standard error.")


def span(d, t, error=None):
    """[low, high] round the mean of differences d; their standard error unless it is given."""
    error = d.std(ddof=1) / len(d) ** 0.5 if error is None else error
    return [d.mean() - t * error, d.mean() + t * error]


def slips(a, b, t):
    """Intervals with one thing wrong: sentence -> [low, high]."""
    d, S = a - b, len(a)
    alone = ((a.var(ddof=1) + b.var(ddof=1)) / S) ** 0.5
    deviation = d.std(ddof=1)
    return {
        "it is not paired: the spread between seeds is in it twice, although both variants met the "
        "same seeds. Subtract first": span(d, t, alone),
        "it is not paired, and the standard deviation was taken over S, not S - 1":
            span(d, t, ((a.var() + b.var()) / S) ** 0.5),
        "the standard deviation was taken over S; of so few seeds it needs S - 1 (ddof=1)":
            span(d, t, d.std() / S**0.5),
        "that is how single seeds scatter; the mean of S seeds scatters less, by the root of S":
            span(d, t, deviation),
        "divided by S, not by its root": span(d, t, deviation / S),
        "1.96 is for many seeds; so few need the t that was handed in": span(d, 1.96),
        "t is missing: one standard error to each side holds far less than 95 %": span(d, 1.0),
        "the variance was not rooted": span(d, t, d.var(ddof=1) / S**0.5),
        "the seeds were sorted before subtracting: that pairs the lucky with the lucky":
            span(np.sort(a) - np.sort(b), t),
        "it is from the lowest to the highest seed, which grows with every seed":
            [d.min(), d.max()],
        "the sign is turned round: below 0 must mean that a is lower": span(-d, t),
        "low and high are swapped": span(d, t)[::-1]}


@check("steps_for", 3)
def check_steps_for(steps_for):
    """steps_for(costs, steps) -> name -> steps that cost no more than `steps` of the first."""
    costs = {"base": 2.0, "dear": 3.0, "cheap": 0.7}
    got = steps_for(dict(costs), 101)
    if not isinstance(got, dict) or set(got) != set(costs):
        raise Wrong(f"expected a dict with the names {list(costs)}, got {got!r}"[:200])
    exact = np.array([101 * 2.0 / c for c in costs.values()])
    yield compare("the steps of base, dear and cheap", [got[name] for name in costs],
                  np.floor(exact), 2, {
        "a dearer step must buy fewer steps, and here it buys more":
            np.floor([101 * c / 2 for c in costs.values()]),
        "the same steps for all: then the dear one spends half as much again": [101] * 3,
        "rounded up: the last step is no longer paid for": np.ceil(exact),
        "rounded to the nearest: where that is up, the last step is no longer paid for":
            exact.round(),
        "not rounded: nobody can do a part of a step": exact,
        "the budget is shared out between the variants; each may spend all of it":
            np.floor(exact / 3),
        "the dearest is the measure; it must be the first": [
            int(101 * 3.0 / c) for c in costs.values()],
        "`steps` was taken for the budget itself; it is steps of the first variant":
            [int(101 / c) for c in costs.values()]}, "steps x cost of the first, over the cost.")
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in got.values())
    yield claim(whole, 1, "they are whole numbers, so that range() takes them",
                f"they are {type(got['dear']).__name__}s; range() wants an int")


A = {"parts": {"time": "adaRMS", "attention": "Attention"},
     "recipe": {"steps": 300, "learning_rate": 0.003, "betas": [0.9, 0.95], "seed": 0},
     "data": {"toy/low": 0.8, "toy/high": 0.2}}


@check("confounds", 4, seals=(config.differences, runs.unlike_facts))
def check_confounds(confounds):
    """confounds(a, b, idea) -> the dotted names that differ, but for the idea."""
    b = copy.deepcopy(A)
    b["parts"]["time"] = "AddedTime"
    b["recipe"] |= {"learning_rate": 0.006, "seed": 4, "ema": 0.9}
    wanted = {"recipe.learning_rate", "recipe.seed", "recipe.ema"}
    call = lambda *runs, idea: names(confounds(*map(copy.deepcopy, runs), idea))  # noqa: E731
    got = call(A, b, idea="parts.time")
    yield claim(got == wanted, 2, "all that differs beside the idea", unlike(got, wanted))
    back = call(b, A, idea="parts.time")
    yield claim(back == wanted, 1, "the same when the two change places",
                f"with the two runs swapped: {unlike(back, wanted)}")
    fair = copy.deepcopy(A)
    fair["recipe"]["learning_rate"] = 0.006
    none = (call(A, fair, idea="recipe.learning_rate"), call(A, A, idea="parts.time"))
    yield claim(none == (set(), set()), 1, "a fair pair has none",
                f"a fair pair: expected nothing, got {sorted(set.union(*none))}")


def names(found):
    """What came back as a set of names; Wrong for anything else."""
    if found is None:
        raise Wrong("nothing came back. Is there a `return`?")
    if isinstance(found, str) or not all(isinstance(x, str) for x in found):
        raise Wrong(f"expected a list of names as 'recipe.steps', got {found!r}"[:200])
    return set(found)


def unlike(got, wanted):
    """What is wrong with the names that were found."""
    if got == wanted | {"parts.time"}:
        return "parts.time is the idea; what it is compared for is no confound"
    if got and not any("." in name for name in got):
        return "these are groups or bare names; say which one: 'recipe.steps'"
    if got == wanted - {"recipe.seed"}:
        return ("another seed is another draw of weights, data order and noise: pairs need the "
                "same one")
    if got == wanted - {"recipe.ema"}:
        return "recipe.ema stands in one run alone; a default in the other is a difference too"
    if not got:
        return f"nothing was found, and {len(wanted)} names differ"
    missing, extra = sorted(wanted - got), sorted(got - wanted)
    return "; ".join([f"missing: {len(missing)} of {len(wanted)}"] * bool(missing)
                     + [f"these are the same in both: {', '.join(extra)}"] * bool(extra))
