"""Checks of chapter 04, a small VLM."""

import numpy as np
import torch

from pi05lite.checks.core import Wrong, as_array, check, claim, compare
from pi05lite.data import sources
from pi05lite.model import pi05
from pi05lite.tokens import boxes

COUNT = 64


def bins(box, width, height, count=COUNT, side=None, shift=None, order=(1, 0, 3, 2), to=np.floor):
    """The bins (4,) of a box (x0, y0, x1, y1) in pixels, right or with one thing changed."""
    side = np.array(max(width, height) if side is None else side)
    dx, dy = ((max(width, height) - n) / 2 for n in (width, height)) if shift is None else shift
    places = (np.array(box) + [dx, dy, dx, dy]) / side * count
    places = np.minimum(np.floor(places), count - 1) if to is np.floor else to(places)
    return places[list(order)]


@check("box_to_bins", 4, seals=(boxes.encode_box, boxes.box_bins, sources.square_box))
def check_box_to_bins(box_to_bins):
    """box_to_bins((x0, y0, x1, y1), width, height, count) -> bins of y0, x0, y1, x1."""
    wide, box = (400, 300), (37, 61, 215, 247)
    got = box_to_bins(box, *wide, COUNT)
    yield compare("a box in a wide photograph", got, bins(box, *wide), 2, {
        "x stands first; PaliGemma's order is y0, x0, y1, x1": bins(box, *wide, order=(0, 1, 2, 3)),
        "the two y stand before the two x; corner by corner: y0, x0, y1, x1":
            bins(box, *wide, order=(1, 3, 0, 2)),
        "the second corner stands first": bins(box, *wide, order=(3, 2, 1, 0)),
        "the second pair is height and width; it must be the far corner":
            np.floor(np.array([61 + 50, 37, 247 - 61, 215 - 37]) / 400 * COUNT),
        "each side is over its own length: the picture that the tower sees was not stretched but "
        "padded": bins(box, *wide, side=[400, 300, 400, 300], shift=(0, 0)),
        "the black bar above is left out: in the square the photograph starts lower":
            bins(box, *wide, shift=(0, 0)),
        "the whole padding is added; half of it is below": bins(box, *wide, shift=(0, 100)),
        "the bar was put left and right; a wide photograph has it above and below":
            bins(box, *wide, shift=(50, 0)),
        "rounded to the nearest; a bin is where a number falls into: round down":
            bins(box, *wide, to=np.round),
        "counted from 1, or rounded up; bins are 0 to count - 1": bins(box, *wide, to=np.ceil),
        "multiplied by count - 1: then the last bin holds the very edge alone":
            bins(box, *wide, count=COUNT - 1),
        "these are fractions of the square; which of the bins is it?":
            bins(box, *wide, count=1, to=np.array),
        "not rounded: a token is a whole number": bins(box, *wide, to=np.array),
        "over the shorter side": bins(box, *wide, side=300),
    }, "Into the square, divided by its side, times count, rounded down; y first.")
    tall, box = (300, 400), (20, 33, 260, 371)
    got = box_to_bins(box, *tall, COUNT)
    yield compare("a box in a tall photograph", got, bins(box, *tall), 1, {
        "the bar was put above and below; a tall photograph has it left and right":
            bins(box, *tall, shift=(0, 50)),
        "over the width; the square is as long as the longer side": bins(box, *tall, side=300),
        "the black bars are left out": bins(box, *tall, shift=(0, 0)),
    }, "Which side of it is the longer one?")
    edge = box_to_bins((0, 0, 80, 80), 80, 80, COUNT)
    yield compare("a box up to the edge of the picture", edge, [0, 0, COUNT - 1, COUNT - 1], 1, {
        "there are bins 0 to count - 1, and the far edge falls into the last one":
            [0, 0, COUNT, COUNT]}, "The last bin is count - 1.")


def area(box):
    """Height times width of (y0, x0, y1, x1)."""
    return (box[2] - box[0]) * (box[3] - box[1])


