"""Training: it learns, it can be killed and resumed, and nothing is ever half-written."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from safetensors.torch import load_file

import pi05lite
from pi05lite.errors import ConfigError, Pi05Error
from pi05lite.train import checkpoint, recipe
from pi05lite.train.draws import Draws
from pi05lite.train.fit import Stream, fit, history
from pi05lite.train.module import TrainingModule, optimizer_of, rate
from tests.train import toy

ROOT = Path(__file__).resolve().parents[2]


class Losses(pl.Callback):
    """Keeps the loss of every step."""

    def __init__(self):
        self.by_step = {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.by_step[trainer.global_step] = float(outputs["loss"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One run from start to end, with the loss of every step."""
    out, losses = tmp_path_factory.mktemp("run"), Losses()
    policy = toy.run(out, callbacks=[losses])
    return out, policy, losses.by_step


def test_every_loss_falls(tmp_path):
    r = replace(recipe.posttrain(steps=150, batch_size=16), save_every=1000)
    fit(*toy.parts(), r, tmp_path, progress=False, tensorboard=False)
    log = history(tmp_path)
    for name in ("text", "tokens", "flow"):
        values = [v for _, v in log[name]]
        assert sum(values[-3:]) / 3 < 0.8 * values[0], f"{name}: {values}"
    assert {"tokens/waves/low", "tokens/words"} <= set(log)


def test_pretraining_leaves_the_expert_alone(tmp_path):
    model, processor, mixture = toy.parts()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    policy = fit(model, processor, mixture, toy.quick(recipe.pretrain), tmp_path,
                 progress=False, tensorboard=False)
    after = policy.model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("expert."))
    assert not torch.equal(before["vlm.layers.0.attention.qkv.weight"],
                           after["vlm.layers.0.attention.qkv.weight"])


def test_the_expert_alone_leaves_the_rest_alone(tmp_path):
    model, processor, mixture = toy.parts()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    r = replace(recipe.home_expert(60, 16), save_every=1000, augment=False, listen=0.0)
    fit(model, processor, mixture, r, tmp_path, progress=False, tensorboard=False)
    after = model.state_dict()
    theirs = [k for k in before if k.startswith("expert.")]
    assert all(torch.equal(before[k], after[k]) for k in before if k not in theirs)
    assert not any(torch.equal(before[k], after[k]) for k in theirs if k.endswith("qkv.weight"))
    flow = [v for _, v in history(tmp_path)["flow"]]
    assert flow[-1] < 0.6 * flow[0] and "text" not in history(tmp_path)


def test_the_expert_has_a_rate_of_its_own():
    model = toy.parts()[0]
    groups = lambda r: optimizer_of(model, r)["optimizer"].param_groups  # noqa: E731
    numbers = lambda group: sum(p.numel() for p in group["params"])  # noqa: E731
    r = replace(recipe.posttrain(), learning_rate=1e-3, warmup=0)
    one, = groups(r)
    rest, expert = groups(replace(r, expert_rate=4.0))
    assert numbers(expert) == sum(p.numel() for p in model.expert.parameters())
    assert numbers(expert) + numbers(rest) == numbers(one)
    assert (expert["lr"], rest["lr"]) == (4e-3, 1e-3)
    only, = groups(replace(r, expert_only=True))
    assert numbers(only) == numbers(expert)


def test_post_training_starts_with_a_new_expert(tmp_path):
    model, processor, mixture = toy.parts()
    with torch.no_grad():
        model.expert.action_in.weight.fill_(7)
    policy = fit(model, processor, mixture, toy.quick(steps=1), tmp_path,
                 progress=False, tensorboard=False)
    assert policy.model.expert.action_in.weight.abs().max() < 4


def test_a_seed_gives_the_same_run(whole, tmp_path):
    losses = Losses()
    toy.run(tmp_path, callbacks=[losses])
    assert losses.by_step == whole[2]


