"""Examples become batches of the config's sizes, and model output becomes words and actions."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from pi05lite import config
from pi05lite.data import stats
from pi05lite.data.examples import Example
from pi05lite.data.robots import Robot
from pi05lite.data.stats import DatasetStats
from pi05lite.errors import ConfigError, DataError
from pi05lite.processor import Processor
from pi05lite.tokens.boxes import decode_boxes
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.text import TextTokenizer
from pi05lite.tokens.vocabulary import BOS, EOS

H, PX = 10, 28
C = replace(config.nano(), max_tokens=120)
V = C.vocabulary


def robot(name, state, action, cameras, relative=(), remember=()):
    """A robot whose state and action sizes all range over [-2, 2]."""
    spread = np.linspace(-2, 2, 1001)[:, None]
    table = DatasetStats(name, *(stats.of_values(spread.repeat(n, 1)) for n in (state, action)))
    return Robot(name, table, cameras, 5.0, relative, remember)


ROBOTS = {"arm": robot("arm", 2, 3, {"base": "top"}, ((0, 0), (1, 1))),
          "wide": robot("wide", 4, 5, {"base": "top", "left_wrist": "hand"}, remember=(4,))}


@pytest.fixture(scope="module")
def text():
    corpus = ["Task: pick up the cup, State: 1;\nAction: ", "detect cup\n", "caption en\n"] * 3
    return TextTokenizer.train(corpus, V.text)


@pytest.fixture(scope="module")
def fast():
    rng, time = np.random.default_rng(0), np.linspace(0, 1, H)[None, :, None]
    chunks = rng.uniform(-0.9, 0.9, (200, 1, 5)) * np.sin(rng.uniform(0, 6, (200, 1, 5)) + time)
    return FastTokenizer(V.actions).fit(chunks.astype(np.float32))


@pytest.fixture
def processor(text, fast):
    return Processor(C, text, fast, ROBOTS, ["arm/low", "wide/high", "cards"])


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (PX, PX, 3), dtype=np.uint8)


def low(valid=H, text="pick up the cup", scale=1.5):
    """An example of the arm with actions; the last steps lie past the episode's end."""
    rng = np.random.default_rng(3)
    state = np.array([0.4, -7.0], np.float32)
    actions = (np.linspace(0, scale, H)[:, None] * rng.uniform(-1, 1, 3)).astype(np.float32)
    actions[:, :2] += state
    return Example("arm/low", "low", text, {"base": picture()}, "arm", state,
                   actions=actions, steps=np.arange(H) < valid)


def high():
    return Example("wide/high", "high", "clean up", {"base": picture(1), "left_wrist": picture(2)},
                   "wide", np.zeros(4, np.float32), answer="pick up the cup")


def words(objects=(("cup", (0.1, 0.2, 0.5, 0.9)),), answer=None):
    return Example("cards", "words", "detect cup", {"left_wrist": picture(3)},
                   objects=list(objects), answer=answer)


def test_shapes_and_types(processor):
    batch = processor.collate([low(), high(), words()])
    B, L = batch.tokens.shape
    assert len(batch) == B == 3 and L <= C.max_tokens
    assert batch.images.shape == (3, 2, 3, PX, PX) and batch.images.dtype == torch.float32
    assert batch.image_mask.shape == (3, 2) and batch.image_mask.dtype == torch.bool
    assert batch.kinds.shape == batch.valid.shape == batch.target.shape == (3, L)
    assert batch.tokens.dtype == batch.kinds.dtype == torch.long
    assert batch.actions.shape == batch.action_mask.shape == (3, H, 8)
    assert batch.actions.dtype == torch.float32
    assert batch.source.tolist() == [0, 1, 2]


def test_pictures_go_to_their_slots_and_absent_ones_are_masked(processor):
    batch = processor.collate([low(), high(), words()])
    assert batch.image_mask.tolist() == [[True, False], [True, True], [False, True]]
    expected = torch.from_numpy(picture(2)).permute(2, 0, 1) / 127.5 - 1
    assert torch.allclose(batch.images[1, 1], expected, atol=1e-6)
    assert not batch.images[0, 1].any() and not batch.images[2, 0].any()


def test_rows_are_padded_to_the_longest(processor):
    batch = processor.collate([low(), high(), words()])
    lengths = [len(processor.sequence(e).tokens) for e in (low(), high(), words())]
    assert batch.valid.sum(1).tolist() == lengths and batch.tokens.shape[1] == max(lengths)
    for b, n in enumerate(lengths):
        assert batch.valid[b, :n].all() and batch.tokens[b, :n].all()
        assert not batch.target[b, n:].any() and not batch.tokens[b, n:].any()


