"""Run a recipe: mixture -> batches -> Lightning -> checkpoints that appear whole."""

import csv
import hashlib
import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file
from torch.utils.data import DataLoader, IterableDataset

from pi05lite.config import Config, differences
from pi05lite.errors import ConfigError, say
from pi05lite.model.pi05 import check_batch
from pi05lite.policy import Policy
from pi05lite.train import lora
from pi05lite.train.averaging import MovingAverage
from pi05lite.train.checkpoint import (
    FolderCheckpoints,
    checkpoints,
    newest,
    step_of,
    weights_file,
)
from pi05lite.train.module import TrainingModule
from pi05lite.train.sharded import Sharded


class Stream(IterableDataset):
    """Batches of a mixture from a given step on; several devices take turns in one global batch."""

    def __init__(self, mixture, collate, batch_size, steps, start=0, rank=0, world=1, blur=0.0):
        self.mixture, self.collate, self.blur = mixture, collate, blur
        self.batch_size, self.steps, self.start = batch_size, steps, start
        self.rank, self.world = rank, world

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        for step in range(self.start + worker, self.steps, workers):
            first = step * self.batch_size
            examples = range(first + self.rank, first + self.batch_size, self.world)
            yield self.collate([self.example(i) for i in examples])

    def example(self, i):
        """Example i of the mixture; its state in the prompt is blurred by seeded noise."""
        example = self.mixture[i]
        if self.blur and example.state is not None:
            rng = np.random.Generator(np.random.Philox(key=self.mixture.seed, counter=[0, 0, 1, i]))
            example.blur = self.blur * rng.standard_normal(len(example.state))
        return example


class BatchesFromStep(pl.LightningDataModule):
    """Starts the stream where the trainer stands, so a resumed run sees what comes next."""

    def __init__(self, mixture, processor, recipe, workers=0):
        super().__init__()
        self.mixture, self.processor, self.recipe = mixture, processor, recipe
        self.workers = workers

    def setup(self, stage):
        """Raise ConfigError where a process starts from other weights or tokenizers than the first.

        Each builds its own, and a script without a seed would build others.
        """
        if self.trainer.world_size == 1:
            return
        mine = {"weights": lora.fingerprint(self.trainer.lightning_module),
                "processor": digest(self.processor), "recipe": str(self.recipe)}
        first = self.trainer.strategy.broadcast(mine)
        unlike = [name for name in mine if mine[name] != first[name]]
        if unlike:
            raise ConfigError(say(f"process {self.trainer.global_rank}", "what process 0 has",
                                  f"another {', another '.join(unlike)}",
                                  "torch.manual_seed(0) before the model is built, or load it"))

    def stream(self, step):
        """This process's batches from a step on."""
        r, trainer = self.recipe, self.trainer
        return Stream(self.mixture, self.processor.collate, r.batch_size, r.steps, step,
                      trainer.global_rank, trainer.world_size, r.blur)

    def train_dataloader(self):
        return DataLoader(self.stream(self.trainer.global_step), batch_size=None,
                          num_workers=self.workers)