@check("iou", 3, seals=(boxes.iou,))
def check_iou(iou):
    """iou(a, b) of boxes (y0, x0, y1, x1) -> 0 to 1."""
    a, b = (0.3, 0.4, 0.9, 0.9), (0.1, 0.2, 0.5, 0.8)
    shared = 0.2 * 0.4
    joint = area(a) + area(b) - shared
    hull = 0.8 * 0.7
    yield compare("two boxes that share a part", iou(a, b), shared / joint, 1, {
        "the shared part is counted twice in what they cover together": shared / (joint + shared),
        "over the smaller of the two: then a huge box scores 1": shared / min(area(a), area(b)),
        "over the first box alone, or the larger": shared / area(a),
        "that is 2 x shared / (a + b), the Dice score, another measure":
            2 * shared / (area(a) + area(b)),
        "over the box around both; it must be what they cover": shared / hull,
        "it is the shared area itself; divide it": shared,
        "the outer corners were taken for the inner: the shared part starts at the larger of the "
        "two starts": hull / (area(a) + area(b) - hull),
        "upside down": joint / shared,
    }, "Shared area over the area that they cover together.")
    apart = [iou((0.0, 0.0, 0.2, 0.2), other) for other in (
        (0.6, 0.7, 0.9, 0.9), (0.1, 0.5, 0.3, 0.9), (0.5, 0.1, 0.9, 0.3))]
    yield compare("boxes that do not touch: right below, beside, below", apart, [0, 0, 0], 1, {
        "two negative sides multiply to a positive area: cut each side at 0 before multiplying":
            [raw((0.0, 0.0, 0.2, 0.2), (0.6, 0.7, 0.9, 0.9)), 0, 0],
        "the sides of the shared part are negative here: cut each at 0":
            [raw((0.0, 0.0, 0.2, 0.2), o) for o in (
                (0.6, 0.7, 0.9, 0.9), (0.1, 0.5, 0.3, 0.9), (0.5, 0.1, 0.9, 0.3))],
    }, "Boxes apart share nothing.")
    inside = [iou(a, a), iou((0, 0, 1, 1), (0.25, 0.25, 0.75, 0.75)), iou(b, a)]
    yield compare("the same box, a box within, the two changed over", inside,
                  [1, 0.25, shared / joint], 1, {}, "The same box twice has 1.")


def raw(a, b):
    """IoU without cutting negative sides at 0."""
    shared = ((min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1])))
    return shared / (area(a) + area(b) - shared)


@check("answer_loss", 4, seals=("pi05lite.model.pi05.token_losses",))
def check_answer_loss(answer_loss):
    """answer_loss(logits (L, V), tokens (L,), target (L,)) -> one number."""
    g = torch.Generator().manual_seed(4)
    logits = torch.randn(9, 7, generator=g, requires_grad=True)
    tokens = torch.randint(7, (9,), generator=g)
    target = torch.tensor([0, 0, 0, 0, 1, 1, 1, 0, 0], dtype=torch.bool)  # then padding
    share = logits.detach().log_softmax(-1)
    ahead = torch.full((9,), float("nan"))
    ahead[1:] = -share[:-1].gather(1, tokens[1:, None])[:, 0]  # by the place in front
    same = -share.gather(1, tokens[:, None])[:, 0]
    behind = torch.full((9,), float("nan"))
    behind[:-1] = -share[1:].gather(1, tokens[:-1, None])[:, 0]
    right = ahead[target].mean()
    got = answer_loss(logits, tokens.clone(), target.clone())
    yield compare("the loss", got, right, 3, {
        "no shift: the place of a token knows it already; the place in front of it must say it":
            same[target].mean(),
        "shifted the wrong way: each place must say what comes next, not what came before":
            behind[target].mean(),
        "the mask was not shifted with the tokens: the first token of the answer is left out and "
        "one behind it counts": ahead[1:][target[:-1]].mean(),
        "the prompt and the padding count too": ahead[1:].mean(),
        "the prompt counts too": ahead[1:7].mean(), "the padding counts too": ahead[4:].mean(),
        "the last token is left out: it is the end, and who is not taught it never stops":
            ahead[4:6].mean(),
        "the first token of the answer is left out; the last of the prompt predicts it":
            ahead[5:7].mean(),
        "it is the sum; take the mean over the answer": ahead[target].sum(),
        "divided by all places; only those of the answer count": ahead[target].sum() / 9,
        "divided by all shifted places; only those of the answer count": ahead[target].sum() / 8,
        "the sign is turned round": -right,
        "that is the mean probability, not minus its logarithm": (-ahead[target]).exp().mean(),
        "the softmax was forgotten": -logits.detach()[3:6].gather(1, tokens[4:7, None]).mean(),
    }, "Place i - 1 predicts token i; the mean over those that are the answer's.")
    if not isinstance(got, torch.Tensor) or not got.requires_grad:
        raise Wrong("the loss carries no gradient, so nothing would be trained "
                    "(no .item(), no .detach())")
    [grad] = torch.autograd.grad(got, logits)
    used = (grad.abs().sum(1) > 1e-9).tolist()
    wanted = [i in (3, 4, 5) for i in range(9)]
    yield claim(used == wanted, 1, "three places are trained: those in front of the answer's",
                f"places {[i for i in range(9) if used[i]]} get a gradient; those in front of the "
                "answer's tokens should")


