"""The checks of chapter 04 on right answers, and on wrong ones that they must name."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pi05lite.checks import vlm as checks
from pi05lite.model.pi05 import Pi05, draw
from pi05lite.tokens import boxes
from tests.checks.tools import verdict

ORDER = "yxYX"


def to_bins(order=ORDER, pad=True, swap=False, to=int, last=True, add=0, less=0, part=2,
            side=max, far=True):
    """A box to bins, right or with one thing wrong."""
    def bins(box, width, height, count):
        whole = side(width, height)
        right, down = (((max(width, height) - n) / part if pad else 0) for n in (width, height))
        right, down = (down, right) if swap else (right, down)
        x0, y0, x1, y1 = box
        place = {"x": x0 + right, "y": y0 + down, "X": x1 + right if far else x1 - x0,
                 "Y": y1 + down if far else y1 - y0}
        found = [to(place[k] / whole * (count - less)) + add for k in order]
        return [min(k, count - 1) for k in found] if last else found
    return bins


def stretched(box, width, height, count):
    """As if the photograph were stretched to a square."""
    x0, y0, x1, y1 = box
    return [int(y0 / height * count), int(x0 / width * count),
            min(int(y1 / height * count), count - 1), min(int(x1 / width * count), count - 1)]


def by_numpy(box, width, height, count):
    """The same in arrays."""
    size = np.array([height, width, height, width])
    places = np.array(box)[[1, 0, 3, 2]] + (size.max() - size) / 2
    return np.clip(np.floor(places * count / size.max()), 0, count - 1).astype(int)


def packaged(box, width, height, count):
    """The package's answer."""
    return boxes.box_bins(np.array(box) / max(width, height), count)


@pytest.mark.parametrize("mine", [to_bins(), by_numpy])
def test_right_bins(mine, capsys):
    assert verdict(checks.check_box_to_bins, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (to_bins("xyXY"), 1, "x stands first"), (to_bins("yYxX"), 0, "corner by corner"),
    (to_bins("YXyx"), 0, "second corner"), (to_bins(far=False), 1, "far corner"),
    (stretched, 1, "not stretched but padded"), (to_bins(pad=False), 1, "bar above is left out"),
    (to_bins(part=1), 1, "half of it is below"), (to_bins(swap=True), 1, "above and below"),
    (to_bins(to=round), 1, "rounded to the nearest"),
    (to_bins(add=1, last=False), 0, "counted from 1, or rounded up"),
    (to_bins(less=1), 1, "multiplied by count - 1"), (to_bins(to=float, last=False), 0, "whole"),
    (to_bins(last=False), 3, "the far edge falls into the last"),
    (to_bins(side=min), 1, "shorter side"), (to_bins(side=lambda w, h: w), 3, "over the width"),
    (packaged, 0, "without the package's own"), (lambda *a: None, 0, "return")])
def test_wrong_bins_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_box_to_bins, mine, capsys)
    assert got == points and says in text


def overlap(cut=True, over=lambda s, a, b: s / (a + b - s), inner=(max, min)):
    """IoU, right or with one thing wrong."""
    def iou(a, b):
        sides = [inner[1](a[k + 2], b[k + 2]) - inner[0](a[k], b[k]) for k in (0, 1)]
        high, wide = (max(0, s) for s in sides) if cut else sides
        area = lambda box: (box[2] - box[0]) * (box[3] - box[1])  # noqa: E731
        return over(high * wide, area(a), area(b))
    return iou


def by_arrays(a, b):
    """The same in arrays."""
    a, b = np.array(a).reshape(2, 2), np.array(b).reshape(2, 2)
    shared = np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0, None).prod()
    return shared / ((a[1] - a[0]).prod() + (b[1] - b[0]).prod() - shared)


@pytest.mark.parametrize("mine", [overlap(), by_arrays])
def test_right_iou(mine, capsys):
    assert verdict(checks.check_iou, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (overlap(cut=False), 2, "cut each"), (overlap(over=lambda s, a, b: s / (a + b)), 1, "twice"),
    (overlap(over=lambda s, a, b: s / min(a, b)), 1, "the smaller of the two"),
    (overlap(over=lambda s, a, b: s / a), 1, "the first box alone"),
    (overlap(over=lambda s, a, b: 2 * s / (a + b)), 1, "Dice"),
    (overlap(over=lambda s, a, b: s), 1, "shared area itself"),
    (overlap(inner=(min, max)), 0, "outer corners"),
    (boxes.iou, 0, "without the package's own"), (lambda a, b: boxes.iou(a, b), 0, "without"),
    (lambda a, b: None, 0, "return")])
def test_wrong_iou_is_named(mine, points, says, capsys):
    got, text = verdict(checks.check_iou, mine, capsys)
    assert got == points and says in text


