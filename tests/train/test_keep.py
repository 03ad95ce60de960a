"""Kept prefixes: what is drawn from them is what the VLM says, and a run can go on with them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pi05lite.errors import ConfigError
from pi05lite.train.draws import Draws
from pi05lite.train.fit import check_devices, fit
from pi05lite.train.keep import Kept, rows_of
from pi05lite.train.listen import where_to_look
from pi05lite.train.module import TrainingModule
from pi05lite.train.sharded import Sharded
from tests.train import toy
from tests.train.test_fit import Losses

ALONE = toy.alone()


def test_what_is_drawn_gives_the_loss_of_a_prefix_just_computed():
    model, processor, mixture = toy.awake()
    module = TrainingModule(model, ALONE, mixture.names)
    batch = processor.collate([mixture[i] for i in range(16)])
    kept = Kept(100)
    kept.add(module.rows_to_keep(batch))
    assert len(kept) == int(batch.action_mask.flatten(1).any(1).sum()) < 16
    for prefix, part in kept.draw(40, torch.Generator().manual_seed(0)):
        noise, tau = torch.randn(part.actions.shape), torch.rand(len(part))
        again = model.flow_losses(prefix, part.actions, part.action_mask, noise=noise, tau=tau)
        for b in range(len(part)):
            same = (batch.actions == part.actions[b]).flatten(1).all(1).nonzero()[0]
            fresh, one = module.frozen(batch[same])
            loss = model.flow_losses(fresh, one.actions, one.action_mask,
                                     noise=noise[b:b + 1], tau=tau[b:b + 1])
            assert torch.allclose(loss, again[b:b + 1], atol=5e-3, rtol=5e-3)
    # Another row's prefix would be noticed.
    wrong = model.flow_losses(prefix.select(torch.arange(len(part)).roll(1)), part.actions,
                              part.action_mask, noise=noise, tau=tau)
    assert (wrong - again).abs().max() > 0.05


def test_the_oldest_leave_and_draws_come_from_all():
    model, processor, mixture = toy.parts()
    module = TrainingModule(model, ALONE, mixture.names)
    kept = Kept(8)
    batches = [processor.collate([mixture[i] for i in range(k, k + 8)]) for k in (0, 8, 16)]
    for batch in batches:
        kept.add(module.rows_to_keep(batch))
    assert len(kept) == 8
    newest = {tuple(row.batch["actions"].flatten().tolist()) for row in kept.rows}
    last = {tuple(a.flatten().tolist()) for a, mask in zip(batches[-1].actions,
                                                           batches[-1].action_mask) if mask.any()}
    assert last <= newest
    (_, part), = kept.draw(200)
    assert {tuple(a.flatten().tolist()) for a in part.actions} == newest


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, first, second = Losses(), Losses(), Losses()
    for out, seen, until in (("whole", whole, None), ("parts", first, 10), ("parts", second, None)):
        fit(*toy.parts(), ALONE, tmp_path / out, until=until, callbacks=[seen], progress=False,
            tensorboard=False)
    assert sorted(second.by_step) == list(range(11, 17))
    assert {**first.by_step, **second.by_step} == whole.by_step


def test_a_step_without_anything_kept_yet_is_none():
    model, processor, mixture = toy.parts()
    module = TrainingModule(model, ALONE, mixture.names)
    module.kept = Kept(8)
    words = [i for i in range(40) if mixture[i].actions is None][:4]
    out = module.losses(processor.collate([mixture[i] for i in words]), Draws(0, range(4)))
    assert out["loss"] == 0 and "flow" not in out


def test_the_places_of_names_keep_their_rows():
    model, processor, mixture = toy.parts()
    module = TrainingModule(model, ALONE, mixture.names)
    batch = processor.collate([mixture[i] for i in range(12)])
    kept = Kept(100)
    before = {}
    for _, rows in batch.parts():
        prefix, part = module.frozen(rows)
        part.places[:, 1, 0] = 5  # the second token of each prompt names something
        kept.add(rows_of(prefix, part))
        before |= {tuple(a.flatten().tolist()): w for a, w in zip(part.actions,
                                                                 where_to_look(part).tolist())}
    for _, part in kept.draw(30):
        for a, w in zip(part.actions, where_to_look(part).tolist()):
            assert before[tuple(a.flatten().tolist())] == w and w[0] == 1


def test_only_a_vlm_that_stays_as_it_is_can_be_kept():
    model = toy.parts()[0]
    for changes in ({"expert_only": False}, {"drawn": 0}):
        with pytest.raises(ConfigError, match="recipe.kept"):
            TrainingModule(model, replace(ALONE, **changes), ["waves/low"])
    with pytest.raises(ConfigError, match="recipe.kept"):
        check_devices(SimpleNamespace(strategy=Sharded(), world_size=1), ALONE)


def test_each_process_draws_at_least_one():
    runner = SimpleNamespace(strategy=None, world_size=2, accumulate_grad_batches=1)
    check_devices(runner, replace(ALONE, drawn=2))
    with pytest.raises(ConfigError, match="recipe.drawn"):
        check_devices(runner, replace(ALONE, drawn=1))