END, LIMIT = 1, 12


class Writer:
    """Scores that hang on all ids so far, and notes of what was asked."""

    def __init__(self, text, prompt):
        self.text, self.prompt, self.asked = list(text), list(prompt), []

    def __call__(self, ids):
        """(V,) scores of the next id: highest where the text goes on, second elsewhere."""
        ids = [int(i) for i in (ids.tolist() if hasattr(ids, "tolist") else ids)]
        self.asked.append(ids)
        n = len(ids) - len(self.prompt)
        knows = ids[:len(self.prompt)] == self.prompt and n >= 0
        good = knows and ids[len(self.prompt):] == self.text[:n]
        scores = torch.linspace(0.1, 0.9, 10)  # who hands on something else hears 9
        if good:
            scores[self.text[n] if n < len(self.text) else END] = 2.0
        return scores


@check("write", 4, seals=(pi05.draw, "pi05lite.model.pi05.generate"))
def check_write(write):
    """write(scores, prompt, end, limit) -> the ids of the answer, without the end."""
    prompt, text = [2, 5, END, 6], [7, 3, 3, 8]  # an end in the prompt ends nothing
    writer = Writer(text, prompt)
    mine = list(prompt)
    got = ids_of(write(writer, mine, END, LIMIT))
    yield claim(got == text, 2, "the answer", unlike(got, prompt, text))
    asked = len(writer.asked)
    yield claim(asked == len(text) + 1, 1, "it stops at the end token",
                f"for an answer of {len(text)} ids and the end the scores were asked {asked} "
                f"times{'' if asked <= len(text) else ': it goes on behind the end'}")
    endless = Writer([4] * 99, prompt)
    got = ids_of(write(endless, list(prompt), END, LIMIT))
    yield claim(got == [4] * LIMIT, 1, f"at most {LIMIT} ids where no end comes",
                f"where no end comes, expected {LIMIT} ids, got {len(got)}"
                + (": the limit counts what is written, not the prompt"
                   if len(got) == LIMIT - len(prompt) else ""))


def ids_of(value):
    """What came back as a list of ints; Wrong for anything else."""
    if value is None:
        raise Wrong("nothing came back. Is there a `return`?")
    found = as_array("the ids", value)
    if found.ndim != 1:
        raise Wrong(f"expected a list of ids, got the shape {found.shape}")
    return [int(i) for i in found]


def unlike(got, prompt, text):
    """What is wrong with the ids of an answer."""
    if got == prompt + text or got == prompt + text + [END]:
        return "the prompt came back too; return what is written behind it"
    if got[:len(text) + 1] == [*text, END]:
        return "the end token is not part of the answer"
    if got == text[:-1]:
        return "the last id before the end is lost"
    if got == text[1:]:
        return "the first id is lost: the prompt's last token already predicts it"
    if not got:
        return ("nothing was written; mind that the prompt holds an end token of its own, which "
                "ends nothing")
    if got[0] == 0:
        return "the lowest score was taken; take the highest"
    if got[:1] == text[:1] and 9 in got[1:2]:  # 9 is what a lost writer hears
        return ("after the first id it goes wrong: hand on the prompt with all ids written so far, "
                "not the last one alone, and not the prompt alone")
    if got[0] == text[0] and len(set(got)) == 1:
        return "it says the first id again and again: add each id to what is handed on"
    return f"expected {len(text)} ids, got {got}"
