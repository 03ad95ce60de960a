"""Published weights in and out: openpi's PyTorch layout, and lerobot's, which is the same renamed.

openpi runs flow time the other way (t = 1 is noise) and predicts noise - action. This file is the
one place that knows: the last layer is negated, once, on the way in and on the way out. (The time
embedding reads the noise left, 1 - tau, which is openpi's t.)
"""

import json
import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open

from pi05lite import config as presets
from pi05lite.errors import ConfigError, say
from pi05lite.model.expert import ActionExpert, MixedTime, Pi0Expert
from pi05lite.model.pi05 import Pi05
from pi05lite.model.saving import save_file

PALIGEMMA = "paligemma_with_expert.paligemma."
TOWER = PALIGEMMA + "model.vision_tower.vision_model."
HEAD = PALIGEMMA + "lm_head.weight"  # the tied pair under the name that openpi saves ...
EMBED = PALIGEMMA + "model.language_model.embed_tokens.weight"  # ... and the one it leaves out
DEAD = "paligemma_with_expert.gemma_expert.lm_head.weight"  # random, never used by anyone
LAYER = TOWER + r"encoder.layers.\1."
# Our names in order, from the whole to its parts; each is replaced by openpi's.
NAMES = [(re.compile(ours), theirs) for ours, theirs in (
    (r"^embedding\.weight$", HEAD),
    (r"^vision\.projector\.", PALIGEMMA + "model.multi_modal_projector.linear."),
    (r"^vision\.tower\.patch_embed\.proj\.", TOWER + "embeddings.patch_embedding."),
    (r"^vision\.tower\.pos_embed$", TOWER + "embeddings.position_embedding.weight"),
    (r"^vision\.tower\.norm\.", TOWER + "post_layernorm."),
    (r"^vision\.tower\.blocks\.(\d+)\.norm", LAYER + "layer_norm"),
    (r"^vision\.tower\.blocks\.(\d+)\.mlp\.", LAYER + "mlp."),
    (r"^vision\.tower\.blocks\.(\d+)\.attn\.proj\.", LAYER + "self_attn.out_proj."),
    (r"^vision\.tower\.blocks\.(\d+)\.attn\.([qkv])\.", LAYER + r"self_attn.\2_proj."),
    (r"^vlm\.", PALIGEMMA + "model.language_model."),
    (r"^expert\.transformer\.", "paligemma_with_expert.gemma_expert.model."),
    (r"^expert\.(action_in|action_out|state)(_in)?\.", r"\1_proj."),
    (r"\.attention\.([qkv])\.", r".self_attn.\1_proj."),
    (r"\.attention\.out\.", ".self_attn.o_proj."),
    (r"\.feed_forward\.(gate|up|down)\.", r".mlp.\1_proj."),
    (r"\.attention_norm\.", ".input_layernorm."),
    (r"\.feed_forward_norm\.", ".post_attention_layernorm."),
    (r"\.modulation\.", ".dense."),
)]
CHUNK = 64 << 20  # bytes read at once


@dataclass
class Place:
    """Where a published tensor lives in a model: a view of one of its tensors."""

    ours: str
    view: torch.Tensor
    negative: bool = False  # stored with the other sign


def places(model):
    """{openpi's name: Place} for every tensor of a model, the dead head left out."""
    time = "action_time_mlp_" if isinstance(model.expert.time, MixedTime) else "time_mlp_"
    found = {}
    for ours, tensor in model.state_dict().items():
        for name, view in parts(model, ours, tensor).items():
            name = name.replace("expert.time.first.", f"{time}in.")
            name = name.replace("expert.time.second.", f"{time}out.")
            for pattern, theirs in NAMES:
                name = pattern.sub(theirs, name)
            found[name] = Place(ours, view, ours.startswith("expert.action_out."))
    return found


def parts(model, name, tensor):
    """{name: view} of a tensor that holds what openpi keeps in several, or just itself."""
    if ".attn.qkv." in name:  # timm's
        return {name.replace(".qkv.", f".{x}."): rows for x, rows in zip("qkv", tensor.chunk(3))}
    if ".attention.qkv." in name:
        a = model.get_submodule(name.split(".qkv.")[0])
        rows = tensor.split([heads * a.head_dim for heads in (a.heads, a.kv_heads, a.kv_heads)])
        return {name.replace(".qkv.", f".{x}."): part for x, part in zip("qkv", rows)}
    if ".gate_up." in name:
        return {name.replace("gate_up", x): part
                for x, part in zip(("gate", "up"), tensor.chunk(2))}
    if ".transformer.modulation." in name:
        stack = name.split(".modulation.")[0]
        depth = len(model.get_submodule(stack).layers)
        norms = [f"{stack}.layers.{i}.{x}_norm" for i in range(depth)
                 for x in ("attention", "feed_forward")] + [f"{stack}.norm"]
        rows = tensor.chunk(len(norms))
        return {name.replace(stack, norm, 1): part for norm, part in zip(norms, rows)}
    return {name: tensor[0] if name == "vision.tower.pos_embed" else tensor}


