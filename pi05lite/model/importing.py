"""Weights of published pi0.5 checkpoints (openpi's PyTorch layout) into a Pi05.

openpi runs flow time the other way (t = 1 is noise) and predicts noise - action. This file is the
one place that knows: with tau = 1 - t openpi's waves sin(w t), cos(w t) are mixtures of our waves
sin(w tau), cos(w tau), so turning the columns of the first time layer once makes it read our time
embedding, and negating the last layer turns the velocity round.
"""

import math
import re
from pathlib import Path

import torch
from safetensors import safe_open

from pi05lite.errors import ConfigError, say

PALIGEMMA = "paligemma_with_expert.paligemma."
DEAD = "paligemma_with_expert.gemma_expert.lm_head.weight"  # random, never used by anyone
# openpi name -> ours, in order; the first pattern that matches counts.
NAMES = [(re.compile(f"^{pattern}$"), ours) for pattern, ours in (
    (PALIGEMMA + r"lm_head\.weight", "embedding.weight"),
    (PALIGEMMA + r"model\.language_model\.embed_tokens\.weight", "embedding.weight"),
    (PALIGEMMA + r"model\.multi_modal_projector\.linear\.(.*)", r"vision.projector.\1"),
    (PALIGEMMA + r"model\.language_model\.(.*)", r"vlm.\1"),
    (PALIGEMMA + r"model\.vision_tower\.vision_model\.(.*)", r"vision.tower.\1"),
    (r"paligemma_with_expert\.gemma_expert\.model\.(.*)", r"expert.transformer.\1"),
    (r"action_(in|out)_proj\.(.*)", r"expert.action_\1.\2"),
    (r"time_mlp_(in|out)\.(.*)", r"expert.time_\1.\2"),
)]
PARTS = [(re.compile(pattern), ours) for pattern, ours in (
    (r"self_attn\.([qkv])_proj", r"attention.\1"),
    (r"self_attn\.o_proj", "attention.out"),
    (r"mlp\.(gate|up|down)_proj", r"feed_forward.\1"),
    (r"post_attention_layernorm", "feed_forward_norm"),
    (r"input_layernorm", "attention_norm"),
    (r"\.dense\.", ".modulation."),
)]
TOWER = [(re.compile(pattern), ours) for pattern, ours in (
    (r"embeddings\.patch_embedding", "patch_embed.proj"),
    (r"embeddings\.position_embedding\.weight", "pos_embed"),
    (r"encoder\.layers\.", "blocks."),
    (r"layer_norm([12])", r"norm\1"),
    (r"self_attn\.([qkv])_proj", r"attn.qkv.\1"),
    (r"self_attn\.out_proj", "attn.proj"),
    (r"post_layernorm", "norm"),
)]


def our_name(name):
    """Our name of an openpi tensor, None for one that nobody uses.

    The tower's q, k and v come back as `...attn.qkv.q.weight` and so on: thirds of one tensor.
    """
    name = name.removeprefix("model.")  # lerobot puts this in front of every name
    if name == DEAD:
        return None
    for pattern, ours in NAMES:
        if pattern.match(name):
            name = pattern.sub(ours, name)
            for part, new in TOWER if name.startswith("vision.tower.") else PARTS:
                name = part.sub(new, name)
            return name
    return name


@torch.no_grad()
def load_openpi(model, path, dtype=None):
    """Fill `model` (a Pi05 of the right config) from an openpi or lerobot safetensors file.

    Tensors are streamed one by one. Raises ConfigError with a list of missing, unexpected and
    mis-shaped names, before anything is changed.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    with safe_open(path, "pt") as file:
        plan = match(model, {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()},
                     path)
        for name, place in plan:
            place.copy_(convert(our_name(name), file.get_tensor(name)).to(dtype or place.dtype))
    return model


def match(model, shapes, path):
    """Pairs (file name, tensor to fill), or a ConfigError that lists what does not fit."""
    state, filled, plan, unexpected, wrong = model.state_dict(), set(), [], [], []
    for name, shape in shapes.items():
        ours = our_name(name)
        if ours is None:
            continue
        third = re.search(r"\.qkv\.([qkv])\.(.*)$", ours)
        key = re.sub(r"\.qkv\.[qkv]\.", ".qkv.", ours)
        if key not in state:
            unexpected.append(name)
            continue
        place = state[key]
        if third:
            place = place.chunk(3)["qkv".index(third[1])]
        shape = (1, *shape) if key.endswith("pos_embed") else shape
        if tuple(place.shape) != shape:
            wrong.append(f"{name}: {tuple(place.shape)} wanted, {shape} found")
        filled.add(ours)
        plan.append((name, place))
    missing = [k for k in state if k not in filled and not (
        ".qkv." in k and all(k.replace(".qkv.", f".qkv.{x}.") in filled for x in "qkv"))]
    if missing or unexpected or wrong:
        raise ConfigError(say(f"{path}", "the tensors of this config's pi0.5",
                              f"missing {missing}; unexpected {unexpected}; other shapes {wrong}",
                              "build the model with the config that the file was made with"))
    return plan


def convert(name, tensor):
    """An openpi tensor in our conventions of layout and flow time."""
    if name.endswith("pos_embed"):
        return tensor[None]
    if name.startswith("expert.action_out."):
        return -tensor
    if name == "expert.time_in.weight":
        return turn_time(tensor)
    return tensor


def turn_time(weight, shortest=4e-3, longest=4.0):
    """Columns for sines and cosines of tau from columns for those of t = 1 - tau: (D, 2 F)."""
    sin, cos = weight.double().chunk(2, dim=1)  # (D, F) each
    share = torch.linspace(0, 1, sin.shape[1], dtype=torch.float64)
    w = 2 * math.pi / (shortest * (longest / shortest) ** share)  # (F,)
    # sin(w t) = sin(w) cos(w tau) - cos(w) sin(w tau)
    # cos(w t) = cos(w) cos(w tau) + sin(w) sin(w tau)
    ours = torch.cat([cos * w.sin() - sin * w.cos(), sin * w.sin() + cos * w.cos()], dim=1)
    return ours.to(weight.dtype)
