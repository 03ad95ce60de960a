"""The toy runs on several CPU processes: torchrun --nproc-per-node 2 -m tests.train.many FOLDER."""

import sys
from dataclasses import replace
from pathlib import Path

import pi05lite  # noqa: F401  # first: it lets lightning import next to a CPU-only torch

# isort: split
import lightning.pytorch as pl
import torch
from safetensors.torch import save_file

from pi05lite.train.fit import fit
from tests.train import toy

# 7 examples do not divide by 2, and hold unlike numbers of words, tokens and actions.
RECIPE = replace(toy.quick(batch_size=7, steps=12, learning_rate=1e-3, blur=0.05), save_every=4)
PRETRAIN = replace(RECIPE, stage="pretrain", alpha=0.0, new_expert=False)


class Keep(pl.Callback):
    """Keeps the loss of every step and the gradient of the first, before clipping."""

    def __init__(self, file):
        self.file, self.loss, self.gradient = Path(file), {}, {}

    def on_after_backward(self, trainer, module):
        if not self.gradient:
            self.gradient = {k: p.grad.clone() for k, p in module.named_parameters()
                             if p.grad is not None}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.loss[str(trainer.global_step)] = outputs["loss"].detach().clone()

    def on_train_end(self, trainer, module):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        save_file({**{f"loss/{k}": v for k, v in self.loss.items()},
                   **{f"gradient/{k}": v for k, v in self.gradient.items()}},
                  f"{self.file}.{trainer.global_rank}")


def runs(folder, **devices):
    """Post-training in one go and in two, and pre-training."""
    folder = Path(folder)
    options = dict(progress=False, tensorboard=False, accelerator="cpu", **devices)
    for name, r, until in (("whole", RECIPE, None), ("parts", RECIPE, 5), ("parts", RECIPE, None),
                           ("words", PRETRAIN, 4)):
        keep = Keep(folder / f"{name}-{until}")
        fit(*toy.parts(), r, folder / name, until=until, callbacks=[keep], **options)
    if devices.get("strategy") != "fsdp":
        fit(*toy.parts(), toy.alone(), folder / "kept", callbacks=[Keep(folder / "kept-None")],
            **options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for strategy in sys.argv[2:]:
        runs(Path(sys.argv[1]) / strategy, devices=2, strategy=strategy)
