"""Checks of chapter 11, generalisation: the split, an interval, the score, following language."""

import numpy as np

from pi05lite.checks.core import Wrong, check, claim, compare, several
from pi05lite.evaluate import intervals, scores
from pi05lite.homes import rubric

HOMES = np.repeat([12, 3, 40, 7, 25, 31, 18, 9, 50, 22], [40, 5, 90, 20, 8, 60, 12, 30, 25, 10])


@check("split_by_home", 4)
def check_split_by_home(split_by_home):
    """split_by_home(homes, share, seed) -> (F,) bool, True where a frame is held out."""
    homes = np.random.default_rng(3).permutation(HOMES)
    held = mask(split_by_home(homes.copy(), 0.3, 0), homes)
    torn = set(homes[held]) & set(homes[~held])
    yield claim(not torn, 2, "every home is on one side",
                f"{len(torn)} of 10 homes are on both sides: frames of one home look alike, so a "
                "model may know what it is tested on by heart. Draw homes, not frames")
    if torn or not held.any() or held.all():
        raise Wrong("with whole homes on each side there is more to check" if torn else
                    "all frames are on one side")
    few = mask(split_by_home(np.array([5, 5, 6, 7, 7]), 0.1, 0), np.array([5, 5, 6, 7, 7]))
    got = (len(set(homes[held])), len(set(np.array([5, 5, 6, 7, 7])[few])))
    yield claim(got == (3, 1), 1, "3 of 10 homes are held out, and 1 of 3 where the share is small",
                counted(*got))
    # Two draws without a seed agree once in 120, and six hardly ever.
    same = all(np.array_equal(held, mask(split_by_home(homes.copy(), 0.3, 0), homes))
               for _ in range(5))
    sets = {frozenset(homes[mask(split_by_home(homes.copy(), 0.3, seed), homes)].tolist())
            for seed in range(12)}
    yield claim(same and len(sets) > 3, 1, "the seed, and it alone, says which homes",
                "the same seed gives another split the second time: results cannot be compared"
                if not same else "twelve seeds give nearly always the same homes. The first, the "
                "last or the largest homes are no random sample: draw them with the seed")


def mask(value, homes):
    """What came back as (F,) bool; Wrong for anything else."""
    if value is None:
        raise Wrong("nothing came back. Is there a `return`?")
    value = np.asarray(value)
    if value.shape != homes.shape or value.dtype != bool:
        raise Wrong(f"expected bool of the shape {homes.shape}, True where held out; got "
                    f"{value.dtype} of the shape {value.shape}")
    return value


def counted(many, few):
    """What is wrong with how many of 10 homes, and of 3, are held out (share 0.3 and 0.1)."""
    if many == 7:
        return "7 of 10 homes are True: True means held out, and here it means kept"
    if many == 3 and few == 0:
        return "of 3 homes at a share of 0.1 none is held out: at least one must be"
    if many == 3:
        return f"of 3 homes at a share of 0.1 {few} are held out; expected 1"
    return f"{many} of 10 homes are held out at a share of 0.3; expected 3: count homes, not frames"


@check("wilson", 4, seals=(intervals.wilson,))
def check_wilson(wilson):
    """wilson(successes, n, z) -> (low, high)."""
    z = 1.959964
    call = lambda *a: bounds(wilson(*a))  # noqa: E731
    yield compare("14 of 20", call(14, 20, z), right(14, 20, z), 2, slips(14, 20, z),
                  "Follow the formula term by term: a shifted middle, a half width, both divided "
                  "by 1 + z²/n.")
    ends = [*call(0, 20, z), *call(20, 20, z)]
    wrong = ("of 0 in 20 the interval is a single point: sure after 20 tries?"
             if np.allclose(ends[:2], 0, atol=1e-9) else
             "it leaves [0, 1]: there are no shares below 0 or above 1"
             if min(ends) < -1e-9 or max(ends) > 1 + 1e-9 else
             "0 of 20 must give [0, 0.161], and 20 of 20 its mirror image")
    yield claim(np.allclose(ends, [*right(0, 20, z), *right(20, 20, z)], atol=1e-4), 1,
                "0 of 20 and 20 of 20 stay inside, and are no single points", wrong)
    yield compare("another n and another z", [*call(9, 150, 1.0), *call(3, 7, 2.6)],
                  [*right(9, 150, 1.0), *right(3, 7, 2.6)], 1, {
        "z is ignored: 1.96 was written into it": [*right(9, 150, z), *right(3, 7, z)],
        "n is ignored": [*right(9, 20, 1.0), *right(3, 20, 2.6)]},
        "It is right for 20 trials at 95 %, and not in general.")