def loss(shift=1, mask=1, over="mean", pick=lambda t: t, sign=1):
    """The loss on the answer, right or with one thing wrong."""
    def answer_loss(logits, tokens, target):
        n = len(tokens)
        target = pick(target.clone())
        said, wanted = logits[:n - shift], tokens[shift:]
        target = target[shift:] if mask else target[:n - shift]
        return sign * F.cross_entropy(said[target], wanted[target], reduction=over)
    return answer_loss


def backwards(logits, tokens, target):
    """Each place says what came before."""
    target = target[:-1]
    return F.cross_entropy(logits[1:][target], tokens[:-1][target])


def place_by_place(logits, tokens, target):
    """The same in a loop."""
    parts = [-(logits[i - 1] - logits[i - 1].logsumexp(0))[tokens[i]]
             for i in range(1, len(tokens)) if target[i]]
    return sum(parts) / len(parts)


def changed(target, at, to):
    """The mask with one place or some set."""
    target[at] = to
    return target


@pytest.mark.parametrize("mine", [loss(), place_by_place])
def test_right_losses(mine, capsys):
    assert verdict(checks.check_answer_loss, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (loss(shift=0), 0, "no shift"), (backwards, 0, "the wrong way"),
    (loss(mask=0), 0, "the mask was not shifted"),
    (loss(pick=torch.ones_like), 0, "the prompt and the padding"),
    (loss(pick=lambda t: changed(t, slice(0, 4), True)), 0, "the prompt counts"),
    (loss(pick=lambda t: changed(t, slice(7, 9), True)), 0, "the padding counts"),
    (loss(pick=lambda t: changed(t, 6, False)), 0, "never stops"),
    (loss(pick=lambda t: changed(t, 4, False)), 0, "first token of the answer"),
    (loss(over="sum"), 1, "it is the sum"), (loss(sign=-1), 1, "sign"),
    (lambda *a: loss()(*a).item(), 3, "no gradient"),
    (lambda *a: loss(over="none")(*a), 0, "shape"),
    (lambda *a: None, 0, "return")])
def test_wrong_losses_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_answer_loss, mine, capsys)
    assert got == points and says in text


def writer(start=lambda p: list(p), hand=lambda p, a: p + a, back=lambda p, a, end: a,
           stop=lambda best, end, p: best == end, room=lambda p, limit: limit,
           best=lambda s: int(s.argmax())):
    """Greedy decoding, right or with one thing wrong."""
    def write(scores, prompt, end, limit):
        prompt, answer = start(prompt), []
        for _ in range(room(prompt, limit)):
            token = best(scores(hand(prompt, answer)))
            if stop(token, end, prompt):
                return back(prompt, answer, [end])
            answer.append(token)
        return back(prompt, answer, [])
    return write


def in_tensors(scores, prompt, end, limit):
    """The same with a tensor that grows."""
    ids = torch.tensor(prompt)
    while len(ids) < len(prompt) + limit:
        token = torch.tensor(scores(ids)).argmax()
        if token == end:
            break
        ids = torch.cat([ids, token[None]])
    return ids[len(prompt):]


def until_cut(scores, prompt, end, limit):
    """It writes up to the limit and cuts at the end afterwards."""
    ids = writer(stop=lambda *a: False)(scores, prompt, end, limit)
    return ids[:ids.index(end)] if end in ids else ids


@pytest.mark.parametrize("mine", [writer(), in_tensors])
def test_right_writing(mine, capsys):
    assert verdict(checks.check_write, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (writer(back=lambda p, a, e: p + a), 1, "the prompt came back"),
    (writer(back=lambda p, a, e: a + e), 2, "not part of the answer"),
    (writer(hand=lambda p, a: a[-1:] or p), 0, "all ids written so far"),
    (writer(hand=lambda p, a: p), 1, "again and again"), (until_cut, 3, "goes on behind the end"),
    (writer(stop=lambda *a: False), 1, "the end token is not part"),
    (writer(stop=lambda b, e, p: e in p), 0, "ends nothing"),
    (writer(room=lambda p, n: n - len(p)), 3, "what is written, not the prompt"),
    (writer(room=lambda p, n: n - 1), 3, "expected 12 ids, got 11"),
    (writer(back=lambda p, a, e: a[1:]), 1, "the first id is lost"),
    (writer(back=lambda p, a, e: a[:-1]), 1, "the last id before the end"),
    (writer(best=lambda s: int(s.argmin())), 0, "lowest score"),
    (lambda scores, p, end, n: draw(scores(p)[None], 0.0, None), 0, "package's own"),
    (lambda *a: Pi05.generate(None, None, 0, 1), 0, "without the package's own"),
    (lambda *a: None, 0, "return")])
def test_wrong_writing_is_named(mine, points, says, capsys):
    got, text = verdict(checks.check_write, mine, capsys)
    assert got == points and says in text