# ---- in --------------------------------------------------------------------------------------


def load_openpi(path, config=None, dtype=torch.float32, device="cpu"):
    """The model of a published checkpoint: a folder of openpi or lerobot, or a safetensors file.

    pi0.5 and pi0 are told apart by their names. config: sizes (None: the full pi0.5, with the
    checkpoint's horizon); dtype: torch.float32 or torch.bfloat16. Tensors are streamed, so that the
    peak stays close to the size of the model. Raises ConfigError with the names that do not fit.
    """
    path = Path(path)
    found = published(path)
    config = config or replace(presets.pi05(), horizon=horizon_of(path))
    expert = Pi0Expert if "state_proj.weight" in found else ActionExpert
    with torch.device("meta"):
        model = Pi05(config, expert=expert).to(dtype)
    match(model, found, path)
    return fill(model.to_empty(device=device), path)


@torch.no_grad()
def fill(model, path):
    """Copy a published checkpoint into a model that stands; nothing changes if it does not fit."""
    found = published(path)
    plan = match(model, found, path)
    check_tie(found)
    for name, place in plan:
        for rows, part in slices(*found[name][:2]):
            place.view[rows] = -part if place.negative else part
    return model


def published(path):
    """{openpi's name: (file, name in it, shape)} of a checkpoint, lerobot's "model." taken off."""
    path = Path(path)
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    files = [f for f in files if not f.name.startswith("policy_")]  # lerobot's normalisers
    if not files:
        jax = (path / "params").exists() or (path / "_METADATA").exists()
        raise ConfigError(say(
            f"checkpoint {path}", "a safetensors file or a folder with one",
            "a JAX checkpoint of openpi" if jax else "none",
            "convert it with openpi's examples/convert_jax_model_to_pytorch.py" if jax else
            "download one, for example `hf download lerobot/pi05_base`"))
    found = {}
    for file in files:
        with safe_open(file, "pt") as f:
            for name in f.keys():
                found[name.removeprefix("model.")] = (file, name,
                                                      tuple(f.get_slice(name).get_shape()))
    return found


def match(model, found, path):
    """Pairs (openpi's name, Place) to fill, or a ConfigError that lists what does not fit."""
    wanted = places(model)
    if HEAD not in found and EMBED in found:
        wanted[EMBED] = wanted.pop(HEAD)
    missing = [f"{name} (our {place.ours})" for name, place in wanted.items() if name not in found]
    unexpected = [name for name in found if name not in wanted and name not in (DEAD, EMBED)]
    shapes = [f"{name}: {tuple(place.view.shape)} wanted, {found[name][2]} found"
              for name, place in wanted.items()
              if name in found and tuple(place.view.shape) != found[name][2]]
    if missing or unexpected or shapes:
        report = [f"{len(names)} {title}:\n      " + "\n      ".join(names[:20])
                  for title, names in (("missing", missing), ("unexpected", unexpected),
                                       ("of another shape", shapes)) if names]
        raise ConfigError(say(f"{path}", "the tensors of this config's model",
                              "\n    ".join(report),
                              "build the model with the config that the file was made with"))
    return list(wanted.items())


def slices(file, name):
    """A tensor of a file piece by piece: pairs (slice of its first axis, piece).

    The file is opened anew for each piece: what a mapping has read would stay in memory.
    """
    with safe_open(file, "pt") as f:
        shape = f.get_slice(name).get_shape()
    step = max(1, CHUNK // (4 * math.prod(shape[1:])))
    for first in range(0, shape[0], step):
        rows = slice(first, first + step)
        with safe_open(file, "pt") as f:
            yield rows, f.get_slice(name)[rows]


def check_tie(found):
    """Raise ConfigError where a file has the tied pair under both names with unlike numbers."""
    if HEAD in found and EMBED in found:
        for (_, head), (_, embed) in zip(*(slices(*found[n][:2]) for n in (HEAD, EMBED))):
            if not torch.equal(head, embed):
                raise ConfigError(say(EMBED, f"the numbers of {HEAD}: pi0.5 ties them", "others",
                                      "the file is of another model; delete one of the two names"))


def horizon_of(path):
    """The chunk length that a checkpoint folder's config.json names, else the preset's."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    values = json.loads(file.read_text()) if file.is_file() else {}
    return values.get("action_horizon") or values.get("chunk_size") or presets.pi05().horizon


# ---- out -------------------------------------------------------------------------------------


@torch.no_grad()
def save_openpi(model, path, lerobot=False):
    """Write a model into openpi's layout (lerobot's with "model." in front), whole or not at all.

    path: a folder. The dead head of the expert is written as zeros, since openpi asks for it.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    c, before = model.config, "model." if lerobot else ""
    tensors = {before + name: (-p.view if p.negative else p.view).contiguous()
               for name, p in places(model).items()}
    tensors[before + DEAD] = model.embedding.weight.new_zeros(c.vocabulary.size, c.expert.width)
    part = folder / "model.safetensors.part"
    save_file(tensors, part)
    os.replace(part, folder / "model.safetensors")