def bounds(value):
    """low, high as floats."""
    return [float(x) for x in several(value, 2, "low, high")]


def right(s, n, z):
    """Wilson's interval as roots of (p - s/n)² = z² p (1 - p) / n."""
    a, b, c = 1 + z * z / n, -(2 * s / n + z * z / n), (s / n) ** 2
    root = max(0.0, b * b - 4 * a * c) ** 0.5
    return [(-b - root) / (2 * a), (-b + root) / (2 * a)]


def slips(s, n, z):
    """Intervals with one thing wrong: sentence -> [low, high]."""
    p, k = s / n, z * z / n
    half = lambda x, z=z, k=k: z * (x / n + k / (4 * n)) ** 0.5  # noqa: E731
    spread = p * (1 - p)
    middle = p + k / 2
    around = lambda m, h, by=1.0: [(m - h) / by, (m + h) / by]  # noqa: E731
    return {
        "that is the normal interval, p ± z √(p(1-p)/n): it fails for few trials and near 0 and 1":
            around(p, z * (spread / n) ** 0.5),
        "the middle is still p: Wilson's is shifted towards one half by z²/2n":
            around(p, half(spread), 1 + k),
        "not divided by 1 + z²/n": around(middle, half(spread)),
        "only the middle was divided by 1 + z²/n":
            around(middle / (1 + k), half(spread)),
        "the term z²/4n² under the root is missing":
            around(middle, z * (spread / n) ** 0.5, 1 + k),
        "low and high are swapped": right(s, n, z)[::-1],
        "it is in per cent; expected shares between 0 and 1": [100 * x for x in right(s, n, z)],
        "z is not squared in z²/n": around(p + z / n / 2, half(spread, z, z / n), 1 + z / n),
        "the root is missing": around(middle, z * (spread / n + k / (4 * n)), 1 + k),
        "of one success more or less: `successes` is a count": right(s - 1, n, z)}


# What holds at each step of an episode: (T, n), whether it must last (n,), progress, success.
EPISODES = (
    ([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]], "0101", 1.0, True),
    ([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]], "0101", 0.75, False),
    ([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1]], "0101", 1.0, False),
    ([[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]], "0101", 0.5, False),
    ([[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1]], "0101", 0.5, False),
    ([[0, 0, 0, 0]] * 5, "0101", 0.0, False),
    ([[0, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1]], "0101", 1.0, True),
    ([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]], "0101", 1.0, False),
    ([[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0]], "0101", 1.0, False))


