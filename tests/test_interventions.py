"""Interventions: the same noise on both sides, one thing changed and nothing else."""

import numpy as np
import pytest
import torch

from pi05lite import interventions as i

TEXT = "reach: put the red block on the plate"


def moved(policy, observation, other, text=TEXT, other_text=TEXT):
    return i.distance(i.chunks(policy, observation, text, 2),
                      i.chunks(policy, other, other_text, 2))


def test_nothing_changed_moves_nothing_and_noise_does(toy_policy, toy_observation):
    o = toy_observation
    assert moved(toy_policy, o, o) == 0
    a, b = (i.chunks(toy_policy, o, TEXT, 2, seed=seed) for seed in (0, 1))
    assert i.distance(a, b) > 0.1
    assert i.distance(a, a + 1) == pytest.approx(1)
    assert i.distance(np.zeros((2, 3, 4)), np.stack([np.ones((3, 4)), 3 * np.ones((3, 4))])) == 2


def test_each_input_can_be_changed_alone(toy_policy, toy_observation):
    o, before = toy_observation, {k: v.copy() for k, v in toy_observation.images.items()}
    assert moved(toy_policy, o, o, other_text="carry: put the red block on the plate") > 0
    for slot in o.images:
        assert list(i.without(o, slot).images) == [s for s in o.images if s != slot]
        grey = i.blank(o, slot)
        assert len(np.unique(grey.images[slot].reshape(-1, 3), axis=0)) == 1
        for other in (i.without(o, slot), grey):
            assert moved(toy_policy, o, other) > 0
    assert moved(toy_policy, o, i.with_state(o, o.state + 0.3)) > 0
    assert all((o.images[k] == before[k]).all() for k in before)


def test_occlusion_covers_one_place_at_a_time(toy_policy, toy_observation):
    flat = i.blank(toy_observation, "base")
    assert (i.occlusion(toy_policy, flat, TEXT, cells=2) == 0).all()  # covered by what is there
    found = i.occlusion(toy_policy, toy_observation, TEXT, cells=2)
    assert found.shape == (2, 2) and (found > 0).any()


def test_a_head_is_silent_only_while_asked(toy_policy, toy_observation):
    model, o = toy_policy.model, toy_observation
    before = i.chunks(toy_policy, o, TEXT, 2)
    for stack, layer, acts in ((model.vlm, 0, True), (model.expert.transformer, 1, True),
                               (model.vlm, model.config.vlm.depth - 1, False)):
        with i.silenced(stack, layer, 1):
            after = i.chunks(toy_policy, o, TEXT, 2)
        assert (i.distance(before, after) > 0) == acts  # the expert never reads the last layer's
        assert i.distance(before, i.chunks(toy_policy, o, TEXT, 2)) == 0


def test_patching_all_of_a_run_gives_that_run(toy_policy, toy_observation):
    o, other = toy_observation, i.blank(toy_observation, "base")
    mine, theirs = (i.keys_values(toy_policy, x, TEXT) for x in (o, other))
    every = list(range(mine[0][0].shape[2]))
    both = mine
    for layer in range(len(mine)):
        both = i.patched(both, theirs, layer, every)
    wanted = i.chunks(toy_policy, other, TEXT, 2)
    assert np.allclose(i.chunks(toy_policy, o, TEXT, 2, cache=both), wanted, atol=1e-5)
    one = i.patched(mine, theirs, 0, every[:1])
    assert torch.equal(one[0][0][:, :, 1:], mine[0][0][:, :, 1:])
    assert torch.equal(one[0][1][:, :, :1], theirs[0][1][:, :, :1])
    assert one[1] is mine[1]
