"""Checkpoints without pickles: a folder of safetensors and JSON that appears whole or not at all.

    step-000200/
      model.safetensors      the averaged weights: what `pi05lite.load` reads
      adapter.safetensors    in its place where only adapters were trained (LoRA)
      config.json, processor.json, text.json, actions/, stats.*.json
      training.safetensors   what resuming needs besides: raw weights, optimiser moments
      training.json          the structure around those tensors
"""

import json
import os
import re
import shutil
from pathlib import Path

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors.torch import load_file

from pi05lite.errors import ConfigError, say
from pi05lite.model.saving import save_file
from pi05lite.train import lora


def pack(value, tensors, path=""):
    """A JSON form of nested dicts, lists and numbers; tensors go to the dict `tensors` by path."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"dict": [[k, pack(v, tensors, f"{path}/{k}")] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [pack(v, tensors, f"{path}/{i}") for i, v in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConfigError(say(f"training state at {path}", "tensors, numbers, text, dicts and lists",
                          type(value).__name__, "keep other objects out of the checkpoint"))


def unpack(value, tensors):
    """What `pack` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {k: unpack(v, tensors) for k, v in inner}
    return (list if kind == "list" else tuple)(unpack(v, tensors) for v in inner)


class FolderCheckpoints(CheckpointIO):
    """Lightning's checkpoints as folders, the newest `keep` of them.

    `describe(folder)` adds the config and processor files; adapted: the model whose adapters are
    all that is kept, or None; inside: what the names of the model's weights begin with in the
    Lightning module.
    """

    def __init__(self, describe, keep=2, adapted=None, inside="model."):
        self.describe, self.keep, self.adapted, self.inside = describe, keep, adapted, inside

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        """Write all files into a folder beside `path`, then rename it."""
        part = Path(f"{path}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            self.describe(part)
            rest = dict(checkpoint)
            weights = model_weights(rest.pop("state_dict"), self.inside)
            if self.adapted is None:
                save_file(weights, part / "model.safetensors")
            else:
                lora.save(self.adapted, part / lora.FILE, weights)
            tensors = {}
            structure = pack(rest, tensors)
            save_file(unshared(tensors), part / "training.safetensors")
            (part / "training.json").write_text(json.dumps(structure))
            for file in part.rglob("*"):
                sync(file)
            shutil.rmtree(path, ignore_errors=True)
            os.replace(part, path)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        for old in checkpoints(Path(path).parent)[:-self.keep]:
            self.remove_checkpoint(old)

    def load_checkpoint(self, path, map_location=None, weights_only=None):
        """The dict that Lightning saved."""
        path = Path(path)
        weights = load_file(weights_file(path))
        state = unpack(json.loads((path / "training.json").read_text()),
                       load_file(path / "training.safetensors"))
        return {**state, "state_dict": {f"{self.inside}{k}": v for k, v in weights.items()}}

    def remove_checkpoint(self, path):
        """Delete the folder, out of sight first so that half of it is never found."""
        gone = Path(f"{path}.part")
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(path, gone)
        shutil.rmtree(gone)


def model_weights(state_dict, inside="model."):
    """The model's own names, without the Lightning module's (`inside`) in front."""
    return unshared({k.removeprefix(inside): v for k, v in state_dict.items()})


def unshared(tensors):
    """Contiguous copies, since safetensors refuses tensors that share memory."""
    return {k: v.detach().cpu().clone(memory_format=torch.contiguous_format)
            for k, v in tensors.items()}


def sync(file):
    """Have the file on the disk before the folder gets its name."""
    if file.is_file():
        with open(file, "rb+") as f:
            os.fsync(f.fileno())


def weights_file(folder):
    """The file of a checkpoint that holds the averaged weights, or the adapters."""
    adapter = Path(folder) / lora.FILE
    return adapter if adapter.is_file() else Path(folder) / "model.safetensors"


def newest(path):
    """The checkpoint folder at `path`, or the one with the most steps inside it."""
    path = Path(path)
    if weights_file(path).is_file() and (path / "config.json").is_file():
        return path
    found = checkpoints(path)
    if not found:
        raise ConfigError(say(f"{path}", "a checkpoint (model.safetensors and config.json), or a "
                              "run folder with step-* checkpoints", "neither", "check the path; "
                              "a run writes its first one after `save_every` steps"))
    return found[-1]


def checkpoints(run):
    """The whole checkpoints in a run folder, oldest first."""
    found = [p for p in Path(run).glob("step-*") if re.fullmatch(r"step-\d+", p.name)]
    return sorted(found, key=step_of)


def step_of(checkpoint):
    """How many steps a checkpoint folder has behind it, from its name."""
    return int(Path(checkpoint).name.removeprefix("step-"))