@check("score", 4, seals=(rubric.Rubric.score, rubric.Rubric.holds))
def check_score(score):
    """score(held, lasting) -> progress, success."""
    rows = [(np.array(h, bool), np.array([c == "1" for c in last])) for h, last, *_ in EPISODES]
    found = [several(score(h.copy(), last.copy()), 2, "progress, success") for h, last in rows]
    each = lambda f: [f(h, last) for h, last in rows]  # noqa: E731
    earned = lambda h: h.any(0)  # noqa: E731
    yield compare("progress in nine episodes", [p for p, _ in found], [e[2] for e in EPISODES], 2, {
        "only the end counts; a point that was earned once stays earned":
            each(lambda h, _: h[-1].mean()),
        "it is a share of the time; the steps that a condition holds do not matter":
            each(lambda h, _: h.mean()),
        "it is the best single moment; points add up over the episode":
            each(lambda h, _: h.sum(1).max() / h.shape[1]),
        "points were counted only in the order of the list; any order will do":
            each(lambda h, _: np.cumprod(earned(h)).mean()),
        "it is how many points; divide by how many there are": each(lambda h, _: earned(h).sum()),
        "only the lasting ones were counted": each(lambda h, last: earned(h)[last].mean()),
        "rounded to whole tasks: progress gives credit for a part":
            each(lambda h, _: earned(h).all()),
    }, "The share of the conditions that held at some step.")
    yield compare("success in nine episodes", [bool(s) for _, s in found],
                  [e[3] for e in EPISODES], 2, {
        "what was earned and then undone counts as success: what lasts must hold at the end too":
            each(lambda h, _: earned(h).all()),
        "everything must hold at the end, also what cannot: nobody still holds up a mug that lies "
        "in the sink": each(lambda h, _: h[-1].all()),
        "only the end is looked at; all points must be earned as well":
            each(lambda h, last: h[-1][last].all()),
        "what lasts may hold at any one moment; it must at the last one":
            each(lambda h, last: earned(h).all() and h[:, last].all(1).any()),
        "the lasting ones and the others are turned round":
            each(lambda h, last: earned(h).all() and h[-1][~last].all()),
        "half of the points is called success": each(lambda h, _: earned(h).mean() >= 0.5),
    }, "All points earned, and all that must last holds at the last step.")


RIGHT = [True, None, False, False, True, None, None, True, False, None, False, True, True, None]
COUNT = [5, 5, 4, 5, 3, 2, 5, 5, 4, 2, 5, 2, 5, 5]


@check("following", 4, seals=(scores._figures,))
def check_following(following):
    """following(right, count) -> took, followed, corrected."""
    call = lambda r, c: [float(x) for x in several(  # noqa: E731
        following(list(r), list(c)), 3, "took, followed, corrected")]
    took, followed, corrected = call(RIGHT, COUNT)
    yes, taken = RIGHT.count(True), len(RIGHT) - RIGHT.count(None)
    yield compare("the share that took anything", took, taken / len(RIGHT), 1, {
        "it is how many; divide by all trials": taken,
        "only those who took the named thing were counted": yes / len(RIGHT),
        "None is counted as a thing that was taken: None means nothing was": 1.0,
        "it is the share that took nothing": RIGHT.count(None) / len(RIGHT)},
        "All that is not None, over all trials.")
    yield compare("of those, the share that took the named one", followed, yes / taken, 1, {
        "it is over all trials: who takes nothing has not ignored a word": yes / len(RIGHT),
        "it is the share that took a wrong one": 1 - yes / taken,
        "it is how many": yes}, "Over those who took something.")
    share = yes / taken
    guess = [1 / c for r, c in zip(RIGHT, COUNT) if r is not None]
    chance, all_chance = np.mean(guess), np.mean([1 / c for c in COUNT])
    yield compare("corrected for chance", corrected, above(share, chance), 1, {
        "it is not stretched: divide by 1 - chance, so that a perfect policy gets 1":
            share - chance,
        "it is a ratio to chance; the best is then 5, or whatever the number of things":
            share / chance,
        "it is not corrected": share,
        "chance is of all trials; of those who took something it is another": above(
            share, all_chance),
        "chance is 1 over the mean count; guesses are averaged as 1/count": above(
            share, taken / sum(c for r, c in zip(RIGHT, COUNT) if r is not None)),
        "chance is 0.2 in every scene; there it is 1 over the number of things":
            above(share, 0.2),
        "chance is one half": above(share, 0.5),
        "corrected over all trials": above(yes / len(RIGHT), all_chance),
        "divided by chance, not by 1 - chance": (share - chance) / chance},
        "(followed - chance) / (1 - chance), chance as the mean of 1/count over those who took.")
    low = call([False, False, True, False, False, None], [2] * 6)[2]
    yield compare("one that takes the wrong one of two four times in five", low, -0.6, 1, {
        "held at 0: worse than chance is a finding (it reads the word, and does the opposite)": 0.0,
        "its sign is lost": 0.6}, "Worse than chance must be below 0.")


def above(share, chance):
    """Chance is 0, perfect is 1."""
    return (share - chance) / (1 - chance)
