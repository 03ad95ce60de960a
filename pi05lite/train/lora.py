"""LoRA (arXiv 2106.09685): small matrices beside frozen weights, so that one GPU fine-tunes it all.

Every linear layer of attention and feed-forward computes W x + B (A x), with A and B of low rank;
B starts at 0, so the model starts as it was. openpi's ranks: 16 in the VLM, 32 in the expert, scale
1. Unlike there, q, k and v, and gate and up, share an A, since each is one product here; and all
else rests, while openpi trains the picture tower and the action projections in full.
Through the peft library: pip install -c constraints.txt -e ".[lora]"
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from pi05lite.config import Config
from pi05lite.errors import ConfigError, say
from pi05lite.model.saving import save_file
from pi05lite.policy import Policy
from pi05lite.processor import Processor

FILE = "adapter.safetensors"


def peft():
    """The library, or what to do where it is not installed."""
    try:
        import peft
    except ImportError as error:
        raise ConfigError(say("LoRA", "the package peft", "not installed",
                              'pip install -c constraints.txt -e ".[lora]"')) from error
    return peft


def add(model, vlm=16, expert=32, seed=0):
    """Put adapters of these ranks (0: none) into a Pi05, in place, and freeze all else.

    The adapters are float32 whatever the weights are in. A model that has them keeps them.
    """
    if min(vlm, expert) < 0 or not vlm + expert:
        raise ConfigError(say("LoRA ranks", "0 or more, not both 0", (vlm, expert),
                              "openpi's are vlm=16, expert=32"))
    if ranks(model) not in ((0, 0), (vlm, expert)):
        raise ConfigError(say("LoRA ranks of the model", (vlm, expert), ranks(model),
                              "merge its adapters first: lora.merge(model)"))
    if ranks(model) == (0, 0):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for part, rank in ((model.vlm, vlm), (model.expert, expert)):
                if rank:
                    settings = peft().LoraConfig(r=rank, lora_alpha=rank,
                                                 target_modules=linears(part))
                    peft().inject_adapter_in_model(settings, part)
    for name, p in model.named_parameters():
        p.requires_grad_("lora_" in name)
        if p.requires_grad:
            p.data = p.data.float()
    return model


def linears(part):
    """A pattern of the names of the linear layers in a part's attention and feed-forward."""
    names = [name for name, m in part.named_modules() if isinstance(m, nn.Linear)
             and re.search(r"(^|\.)layers\.\d+\.(attention|feed_forward)\.", name)]
    return "|".join(map(re.escape, names))


def adapted(model):
    """The layers that hold adapters, name -> layer."""
    return {name: m for name, m in model.named_modules() if hasattr(m, "lora_A")}


def ranks(model):
    """The ranks of the adapters in the VLM and in the expert, 0 where there are none."""
    return tuple(next((m.r["default"] for m in adapted(part).values()), 0)
                 for part in (model.vlm, model.expert))


def summary(model):
    """One line: how many of the model's parameters are trained."""
    c = cost(model)
    return (f"LoRA: {c.trainable:,} of {c.parameters:,} parameters are trained "
            f"({c.trainable / c.parameters:.1%}), ranks {ranks(model)} in VLM and expert")


def merge(model):
    """Add the adapters into the weights, in place: a plain Pi05 again, all of it trainable."""
    for name, layer in adapted(model).items():
        layer.merge(safe_merge=True)
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, layer.get_base_layer())
    return model.requires_grad_(True)


def fingerprint(model):
    """A name for the weights below the adapters, the same in fp32 and bf16."""
    digest = hashlib.sha256()
    below = {name.replace("base_layer.", ""): p for name, p in model.named_parameters()
             if "lora_" not in name}
    for name in sorted(below):
        some = below[name].detach().flatten()[:64].to("cpu", torch.bfloat16)
        digest.update(name.encode() + some.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


def state(model):
    """The adapters' weights by name."""
    return {k: v.detach() for k, v in model.named_parameters() if "lora_" in k}


def save(model, file, weights=None):
    """Write the adapters (or `weights` of theirs) to a safetensors file."""
    weights = {k: v.cpu().contiguous() for k, v in (weights or state(model)).items()}
    vlm, expert = ranks(model)
    save_file(weights, file, {"vlm": str(vlm), "expert": str(expert), "base": fingerprint(model)})


def read(model, file):
    """Put the adapters of a file into the model that they were trained on, in place."""
    with safe_open(file, "pt") as f:
        about, weights = f.metadata(), {k: f.get_tensor(k) for k in f.keys()}
    if about["base"] != fingerprint(model):
        raise ConfigError(say(
            f"weights below {file}", f"those that it was trained on ({about['base']})",
            fingerprint(model), "load the checkpoint that the fine-tuning started from, without "
            "adapters merged into it"))
    add(model, int(about["vlm"]), int(about["expert"]))
    model.load_state_dict(weights, strict=False)
    return model


def load(path, model):
    """The policy of a run with adapters: `model`, which it started from, with them merged in."""
    from pi05lite.train.checkpoint import newest

    folder = newest(path)
    if not (folder / FILE).is_file():
        raise ConfigError(say(f"{folder}", FILE, "none", "load it with pi05lite.load"))
    config = Config.from_json((Path(folder) / "config.json").read_text())
    return Policy(merge(read(model, folder / FILE)), Processor.load(folder, config))


@dataclass(frozen=True)
class Cost:
    """What training holds besides activations, in bytes; parameters counted."""

    parameters: int
    trainable: int
    weights: int
    gradients: int
    moments: int
    average: int

    @property
    def total(self):
        """All bytes."""
        return self.weights + self.gradients + self.moments + self.average


def cost(model, frozen_bytes=2):
    """The Cost of AdamW with a moving average, from a model on any device ("meta" too).

    What is trained is held in float32, what is frozen in `frozen_bytes` a number (2: bf16).
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    trained, frozen = (sum(n for n, t in sizes if t is wanted) for wanted in (True, False))
    return Cost(trained + frozen, trained, 4 * trained + frozen_bytes * frozen, 4 * trained,
                8 * trained, 4 * trained)
