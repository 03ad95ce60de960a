"""Pictures of the sequence: every token has its block, in its place, and reads on any colour."""

import numpy as np
import pytest

from pi05lite.widgets import blocks
from pi05lite.widgets.attention import PART_COLORS
from pi05lite.widgets.blocks import Part

RNG = np.random.default_rng(0)


def test_a_picture_is_cut_apart_without_losing_a_pixel():
    image = RNG.integers(0, 255, (12, 18, 3), np.uint8)
    out = blocks.cut_apart(image, 6, scale=2)
    assert out.shape == (2 * 12 + 2, 3 * 12 + 2 * 2, 4) and (out[..., 3] > 0).sum() == 4 * 12 * 18
    assert np.array_equal(out[14:26:2, 28:40:2, :3], image[6:, 12:])


def parts(words=30):
    patches = list(RNG.integers(0, 255, (16, 8, 8, 3), np.uint8))
    return [Part("base", [f"patch {k}" for k in range(16)], patches, "given"),
            Part("prompt", ["<bos>", " Task", "\n", " "] + [" word"] * words),
            Part("flow", [f"step {k}" for k in range(5)], note="10 times")]


def test_every_token_has_a_block_and_its_place_in_the_sequence():
    figure = blocks.blocks_figure(parts())
    assert [len(bar.y) for bar in figure.data] == [16, 34, 5]
    assert [bar.customdata[0][0] for bar in figure.data] == [0, 16, 50]
    assert len(figure.layout.images) == 16
    assert list(figure.layout.yaxis.ticktext) == ["base (16)", "prompt (34)", "flow (5)"]
    assert [a.text for a in figure.layout.annotations] == ["given", "10 times"]
    assert list(figure.data[1].text[:5]) == ["<bos>", "Task", "⏎", "␣", "word"]


def test_blocks_never_overlap_and_stay_on_the_page():
    for bar in blocks.blocks_figure(parts(200)).data:
        ends = np.array(bar.base) + np.array(bar.x)
        assert ends.max() <= blocks.WIDE
        same = np.diff(bar.y) == 0
        assert (np.array(bar.base)[1:][same] >= ends[:-1][same]).all()
    rows = [set(bar.y) for bar in blocks.blocks_figure(parts(200)).data]
    assert len(rows[1]) > 3 and not rows[0] & rows[1] and not rows[1] & rows[2]


@pytest.mark.parametrize("color, text", [("#0072B2", "#ffffff"), ("#E69F00", "#000000"),
                                         ("#56B4E9", "#000000"), ("#009E73", "#ffffff")])
def test_words_read_on_their_colour(color, text):
    bar = blocks.blocks_figure([Part("x", ["word"], kind=next(
        (k for k, c in PART_COLORS.items() if c == color), ""))]).data[0]
    assert bar.marker.color == color and bar.textfont.color == text


def test_costs_are_shares_in_the_colours_of_the_parts():
    figure = blocks.costs_figure({"a": {"pictures": 3.0, "flow": 1.0}, "b": {"flow": 5.0}})
    assert [list(bar.x) for bar in figure.data] == [[0.75, 0.0], [0.25, 1.0]]
    assert figure.data[1].marker.color == PART_COLORS["flow"]
    assert list(figure.data[0].text) == ["pictures 75%", ""]
