"""The id ranges are disjoint, and where the full model's checkpoint has them."""

import numpy as np
import pytest
import torch

from pi05lite.errors import ConfigError, DataError
from pi05lite.tokens.vocabulary import Vocabulary

FULL = Vocabulary(text=253952, actions=2048, locations=1024, segments=128)
SMALL = Vocabulary(text=10, actions=4, locations=3, segments=2)


def test_full_model_has_paligemmas_layout():
    assert FULL.size == 257152
    assert FULL.location_id(0) == 256000  # PaliGemma's <loc0000>
    assert FULL.action_id(0) == 255999
    assert FULL.action_id(2047) == 253952


def test_fast_ids_are_disjoint_from_location_ids():
    actions = FULL.action_id(np.arange(2048))
    locations = FULL.location_id(np.arange(1024))
    assert not set(actions.tolist()) & set(locations.tolist())
    published = 257152 - 1 - 128 - np.arange(2048)  # openpi's mapping, which does collide
    assert len(set(published.tolist()) & set(locations.tolist())) == 1024


def test_every_id_has_one_kind_and_maps_back():
    assert [SMALL.kind(i) for i in range(SMALL.size)] == (
        ["text"] * 10 + ["action"] * 4 + ["location"] * 3 + ["segment"] * 2
    )
    assert [SMALL.action_token(SMALL.action_id(t)) for t in range(4)] == [0, 1, 2, 3]
    assert [SMALL.location(SMALL.location_id(k)) for k in range(3)] == [0, 1, 2]
    assert SMALL.span("location") == (14, 17)


def test_arrays_and_tensors_map_like_ints():
    tokens = np.arange(4)
    np.testing.assert_array_equal(SMALL.action_id(tokens), [13, 12, 11, 10])
    assert SMALL.action_id(torch.tensor([[0, 3]])).tolist() == [[13, 10]]
    assert SMALL.location(torch.tensor([14, 16])).tolist() == [0, 2]
    assert SMALL.action_id(torch.zeros(0, dtype=torch.long)).shape == (0,)


@pytest.mark.parametrize("call", [
    lambda: SMALL.action_id(4),
    lambda: SMALL.action_id(-1),
    lambda: SMALL.action_id(np.array([0, 4])),
    lambda: SMALL.action_token(14),
    lambda: SMALL.action_token(torch.tensor([9])),
    lambda: SMALL.location(13),
    lambda: SMALL.location_id(3),
    lambda: SMALL.kind(19),
    lambda: Vocabulary(10, 4).location_id(0),
])
def test_out_of_range_is_an_error(call):
    with pytest.raises(DataError, match="expected"):
        call()


def test_impossible_sizes_are_errors():
    with pytest.raises(ConfigError, match="actions"):
        Vocabulary(10, -1)
    with pytest.raises(ConfigError, match="text"):
        Vocabulary(3, 4)  # no room for the four specials
