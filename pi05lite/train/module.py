"""The training step as a Lightning module: one loss for both stages.

loss = cross-entropy(text) + cross-entropy(action tokens) + alpha * flow error; pi0.5 equation 1.
Each term is a mean of its own, so that the few words are not drowned by the many action tokens.
"""

import math

import lightning.pytorch as pl
import torch

from pi05lite.errors import Pi05Error, say
from pi05lite.tokens.kind import Kind
from pi05lite.train.augment import augment


class TrainingModule(pl.LightningModule):
    """Trains a Pi05 by a Recipe; every random draw follows from (seed, step, device)."""

    def __init__(self, model, recipe, sources):
        super().__init__()
        self.model, self.recipe, self.source_names = model, recipe, list(sources)

    def losses(self, batch, generator=None):
        """All losses of a batch: "loss" with gradient, the rest for the log."""
        r = self.recipe
        prefix = self.model.prefix(batch)
        token_loss, places = self.model.token_losses(prefix, batch)
        kinds = batch.kinds[places[:, 0], places[:, 1]]
        loss, out = token_loss.sum() * 0, {}
        for name, kind in (("text", Kind.TEXT), ("tokens", Kind.ACTION)):
            if (kinds == kind).any():
                mean = token_loss[kinds == kind].mean()
                loss, out[name] = loss + mean, mean.detach()
        out.update(self.per_source("tokens", token_loss, batch.source[places[:, 0]]))
        if r.alpha > 0:
            error, rows = self.flow_error(prefix, batch, generator)
            if error is not None:
                loss = loss + r.alpha * error.sum() / max(1, rows.sum())
                out["flow"] = (error.sum() / rows.sum()).detach()
        return {"loss": loss, **out}

    def flow_error(self, prefix, batch, generator):
        """Squared errors of the examples that have actions, and how many numbers each one has."""
        rows = batch.action_mask.flatten(1).any(dim=1)
        if not rows.any():
            return None, None
        r = self.recipe
        error = self.model.flow_losses(
            prefix.select(rows), batch.actions[rows], batch.action_mask[rows], r.flow_draws,
            r.insulate, generator)
        return error, batch.action_mask[rows].sum() * r.flow_draws

    def per_source(self, name, values, source):
        """Mean of `values` by source, as {"name/source": mean}."""
        return {f"{name}/{self.source_names[s]}": values[source == s].mean().detach()
                for s in source.unique().tolist() if s >= 0}

    def training_step(self, batch, batch_idx):
        """One step; a loss that is not finite stops training before it reaches the weights."""
        rank = self.trainer.global_rank
        seed = (self.recipe.seed * 1_000_003 + self.trainer.global_step) * 1009 + rank
        generator = torch.Generator().manual_seed(seed)
        if self.recipe.augment:
            batch.images = augment(batch.images, self.model.config.cameras, generator)
        losses = self.losses(batch, generator)
        if not torch.isfinite(losses["loss"]):
            self.stop("loss", losses["loss"])
        self.log_dict(losses, batch_size=len(batch), on_step=True, on_epoch=False)
        self.log("bar", losses["loss"], prog_bar=True, logger=False)
        return losses["loss"]

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None,
                                    gradient_clip_algorithm=None):
        """Clip by norm, and stop where the norm is not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), self.recipe.clip)
        if not torch.isfinite(norm):
            self.stop("gradient norm", norm)
        self.log("gradient_norm", norm)

    def stop(self, name, value):
        """Raise before the weights are touched; the checkpoint on disk is from before."""
        raise Pi05Error(say(f"{name} at step {self.trainer.global_step}", "a finite number",
                            value.item(), "look at the batch, or train again from the last "
                            "checkpoint with a smaller learning_rate"))

    def configure_optimizers(self):
        """AdamW, linear warm-up, then a cosine down to final_share."""
        r = self.recipe
        weights = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, r.learning_rate, r.betas, eps=1e-8,
                                      weight_decay=r.weight_decay, foreach=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, r))
        return {"optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate(step, r):
    """Share of the learning rate at a step of recipe r."""
    if step < r.warmup:
        return (step + 1) / (r.warmup + 1)
    done = min(1.0, (step - r.warmup) / max(1, r.steps - r.warmup))
    return r.final_share + (1 - r.final_share) * 0.5 * (1 + math.cos(math.pi * done))