def test_stopping_and_going_on_equals_one_run(whole, tmp_path):
    first, second = Losses(), Losses()
    toy.run(tmp_path, until=10, callbacks=[first])
    toy.run(tmp_path, callbacks=[second])
    assert sorted(second.by_step) == list(range(11, 31))
    assert {**first.by_step, **second.by_step} == whole[2]
    assert [s for s, _ in history(tmp_path)["loss"]] == [
        s for s, _ in history(whole[0])["loss"]]
    for name in ("model", "training"):
        a, b = (load_file(checkpoint.newest(f) / f"{name}.safetensors")
                for f in (whole[0], tmp_path))
        same = [k for k in a if not k.startswith("/callbacks")]  # those hold the folder's name
        assert len(same) > 50 and all(torch.equal(a[k], b[k]) for k in same)


@pytest.mark.slow
def test_a_run_killed_and_resumed_gives_the_same_losses(whole, tmp_path):
    run = subprocess.Popen([sys.executable, "-m", "tests.train.toy", str(tmp_path), "0.1"],
                           cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in run.stdout:
        step, loss = json.loads(line)
        assert loss == whole[2][step]
        if step == 8:  # after the checkpoint of step 5
            os.kill(run.pid, signal.SIGKILL)
            break
    run.wait()
    assert checkpoint.newest(tmp_path).name == "step-000005"
    losses = Losses()
    toy.run(tmp_path, callbacks=[losses])
    assert sorted(losses.by_step) == list(range(6, 31))  # well over the next 20 steps
    assert all(whole[2][s] == v for s, v in losses.by_step.items())


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_only_whole_checkpoints(tmp_path):
    for wait in (0.0, 0.03, 0.07):
        run = subprocess.Popen([sys.executable, "-m", "tests.train.toy", str(tmp_path), "0"],
                               cwd=ROOT, stdout=subprocess.PIPE, text=True)
        step = 0
        while step % 5 != 4:  # just before a save
            line = run.stdout.readline()
            if not line:
                break
            step = json.loads(line)[0]
        time.sleep(wait)
        run.kill()
        run.wait()
        run.stdout.close()
        for folder in tmp_path.glob("step-*[0-9]"):
            pi05lite.load(folder)


def test_a_finished_run_is_given_back_as_it_was(whole):
    out, policy, _ = whole
    again = toy.run(out)
    for (name, a), b in zip(policy.model.state_dict().items(), again.model.state_dict().values()):
        assert torch.equal(a, b), name
    earlier = toy.run(out, until=10)  # a cell that was run before, run once more
    assert torch.equal(policy.model.embedding.weight, earlier.model.embedding.weight)


def test_load_gives_what_was_trained(whole):
    out, policy, _ = whole
    loaded = pi05lite.load(out)
    for (name, a), b in zip(policy.model.state_dict().items(), loaded.model.state_dict().values()):
        assert torch.equal(a, b), name
    example = toy.Waves()[3]
    batch = policy.batch(example, "wave", "low")
    a, b = (p.denoise(p.batch(example, "wave", "low"), "waves", seed=1)[-1]
            for p in (policy, loaded))
    assert torch.equal(a, b) and batch.tokens.shape[0] == 1


def test_checkpoint_holds_no_pickle(whole):
    files = {p.suffix for p in checkpoint.newest(whole[0]).rglob("*") if p.is_file()}
    assert files == {".json", ".safetensors"}


def test_only_the_last_two_checkpoints_stay(whole):
    names = sorted(p.name for p in whole[0].glob("step-*"))
    assert names == ["step-000025", "step-000030"]


def test_the_last_step_is_saved_wherever_it_is(tmp_path, recwarn):
    toy.run(tmp_path, until=7)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-000005", "step-000007"]
    toy.run(tmp_path, until=8)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-000007", "step-000008"]
    assert not [str(w.message) for w in recwarn if "callbacks" in str(w.message)]


def test_a_save_that_fails_leaves_the_last_one_and_no_remains(whole, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    class FillTheDisk(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if trainer.global_step == 7:
                monkeypatch.setattr(checkpoint, "save_file", full)

    with pytest.raises(OSError, match="No space left"):
        toy.run(tmp_path, callbacks=[FillTheDisk()])
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-000005"]
    pi05lite.load(tmp_path)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_nan_stops_training_and_keeps_the_last_good_checkpoint(tmp_path, where):
    class Poison(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step == 7 and where == "loss":
                batch.actions[:] = float("nan")

        def on_after_backward(self, trainer, module):
            if trainer.global_step == 7 and where == "gradient":
                module.model.embedding.weight.grad[0, 0] = float("inf")

    with pytest.raises(Pi05Error, match="step 7.*\n.*finite"):
        toy.run(tmp_path, callbacks=[Poison()])
    policy = pi05lite.load(tmp_path)
    assert checkpoint.newest(tmp_path).name == "step-000005"
    assert all(torch.isfinite(p).all() for p in policy.model.parameters())


def test_another_recipe_or_config_does_not_resume(whole):
    out = whole[0]
    with pytest.raises(ConfigError, match="recipe.learning_rate"):
        fit(*toy.parts(), toy.quick(learning_rate=1.0), out, progress=False)
    model, processor, mixture = toy.parts()
    model.config = replace(model.config, theta=5.0)
    with pytest.raises(ConfigError, match="theta"):
        fit(model, processor, mixture, toy.quick(), out, progress=False)
    with pytest.raises(ConfigError, match="resume=False"):
        toy.run(out, resume=False)


def test_a_processor_of_other_sizes_is_refused_before_training(tmp_path):
    model, processor, mixture = toy.parts()
    processor.config = replace(processor.config, horizon=12)
    with pytest.raises((ConfigError, RuntimeError)):
        fit(model, processor, mixture, toy.quick(), tmp_path, progress=False)
    assert not list(tmp_path.glob("step-*"))


def test_devices_take_turns_in_one_global_batch():
    mixture = list(range(100))
    one = list(Stream(mixture, list, 8, steps=3))
    two = [list(Stream(mixture, list, 8, 3, rank=r, world=2)) for r in range(2)]
    for whole, a, b in zip(one, *two):
        assert sorted(a + b) == whole
    assert list(Stream(mixture, list, 8, 3, start=2)) == one[2:]


def test_learning_rate_rises_then_falls():
    r = recipe.pretrain(steps=100)
    rates = [rate(s, r) for s in range(101)]
    assert rates[0] < 0.2 and max(rates) == rates[r.warmup] == 1
    assert rates[-1] == pytest.approx(r.final_share)
    assert all(a >= b for a, b in zip(rates[r.warmup:], rates[r.warmup + 1:]))


def test_the_loss_is_cross_entropy_plus_alpha_times_flow():
    model, processor, mixture = toy.parts()
    batch = processor.collate([mixture[i] for i in range(8)])
    draws = lambda: Draws(0, range(8))  # noqa: E731
    values = {a: TrainingModule(model, toy.quick(alpha=a), mixture.names).losses(batch, draws())
              for a in (0.0, 1.0, 10.0)}
    flow = values[1.0]["flow"]
    for alpha in (1.0, 10.0):
        more = values[alpha]["loss"] - values[0.0]["loss"]
        assert more.item() == pytest.approx(alpha * flow.item(), 1e-4)
    assert "flow" not in values[0.0]


def test_pack_and_unpack_keep_types_and_refuse_the_rest():
    tree = {"a": [1, (2.5, None)], 3: {"t": torch.arange(3)}, "b": True, "c": float("inf")}
    tensors = {}
    packed = json.loads(json.dumps(checkpoint.pack(tree, tensors)))
    back = checkpoint.unpack(packed, tensors)
    assert back["a"] == tree["a"] and isinstance(back["a"][1], tuple) and 3 in back
    assert torch.equal(back[3]["t"], tree[3]["t"]) and back["c"] == float("inf")
    with pytest.raises(ConfigError, match="/x"):
        checkpoint.pack({"x": object()}, {})


def test_loading_errors_name_the_file(whole, tmp_path):
    with pytest.raises(ConfigError, match="neither"):
        pi05lite.load(tmp_path)
    import shutil

    bad = tmp_path / "bad"
    shutil.copytree(checkpoint.newest(whole[0]), bad)
    text = (bad / "config.json").read_text()
    (bad / "config.json").write_text(text.replace('"mlp": 32', '"mlp": 48'))
    with pytest.raises(ConfigError, match="model.safetensors"):
        pi05lite.load(bad)
    (bad / "config.json").write_text(text.replace('"horizon"', '"horizons"'))
    with pytest.raises(ConfigError, match="config.json"):
        pi05lite.load(bad)
