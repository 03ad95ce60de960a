"""Pictures of homes in memory."""

import numpy as np

from pi05lite.data.mixture import Mixture
from pi05lite.homes.album import Album


def test_an_album_gives_examples_and_what_is_in_them():
    album = Album(2, first=40_000, count=5, size=32)
    assert len(album) == 10 and album.name in Mixture([album]).names
    for i in range(10):
        example, (picture, things) = album[i], album.seen(i)
        assert example.images["base"] is picture and picture.shape == (32, 32, 3)
        assert example.answer or example.objects
        assert {name for name, _ in example.objects or ()} <= {name for name, _ in things}


def test_a_home_is_the_same_every_time_and_unlike_the_next():
    one, again, other = (Album(1, first, 3, 32).seen(0)[0] for first in (7, 7, 8))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_the_same_views_can_be_drawn_in_another_home():
    here = Album(3, 7, 4, 32, home=lambda seed: 7)
    own, there = Album(1, 7, 4, 32), Album(1, 8, 4, 32, home=lambda seed: 7)
    assert np.array_equal(here.seen(0)[0], own.seen(0)[0])  # visit 7 to home 7
    assert np.array_equal(here.seen(4)[0], there.seen(0)[0])  # visit 8 to home 7
    assert not np.array_equal(here.seen(4)[0], Album(1, 8, 4, 32).seen(0)[0])
