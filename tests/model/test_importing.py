"""Weights in openpi's layout give openpi's figures; files that do not fit are refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pi05lite.config import Config, TransformerConfig, VisionConfig
from pi05lite.errors import ConfigError
from pi05lite.model import masks
from pi05lite.model.batch import Batch
from pi05lite.model.importing import load_openpi, our_name
from pi05lite.model.pi05 import Pi05
from pi05lite.tokens.vocabulary import Vocabulary

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SIZES = dict(depth=3, heads=4, kv_heads=1, head_dim=16)
CONFIG = Config(
    vision=VisionConfig(image_size=28, patch=14, width=48, depth=2, heads=4, mlp=96),
    vlm=TransformerConfig(width=64, mlp=128, **SIZES),
    expert=TransformerConfig(width=32, mlp=64, **SIZES),
    vocabulary=Vocabulary(text=512, actions=0), horizon=10, action_size=8, max_tokens=16)


@pytest.fixture(scope="module")
def golden():
    """Model with openpi's weights, its batch, openpi's inputs and outputs, and our prefix."""
    model = load_openpi(Pi05(CONFIG), GOLDEN / "pi05_model.safetensors").eval()
    given, out = (load_file(GOLDEN / f"pi05_{name}.safetensors") for name in ("inputs", "outputs"))
    tokens = given["tokens"]
    batch = Batch(given["images"].transpose(0, 1), given["image_masks"].T, tokens,
                  torch.zeros_like(tokens), given["token_mask"])
    with torch.no_grad():
        return model, batch, given, out, model.prefix(batch)


def close(ours, theirs, tolerance):
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=1e-5)


def test_sequence_masks_and_positions(golden):
    model, batch, _, out, prefix = golden
    x, kinds, valid = model.embed(batch)
    assert torch.equal(valid, out["prefix_pad_mask"].bool())
    close(x[valid], out["prefix_embs"][valid], 1e-5)
    assert torch.equal(masks.prefix_mask(kinds, valid), out["prefix_att_2d"].bool())
    assert torch.equal(masks.prefix_positions(valid), out["prefix_position_ids"])
    assert torch.equal(masks.flow_mask(kinds, valid, 10), out["suffix_att_2d"].bool())
    assert torch.equal(masks.flow_positions(kinds, valid, 10), out["suffix_position_ids"])


def test_prefix_keys_values_and_hidden_states(golden):
    *_, out, prefix = golden
    close(prefix.hidden[prefix.valid], out["prefix_out"][prefix.valid], 1e-5)
    for i, (k, v) in enumerate(prefix.cache):
        for ours, theirs in ((k, out["prefix_k"][i]), (v, out["prefix_v"][i])):
            close(ours.transpose(1, 2)[prefix.valid], theirs.transpose(1, 2)[prefix.valid], 1e-5)


def test_velocity_and_loss_with_time_turned_round_once(golden):
    model, _, given, out, prefix = golden
    tau = 1 - given["time"]
    close(model.expert.condition(tau), out["adarms_cond"], 1e-5)
    velocity = model.velocity(prefix, out["x_t"], tau)
    close(-velocity, out["v_t"], 5e-5)
    close(-velocity, out["v_t_cached"], 5e-5)
    loss = model.flow_losses(prefix, given["actions"], noise=given["noise"], tau=tau)
    close(loss, out["loss"], 5e-5)


@pytest.mark.parametrize("steps", [10, 5])
def test_sampled_chunks(golden, steps):
    model, _, given, out, prefix = golden
    chunk = model.sample(prefix, steps, given["sample_noise"])[-1]
    close(chunk, out[f"sample_{steps}"], 1e-4)


def weights():
    return load_file(GOLDEN / "pi05_model.safetensors")


def test_the_tie_may_be_saved_under_either_name_and_lerobots_prefix_is_known(golden, tmp_path):
    tied = weights()
    head = "paligemma_with_expert.paligemma.lm_head.weight"
    embed = "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"
    tied[embed] = tied.pop(head)
    save_file({f"model.{name}": value for name, value in tied.items()}, tmp_path / "x.safetensors")
    other = load_openpi(Pi05(CONFIG), tmp_path / "x.safetensors")
    for a, b in zip(golden[0].parameters(), other.parameters()):
        assert torch.equal(a, b)


def test_the_dead_head_is_dropped():
    dead = "paligemma_with_expert.gemma_expert.lm_head.weight"
    assert dead in weights() and our_name(dead) is None


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
        load_openpi(model, tmp_path / "broken.safetensors")
    for name in ("vlm.layers.1.feed_forward.up.weight", "blocks.0.attn.qkv.bias", "stranger.weight",
                 "action_in_proj.weight"):
        assert name in str(error.value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
