"""Checks of chapter 02, tokens."""

import re

import numpy as np
import torch

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, several
from pi05lite.tokens import prompt, state
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.vocabulary import BOS, EOS


def cut(image, size, order="rcCij"):
    """Patches of an image (3, h, w), right or with axes in another order.

    r, c: row and column of the patch; C: channel; i, j: row and column within it.
    """
    grid = image.reshape(3, image.shape[1] // size, size, image.shape[2] // size, size)
    there = "Cricj"
    return grid.permute([there.index(letter) for letter in order]).reshape(-1, 3 * size * size)


@check("patchify", 3)
def check_patchify(patchify):
    """patchify(image, size) -> the patches (P, 3 * size * size), row by row."""
    image = torch.randn(3, 8, 12, generator=torch.Generator().manual_seed(1))
    got = patchify(image.clone(), 4)
    mistakes = {
        "the patches were cut column by column: the second one lies right of the first":
            cut(image, 4, "crCij"),
        "the picture was reshaped in one go: this cuts its memory into pieces, and not its "
        "surface": image.reshape(6, -1),
        "the channels stand last in each patch; the projection has them first":
            cut(image, 4, "rcijC"),
        "rows and columns are swapped within each patch": cut(image, 4, "rcCji"),
        "the picture is mirrored at its diagonal: rows and columns are swapped everywhere":
            cut(image, 4, "crCji"),
        "all patches of one channel come before those of the next; a patch holds all three":
            cut(image, 4, "Crcij"),
    }
    yield compare("patches of 4 x 4", got, cut(image, 4), 2, mistakes,
                  "The first row must be image[:, :4, :4].flatten().")
    yield compare("patches of 2 x 2", patchify(image.clone(), 2), cut(image, 2), 1)


@check("write_prompt", 4, seals=(state.state_bins, state.state_text, prompt.robot_prompt))
def check_write_prompt(write_prompt):
    """write_prompt(task, values) -> the prompt of pi0.5 at the low level."""
    inside = np.array([-0.999, -0.75, -0.26, 0.0, 0.5, 0.997])
    text = write_prompt("Put the cup down", inside.copy())
    if not isinstance(text, str):
        raise Wrong(f"expected a string, got {type(text).__name__}")
    found = re.search(r"State:(.*?)(;|\n|Action|$)", text, re.S)
    if not found:
        raise Wrong(f'there is no "State: " in {text!r}')
    numbers = found[1].strip()
    share = (inside + 1) / 2
    yield named("the bins", numbers, np.floor(share * 256), 2, {
        "the values are rounded to 256 points; a bin is a range, so round down":
            np.round(share * 255),
        "there are 255 bins here, not 256": np.floor(share * 255),
        "the bins start at 1; the lowest is 0": np.floor(share * 256) + 1,
        "values from 0 to 1 are expected here; they run from -1 to 1": np.floor(inside * 256),
        "the bins are counted downward": 255 - np.floor(share * 256),
        "these are the values themselves; write the number of the bin of each": inside,
    })
    around = text.replace(found[1], " <bins>", 1)
    right = "Task: Put the cup down, State: <bins>;\nAction: "
    yield claim(around == right, 1, "the words around them", words_wrong(around, right))
    text = write_prompt("x", np.array([-7.0, -1.0, 1.0, 7.0]))
    found = re.search(r"State:(.*?)(;|\n|Action|$)", text, re.S)
    ends = found[1].split() if found else []
    yield claim(ends == ["0", "0", "255", "255"], 1, "values beyond the range are clipped",
                ends_wrong(ends))


def named(what, text, right, points, mistakes):
    """A claim about numbers written in a text."""
    if "," in text:
        return claim(False, points, "", f"{what}: they are separated by spaces, without commas")
    if "[" in text:
        return claim(False, points, "", f"{what}: this is how NumPy prints an array; join the "
                                        "numbers with spaces")
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        return claim(False, points, "", f"{what}: not numbers: {text!r}")
    if "." in text and np.shape(values) == np.shape(right) and np.allclose(values, right):
        return claim(False, points, "", f"{what}: write whole numbers, 12 and not 12.0")
    return compare(what, values, right, points, mistakes, "Bin k holds -1 + k / 128 and what "
                   "follows, up to the next.")


def words_wrong(text, right):
    """What differs between a prompt and the right one."""
    if text == right.rstrip():
        return 'the space behind "Action:" is missing; tokens of the answer start there'
    if text == right.replace("\n", " ") or text == right.replace("\n", ""):
        return "the new line before Action is missing"
    if text == right.replace(";", ""):
        return "the semicolon behind the state is missing"
    if text == right.lower():
        return "pi0.5 does not put the text into lower case (pi0-FAST does)"
    return f"expected {right!r}, got {text!r}"


def ends_wrong(ends):
    """What is wrong with the bins of -7, -1, 1 and 7."""
    if "-1" in ends or any(e.startswith("-") for e in ends):
        return ('below the range there is no bin: -7 gives a negative number, and the prompt would '
                'say "-1". Clip first')
    if "256" in ends:
        return "bin 256 does not exist: 1 is the upper end of bin 255"
    if any(e.isdigit() and int(e) > 256 for e in ends):
        return f"above the range there is no bin: got {' '.join(ends)}. Clip first"
    return f"-7, -1, 1 and 7 must give 0 0 255 255, got {' '.join(ends)}"


def laid(parts):
    """(tokens, kinds, target) of (ids, kind, target) in a row."""
    rows = [(i, int(kind), target) for ids, kind, target in parts for i in ids]
    return [list(column) for column in zip(*rows)]


@check("lay_out", 4, seals=(prompt.sequence,))
def check_lay_out(lay_out):
    """lay_out(prompt, answer, actions) -> tokens, kinds, target of one sequence."""
    p, t, a = [40, 41, 42], [50, 51], [900, 901, 902]
    P, T, A = Kind.PROMPT, Kind.TEXT, Kind.ACTION
    head = ([BOS, *p], P, False)
    ask = lambda *parts: several(lay_out(*parts), 3, "tokens, kinds, target")  # noqa: E731
    tokens, kinds, target = ask(list(p), list(t), list(a))
    right = laid([head, ([*t, EOS], T, True), ([*a, EOS], A, True)])
    yield told("the tokens", tokens, right[0], 1, {
        "the sequence has no start (BOS)": [*p, *t, EOS, *a, EOS],
        "the answer has no end (EOS): the model would never learn to stop": [BOS, *p, *t, *a, EOS],
        "the actions have no end (EOS)": [BOS, *p, *t, EOS, *a],
        "neither answer nor actions have an end (EOS): the model would never learn to stop":
            [BOS, *p, *t, *a],
        "the actions stand before the answer; they follow from the subtask":
            [BOS, *p, *a, EOS, *t, EOS],
        "the prompt has an end (EOS): it is not over, the answer follows":
            [BOS, *p, EOS, *t, EOS, *a, EOS],
        "each part has a start (BOS); there is one, at the front":
            [BOS, *p, BOS, *t, EOS, BOS, *a, EOS]})
    kinds = [int(k) for k in kinds]
    n = len(right[0])
    yield told("the kinds", kinds, right[1], 1, {
        "an end (EOS) is of the kind of what it ends": laid(
            [head, (t, T, True), ([EOS], P, True), (a, A, True), ([EOS], P, True)])[1],
        "the actions are of the kind ACTION: the flow block must not see them, and finds them by "
        "their kind": laid([head, ([*t, EOS], T, True), ([*a, EOS], T, True)])[1],
        "the kinds are swapped": laid([head, ([*t, EOS], A, True), ([*a, EOS], T, True)])[1]})
    yield told("what is to be predicted", target, right[2], 1, {
        "the prompt is a target too: the model would be trained to say the state and the question":
            [True] * n,
        "the prompt is a target too, BOS aside: the model would be trained to say the state":
            [False] + [True] * (n - 1),
        "the ends are no targets: the model would never learn to stop":
            laid([head, (t, T, True), ([EOS], T, False), (a, A, True), ([EOS], A, False)])[2],
        "this is inverted": [not x for x in right[2]],
        "the target is what comes next; here it marks the tokens that are said themselves":
            right[2][1:] + [False]})
    got = [int(x) for part in ask(list(p), None, list(a)) for x in part]
    without = lambda *parts: [int(x) for part in laid(parts) for x in part]  # noqa: E731
    yield told("without an answer (the low level)", got, without(head, ([*a, EOS], A, True)), 1, {
        "where there is no answer there is no end of it either":
            without(head, ([EOS], T, True), ([*a, EOS], A, True))})


def told(what, got, right, points, mistakes=None):
    """`compare` for lists, where a wrong length can be a known mistake."""
    got = as_array(what, got)
    for sentence, wrong in (mistakes or {}).items():
        if got.shape == np.shape(wrong) and np.array_equal(got, np.asarray(wrong, float)):
            return claim(False, points, "", f"{what}: {sentence}")
    return compare(what, got, right, points, hint="Write them down for the prompt 40 41 42, the "
                   "answer 50 51 and the actions 900 901 902.")


@check("count", 4)
def check_count(count):
    """count(cameras, px, patch, text, horizon, steps) -> prefix, flow, pairs."""
    C, px, patch, text, H, steps = 3, 224, 14, 200, 50, 10
    prefix, flow, pairs = several(count(C, px, patch, text, H, steps), 3, "prefix, flow, pairs")
    yield compare("tokens of the prefix", prefix, 968, 1, {
        "patches along one side only: a picture is cut in both directions":
            C * (px // patch) + text,
        "one picture is counted; every camera has its own": (px // patch)**2 + text,
        "the chunk is counted too: the flow tokens come behind the prefix": 968 + H,
        "the text is missing": C * (px // patch)**2, "the pictures are missing": text,
        "pixels are counted, not patches": C * px**2 + text,
        "a class token is counted for each picture; SigLIP has none": 968 + C,
    }, "For each camera, how many patches fit side by side, and how many below each other?")
    yield compare("flow tokens", flow, H, 1, {
        "one token for each number of each step; a step is one token": H * 32,
        "the flow tokens are the same in every denoising step: count them once": H * steps})
    whole = 968 + H
    yield compare("pairs", pairs, 968**2 + steps * H * whole, 1, {
        "the prefix is run again in every step; it is computed once and read ten times":
            steps * whole**2,
        "the prefix is run again in every step, and read as well; once is enough":
            steps * (968**2 + H * whole),
        "the flow tokens look at each other too": 968**2 + steps * H * 968,
        "the flow tokens do not look at the prefix here": 968**2 + steps * H**2,
        "there are `steps` denoising steps, and each asks the flow tokens anew":
            968**2 + H * whole,
        "the prefix looks at the flow tokens here; it never does": 968 * whole + steps * H * whole,
        "the prefix itself is missing": steps * H * whole,
        "all of the sequence is run once, with the flow tokens in it": whole**2,
    }, "First the prefix with itself, once; then in every step each flow token with all tokens.")
    small = several(count(2, 64, 16, 30, 10, 4), 3, "prefix, flow, pairs")
    yield compare("a small model", list(small), [62, 10, 62**2 + 4 * 10 * 72], 1)