def fit(model, processor, mixture, recipe, out, until=None, resume=True, progress=True, workers=0,
        tensorboard=True, callbacks=(), devices=1, num_nodes=1, strategy="auto",
        module=TrainingModule, **trainer):
    """Train `model` in place by `recipe` and return its Policy (averaged weights).

    out: run folder for checkpoints and logs. Where it holds a checkpoint of the same recipe, the
    run goes on from there (resume=False refuses instead of overwriting). until: stop at this step
    and save, to go on later; None: the recipe's last.
    devices, num_nodes: processes a machine, and machines; every one gets its share of the recipe's
    batch_size, and any number of them makes the same run (but for what is drawn from
    `kept` prefixes). strategy: "ddp" (a whole model each),
    "fsdp" (a part each; returns None, read the result with `pi05lite.load(out)`) or Lightning's
    own. module: a TrainingModule with another loss.
    `trainer` goes to lightning.Trainer: accelerator, precision, ... Raises ConfigError on a
    mismatch of data, config or recipe before anything is trained.
    """
    out, stop = Path(out), min(until or recipe.steps, recipe.steps)
    start = checkpoint_to_resume(out, model.config, recipe, resume)
    check_batch(processor.collate([mixture[i] for i in range(4)]), model.config)
    if recipe.lora is None and any(lora.ranks(model)):
        raise ConfigError(say("model", "one without adapters, since recipe.lora is None",
                              f"adapters of ranks {lora.ranks(model)}", "lora.merge(model) first"))
    if start is not None and step_of(start) >= stop:  # nothing left to do
        restore(model, start)
        return Policy(model, processor)
    if recipe.new_expert and start is None:
        torch.manual_seed(recipe.seed)
        model.new_expert()
    if recipe.lora is not None:
        lora.add(model, *recipe.lora, recipe.seed)
        if start is not None:
            restore(model, start)
        if progress:
            rank_zero_only(print)(lora.summary(model))

    def described(folder):
        describe(folder, model.config, recipe)
        processor.save(folder)

    bars = [TQDMProgressBar(refresh_rate=10)] if progress else []
    quiet()
    model.train()
    runner = pl.Trainer(
        max_steps=stop, default_root_dir=out, num_sanity_val_steps=0,
        logger=loggers(out, start, tensorboard), log_every_n_steps=10, enable_progress_bar=progress,
        enable_model_summary=False, use_distributed_sampler=False,
        plugins=[FolderCheckpoints(described, adapted=model if recipe.lora else None)],
        callbacks=[*bars, saving(out, recipe), MovingAverage(recipe.ema), *callbacks],
        devices=devices, num_nodes=num_nodes, strategy=strategy_of(strategy, devices, num_nodes),
        **{"accelerator": "auto", **trainer})
    check_devices(runner, recipe)
    with hushed():
        training = module(model, recipe, mixture.names)
        training.sharded = isinstance(runner.strategy, Sharded)
        data = BatchesFromStep(mixture, processor, recipe, workers)
        runner.fit(training, datamodule=data, ckpt_path=start)
    return None if isinstance(runner.strategy, Sharded) else Policy(model, processor)


def restore(model, folder):
    """Put the weights of a checkpoint into the model, or its adapters on the model."""
    file = weights_file(folder)
    if file.name == lora.FILE:
        lora.read(model, file)
    else:
        model.load_state_dict(load_file(file))


def strategy_of(strategy, devices, num_nodes):
    """Lightning's strategy for a name."""
    if strategy == "fsdp":
        return Sharded()
    if strategy == "ddp" or (strategy == "auto" and (devices != 1 or num_nodes > 1)):
        # A stage may leave the expert out, and a process's rows may have no pictures.
        return DDPStrategy(find_unused_parameters=True)
    if isinstance(strategy, str) and strategy.endswith(("spawn", "fork", "notebook")):
        raise ConfigError(say("strategy", '"ddp" or "fsdp"', strategy, "run a script with torchrun "
                              "(README, many devices): forked processes cannot hand a run back"))
    return strategy


def check_devices(runner, recipe):
    """Raise ConfigError where the recipe cannot be shared by the processes."""
    if recipe.lora is not None and isinstance(runner.strategy, Sharded):
        raise ConfigError(say("strategy", '"ddp" or one device, since recipe.lora is set', "fsdp",
                              "adapters fit on one device: see pi05lite.train.lora.cost"))
    if recipe.kept and isinstance(runner.strategy, Sharded):
        raise ConfigError(say("strategy", '"ddp" or one device, since recipe.kept is set', "fsdp",
                              "kept=0"))
    if recipe.kept and runner.world_size > recipe.drawn:
        raise ConfigError(say("recipe.drawn (over all devices)",
                              f"at least one row for each of {runner.world_size} processes",
                              recipe.drawn, "raise it, or use fewer devices"))
    if runner.world_size > recipe.batch_size:
        raise ConfigError(say("recipe.batch_size (over all devices)",
                              f"at least one example for each of {runner.world_size} processes",
                              recipe.batch_size, "raise it, or use fewer devices"))
    if runner.accumulate_grad_batches != 1:
        raise ConfigError(say("accumulate_grad_batches", 1, runner.accumulate_grad_batches,
                              "a step is one batch here: use more devices or a smaller batch_size"))


