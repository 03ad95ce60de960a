"""The short stages before pre-training: parts of a model by a loss of their own, on one device."""

from functools import partial
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from pi05lite.train.checkpoint import FolderCheckpoints, step_of
from pi05lite.train.fit import (
    checkpoint_to_resume,
    describe,
    hushed,
    loggers,
    quickest_precision,
    quiet,
    saving,
)
from pi05lite.train.module import optimizer_of


class Stage(pl.LightningModule):
    """Trains what it holds by a Recipe."""

    def __init__(self, recipe):
        super().__init__()
        self.recipe = recipe

    def configure_gradient_clipping(self, *args, **options):
        """By the norm over all weights; Lightning does not where bfloat16 meets a fused AdamW."""
        clip_grad_norm_(self.parameters(), self.recipe.clip)

    def configure_optimizers(self):
        """The recipe's."""
        return optimizer_of(self, self.recipe)


def brief(stage, batches, out, progress=True, config=None):
    """Train a Stage on one device, on what batches(step) gives from a step on.

    config: of its model, where the run shall keep checkpoints in `out` and go on from the newest of
    them; None: in one go, without.
    """
    quiet()
    recipe, out, plugins = stage.recipe, Path(out), []
    callbacks = [TQDMProgressBar(refresh_rate=10)] * progress
    start = None if config is None else checkpoint_to_resume(out, config, recipe, resume=True)
    if config is not None:
        described = partial(describe, config=config, recipe=recipe)
        plugins.append(FolderCheckpoints(described, inside=""))
        callbacks.append(saving(out, recipe))
    runner = pl.Trainer(
        max_steps=recipe.steps, accelerator="auto", devices=1, precision=quickest_precision(),
        logger=loggers(out, start, tensorboard=False), log_every_n_steps=20, plugins=plugins,
        callbacks=callbacks, enable_progress_bar=progress,
        enable_checkpointing=config is not None, enable_model_summary=False)
    with hushed():
        batches = batches(0 if start is None else step_of(start))
        runner.fit(stage, DataLoader(batches, batch_size=None), ckpt_path=start)
