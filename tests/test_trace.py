"""The arrays of one denoising pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pi05lite.model import flow
from pi05lite.tokens.kind import Kind
from pi05lite.trace import rollout, rollouts, token_labels, trace

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


def test_every_token_belongs_to_a_part(traced, toy_policy, toy_observation):
    assert len(traced.parts) == len(traced.labels)
    by = {part: "".join(x for x, p in zip(traced.labels, traced.parts) if p == part)
          for part in dict.fromkeys(traced.parts)}
    assert list(by) == ["base", "left_wrist", "prompt", "subtask", "state"]
    assert by["subtask"].strip() == "carry: the block"
    assert by["state"].startswith(", State: ") and by["state"][-1] in "0;"
    assert set(traced.images) == {"base", "left_wrist"}


def test_all_parts_in_one_sequence_as_in_training(toy_policy, toy_observation, toy_setup):
    truth = toy_setup.held_out["toy"].example(1, 30).actions
    found = trace(toy_policy, toy_observation, "go", truth, samples=1, prompt="tidy up",
                  tokens=True, pad=32)
    assert list(dict.fromkeys(found.parts)) == [
        "base", "left_wrist", "prompt", "state", "subtask", "tokens", "padding"]
    words = [x for x, p, k in zip(found.labels, found.parts, found.kinds)
             if p == "subtask" and k == Kind.TEXT]
    assert "".join(words[:-1]) == "go" and words[-1] == ""  # the end
    padding = np.array(found.parts) == "padding"
    H = found.flow_attention.shape[3]
    assert found.prefix_attention[:, :, ~padding][..., padding].max() == 0
    assert found.flow_attention[..., :-H][..., padding].max() == 0
    tokens = np.array(found.parts) == "tokens"
    assert found.flow_attention[..., :-H][..., tokens].max() == 0


def test_action_tokens_change_no_chunk(traced, toy_policy, toy_observation, toy_setup):
    truth = toy_setup.held_out["toy"].example(1, 30).actions
    found = trace(toy_policy, toy_observation, "carry: the block", truth, K, seed=7, tokens=True)
    assert len(found.labels) > len(traced.labels)
    assert found.path == pytest.approx(traced.path, abs=1e-5)


@pytest.mark.parametrize("solver", flow.SOLVERS.values())
def test_velocities_are_those_at_the_points(toy_policy, toy_observation, solver):
    found = trace(toy_policy, toy_observation, "go", samples=2, steps=4, solver=solver)
    assert found.velocity.shape == (4, 2, H, A) and len(found.flow_attention) == 4
    moved = (found.path[1:] - found.path[:-1]) * 4
    if solver is flow.euler:
        assert found.velocity == pytest.approx(moved, abs=1e-4)
    else:  # the first of several evaluations a step, not the slope that was taken
        assert np.abs(found.velocity - moved).mean() > 1e-3
        simple = trace(toy_policy, toy_observation, "go", samples=2, steps=4)
        assert found.velocity[0] == pytest.approx(simple.velocity[0], abs=1e-4)
        assert np.array_equal(found.path[0], simple.path[0])


def test_a_robot_of_unknown_geometry_has_no_path(traced):
    assert traced.places is None and traced.true_places is None and traced.sights == {}


def test_rollout_of_one_layer_is_the_mean_with_itself():
    rng = np.random.default_rng(0)
    attention = rng.dirichlet(np.ones(5), (1, 3, 5)).astype(np.float32)  # (1, 3, 5, 5)
    assert rollout(attention) == pytest.approx((attention[0].mean(0) + np.eye(5)) / 2)


def test_rollout_of_a_block_behind_a_prefix_is_that_of_the_whole():
    rng, T = np.random.default_rng(1), 6
    whole = np.tril(rng.uniform(size=(3, 2, 9, 9)))
    whole /= whole.sum(-1, keepdims=True)
    found = rollout(whole[:, :, T:], rollouts(whole[:, :, :T, :T]))
    assert found == pytest.approx(rollout(whole)[T:], abs=1e-6)
    assert found.sum(-1) == pytest.approx(1)
