"""The arrays of one denoising pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pi05lite.tokens.kind import Kind
from pi05lite.trace import token_labels, trace

H, A, STEPS, K = 10, 4, 10, 3


@pytest.fixture
def traced(toy_policy, toy_observation, toy_setup):
    truth = toy_setup.held_out["toy"].example(1, 30).actions
    return trace(toy_policy, toy_observation, "carry: the block", truth, K, seed=7)


def test_shapes(traced, toy_policy):
    T = len(traced.labels)
    layers, heads = (getattr(toy_policy.model.config.vlm, n) for n in ("depth", "heads"))
    assert traced.path.shape == (STEPS + 1, K, H, A)
    assert traced.tau == pytest.approx(np.linspace(0, 1, STEPS + 1))
    assert traced.kinds.shape == (T,) and traced.truth.shape == (H, A)
    assert traced.prefix_attention.shape == (layers, heads, T, T)
    assert traced.flow_attention.shape == (STEPS, layers, heads, H, T + H)
    assert traced.names == [f"action {i}" for i in range(A)]
    assert traced.seconds == pytest.approx(np.arange(H) / 10)


def test_the_path_starts_at_the_noise(traced):
    noise = torch.randn(K, H, 8, generator=torch.Generator().manual_seed(7))
    assert np.array_equal(traced.path[0], noise[..., :A].numpy())


def test_the_path_ends_at_what_the_policy_gives(traced, toy_policy, toy_observation):
    batch = toy_policy.batch(toy_observation, "carry: the block", "low")
    points = toy_policy.denoise(batch, "toy", seed=7, samples=K)
    for n in (1, STEPS):
        assert traced.path[n] == pytest.approx(points[n][..., :A].numpy(), abs=1e-4)
    alone = toy_policy.follow(toy_observation, "carry: the block", seed=7)
    assert traced.path[-1, 0] == pytest.approx(alone.path[-1][:, :A], abs=1e-4)


def test_attention_rows_are_shares(traced):
    for attention in (traced.prefix_attention, traced.flow_attention):
        assert attention.min() >= 0
        assert attention.sum(-1) == pytest.approx(1, abs=1e-5)
    assert traced.flow_attention.std(axis=-1).max() > 1e-3  # not the same everywhere


def test_attention_changes_on_the_way(traced):
    assert np.abs(traced.flow_attention[0] - traced.flow_attention[-1]).max() > 1e-5


@pytest.mark.parametrize("slot", ["base", "left_wrist"])
def test_labels_fit_where_a_camera_is_absent(toy_policy, toy_observation, slot):
    one = replace(toy_observation, images={slot: toy_observation.images["base"]})
    found = trace(toy_policy, one, "go", samples=1)
    assert len(found.labels) == len(found.kinds) == found.prefix_attention.shape[-1]
    place = found.labels.index(f"{slot} 0")
    there = found.flow_attention[..., place:place + 4]
    assert there.any() and found.labels[place:place + 4] == [f"{slot} {i}" for i in range(4)]


def test_labels_name_every_token(traced, toy_policy, toy_observation):
    patches = 4
    assert traced.labels[:2 * patches] == (
        [f"base {i}" for i in range(patches)] + [f"left_wrist {i}" for i in range(patches)])
    text = "".join(traced.labels[2 * patches:])
    assert text.startswith("Task: carry: the block, State: ") and text.endswith(";\nAction: ")
    assert len(traced.labels) == len(traced.kinds) == traced.prefix_attention.shape[-1]
    assert set(traced.kinds.tolist()) == {Kind.PROMPT}


def test_labels_of_ids_that_are_not_text(toy_policy, toy_setup):
    v = toy_setup.config.vocabulary
    batch = toy_setup.processor.collate([toy_setup.held_out["toy"][0]])
    labels = token_labels(toy_policy, batch)
    assert len(labels) == 8 + batch.tokens.shape[1]
    i = int(batch.tokens[0, -2])
    assert v.kind(i) == "action" and labels[-2] == f"<{i}>"


def test_the_truth_is_shown_as_the_model_sees_it(traced, toy_setup):
    example = toy_setup.held_out["toy"].example(1, 30)
    assert traced.truth == pytest.approx(toy_setup.processor.normal_actions(example))


def test_the_truth_changes_nothing_else(traced, toy_policy, toy_observation):
    without = trace(toy_policy, toy_observation, "carry: the block", None, K, seed=7)
    assert without.truth is None and np.array_equal(without.path, traced.path)


def test_steps_and_names_are_choices(toy_policy, toy_observation):
    found = trace(toy_policy, toy_observation, "go", samples=1, steps=2, names=list("xyzg"))
    assert found.path.shape == (3, 1, H, A) and found.tau.tolist() == [0, 0.5, 1]
    assert len(found.flow_attention) == 2 and found.names == ["x", "y", "z", "g"]


def test_kinds_have_names():
    assert [Kind(k).label for k in range(4)] == ["prompt", "text", "action", "flow"]
