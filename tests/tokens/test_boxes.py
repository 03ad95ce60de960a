"""Boxes survive the way through ids; malformed pieces are skipped and counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi05lite.errors import DataError
from pi05lite.tokens.boxes import (
    box_text,
    decode_box,
    decode_boxes,
    encode_box,
    encode_boxes,
    iou,
)
from pi05lite.tokens.text import TextTokenizer
from pi05lite.tokens.vocabulary import EOS, PAD, Vocabulary

TEXT = TextTokenizer.train(["king ace queen ; red block"], 300)
IDS = Vocabulary(text=TEXT.size + 20, actions=16, locations=64, segments=8)
KING, ACE = ("king", (0.1, 0.2, 0.5, 0.9)), ("ace", (0.0, 0.0, 1.0, 1.0))
sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(sides, sides)
def test_round_trip_within_half_a_bin(y, x):
    box = (y[0], x[0], y[1], x[1])
    ids = encode_box(box, IDS)
    assert all(IDS.kind(i) == "location" for i in ids)
    np.testing.assert_allclose(decode_box(ids, IDS), box, atol=0.5 / 64 + 1e-9)


def test_order_floor_and_clipping():
    first = IDS.location_id(0)
    assert encode_box((0.25, 0, 0.5, 1), IDS) == [first + 16, first, first + 32, first + 63]
    assert encode_box((-0.2, 0, 0.5, 1.2), IDS) == [first, first, first + 32, first + 63]
    full = Vocabulary(253952, 2048, 1024, 128)
    assert box_text((0.1, 0, 0.5, 1), full) == "<loc0102><loc0000><loc0512><loc1023>"


def test_objects_come_back():
    ids = encode_boxes([KING, ACE], TEXT, IDS)
    assert ids[:4] == encode_box(KING[1], IDS)
    assert TEXT.decode([i for i in ids if IDS.kind(i) == "text"]) == " king ; ace"
    objects, skipped = decode_boxes([PAD, *ids, EOS, *ids], TEXT, IDS)
    assert skipped == 0
    assert [label for label, _ in objects] == ["king", "ace"]
    np.testing.assert_allclose(objects[0][1], KING[1], atol=0.5 / 64)
    assert encode_boxes(objects, TEXT, IDS) == ids
    assert decode_boxes([EOS], TEXT, IDS) == ([], 0)


def malformed():
    king = encode_boxes([KING], TEXT, IDS)
    box, word = king[:4], TEXT.encode(" king")
    return {
        "three locations": [*box[:3], *word],
        "five locations": [box[0], *box, *word],
        "no label": box,
        "inside out": [box[2], box[1], box[0], box[3], *word],
        "action id in the label": [*box, IDS.action_id(0), *word],
        "text id that the tokenizer lacks": [*box, TEXT.size, *word],
        "two labels": [*box, *word, *TEXT.encode(" ; ace")],
    }


@pytest.mark.parametrize("case", malformed())
def test_malformed_pieces_are_skipped_and_counted(case):
    ids = [*encode_boxes([KING], TEXT, IDS), *TEXT.encode(" ;"), *malformed()[case]]
    objects, skipped = decode_boxes(ids, TEXT, IDS)
    assert [label for label, _ in objects] == ["king"]
    assert skipped == 1


def test_words_before_the_first_box_are_one_malformed_piece():
    objects, skipped = decode_boxes(
        [*TEXT.encode("red"), *encode_boxes([ACE], TEXT, IDS)], TEXT, IDS
    )
    assert (len(objects), skipped) == (1, 1)


@pytest.mark.parametrize("box", [(0.5, 0, 0.1, 1), (0, 0, 1), (0, 0, np.nan, 1)])
def test_bad_boxes_are_errors(box):
    with pytest.raises(DataError, match="y_min"):
        encode_box(box, IDS)


def test_bad_labels_and_ids_are_errors():
    for label in ("", "a ; b"):
        with pytest.raises(DataError, match="label"):
            encode_boxes([(label, ACE[1])], TEXT, IDS)
    with pytest.raises(DataError, match="location"):
        decode_box([0, 1, 2, 3], IDS)


def test_iou():
    a = (0.0, 0.0, 0.5, 1.0)
    assert iou(a, a) == 1 and iou(a, (0.5, 0.0, 1.0, 1.0)) == 0
    assert iou(a, (0.25, 0.0, 0.75, 1.0)) == iou((0.25, 0.0, 0.75, 1.0), a) == pytest.approx(1 / 3)
    assert iou((0.0, 0.0, 0.1, 0.1), (0.5, 0.5, 0.9, 0.9)) == 0  # apart both ways
    assert iou((0.2, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2)) == 0  # no area
