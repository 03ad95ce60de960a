"""From names of datasets to what training needs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pi05lite import config
from pi05lite.data.robots import KNOWN, Known
from pi05lite.data.write import write_dataset
from pi05lite.errors import ConfigError
from pi05lite.model.pi05 import Pi05
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.quantizers import FiniteQuantizer, ResidualQuantizer
from pi05lite.tokens.vq import VQTokenizer
from pi05lite.train.module import TrainingModule
from pi05lite.train.recipe import pretrain
from pi05lite.train.setup import available, prepare

TOP = "observation.images.top"
TINY = replace(config.nano(), max_tokens=200)


class Spy(FastTokenizer):
    """A FAST tokenizer that remembers what it was fitted on."""

    def fit(self, chunks, mask=None):
        self.seen, self.mask = chunks, mask
        return super().fit(chunks, mask)


def waves(count, size, odd=()):
    """Episodes of 12 steps; those in `odd` have wild actions and a word of their own."""
    rng = np.random.default_rng(0)
    for e in range(count):
        way = np.cumsum(rng.normal(0, 0.1, (12, size)), axis=0)
        yield {"state": way[:, :2], "action": way * (50 if e in odd else 1),
               "task": "lift the " + ("xylophone" if e in odd else "cup"),
               "images": {TOP: rng.integers(0, 255, (12, 8, 8, 3), dtype=np.uint8)}}


@pytest.fixture
def robots(tmp_path, monkeypatch):
    """robots(**sizes): make known robots with those action sizes; every 5th episode is odd."""
    monkeypatch.setenv("PI05LITE_DATA", str(tmp_path))
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "none"))
    monkeypatch.setenv("PI05LITE_CACHE", str(tmp_path / "cache"))

    def make(**sizes):
        for name, size in sizes.items():
            write_dataset(tmp_path / name, waves(10, size, odd=(4, 9)), 5, name, video=False)
            monkeypatch.setitem(KNOWN, name, Known(name, {"base": TOP}))
        return list(sizes)
    return make


def test_the_mixture_has_both_levels_by_weight(toy_setup):
    mixture = toy_setup.mixture
    assert mixture.names == ["toy/low", "toy/high"] == toy_setup.processor.sources
    assert mixture.shares.tolist() == pytest.approx([0.8, 0.2])
    levels = {mixture[i].level for i in range(40)}
    assert levels == {"low", "high"}


def test_the_mixture_can_be_batched(toy_setup):
    batch = toy_setup.processor.collate([toy_setup.mixture[i] for i in range(12)])
    assert batch.valid.any(1).all() and batch.target.any(1).all()
    assert not toy_setup.processor.cut  # everything fits
    low = batch.source == 0
    assert np.array_equal(batch.action_mask.any(2).any(1), low) and 0 < low.sum() < 12


def test_training_and_held_out_halves_share_the_robot_and_no_episode(toy_setup):
    train, held_out = toy_setup.train["toy"], toy_setup.held_out["toy"]
    assert train.robot is held_out.robot is toy_setup.processor.robots["toy"]
    one, two = ({e.index for e in s.dataset.episodes} for s in (train, held_out))
    assert not one & two and len(one) == 20 and len(two) == 4
    mixed = {e.index for s in toy_setup.mixture.sources for e in s.dataset.episodes}
    assert not mixed & two


def test_the_held_out_high_level_asks_for_subtasks(toy_setup):
    high = toy_setup.high("toy")
    assert high.level == "high" and high.dataset is toy_setup.held_out["toy"].dataset
    assert high[0].answer == f"reach: {high[0].text}"


def test_toy_actions_come_back_from_their_tokens(toy_setup):
    errors = []
    for i in range(0, len(toy_setup.held_out["toy"]), 40):
        example = toy_setup.held_out["toy"][i]
        p = toy_setup.processor
        chunk, ok = p.chunk_of_tokens(p.action_ids(example))
        assert ok
        errors.append(np.abs(chunk - p.normal_actions(example))[example.steps].max())
    assert np.mean(errors) < 0.15


def test_everything_is_fitted_on_training_episodes_only(robots):
    spy = Spy(320)
    setup = prepare(robots(solo=3), TINY, spy, words=False)
    assert [e.index for e in setup.held_out["solo"].dataset.episodes] == [4, 9]
    assert spy.seen.shape == (8 * 12, TINY.horizon, 3) and spy.mask.shape == (8 * 12, TINY.horizon)
    assert spy.mask.sum() == 8 * (12 * 13 // 2 - 2 * 3 // 2)  # min(steps left, 10) each
    assert np.abs(spy.seen).max() <= 1
    table = setup.train["solo"].robot.stats
    assert table.action.count == table.state.count == 8 * 12
    assert table.action.maximum.max() < 5  # the held-out ones reach far above
    text = setup.processor.text
    assert len(text.encode(" cup")) == 1 and len(text.encode(" xylophone")) > 4


def test_the_config_grows_to_the_widest_robot(robots):
    setup = prepare(robots(narrow=3, broad=10), TINY, words=False)
    assert setup.config.action_size == setup.processor.config.action_size == 10
    assert setup.processor.token_width == 10
    assert setup.mixture.names == ["narrow/low", "broad/low", "narrow/high", "broad/high"]
    batch = setup.processor.collate([setup.train[n][0] for n in ("narrow", "broad")])
    assert batch.action_mask[:, 0].sum(1).tolist() == [3, 10]
    chunk, ok = setup.processor.chunk_of_tokens(
        setup.processor.action_ids(setup.train["narrow"][0]))
    assert ok and chunk.shape == (10, 10) and np.abs(chunk[:, 3:]).max() < 0.2


def test_weights_of_the_levels_are_a_choice(robots):
    setup = prepare(robots(solo=3), TINY, words=False, shares={"high": 3.0})
    assert setup.mixture.shares.tolist() == pytest.approx([0.25, 0.75])


def test_the_same_call_gives_the_same_thing(robots):
    names = robots(solo=3)
    one, two = (prepare(names, TINY, words=False, seed=4) for _ in range(2))
    other = prepare(names, TINY, words=False, seed=5)
    assert one.processor.text == two.processor.text
    a, b = (s.processor.collate([s.mixture[i] for i in range(8)]) for s in (one, two))
    assert (a.tokens == b.tokens).all() and (a.images == b.images).all()
    assert [one.mixture.draw(i) for i in range(9)] != [other.mixture.draw(i) for i in range(9)]


def test_no_robot_at_all_is_a_config_error():
    try:
        prepare([], TINY)
    except ConfigError:
        return
    raise AssertionError("accepted")


def test_without_real_data_the_toy_is_used_and_said_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("PI05LITE_DATA", raising=False)
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path))
    assert available("droid", "cr5") == ["toy"]
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "PI05LITE_DATA" in said
    (tmp_path / "cr5_two_tasks").mkdir()
    assert available("droid", "cr5") == ["cr5"]
    assert capsys.readouterr().out == ""


def test_a_real_robot_with_captions_and_boxes(real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("PI05LITE_CACHE", str(tmp_path))
    c = replace(TINY, vocabulary=replace(TINY.vocabulary, text=2000))
    setup = prepare(["bridge"], c, FastTokenizer(320))
    assert setup.mixture.names == ["bridge/low", "bridge/high", "droid_captions", "playing_cards"]
    low, high, captions, boxes = setup.mixture.shares
    assert low / high == pytest.approx(4)  # the same frames
    assert low / captions == pytest.approx(10 * (200 / 1000) ** 0.43)
    assert captions / boxes == pytest.approx((1000 / len(setup.mixture.sources[3])) ** 0.43)
    batch = setup.processor.collate([s[0] for s in setup.mixture.sources])
    assert batch.source.tolist() == list(range(4)) and not setup.processor.cut
    assert batch.action_mask[:, 0].sum(1).tolist() == [7, 0, 0, 0]
    assert len(setup.processor.text.encode(" king")) == 1
    chunk, ok = setup.processor.chunk_of_tokens(
        setup.processor.action_ids(setup.held_out["bridge"][0]))
    assert ok and chunk.shape == (10, 7)


@pytest.mark.parametrize("make", [
    lambda: BinsTokenizer(32), lambda: FastTokenizer(320, byte_level=True),
    lambda: VQTokenizer(4, 16, width=16),
    lambda: VQTokenizer(4, 16, width=16, quantizer=ResidualQuantizer),
    lambda: VQTokenizer(4, 16, width=16, quantizer=FiniteQuantizer),
])
def test_any_action_tokenizer_plugs_into_pretraining(robots, make, monkeypatch):
    monkeypatch.setattr(VQTokenizer.fit, "__defaults__", (None, 20, 32, 3e-3, 0, False))
    setup = prepare(robots(solo=3), TINY, make(), words=False)
    p, model = setup.processor, Pi05(setup.config)
    batch = p.collate([setup.train["solo"][i] for i in range(4)])
    losses = TrainingModule(model, pretrain(), setup.mixture.names).losses(batch)
    losses["loss"].backward()
    assert torch.isfinite(losses["tokens"]) and model.embedding.weight.grad.abs().sum() > 0
    example = setup.train["solo"][0]
    chunk, ok = p.chunk_of_tokens(p.action_ids(example))
    assert ok and chunk.shape == (TINY.horizon, 3)


def test_a_fitted_tokenizer_is_used_as_it_is(robots):
    names, chunks = robots(solo=3), np.random.default_rng(0).uniform(-1, 1, (30, TINY.horizon, 3))
    fitted = FastTokenizer(320).fit(chunks)
    spelled = fitted.encode(chunks)
    setup = prepare(names, TINY, fitted, words=False)
    assert setup.processor.actions is fitted and fitted.encode(chunks) == spelled
    other = VQTokenizer(4, 16, width=16).fit(chunks[:, 1:], steps=5)
    with pytest.raises(ConfigError, match="as fitted"):
        prepare(names, TINY, other, words=False)
