"""Published checkpoints in and out: names, ties, reports, and nothing half-loaded."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pi05lite import config
from pi05lite.errors import ConfigError
from pi05lite.model.expert import Pi0Expert
from pi05lite.model.importing import (
    DEAD,
    EMBED,
    HEAD,
    fill,
    horizon_of,
    load_openpi,
    places,
    save_openpi,
)
from pi05lite.model.pi05 import Pi05

from .toy import CONFIG

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def model():
    return load_openpi(GOLDEN / "pi05_model.safetensors", CONFIG)


def weights(name="pi05"):
    return load_file(GOLDEN / f"{name}_model.safetensors")


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def published_names():
    """The 812 saved names of the full pi0.5 with their shapes, written out from their pattern."""
    paligemma, expert = "paligemma_with_expert.paligemma.", "paligemma_with_expert.gemma_expert."
    names = {paligemma + "lm_head.weight": (257152, 2048),
             expert + "lm_head.weight": (257152, 1024),
             paligemma + "model.multi_modal_projector.linear.weight": (2048, 1152),
             paligemma + "model.multi_modal_projector.linear.bias": (2048,),
             "action_in_proj.weight": (1024, 32), "action_in_proj.bias": (1024,),
             "action_out_proj.weight": (32, 1024), "action_out_proj.bias": (32,)}
    for part in ("in", "out"):
        names |= {f"time_mlp_{part}.weight": (1024, 1024), f"time_mlp_{part}.bias": (1024,)}
    tower = paligemma + "model.vision_tower.vision_model."
    names |= {tower + "embeddings.patch_embedding.weight": (1152, 3, 14, 14),
              tower + "embeddings.patch_embedding.bias": (1152,),
              tower + "embeddings.position_embedding.weight": (256, 1152),
              tower + "post_layernorm.weight": (1152,), tower + "post_layernorm.bias": (1152,)}
    for i in range(27):
        layer = f"{tower}encoder.layers.{i}."
        sizes = {"mlp.fc1": (4304, 1152), "mlp.fc2": (1152, 4304),
                 **{f"self_attn.{x}_proj": (1152, 1152) for x in ("q", "k", "v", "out")}}
        for name, shape in sizes.items():
            names |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
        for n in (1, 2):
            names |= {f"{layer}layer_norm{n}.{x}": (1152,) for x in ("weight", "bias")}
    for stack, width, mlp in ((paligemma + "model.language_model.", 2048, 16384),
                              (expert + "model.", 1024, 4096)):
        norms = [f"{stack}layers.{i}.{where}_layernorm."
                 for i in range(18) for where in ("input", "post_attention")]
        for norm in [*norms, f"{stack}norm."]:
            names |= ({f"{norm}weight": (2048,)} if width == 2048 else
                      {f"{norm}dense.weight": (3072, 1024), f"{norm}dense.bias": (3072,)})
        for i in range(18):
            sizes = {"self_attn.q_proj": (2048, width), "self_attn.k_proj": (256, width),
                     "self_attn.v_proj": (256, width), "self_attn.o_proj": (width, 2048),
                     "mlp.gate_proj": (mlp, width), "mlp.up_proj": (mlp, width),
                     "mlp.down_proj": (width, mlp)}
            names |= {f"{stack}layers.{i}.{name}.weight": shape for name, shape in sizes.items()}
    return names


def test_all_812_names_and_shapes_of_the_full_pi05():
    with torch.device("meta"):
        model = Pi05(config.pi05())
    ours = {name: tuple(place.view.shape) for name, place in places(model).items()}
    theirs = published_names()
    assert len(theirs) == 812
    assert ours == {name: shape for name, shape in theirs.items() if name != DEAD}
    live = sum(torch.Size(shape).numel() for shape in ours.values())
    assert live == 3_353_433_872 and live + torch.Size(theirs[DEAD]).numel() == 3_616_757_520


def test_the_full_pi0_has_its_777_names():
    with torch.device("meta"):
        model = Pi05(config.pi05(), expert=Pi0Expert)
    ours = {name: tuple(place.view.shape) for name, place in places(model).items()}
    assert len(ours) + 1 == 777  # with the dead head
    assert ours["state_proj.weight"] == (1024, 32)
    assert ours["action_time_mlp_in.weight"] == (1024, 2048)
    assert ours["action_time_mlp_out.weight"] == (1024, 1024)
    assert not any("time_mlp" in name and "action" not in name for name in ours)


@pytest.mark.parametrize("name", ["pi05", "pi0"])
@pytest.mark.parametrize("lerobot", [False, True])
def test_an_export_has_the_same_names_and_comes_back_the_same(name, lerobot, tmp_path):
    first = load_openpi(GOLDEN / f"{name}_model.safetensors", CONFIG)
    save_openpi(first, tmp_path, lerobot)
    assert not list(tmp_path.glob("*.part"))
    assert same(first, load_openpi(tmp_path, CONFIG))
    out = load_file(tmp_path / "model.safetensors")
    out = {n.removeprefix("model.") if lerobot else n: v for n, v in out.items()}
    published = weights(name)
    assert out.keys() == published.keys()
    assert all(torch.equal(out[n], published[n]) for n in out if n != DEAD)


def test_the_tie_may_be_saved_under_either_name_or_both(model, tmp_path):
    tied = weights()
    both = {f"model.{name}": value for name, value in tied.items()}  # lerobot's names
    both[f"model.{EMBED}"] = tied[HEAD].clone()
    save_file(both, tmp_path / "both.safetensors")
    tied[EMBED] = tied.pop(HEAD)
    save_file(tied, tmp_path / "embed.safetensors")
    for file in ("both", "embed"):
        assert same(model, load_openpi(tmp_path / f"{file}.safetensors", CONFIG))


def test_two_names_of_the_tie_that_differ_are_refused(tmp_path):
    untied = weights()
    untied[EMBED] = untied[HEAD] + 1
    save_file(untied, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="embed_tokens"):
        load_openpi(tmp_path / "x.safetensors", CONFIG)


def test_a_checkpoint_in_several_files_is_one(model, tmp_path):
    names = sorted(weights())
    for k, part in enumerate((names[::2], names[1::2])):
        save_file({n: weights()[n] for n in part}, tmp_path / f"model-0000{k}-of-2.safetensors")
    assert same(model, load_openpi(tmp_path, CONFIG))


def test_the_dead_head_is_dropped_and_may_be_absent(model, tmp_path):
    alive = weights()
    assert DEAD in alive and DEAD not in places(model)
    del alive[DEAD]
    save_file(alive, tmp_path / "x.safetensors")
    assert same(model, load_openpi(tmp_path / "x.safetensors", CONFIG))


def test_bfloat16_rounds_and_stays_near(model, tmp_path):
    half = load_openpi(GOLDEN / "pi05_model.safetensors", CONFIG, dtype=torch.bfloat16)
    assert all(p.dtype == torch.bfloat16 for p in half.parameters())
    for a, b in zip(model.parameters(), half.parameters()):
        assert torch.equal(a.bfloat16(), b)
    save_openpi(half, tmp_path)
    assert same(half, load_openpi(tmp_path, CONFIG, dtype=torch.bfloat16))


def test_big_tensors_are_copied_in_slices(model, monkeypatch):
    monkeypatch.setattr("pi05lite.model.importing.CHUNK", 1000)
    assert same(model, load_openpi(GOLDEN / "pi05_model.safetensors", CONFIG))


def test_missing_unexpected_and_mis_shaped_names_are_listed_and_nothing_is_loaded(tmp_path):
    broken = weights()
    gone = "paligemma_with_expert.paligemma.model.language_model.layers.1.mlp.up_proj.weight"
    third = ("paligemma_with_expert.paligemma.model.vision_tower.vision_model.encoder.layers.0."
             "self_attn.k_proj.bias")
    del broken[gone], broken[third]
    broken["stranger.weight"] = torch.zeros(2)
    broken["action_in_proj.weight"] = torch.zeros(3, 3)
    save_file(broken, tmp_path / "broken.safetensors")
    model = Pi05(CONFIG)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ConfigError) as error:
        fill(model, tmp_path / "broken.safetensors")
    report = str(error.value)
    for line in ("2 missing", gone, "vlm.layers.1.feed_forward.gate_up.weight", third,
                 "1 unexpected", "stranger.weight",
                 r"action_in_proj.weight: \(32, 8\) wanted, \(3, 3\) found"):
        assert re.search(line, report), line
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_another_size_names_the_shapes(tmp_path):
    wide = dataclasses.replace(CONFIG, action_size=7)
    with pytest.raises(ConfigError, match=r"action_in_proj.weight: \(32, 7\) wanted"):
        load_openpi(GOLDEN / "pi05_model.safetensors", wide)


def test_folders_without_safetensors_say_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="hf download"):
        load_openpi(tmp_path, CONFIG)
    (tmp_path / "params").mkdir()
    with pytest.raises(ConfigError, match="convert_jax_model_to_pytorch"):
        load_openpi(tmp_path, CONFIG)


def test_the_horizon_is_read_from_the_checkpoint(tmp_path):
    assert horizon_of(tmp_path) == 50
    for name in ("action_horizon", "chunk_size"):  # openpi's word and lerobot's
        (tmp_path / "config.json").write_text(json.dumps({name: 15}))
        assert horizon_of(tmp_path) == 15
