"""The training step as a Lightning module: one loss for both stages.

loss = cross-entropy(text) + cross-entropy(action tokens) + alpha * flow error; pi0.5 equation 1.
Each term is a mean of its own, so that the few words are not drowned by the many action tokens.

Several processes share one global batch. Their rows hold unlike numbers of words, tokens and action
numbers, so the mean over all is not the mean of their means: sums and counts are added up.
"""

import math
from contextlib import nullcontext

import lightning.pytorch as pl
import torch
import torch.distributed as dist
import torch.nn.functional as F

from pi05lite.errors import ConfigError, Pi05Error, say
from pi05lite.tokens.kind import Kind
from pi05lite.train.aim import aim_error, names, queries_of
from pi05lite.train.augment import augment
from pi05lite.train.call import call_error, patches_of
from pi05lite.train.draws import Draws
from pi05lite.train.keep import Kept, rows_of
from pi05lite.train.listen import listen_error, listening
from pi05lite.train.muon import Muon
from pi05lite.train.tell import check_room, dock_errors, end_errors, tell_error


class TrainingModule(pl.LightningModule):
    """Trains a Pi05 by a Recipe; every random draw follows from (seed, step, example)."""

    sharded = False  # sharded processes (FSDP) must run the same parts of the model, in step

    def __init__(self, model, recipe, sources):
        super().__init__()
        self.model, self.recipe, self.source_names = model, recipe, list(sources)
        if recipe.tell > 0 or recipe.listen > 0:
            check_room(model.config)
        if recipe.kept and not (recipe.expert_only and recipe.drawn):
            raise ConfigError(say("recipe.kept", "0, unless expert_only is True and drawn above 0: "
                                  "a VLM that learns says something else at each step",
                                  recipe.kept, "kept=0, or set these too"))
        self.kept = None  # prefixes, once training starts
        self.strict_loading = recipe.lora is None  # checkpoints of adapters leave the rest out

    def state_dict(self, *args, **options):
        """What a checkpoint keeps: all weights, or the adapters alone."""
        whole = super().state_dict(*args, **options)
        if self.recipe.lora is None:
            return whole
        return {name: x for name, x in whole.items() if "lora_" in name}

    def losses(self, batch, draws=None):
        """All losses of the global batch: "loss" with this process's gradient, the rest to log."""
        terms = self.terms(batch, draws)
        sums, counts = (torch.stack(column) for column in zip(*terms.values()))  # (K,) each
        everywhere = over_processes(torch.stack([sums.detach(), counts.to(sums)]))  # (2, K)
        weight = sums.new_tensor([self.weight(name) for name in terms])
        share = weight / everywhere[1].clamp(min=1)
        # The gradients of all processes are averaged, so each counts as many times as there are.
        mine = (share * sums).sum() * processes()
        whole = (share * everywhere[0]).sum()
        present = everywhere[1].tolist()
        means = everywhere[0] / everywhere[1].clamp(min=1)
        return {"loss": mine + (whole - mine).detach(),
                **{name: mean for name, mean, n in zip(terms, means, present) if n}}

    def weight(self, name):
        """How much a term counts in the loss; losses per source are only for the log."""
        r = self.recipe
        return {"text": 1.0, "tokens": 1.0, "flow": r.alpha, "named": r.named, "aim": r.aim,
                "call": r.call,
                **dict.fromkeys(("tell", "dock", "state", "way"), r.tell),
                "listen": r.listen}.get(name, 0.0)

    def terms(self, batch, draws):
        """The terms of this process's rows, name -> (sum, how many), the same names everywhere."""
        if self.sharded:
            return self.terms_of(batch, draws)
        if self.kept is not None:
            return total(self.flow_errors(*row) for row in self.from_kept(batch, draws))
        return total(self.terms_of(part, None if draws is None else draws.select(rows))
                     for rows, part in batch.parts())

    def terms_of(self, batch, draws):
        """The terms of rows that go through the model together."""
        if self.recipe.expert_only:
            return self.flow_errors(*self.frozen(batch), draws)
        with queries_of(self.model, batch) if self.recipe.aim > 0 else nullcontext() as notes, \
                patches_of(self.model) as seen:
            prefix = self.prefix(batch, batch.tokens.shape[1])  # pictures say nothing
        loss, places = self.model.token_losses(prefix, batch)
        kinds = batch.kinds[places[:, 0], places[:, 1]]
        source = batch.source[places[:, 0]]
        some = lambda mask: ((loss * mask).sum(), mask.sum())  # noqa: E731
        out = {"text": some(kinds == Kind.TEXT), "tokens": some(kinds == Kind.ACTION)}
        if self.recipe.named > 0:
            out["named"] = self.pointing_error(prefix, batch)
        if self.recipe.aim > 0:
            error = aim_error(self.model, batch, prefix, notes["q"])
            out["aim"] = error.sum(), error.new_tensor(len(error))
        if self.recipe.call > 0:
            out["call"] = call_error(self.model, batch, seen.get("patches"))
        if self.recipe.tell > 0:
            errors = (tell_error(self.model, batch, prefix), dock_errors(batch, prefix),
                      *end_errors(batch, prefix))
            for name, error in zip(("tell", "dock", "state", "way"), errors):
                out[name] = error.sum(), error.new_tensor(len(error))
        if self.recipe.alpha > 0:
            out |= self.flow_errors(prefix, batch, draws)
        for i, name in enumerate(self.source_names):
            out[f"tokens/{name}"] = some(source == i)
        return out

    def prefix(self, batch, hidden):
        """The prefix, with hidden states of the last tokens; sharded layers only run as a whole."""
        return self.model.prefix(batch, hidden=self.sharded or hidden)

    def frozen(self, batch):
        """The prefix of rows and the rows themselves, as an expert alone is shown them."""
        batch = batch.without_action_tokens()
        with torch.no_grad():
            return self.prefix(batch, False), batch

    def from_kept(self, batch, draws):
        """Keep the prefixes of a batch; yields (prefix, rows, draws) of what is drawn from all."""
        self.kept.add(self.rows_to_keep(batch))
        if not len(self.kept):  # nothing with actions has come yet
            yield *self.frozen(batch), draws
            return
        r, chance = self.recipe, draws.each[0]
        for prefix, part in self.kept.draw(r.drawn // processes(), chance):
            seeds = torch.randint(2**31, (len(part),), generator=chance)
            yield prefix, part, Draws(r.seed, seeds.tolist())

    def rows_to_keep(self, batch):
        """What is kept of a batch, row by row."""
        return [row for _, part in batch.parts() for row in rows_of(*self.frozen(part))]

    def on_train_start(self):
        """Room for what is kept; a run that goes on keeps again what it had kept."""
        if not self.recipe.kept:
            return
        size, step, rows = max(1, self.recipe.kept // processes()), self.trainer.global_step, []
        while step > 0 and len(rows) < size:
            step -= 1
            batch = next(iter(self.trainer.datamodule.stream(step))).to(self.device)
            rows = self.rows_to_keep(self.ready(batch, step)[0]) + rows
        self.kept = Kept(size)
        self.kept.add(rows)

    def pointing_error(self, prefix, batch):
        """Where words of the prompt point to, read off their last tokens: cross-entropy, count.

        A thing that several cameras show is told in the picture of the first of them.
        """
        pictures = prefix.hidden.shape[1] - batch.tokens.shape[1]
        shown = names(batch)  # (B, L, C)
        first = shown & (shown.cumsum(-1) == 1)
        tokens = prefix.hidden[:, pictures:][shown.any(-1)]  # (M, D)
        loss = sides_loss(tokens, batch.places[first], self.model.embedding.weight[
            slice(*self.model.config.vocabulary.span("location"))])
        return loss.sum(), first.sum() * 4

    def flow_errors(self, prefix, batch, draws):
        """Squared velocity errors of the examples that have actions, name -> (sum, how many).

        "flow" is all of them, "flow/SOURCE" those of one source, for the log.
        """
        r = self.recipe
        rows = batch.action_mask.flatten(1).any(dim=1)
        if not rows.any():
            if not self.sharded:
                nothing = batch.actions.new_zeros(()), rows.sum()
                flows = [f"flow/{name}" for name in self.source_names]
                return dict.fromkeys(["flow", *["listen"] * (r.listen > 0), *flows], nothing)
            rows[0] = True  # its mask is empty, so it adds 0
        noise = tau = None
        if draws is not None:
            noise, tau = draws.select(rows).flow(self.model.config, r.flow_draws,
                                                 self.model.objective.times)
            noise, tau = noise.to(batch.actions), tau.to(batch.actions.device)
        if not rows.all():  # else it would only be copied
            batch, prefix = batch[rows], prefix.select(rows)
        mask, source = batch.action_mask, batch.source
        with listening(self.model) if r.listen > 0 else nullcontext() as notes:
            error = self.model.flow_losses(prefix, batch.actions, mask, r.flow_draws, r.insulate,
                                           noise=noise, tau=tau)
        out = {"flow": (error.sum(), mask.sum() * r.flow_draws)}
        if r.listen > 0:
            apart = listen_error(batch, notes)
            out["listen"] = apart.sum(), apart.new_tensor(apart.numel())
        of_each = error.detach().view(len(mask), -1).sum(1)
        for i, name in enumerate(self.source_names):
            mine = source == i
            out[f"flow/{name}"] = of_each[mine].sum(), mask[mine].sum() * r.flow_draws
        return out

    def training_step(self, batch, batch_idx):
        """One step; a loss that is not finite stops training before it reaches the weights."""
        losses = self.losses(*self.ready(batch, self.trainer.global_step))
        if not torch.isfinite(losses["loss"]):
            self.stop("loss", losses["loss"])
        self.log_dict(losses, batch_size=len(batch), on_step=True, on_epoch=False)
        self.log("bar", losses["loss"], prog_bar=True, logger=False)
        return losses["loss"]

    def ready(self, batch, step):
        """The batch of a step with its pictures changed, and the draws of its examples."""
        trainer, r = self.trainer, self.recipe
        first = step * r.batch_size  # numbers as `fit.Stream` deals them out
        draws = Draws(r.seed, range(first + trainer.global_rank, first + r.batch_size,
                                    trainer.world_size))
        if r.augment:
            batch.images = augment(batch.images, self.model.config.cameras, draws, moved=r.move)
        return batch, draws

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None,
                                    gradient_clip_algorithm=None):
        """Clip by the norm over all weights, and stop where it is not finite."""
        model = self.trainer.strategy.model
        if hasattr(model, "clip_grad_norm_"):  # sharded: each process holds a part of each weight
            norm = model.clip_grad_norm_(self.recipe.clip)
        else:
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
        """The recipe's, for all weights that are trained."""
        if self.sharded and self.recipe.muon > 0:
            raise ConfigError(say("recipe.muon", "0 where each process holds parts of matrices",
                                  self.recipe.muon, "muon=0.0, or strategy='ddp'"))
        return optimizer_of(self.model, self.recipe)


def total(parts):
    """Terms of several groups of rows added up, name -> (sum, how many)."""
    out = {}
    for part in parts:
        for name, (some, count) in part.items():
            before = out.get(name, (0.0, 0))
            out[name] = before[0] + some, before[1] + count
    return out


def optimizer_of(module, r):
    """Muon or AdamW, linear warm-up, then a cosine down to final_share, as Lightning takes them."""
    theirs = r.expert_only or r.expert_rate != 1
    theirs = set(module.expert.parameters()) if theirs else set()
    groups = {}
    for name, weight in module.named_parameters():
        if not weight.requires_grad or (r.expert_only and weight not in theirs):
            continue
        matrix = r.muon > 0 and weight.ndim in (2, 4) and ("layers." in name or "blocks." in name)
        other = r.learning_rate * (r.expert_rate if weight in theirs else 1)
        groups.setdefault((matrix, r.muon if matrix else other), []).append(weight)
    optimizer = Muon([{"params": weights, "lr": lr, "muon": matrix}
                      for (matrix, lr), weights in groups.items()],
                     r.learning_rate, r.betas, eps=1e-8, weight_decay=r.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, r))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def sides_loss(tokens, bins, locations):
    """Cross-entropy (M, 4) of the sides of boxes, bins (M, 4), told by tokens (M, D).

    A token tells each side with the same embedding as the answers, `locations` (n, D), after its
    numbers were shifted by another quarter of the width: four readings without a weight of their
    own.
    """
    quarter = tokens.shape[1] // 4
    turned = torch.stack([tokens.roll(k * quarter, -1) for k in range(4)], dim=1)  # (M, 4, D)
    logits = (turned @ locations.T).float()
    return F.cross_entropy(logits.flatten(0, 1), bins.flatten(), reduction="none").view(-1, 4)


def processes():
    """How many processes share a batch."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def over_processes(x):
    """The sum of a tensor over all processes."""
    if processes() > 1:
        dist.all_reduce(x)
    return x


def rate(step, r):
    """Share of the learning rate at a step of recipe r."""
    if step < r.warmup:
        return (step + 1) / (r.warmup + 1)
    done = min(1.0, (step - r.warmup) / max(1, r.steps - r.warmup))
    return r.final_share + (1 - r.final_share) * 0.5 * (1 + math.cos(math.pi * done))
