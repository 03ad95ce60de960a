"""Pictures become square without distortion, and floats in [-1, 1]."""

import numpy as np
import pytest

from pi05lite.data.images import fit, to_float
from pi05lite.errors import DataError


@pytest.mark.parametrize("height, width", [(48, 96), (96, 48), (50, 50), (3, 200)])
def test_fit_keeps_the_aspect_and_centres_between_black_bars(height, width):
    square = fit(np.full((height, width, 3), 200, np.uint8), 64)
    assert square.shape == (64, 64, 3) and square.dtype == np.uint8
    lit = np.argwhere(square[..., 0] > 0)
    (top, left), (bottom, right) = lit.min(0), lit.max(0)
    assert (bottom - top + 1) == max(1, 64 * height // max(height, width))
    assert (right - left + 1) == max(1, 64 * width // max(height, width))
    assert abs(top - (63 - bottom)) <= 1 and abs(left - (63 - right)) <= 1


def test_fit_leaves_a_picture_of_the_right_size_alone():
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(fit(image, 16), image)


def test_fit_averages_when_it_makes_smaller():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(fit(stripes, 8)[2:-2, 2:-2].mean() - 127.5) < 10


def test_to_float_maps_black_to_minus_one_and_white_to_one():
    values = to_float(np.array([0, 255, 51], np.uint8))
    assert values.dtype == np.float32
    assert values == pytest.approx([-1, 1, -0.6])


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), None,
                                 np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_fit_refuses_what_is_not_an_rgb_picture(bad):
    with pytest.raises(DataError, match=r"expected: uint8 \(h, w, 3\)"):
        fit(bad, 8)


def test_to_float_refuses_floats():
    with pytest.raises(DataError, match="uint8"):
        to_float(np.zeros((4, 4, 3), np.float32))
