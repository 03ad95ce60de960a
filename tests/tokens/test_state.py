"""State bins: openpi's inside the range, clipped outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi05lite.errors import DataError
from pi05lite.tokens.state import state_bins, state_text

# (state, bins) as openpi computes them.
GOLDEN = [
    ([-0.7428595944616008, -0.0014442751197700776, 0.20299671524671492, -0.9426219832561109,
      -0.7041478308450881, 0.856422045920739, -0.8591588476916063],
     [32, 127, 153, 7, 37, 237, 18]),
    ([-1.0, -0.9921875, -0.984375, -0.0078125, 0.0, 0.0078125, 0.984375, 0.9921875],
     [0, 1, 2, 127, 128, 129, 254, 255]),
    ([-0.9921875000000001, -0.9843750000000001, -0.007812500000000002, -5e-324,
      0.007812499999999999, 0.9843749999999999, 0.9921874999999999],
     [0, 1, 126, 127, 128, 253, 254]),
    ([-0.0, 1e-12, -1e-12, 1.0, 1.7], [128, 128, 127, 255, 255]),
]


@pytest.mark.parametrize("state, bins", GOLDEN)
def test_bins_equal_the_reference(state, bins):
    np.testing.assert_array_equal(state_bins(state), bins)


def test_below_the_range_is_the_lowest_bin():
    np.testing.assert_array_equal(state_bins([-1.5, -1.0000001, -np.inf]), [0, 0, 0])


@given(st.floats(allow_nan=False, width=32))
def test_any_value_has_a_bin_that_holds_it(value):
    k = int(state_bins(np.float32(value)))
    assert 0 <= k <= 255
    assert -1 + k / 128 <= np.clip(value, -1, 1) <= -1 + (k + 1) / 128


def test_shapes_and_other_bin_counts():
    assert state_bins(np.zeros((2, 3, 5))).shape == (2, 3, 5)
    np.testing.assert_array_equal(state_bins([-1, -0.1, 0.1, 1], bins=2), [0, 0, 1, 1])


def test_text():
    assert state_text(np.array([-0.9, 1.0, -1.0], dtype=np.float32)) == "12 255 0"
    assert state_text([]) == ""


def test_bad_state_is_an_error():
    with pytest.raises(DataError, match="NaN"):
        state_bins([0.0, np.nan])
    with pytest.raises(DataError, match=r"\(S,\)"):
        state_text(np.zeros((2, 3)))
