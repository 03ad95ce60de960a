"""The paper's numbers beside which the miniature stands, in per cent.

What was read off a figure holds within some 3 points. Where the papers have no number for a
question, there is none here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """A row of numbers as a paper has them: label -> per cent."""

    title: str
    source: str
    values: dict


FIG_11 = ("full", "no WD", "no CE", "no ME", "no ME or CE")


def fig_11(kinds, what, numbers):
    """A row of Fig. 11, as printed."""
    return Series(f"{what}, {kinds} kinds", "pi0.5, Fig. 11", dict(zip(FIG_11, numbers)))


PAPER = {
    1: (Series("task progress", "pi0.5, Fig. 8, read off", {
        "3 places": 15, "12": 60, "22": 75, "53": 80, "82": 65, "104": 85, "the test homes": 83,
        "104, no other source": 5}),),
    2: (Series("task progress", "pi0.5, Fig. 10, read off", {
        "full": 80, "no WD": 75, "no ME": 55, "no CE": 50, "no ME or CE": 40}),
        fig_11("known", "success", (83, 82, 67, 57, 50)),
        fig_11("new", "success", (94, 73, 49, 31, 33))),
    3: (Series("task progress", "pi0.5, Fig. 13, read off", {
        "own high level": 78, "implicit": 70, "human": 63, "no high level": 62, "no VI": 60,
        "no WD": 60, "GPT-4": 58}),),
    4: tuple(Series(f"progress: {task}", "pi0.5, Fig. 12, read off", dict(zip(
        ("pi0.5", "pi0-FAST + flow", "pi0, 300k steps", "pi0, 80k steps"), numbers)))
        for task, numbers in {"dishes": (92, 56, 42, 20), "drawer": (85, 71, 33, 6),
                              "laundry": (81, 74, 31, 39), "bed": (59, 48, 21, 14)}.items()),
    5: (Series("success on DROID", "arXiv 2505.23705, as printed", {
        "insulated": 55, "pi0": 49, "pi0-FAST": 45}),
        Series("shirt folding", "arXiv 2505.23705, about", {"frozen": 0})),
    6: (),  # the paper takes 10 euler steps and shows no other number
    7: (),  # tokens a chunk are in chapter 05; success by tokenizer is in no table that we know
}
