"""Intervals hold what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi05lite.evaluate.intervals import bootstrap, paired, wilson


def test_wilson_gives_known_figures():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_holds_the_share_and_narrows(n, share):
    k = round(n * share)
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    low4, high4 = wilson(4 * k, 4 * n)
    assert high4 - low4 < high - low


def test_wilson_covers_about_95_percent():
    rng = np.random.default_rng(0)
    hits = [wilson(k, 40)[0] <= 0.7 <= wilson(k, 40)[1] for k in rng.binomial(40, 0.7, 2000)]
    assert 0.92 < np.mean(hits) < 0.98


def test_pairing_sees_what_the_separate_intervals_do_not():
    rng = np.random.default_rng(0)
    hard = rng.random(200)  # how hard each trial is
    a, b = (hard < 0.6).astype(float), (hard < 0.5).astype(float)
    mean, low, high = paired(a, b)
    assert mean == pytest.approx(a.mean() - b.mean()) and low > 0
    assert bootstrap(a)[1] < bootstrap(b)[2]  # unpaired, they overlap
    assert bootstrap(a) == bootstrap(a)


@pytest.mark.parametrize("call", [lambda: wilson(3, 2), lambda: wilson(-1, 2),
                                  lambda: paired([1], [1, 2]), lambda: paired([], [])])
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="expected"):
        call()