def test_the_prompt_holds_the_clipped_state_of_the_robots_own_size(processor, text):
    batch = processor.collate([low(), high()])
    prompts = []
    for b in range(2):
        ids = batch.tokens[b, (batch.kinds[b] == Kind.PROMPT) & batch.valid[b]].tolist()
        assert ids[0] == BOS
        prompts.append(text.decode(ids))
    assert prompts[0] == "Task: pick up the cup, State: 154 0;\nAction: "  # 0.4 of 1.96; -7
    assert prompts[1] == "Task: clean up, State: 128 128 128 128;\nSubtask: "


def test_each_level_predicts_what_belongs_to_it(processor, text):
    batch = processor.collate([low(), high(), words()])
    kinds = [set(batch.kinds[b, batch.target[b]].tolist()) for b in range(3)]
    assert kinds == [{Kind.ACTION}, {Kind.TEXT}, {Kind.TEXT}]
    assert not (batch.target & (batch.kinds == Kind.PROMPT)).any()
    for b in range(3):
        assert batch.tokens[b, batch.target[b]][-1] == EOS
    assert text.decode(batch.tokens[1, batch.target[1]].tolist()) == "pick up the cup"
    assert batch.action_mask.any((1, 2)).tolist() == [True, False, False]


def test_ranges_of_ids_are_disjoint(processor):
    batch = processor.collate([low(), words()])
    actions = batch.tokens[0, batch.target[0]][:-1].tolist()
    assert actions and {V.kind(i) for i in actions} == {"action"}
    answer = batch.tokens[1, batch.target[1]].tolist()
    assert [V.kind(i) for i in answer[:4]] == ["location"] * 4
    assert {V.kind(i) for i in answer[4:]} == {"text"}


def test_chunks_go_there_and_back(processor):
    example = low()
    seen = processor.normal_actions(example)
    assert seen.shape == (H, 3) and np.abs(seen).max() <= 1 and np.abs(seen[-1]).max() > 0.3
    assert seen[0] == pytest.approx(np.zeros(3), abs=1e-6)  # it starts where the state is
    padded = np.pad(seen, ((0, 0), (0, 5)))
    back = processor.physical_actions(padded, "arm", example.state)
    assert back.shape == (H, 3) and back == pytest.approx(example.actions, abs=1e-5)


def test_action_tokens_spell_the_chunk(processor):
    example = low()
    chunk, ok = processor.chunk_of_tokens(processor.action_ids(example))
    assert ok and chunk.shape == (H, 5)
    assert chunk[:, :3] == pytest.approx(processor.normal_actions(example), abs=0.15)
    assert np.abs(chunk[:, 3:]).max() < 0.15  # sizes that the arm lacks
    assert not processor.chunk_of_tokens(processor.action_ids(example)[:-1])[1]
    assert not processor.chunk_of_tokens([])[1]


def test_steps_past_the_end_are_masked_for_flow_and_do_not_change_the_tokens(processor):
    short, wild = low(valid=4), low(valid=4)
    wild.actions[4:] = 1.9
    batch = processor.collate([short, wild])
    assert batch.action_mask[0, :4, :3].all() and not batch.action_mask[0, 4:].any()
    assert torch.equal(batch.tokens[0], batch.tokens[1])


def test_sizes_that_a_robot_lacks_are_zero_and_masked(processor):
    batch = processor.collate([low()])
    assert batch.action_mask[0, 0].tolist() == [True] * 3 + [False] * 5
    assert not batch.actions[..., 3:].any() and batch.actions[..., :3].any()
    assert processor.size_mask("arm").tolist() == [[True] * 3 + [False] * 5]
    assert processor.size_mask("wide").sum() == 5


def test_boxes_are_said_before_words(processor, text):
    ids = processor.answer_ids(words(answer="a cup"))
    assert [V.kind(i) for i in ids[:4]] == ["location"] * 4
    assert text.decode(ids[4:]) == " cup ; a cup"
    assert text.decode(processor.answer_ids(replace(words([]), answer="a cup"))) == "a cup"
    assert processor.answer_ids(low()) is None


def test_boxes_are_written_y_first(processor, text):
    y0, x0, y1, x1 = 0.1, 0.2, 0.5, 0.9
    ids = processor.answer_ids(words([("cup", (y0, x0, y1, x1))]))
    (found,), skipped = decode_boxes(ids, text, V)
    assert skipped == 0 and found[0] == "cup"
    assert found[1] == pytest.approx((y0, x0, y1, x1), abs=1 / V.locations)


