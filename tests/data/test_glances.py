"""Glances at the toy table: what is said, shown and done belong together."""

from dataclasses import fields

import numpy as np

from pi05lite.data.glances import PATCH, PIXELS, Glances, cells, over_the_table, things
from pi05lite.data.toy import COLORS
from pi05lite.trace import Trace


def test_a_chunk_ends_at_what_is_named():
    glances = Glances(6)
    assert len(glances) == 24
    for n in range(6):
        for asked, (name, place, _) in enumerate(things(glances.tables[n])):
            e = glances.example(n, asked)
            assert e.text == f"reach the {name}" and e.named["base"][0][0] == name
            assert np.allclose(e.actions[-1], [*place, 0.15], atol=1e-5)
            assert np.linalg.norm(e.actions[0] - e.state) < np.linalg.norm(
                e.actions[-1] - e.state)
        either = glances[4 * n + 3]
        assert either.text == "reach a block"
        assert either.actions is glances.actions[n][glances.coin[n]]
    assert 0 < glances.coin.sum() < 6


def test_the_patches_of_a_thing_show_it():
    glances = Glances(8, seed=2)
    side = PIXELS // PATCH
    for table, images in zip(glances.tables, glances.images):
        thing = things(table)[0]
        color = np.array(COLORS[table.colors[0]])
        assert images["base"].shape == (PIXELS, PIXELS, 3)
        like = np.abs(images["base"].astype(int) - color).max(-1) < 40
        rows, columns = np.nonzero(like)
        seen = {r // PATCH * side + k // PATCH for r, k in zip(rows, columns)}
        assert seen and len(seen & set(cells(thing))) >= len(seen) / 2


def test_the_same_seed_gives_the_same_and_ways_lie_in_the_picture():
    a, b = Glances(3, seed=5), Glances(3, seed=5)
    assert all(np.array_equal(x, y) for r, s in zip(a.actions, b.actions) for x, y in zip(r, s))
    e, robot = a.example(0, 0), a.robot()
    chunk = robot.to_model(e.actions, e.state)

    empty = {f.name: None for f in fields(Trace)}
    seen = Trace(**empty | {"path": chunk[None, None], "truth": chunk})
    ways = over_the_table(seen, robot, e.state)
    assert ways.places.shape == (1, 1, 11, 1, 3)
    assert np.allclose(ways.places[0, 0, 0, 0], e.state, atol=1e-5)
    uv = ways.sights["base"].project(ways.true_places[-1, 0])
    assert np.allclose(uv, e.actions[-1, :2], atol=0.02)
