"""LoRA: only the adapters learn, are saved and come back; merged they are part of the weights."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import pi05lite
from pi05lite import config
from pi05lite.errors import ConfigError
from pi05lite.model.pi05 import Pi05
from pi05lite.train import lora, recipe
from pi05lite.train.checkpoint import newest
from pi05lite.train.fit import fit, history
from tests.train import many, toy

pytest.importorskip("peft")
RECIPE = replace(recipe.finetune(steps=12, batch_size=8, learning_rate=1e-2, lora=(4, 8)),
                 save_every=4)
QUIET = dict(progress=False, tensorboard=False)


def weights(model):
    """Copies of the weights below the adapters, by their plain names."""
    return {k.replace("base_layer.", ""): v.clone() for k, v in model.state_dict().items()
            if "lora_" not in k}


def shake(model, seed=5):
    """Give the adapters something to say."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in lora.state(model).values():
            p.copy_(0.2 * torch.randn(p.shape, generator=g))
    return model


def chunk(model, mixture, processor):
    """A chunk and text scores of a model for a fixed batch."""
    batch = processor.collate([mixture[i] for i in range(3)])
    noise = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        prefix = model.eval().prefix(batch)
        return model.sample(prefix, 3, noise)[-1], model.logits(prefix.hidden)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A fine-tuning run in one go: its folder, base weights, policy."""
    out = tmp_path_factory.mktemp("lora")
    model, processor, mixture = toy.awake()
    before = weights(model)
    policy = fit(model, processor, mixture, RECIPE, out, **QUIET)
    return out, before, policy


def test_the_full_size_costs_what_was_worked_out_by_hand():
    with torch.device("meta"):
        model = Pi05(config.pi05())
    whole = lora.cost(model, frozen_bytes=4)
    with torch.device("meta"):
        adapters = lora.cost(lora.add(model))
    # a layer's linears: qkv, out, gate_up, down, each rank times (inputs + outputs)
    vlm = 16 * ((2048 + 2560) + (2048 + 2048) + (2048 + 2 * 16384) + (16384 + 2048))
    expert = 32 * ((1024 + 2560) + (2048 + 1024) + (1024 + 2 * 4096) + (4096 + 1024))
    assert adapters.trainable == 18 * (vlm + expert) == 29_933_568
    assert adapters.parameters - adapters.trainable == whole.parameters == whole.trainable
    assert whole.total == 20 * whole.parameters
    assert adapters.weights == 2 * whole.parameters + 4 * adapters.trainable
    assert adapters.total == adapters.weights + 16 * adapters.trainable
    print(f"trained {adapters.trainable:,} of {adapters.parameters:,}; with adapters "
          f"{adapters.total / 1e9:.1f} GB, all weights {whole.total / 1e9:.1f} GB")
    assert len(lora.adapted(model)) == 2 * 18 * 4 and lora.ranks(model) == (16, 32)


def test_a_model_starts_as_it_was():
    model, processor, mixture = toy.awake()
    before = chunk(model, mixture, processor)
    after = chunk(lora.add(model, 4, 8), mixture, processor)
    assert all(torch.equal(a, b) for a, b in zip(before, after))


@pytest.mark.parametrize("vlm,expert", [(4, 0), (0, 8)])
def test_either_half_may_be_left_alone(vlm, expert):
    model = lora.add(toy.parts()[0], vlm, expert)
    assert lora.ranks(model) == (vlm, expert)
    trained = {k.split(".")[0] for k, p in model.named_parameters() if p.requires_grad}
    assert trained == {"vlm" if vlm else "expert"}


def test_only_the_adapters_change_and_the_loss_falls(tmp_path, capsys):
    model, processor, mixture = toy.awake()
    before = weights(model)
    r = replace(RECIPE, steps=60, batch_size=16, save_every=1000)
    fit(model, processor, mixture, r, tmp_path, progress=True, tensorboard=False)
    after = weights(model)
    assert set(after) == set(before) and all(torch.equal(before[k], after[k]) for k in before)
    assert all(p.abs().max() > 0 for p in lora.state(model).values())
    loss = [v for _, v in history(tmp_path)["loss"]]
    assert sum(loss[-2:]) / 2 < 0.8 * loss[0], loss
    said = capsys.readouterr().out
    c = lora.cost(model)
    assert f"LoRA: {c.trainable:,} of {c.parameters:,} parameters are trained" in said
    print(lora.summary(model), loss)


def test_merged_equals_unmerged():
    model, processor, mixture = toy.awake()
    base = chunk(model, mixture, processor)
    beside = chunk(shake(lora.add(model, 4, 8)), mixture, processor)
    names = set(toy.awake()[0].state_dict())
    merged = chunk(lora.merge(model), mixture, processor)
    assert set(model.state_dict()) == names and all(p.requires_grad for p in model.parameters())
    off = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(merged, beside)]
    print("largest difference of merged and unmerged chunks and scores:", off)
    assert max(off) < 1e-5
    assert all((a - b).abs().max() > 0.01 * b.abs().max() for a, b in zip(merged, base))


def test_saved_adapters_come_back_identical(tmp_path):
    model = shake(lora.add(toy.awake()[0], 4, 8))
    lora.save(model, tmp_path / lora.FILE)
    again = lora.read(toy.awake()[0], tmp_path / lora.FILE)
    one, two = lora.state(model), lora.state(again)
    assert set(one) == set(two) and all(torch.equal(one[k], two[k]) for k in one)
    assert set(load_file(tmp_path / lora.FILE)) == set(one)


def test_adapters_on_other_weights_are_refused(tmp_path):
    lora.save(lora.add(toy.awake()[0], 4, 8), tmp_path / lora.FILE)
    with pytest.raises(ConfigError, match="started.*\n?.*from"):
        lora.read(toy.parts(seed=1)[0], tmp_path / lora.FILE)
    merged = lora.merge(shake(lora.add(toy.awake()[0], 4, 8)))
    with pytest.raises(ConfigError, match="adapters merged"):
        lora.read(merged, tmp_path / lora.FILE)


def test_the_fingerprint_is_the_same_in_half_precision_and_below_adapters():
    model = toy.awake()[0]
    name = lora.fingerprint(model)
    assert lora.fingerprint(lora.add(model, 4, 8)) == name
    assert lora.fingerprint(toy.awake()[0].bfloat16()) == name


def test_adapters_stay_float32_beside_half_precision_weights(tmp_path):
    model, processor, mixture = toy.awake()
    model = model.bfloat16()
    fit(model, processor, mixture, RECIPE, tmp_path, until=4, precision="bf16-mixed",
        accelerator="cpu", **QUIET)
    kinds = {("lora_" in k): p.dtype for k, p in model.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert all(p.isfinite().all() for p in lora.state(model).values())


# ------------------------------------------------------------------------------------ runs


def test_a_checkpoint_holds_adapters_alone(run):
    out, before, policy = run
    folder = newest(out)
    assert folder.name == "step-000012" and not (folder / "model.safetensors").exists()
    saved = load_file(folder / lora.FILE)
    assert set(saved) == set(lora.state(policy.model))
    assert all(torch.equal(saved[k], v) for k, v in lora.state(policy.model).items())
    with safe_open(folder / lora.FILE, "pt") as f:
        assert f.metadata()["vlm"] == "4" and f.metadata()["expert"] == "8"
    assert not [k for k in load_file(folder / "training.safetensors") if "base_layer" in k]
    assert json.loads((folder / "recipe.json").read_text())["lora"] == [4, 8]


def test_load_gives_the_merged_policy(run):
    out, before, policy = run
    loaded = lora.load(out, toy.awake()[0])
    assert set(loaded.model.state_dict()) == set(before)
    example = toy.Waves()[3]
    a, b = (p.follow(example, "wave", seed=1).actions for p in (policy, loaded))
    assert abs(a - b).max() < 1e-4
    with pytest.raises(ConfigError, match="adapters alone.*\n.*lora.load"):
        pi05lite.load(out)


def test_stopping_and_going_on_equals_one_run(run, tmp_path):
    out, _, policy = run
    model, processor, mixture = toy.awake()
    fit(model, processor, mixture, RECIPE, tmp_path, until=6, **QUIET)
    halfway = {k: v.clone() for k, v in lora.state(model).items()}
    again = fit(model, processor, mixture, RECIPE, tmp_path, **QUIET)  # as in the next cell
    fresh = fit(*toy.awake(), RECIPE, tmp_path, **QUIET)  # as in the next session
    for model in (again.model, fresh.model):
        assert all(torch.equal(v, lora.state(model)[k])
                   for k, v in lora.state(policy.model).items())
    assert not all(torch.equal(v, lora.state(policy.model)[k]) for k, v in halfway.items())


def test_a_run_on_other_weights_does_not_go_on(run):
    model, processor, mixture = toy.awake()
    with torch.no_grad():
        model.embedding.weight.mul_(2)
    with pytest.raises(ConfigError, match="weights below"):
        fit(model, processor, mixture, replace(RECIPE, steps=12), run[0], **QUIET)


def test_bad_ranks_and_left_over_adapters_are_refused(tmp_path):
    model, processor, mixture = toy.awake()
    for ranks in ((0, 0), (-1, 4)):
        with pytest.raises(ConfigError, match="LoRA ranks"):
            lora.add(model, *ranks)
    lora.add(model, 4, 8)
    with pytest.raises(ConfigError, match="lora.merge"):
        lora.add(model, 8, 8)
    with pytest.raises(ConfigError, match="lora.merge"):
        fit(model, processor, mixture, many.RECIPE, tmp_path, **QUIET)
    with pytest.raises(ConfigError, match="recipe.lora is set"):
        fit(model, processor, mixture, RECIPE, tmp_path, strategy="fsdp", devices=2,
            accelerator="cpu", **QUIET)


def test_without_peft_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="peft\n.*\n.*lora"):
        lora.add(toy.awake()[0])
