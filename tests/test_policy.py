"""Two levels with one set of weights: the subtask from the prompt, actions from the subtask."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pi05lite.errors import ConfigError
from pi05lite.model import flow
from pi05lite.policy import Observation, Policy
from pi05lite.processor import Processor
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.quantizers import ResidualQuantizer
from pi05lite.tokens.vocabulary import BOS, EOS, PAD, UNK
from pi05lite.tokens.vq import VQTokenizer
from pi05lite.train.setup import all_chunks

H, A = 10, 4


@pytest.fixture
def counted(toy_policy, monkeypatch):
    """The policy with a high level that says "do 1", "do 2", ..., and what it was asked."""
    asked = []

    def subtask(observation, prompt):
        asked.append(prompt)
        return f"do {len(asked)}"

    monkeypatch.setattr(toy_policy, "subtask", subtask)
    return toy_policy, asked


def writes(monkeypatch, policy, ids):
    """Make the model write these ids; returns the list that collects what it was asked."""
    asked = []

    def generate(batch, end, limit, allowed=None, *_, samples=1, choose=None):
        asked.append((batch, limit, allowed))
        return torch.tensor([ids] * samples)

    monkeypatch.setattr(policy.model, "generate", generate)
    return asked


def decoded(policy, batch):
    return policy.processor.text.decode(batch.tokens[0].tolist())


def test_a_subtask_is_kept_for_some_chunks(counted, toy_observation):
    policy, asked = counted
    policy.subtask_every = 3
    said = [policy.act(toy_observation, "clean up").subtask for _ in range(7)]
    assert said == ["do 1"] * 3 + ["do 2"] * 3 + ["do 3"]
    assert asked == ["clean up"] * 3


def test_every_chunk_may_have_its_own_subtask(counted, toy_observation):
    policy, asked = counted
    policy.subtask_every = 1
    said = [policy.act(toy_observation, "clean up").subtask for _ in range(3)]
    assert said == ["do 1", "do 2", "do 3"]


def test_a_new_prompt_is_heard_at_once_and_starts_the_count_again(counted, toy_observation):
    policy, asked = counted
    policy.subtask_every = 3
    prompts = ["a", "a", "b", "b", "b", "b", "a"]
    said = [policy.act(toy_observation, p).subtask for p in prompts]
    assert said == ["do 1", "do 1", "do 2", "do 2", "do 2", "do 3", "do 4"]
    assert asked == ["a", "b", "b", "a"]


def test_reset_forgets_the_subtask(counted, toy_observation):
    policy, _ = counted
    first = policy.act(toy_observation, "a").subtask
    policy.reset()
    assert policy.act(toy_observation, "a").subtask != first


def test_the_low_level_never_sees_the_overall_prompt(toy_policy, toy_observation, monkeypatch):
    monkeypatch.setattr(toy_policy, "subtask", lambda *_: "carry: the block")
    one = toy_policy.act(toy_observation, "clean the kitchen", seed=5)
    two = toy_policy.act(toy_observation, "make the bed", seed=5)
    assert np.array_equal(one.actions, two.actions)
    assert np.array_equal(one.actions,
                          toy_policy.follow(toy_observation, "carry: the block", 5).actions)
    other = toy_policy.follow(toy_observation, "reach: the block", seed=5)
    assert np.abs(one.actions - other.actions).max() > 1e-4  # so that it could have seen it


def test_a_chunk_follows_pictures_and_state(toy_policy, toy_observation):
    base = toy_policy.follow(toy_observation, "go").actions
    dark = {slot: image // 3 for slot, image in toy_observation.images.items()}
    for other in (replace(toy_observation, images=dark),
                  replace(toy_observation, state=toy_observation.state + 0.2)):
        assert np.abs(toy_policy.follow(other, "go").actions - base).max() > 1e-4


def test_the_high_level_is_asked_with_the_prompt_and_answers_in_words(
        toy_policy, toy_observation, monkeypatch):
    v, text = toy_policy.model.config.vocabulary, toy_policy.processor.text
    box = [v.location_id(i) for i in (3, 1, 9, 4)]
    ids = [*box, *text.encode(" block ;"), *box, *text.encode(" bowl ; carry: the block; gently "),
           EOS, EOS]
    asked = writes(monkeypatch, toy_policy, ids)
    assert toy_policy.subtask(toy_observation, "clean_up", limit=9) == "carry: the block; gently"
    batch, limit, allowed = asked[0]
    prompt = decoded(toy_policy, batch)
    assert prompt.startswith("Task: clean up, State: ") and prompt.endswith(";\nSubtask: ")
    assert limit == 9 and not allowed[v.action_id(0)] and allowed[EOS]
    assert (batch.kinds == Kind.PROMPT).all() and not batch.target.any()


def test_the_untrained_high_level_gives_text_and_repeats_itself(toy_policy, toy_observation):
    said = toy_policy.subtask(toy_observation, "clean up", limit=5)
    assert isinstance(said, str) and said == said.strip()
    assert said == toy_policy.subtask(toy_observation, "clean up", limit=5)


def test_a_batch_of_prompts_is_answered_row_by_row(toy_policy, toy_setup):
    examples = [toy_setup.high("toy").example(0, t) for t in (3, 40)]
    for example in examples:
        example.answer = None
    together = toy_policy.answers(toy_policy.processor.collate(examples), limit=6)
    alone = [toy_policy.answers(toy_policy.processor.collate([e]), limit=6)[0] for e in examples]
    assert together == alone and len(together) == 2


def test_the_answer_is_what_most_votes_say_boxes_apart(toy_policy, toy_observation, monkeypatch):
    v, text = toy_policy.model.config.vocabulary, toy_policy.processor.text

    def answer(words, *bins):
        box = [v.location_id(i) for i in bins]
        ids = [*box, *text.encode(" block ;" * bool(box) + f" {words}"), EOS]
        return ids + [EOS] * (40 - len(ids))

    said = [answer("wait"), answer("wait"), answer("carry: the block", 3, 1, 9, 4),
            answer("carry: the block", 3, 1, 9, 5), answer("carry: the block", 4, 1, 9, 4)]
    monkeypatch.setattr(toy_policy, "votes", len(said))
    monkeypatch.setattr(toy_policy.model, "generate", lambda *_, samples, **__: torch.tensor(said))
    batch = toy_policy.batch(toy_observation, "clean up", "high")
    assert toy_policy.answers(batch) == ["carry: the block"]
    assert toy_policy.answer_ids(batch).tolist() == [said[2]]  # whole, with the boxes of its own


def test_words_may_use_no_action_ids(toy_policy):
    allowed, v = toy_policy.text_ids(), toy_policy.model.config.vocabulary
    assert allowed.shape == (v.size,) and allowed[EOS]
    size = toy_policy.processor.text.size
    assert allowed[UNK + 1:size].all() and not allowed[size:v.text].any()
    first, end = v.span("action")
    assert not allowed[first:end].any() and allowed[end:].all()


def test_words_may_use_no_other_specials(toy_policy):
    assert not toy_policy.text_ids()[[PAD, BOS, UNK]].any()


def test_action_tokens_may_use_only_the_tokenizers_ids(toy_policy):
    allowed, v = toy_policy.action_ids(), toy_policy.model.config.vocabulary
    ids = allowed.nonzero()[:, 0].tolist()
    size = toy_policy.processor.actions.vocabulary_size
    assert ids[0] == EOS and len(ids) == size + 1
    assert {v.action_token(i) for i in ids[1:]} == set(range(size))


def test_a_small_action_tokenizer_has_few_ids(toy_policy, monkeypatch):
    monkeypatch.setattr(toy_policy.processor.actions, "vocabulary_size", 10)
    v = toy_policy.model.config.vocabulary
    ids = toy_policy.action_ids().nonzero()[1:, 0].tolist()
    assert sorted(v.action_token(i) for i in ids) == list(range(10))


def test_chunks_are_in_the_robots_size_and_units(toy_policy, toy_observation, toy_setup):
    chunk = toy_policy.follow(toy_observation, "go")
    assert chunk.actions.shape == (H, A) and chunk.actions.dtype == np.float32
    robot = toy_setup.processor.robots["toy"]
    expected = robot.from_model(chunk.path[-1][:, :A], toy_observation.state)
    assert np.array_equal(chunk.actions, expected)
    assert chunk.subtask == "go"


def test_the_path_goes_from_noise_to_the_chunk_without_the_sizes_it_lacks(
        toy_policy, toy_observation):
    path = toy_policy.follow(toy_observation, "go", seed=3).path
    noise = torch.randn(1, H, 8, generator=torch.Generator().manual_seed(3))[0].numpy()
    assert len(path) == toy_policy.steps + 1 == 11
    assert np.array_equal(path[0][:, :A], noise[:, :A])
    assert all(not x[:, A:].any() for x in path)


def test_same_seed_same_chunk(toy_policy, toy_observation):
    one, two, other = (toy_policy.follow(toy_observation, "go", seed).actions for seed in (1, 1, 2))
    assert np.array_equal(one, two) and np.abs(one - other).max() > 0.01


def test_randomness_outside_does_not_matter(toy_policy, toy_observation):
    torch.manual_seed(0)
    one = toy_policy.follow(toy_observation, "go").actions
    torch.manual_seed(1)
    assert np.array_equal(one, toy_policy.follow(toy_observation, "go").actions)


def test_several_samples_of_one_observation(toy_policy, toy_observation):
    batch = toy_policy.batch(toy_observation, "go", "low")
    points = toy_policy.denoise(batch, "toy", seed=4, samples=3)
    assert len(points) == 11 and points[-1].shape == (3, H, 8)
    alone = toy_policy.denoise(batch, "toy", seed=4)[-1]
    assert torch.allclose(points[-1][0], alone[0], atol=1e-5)
    assert (points[-1][0] - points[-1][1]).abs().max() > 0.01


def test_steps_and_solver_are_choices(toy_model, toy_setup, toy_observation):
    used = []

    def solver(velocity, noise, steps):
        used.append(steps)
        return flow.euler(velocity, noise, steps)

    chunk = Policy(toy_model, toy_setup.processor, steps=3, solver=solver).follow(
        toy_observation, "go")
    assert used == [3] and len(chunk.path) == 4


def test_action_tokens_become_a_chunk(toy_policy, toy_setup, toy_observation, monkeypatch):
    example = toy_setup.held_out["toy"].example(0, 10)
    ids = toy_setup.processor.action_ids(example)
    asked = writes(monkeypatch, toy_policy, [*ids, EOS])
    actions, ok = toy_policy.follow_tokens(toy_observation, "reach: the block")
    assert ok and actions.shape == (H, A) and actions.dtype == np.float32
    assert actions == pytest.approx(example.actions, abs=0.2)
    batch, limit, allowed = asked[0]
    assert decoded(toy_policy, batch).startswith("Task: reach: the block, State: ")
    assert limit + batch.tokens.shape[1] == toy_policy.model.config.max_tokens
    for n in range(len(ids) + 1):  # what may follow never forbids what a real chunk has
        may = allowed(torch.tensor([ids[:n]], dtype=torch.long))
        assert may.shape == (1, toy_policy.model.config.vocabulary.size)
        assert may[0, [*ids, EOS][n]] and may[0, EOS] == (n == len(ids))
    toy_policy.follow_tokens(toy_observation, "go", constrained=False)
    assert torch.equal(asked[1][2], toy_policy.action_ids())


def test_action_tokens_that_are_not_well_formed_are_said_to_be(
        toy_policy, toy_setup, toy_observation, monkeypatch):
    ids = toy_setup.processor.action_ids(toy_setup.held_out["toy"].example(0, 10))
    for wrong in (ids[:-1] + [EOS], [*ids, ids[0], EOS], [EOS]):
        writes(monkeypatch, toy_policy, wrong)
        actions, ok = toy_policy.follow_tokens(toy_observation, "go")
        assert not ok and np.isfinite(actions).all() and actions.shape == (H, A)


def test_the_untrained_low_level_writes_finite_chunks(toy_policy, toy_observation):
    actions, ok = toy_policy.follow_tokens(toy_observation, "go", limit=12, constrained=False)
    assert isinstance(ok, bool) and actions.shape == (H, A) and np.isfinite(actions).all()


def test_a_prompt_that_leaves_no_room_for_tokens_is_not_well_formed(
        toy_policy, toy_observation, monkeypatch):
    n = toy_policy.batch(toy_observation, "go", "low").tokens.shape[1]
    full = replace(toy_policy.processor.config, max_tokens=n)
    monkeypatch.setattr(toy_policy.processor, "config", full)
    monkeypatch.setattr(toy_policy.model, "config", full)
    actions, ok = toy_policy.follow_tokens(toy_observation, "go", constrained=False)
    assert not ok and np.isfinite(actions).all()
    with pytest.raises(ConfigError, match="raise config.max_tokens"):
        toy_policy.follow_tokens(toy_observation, "go")


@pytest.mark.parametrize("temperature", [0.0, 3.0])
@pytest.mark.parametrize("make", [
    lambda: FastTokenizer(320), lambda: FastTokenizer(320, byte_level=True),
    lambda: BinsTokenizer(64), lambda: VQTokenizer(4, 16, width=16),
    lambda: VQTokenizer(4, 16, width=16, quantizer=ResidualQuantizer),
])
def test_every_constrained_chunk_of_an_untrained_model_decodes(
        toy_model, toy_setup, make, temperature):
    """The weights are random, so are the tokens: still each is a whole chunk within the limit."""
    tokenizer = make().fit(*all_chunks(toy_setup.train["toy"]))
    p = toy_setup.processor
    policy = Policy(toy_model, Processor(toy_setup.config, p.text, tokenizer, p.robots))
    examples = [toy_setup.held_out["toy"].example(0, t) for t in (0, 10, 20)]
    for example in examples:
        example.actions = None
    batch = policy.processor.collate(examples)
    need = tokenizer.min_length(H, A)
    for limit in {need, need + 3, toy_setup.config.max_tokens - batch.tokens.shape[1]}:
        generator = torch.Generator().manual_seed(0)
        chunks, ok = policy.token_chunks(batch, limit, temperature, generator)
        assert ok.all() and chunks.shape == (3, H, A) and np.isfinite(chunks).all()
        assert tokenizer.malformed == 0


def test_without_an_action_tokenizer_only_flow_is_left(toy_model, toy_setup, toy_observation):
    p = toy_setup.processor
    policy = Policy(toy_model, Processor(toy_setup.config, p.text, None, p.robots))
    with pytest.raises(ConfigError, match="action tokenizer"):
        policy.follow_tokens(toy_observation, "go")
    assert policy.follow(toy_observation, "go").actions.shape == (H, A)


def test_an_unknown_robot_is_refused(toy_policy, toy_observation):
    with pytest.raises(ConfigError, match="robot"):
        toy_policy.act(Observation("legs", toy_observation.images, toy_observation.state), "go")


def test_a_policy_is_for_asking_not_for_training(toy_model, toy_setup, toy_observation):
    toy_model.train()
    policy = Policy(toy_model, toy_setup.processor)
    assert not policy.model.training
    policy.follow(toy_observation, "go")
    assert all(p.grad is None for p in toy_model.parameters())


def test_padded_prompts_give_the_same_chunk_and_few_lengths(toy_model, toy_setup, toy_observation):
    plain, padded = Policy(toy_model, toy_setup.processor), Policy(toy_model, toy_setup.processor,
                                                                   pad=32)
    lengths = {padded.batch(toy_observation, text, "low").tokens.shape[1]
               for text in ("go", "go on", "lift the red block")}
    assert all(n % 32 == 0 for n in lengths) and len(lengths) == 1
    a, b = (p.follow(toy_observation, "go").actions for p in (plain, padded))
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_half_precision_weights_serve_a_policy(toy_model, toy_setup, toy_observation):
    import copy

    half = Policy(copy.deepcopy(toy_model).bfloat16(), toy_setup.processor)
    chunk = half.follow(toy_observation, "go")
    assert all(x.dtype == np.float32 for x in chunk.path)  # the chunk itself is kept in float32
    whole = Policy(toy_model, toy_setup.processor).follow(toy_observation, "go")
    np.testing.assert_allclose(chunk.path[-1], whole.path[-1], atol=0.15)
    assert isinstance(half.subtask(toy_observation, "lift the block"), str)