def test_a_prompt_that_does_not_fit_is_refused(text, fast):
    small = Processor(replace(C, max_tokens=12), text, fast, ROBOTS)
    with pytest.raises(ConfigError, match="(?s)prompt of arm/low.*at most 11.*max_tokens"):
        small.collate([low()])
    with pytest.raises(ConfigError, match="prompt of arm/low"):
        small.collate([replace(low(), actions=None, steps=None)])  # as at inference
    assert not small.cut


def test_action_tokens_that_do_not_fit_are_cut_and_counted(processor, text, fast):
    s = processor.sequence(low())
    prompt = s.target.index(True)
    small = Processor(replace(C, max_tokens=prompt + 3), text, fast, ROBOTS)
    batch = small.collate([low(), low()])
    assert batch.tokens.shape[1] == prompt + 3
    assert batch.tokens[0].tolist() == s.tokens[:prompt + 3]
    assert batch.target[0].sum() == 3 and EOS not in batch.tokens[0].tolist()
    assert small.cut == {"arm/low": 2} and not processor.cut


def test_sources_that_are_not_in_the_mixture_have_no_number(text, fast):
    assert Processor(C, text, fast, ROBOTS).collate([low()]).source.tolist() == [-1]


def test_without_an_action_tokenizer_there_are_no_action_tokens(text):
    batch = Processor(C, text, None, ROBOTS).collate([low()])
    assert not (batch.kinds == Kind.ACTION).any() and not batch.target.any()
    assert batch.action_mask.any()


def test_tokenizers_larger_than_their_range_are_refused(text, fast):
    with pytest.raises(ConfigError, match="text tokenizer"):
        Processor(replace(C, vocabulary=replace(V, text=300)), text, fast, ROBOTS)
    with pytest.raises(ConfigError, match="actions tokenizer"):
        Processor(replace(C, vocabulary=replace(V, actions=100)), text, fast, ROBOTS)


def test_robots_that_do_not_fit_are_refused(text, fast):
    with pytest.raises(ConfigError, match="action size of wide"):
        Processor(replace(C, action_size=4), text, fast, ROBOTS)
    with pytest.raises(ConfigError, match="camera slots of wide"):
        Processor(replace(C, cameras=("base",)), text, fast, ROBOTS)


def test_an_unknown_robot_is_refused(processor):
    with pytest.raises(ConfigError, match="(?s)robot.*arm.*wide.*legs"):
        processor.collate([replace(low(), robot="legs")])
    with pytest.raises(ConfigError, match="robot"):
        processor.physical_actions(np.zeros((H, 8)), "legs", np.zeros(2))


def test_states_and_actions_of_another_size_are_refused(processor):
    with pytest.raises(DataError):
        processor.collate([replace(low(), state=np.zeros(3, np.float32))])
    with pytest.raises(DataError):
        processor.collate([replace(high(), robot="arm")])


@pytest.mark.parametrize("images", [
    {"base": np.zeros((PX + 4, PX + 4, 3), np.uint8)}, {"right_wrist": picture()}])
def test_pictures_that_do_not_fit_are_refused(processor, images):
    try:
        processor.collate([replace(low(), images=images)])
    except (ConfigError, DataError):
        return
    raise AssertionError("accepted")


def test_saved_and_loaded_it_gives_the_same(processor, tmp_path):
    processor.save(tmp_path)
    again = Processor.load(tmp_path, C)
    examples = [low(valid=7), high(), words(answer="a cup")]
    one, two = processor.collate(examples), again.collate(examples)
    for field in fields(one):
        torch.testing.assert_close(getattr(one, field.name), getattr(two, field.name), rtol=0,
                                   atol=0, equal_nan=True)  # NaN: not known, in both
    chunk, state = np.full((H, 8), 0.3), low().state
    assert np.array_equal(processor.physical_actions(chunk, "arm", state),
                          again.physical_actions(chunk, "arm", state))
    ids = processor.action_ids(low())
    assert np.array_equal(processor.chunk_of_tokens(ids)[0], again.chunk_of_tokens(ids)[0])
    for field in ("name", "cameras", "fps", "relative", "remember"):
        for name, known in ROBOTS.items():
            assert getattr(again.robots[name], field) == getattr(known, field)


def test_saved_without_action_tokens_it_loads_without(text, tmp_path):
    Processor(C, text, None, ROBOTS).save(tmp_path)
    assert Processor.load(tmp_path, C).actions is None
