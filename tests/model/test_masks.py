"""The masks and positions of every mode, from one layout."""

import pytest
import torch

from pi05lite.model.masks import Layout
from pi05lite.tokens.kind import Kind

LETTERS = {"p": Kind.PROMPT, "t": Kind.TEXT, "a": Kind.ACTION, "s": Kind.STATE, "f": Kind.FLOW}


def layout(word, padding=""):
    """One sequence spelt by the letters of its kinds; padding of some kind in front of the flow."""
    kinds = torch.tensor([[int(LETTERS[x]) for x in word + padding]])
    valid = torch.tensor([[True] * len(word) + [False] * len(padding)])
    return Layout(kinds, valid)


def rows(layout, last=None):
    return ["".join("x" if see else "." for see in row) for row in layout.mask(last)[0].tolist()]


def test_pretraining_prompt_text_then_action_tokens():
    assert rows(layout("ppttaa")) == ["xx....", "xx....", "xxx...", "xxxx..", "xxxxx.", "xxxxxx"]


def test_posttraining_flow_never_sees_action_tokens_nor_they_the_flow():
    both = layout("pptaa").append([Kind.FLOW] * 2)
    assert rows(both) == ["xx.....", "xx.....", "xxx....", "xxxx...", "xxxxx..", "xxx..xx",
                          "xxx..xx"]
    assert both.positions().tolist() == [[0, 1, 2, 3, 4, 3, 4]]


def test_padding_sees_nothing_and_is_never_seen():
    padded = layout("ppt", "aa")
    assert rows(padded) == ["xx...", "xx...", "xxx..", ".....", "....."]
    flow = padded.append([Kind.FLOW])
    assert rows(flow, 1) == ["xxx..x"] and flow.positions(1).tolist() == [[3]]


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.ACTION])
def test_decoding_a_token_sees_all_that_was_written(kind):
    start = layout("ppp").append([kind, kind])
    assert rows(start, 1) == ["xxxxx"] and start.positions(1).tolist() == [[4]]


def test_state_token_of_pi0_does_not_see_the_flow_that_sees_it():
    suffix = layout("pp").append([Kind.STATE, Kind.FLOW, Kind.FLOW])
    assert rows(suffix) == ["xx...", "xx...", "xxx..", "xxxxx", "xxxxx"]
    assert suffix.positions(3).tolist() == [[2, 3, 4]]


def test_the_last_rows_equal_the_whole():
    whole = layout("pptaa", "aa").append([Kind.STATE] + [Kind.FLOW] * 3)
    for last in range(1, 6):
        assert torch.equal(whole.mask(last), whole.mask()[:, -last:])
        assert torch.equal(whole.positions(last), whole.positions()[:, -last:])


def test_describe_names_what_each_block_sees():
    text = layout("pppttaa", "a").append([Kind.STATE] + [Kind.FLOW] * 4).describe()
    cells = [[cell for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    cells = [[cell.strip() for cell in line] for line in cells]
    blocks = ["prompt x3", "text x2", "action x2", "padding x1", "state x1", "flow x4"]
    assert cells[0] == blocks
    assert cells[1:] == [
        ["prompt x3", "all", "-", "-", "-", "-", "-"],
        ["text x2", "all", "causal", "-", "-", "-", "-"],
        ["action x2", "all", "all", "causal", "-", "-", "-"],
        ["padding x1", "-", "-", "-", "-", "-", "-"],
        ["state x1", "all", "all", "-", "-", "all", "-"],
        ["flow x4", "all", "all", "-", "-", "all", "all"]]