def digest(processor):
    """A name for all that a processor would write into a checkpoint."""
    with TemporaryDirectory() as folder:
        processor.save(folder)
        files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
        return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()


class Checkpoints(ModelCheckpoint):
    """Saves every so many steps and at the last one, wherever that is."""

    FILE_EXTENSION = ""
    state_key = "Checkpoints"  # Lightning's own key would change with the number of steps

    def on_train_batch_end(self, trainer, *args):
        every = self._every_n_train_steps
        if trainer.global_step == trainer.max_steps:
            self._every_n_train_steps = 1
        super().on_train_batch_end(trainer, *args)
        self._every_n_train_steps = every


def quiet():
    """Keep Lightning's notes on devices and tips out of notebooks."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def hushed():
    """Without Lightning's warnings about what is meant here."""
    with warnings.catch_warnings():
        for text in ("does not have many workers", "exists and is not empty", "LeafSpec"):
            warnings.filterwarnings("ignore", f".*{text}.*")
        yield


def quickest_precision():
    """bfloat16 where the processor computes in it, else float32: losses agree to three digits.

    A processor without it imitates it: a convolution took 25 times as long as in float32.
    """
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "32-true"
    asked = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16",
                                                                            "amx_tile"))
    return "bf16-mixed" if any(has and has() for has in asked) else "32-true"


def saving(out, recipe):
    """Lightning's callback that saves into run folder `out`."""
    return Checkpoints(out, filename="step-{step:06d}", auto_insert_metric_name=False,
                       every_n_train_steps=recipe.save_every, save_top_k=-1,
                       enable_version_counter=False)


def describe(folder, config, recipe):
    """Write the files of config and recipe into a checkpoint folder."""
    (folder / "config.json").write_text(config.to_json())
    (folder / "recipe.json").write_text(json.dumps(vars(recipe), indent=2))


def checkpoint_to_resume(out, config, recipe, resume):
    """The newest checkpoint in `out`, after checking that this run may go on from it, or None."""
    if not checkpoints(out):
        return None
    folder = newest(out)
    if not resume:
        raise ConfigError(say(f"run folder {out}", "an empty one, since resume=False",
                              f"checkpoint {folder.name}", "choose another folder or resume"))
    saved = json.loads((folder / "recipe.json").read_text())
    now = json.loads(json.dumps(vars(recipe)))
    unlike = differences(Config.from_json((folder / "config.json").read_text()), config)
    unlike += [f"recipe.{k}: {saved.get(k)} against {v}" for k, v in now.items()
               if saved.get(k) != v]
    if unlike:
        raise ConfigError(say(f"checkpoint {folder}", "the config and recipe of this run",
                              "; ".join(unlike), "use another run folder for another recipe"))
    return folder


def loggers(out, start, tensorboard):
    """CSV and TensorBoard logs; a resumed run writes a CSV of its own beside the earlier one."""
    step = 0 if start is None else step_of(start)
    kinds = [CSVLogger(out, name="", version=f"log-{step:06d}")]
    if tensorboard:
        kinds.append(TensorBoardLogger(out, name="", version="tensorboard"))
    return kinds


def history(out):
    """The logged losses of a run: name -> list of (step, value), resumed parts joined."""
    rows = {}
    for path in sorted(Path(out).glob("log-*/metrics.csv")):
        start = int(path.parent.name[4:])
        for name in rows:  # steps that were run again after a kill count once
            rows[name] = [(s, v) for s, v in rows[name] if s < start]
        with open(path) as f:
            for row in csv.DictReader(f):
                for name, value in row.items():
                    if value and name not in ("step", "epoch"):
                        rows.setdefault(name, []).append((int(row["step"]), float(value)))
    return rows
