"""Two gloo processes make the run of one: the same losses, gradients, weights and checkpoints.

Tolerances (float32 sums in another order): losses 1e-6 of their size, gradients 1e-5 of a tensor's
largest entry, weights and moments after 12 steps 1e-5.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

import pi05lite
from pi05lite.errors import ConfigError
from pi05lite.train.augment import augment
from pi05lite.train.checkpoint import newest
from pi05lite.train.draws import Draws
from pi05lite.train.fit import BatchesFromStep, Stream, fit
from pi05lite.train.module import TrainingModule
from pi05lite.train.sharded import Sharded
from tests.train import many, toy

ROOT = Path(__file__).resolve().parents[2]
RUNS = ["whole-None", "parts-5", "parts-None", "words-4"]
STRATEGIES = ["ddp", "fsdp"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of the same runs on one process ("one") and on two gloo processes by strategy."""
    folder = tmp_path_factory.mktemp("many")
    plain = {k: v for k, v in os.environ.items() if k not in ("MASTER_ADDR", "MASTER_PORT")}
    two = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "tests.train.many", str(folder), *STRATEGIES],
        cwd=ROOT, env={**plain, "OMP_NUM_THREADS": "1"}, text=True, capture_output=True,
        timeout=300)
    assert two.returncode == 0, two.stderr[-40_000:]  # the first to fail is far from the end
    many.runs(folder / "one")
    return folder


def kept(folder, kind, rank=0):
    """What the runs of a folder kept: name of the run -> {name: tensor} of a kind."""
    out = {}
    for run in RUNS:
        table = load_file(folder / f"{run}.{rank}")
        out[run] = {k[len(kind) + 1:]: v for k, v in table.items() if k.startswith(kind + "/")}
    return out


def furthest(a, b):
    """The largest difference of two tables of tensors, each as a share of its largest entry."""
    assert set(a) == set(b)
    return max((a[k] - b[k]).abs().max().item() / max(b[k].abs().max().item(), 1e-12) for k in a)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_have_the_losses_of_one(runs, strategy):
    one = kept(runs / "one", "loss")
    for rank in (0, 1):
        two = kept(runs / strategy, "loss", rank)
        worst = {run: furthest(two[run], one[run]) for run in RUNS}
        print(f"{strategy}, process {rank}, largest relative difference of a loss:", worst)
        assert len(one["whole-None"]) == 12 and max(worst.values()) < 1e-6


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(runs):
    one = kept(runs / "one", "gradient")
    for rank in (0, 1):
        two = kept(runs / "ddp", "gradient", rank)
        worst = {run: furthest(two[run], one[run]) for run in ("whole-None", "words-4")}
        print(f"process {rank}, largest difference of a gradient, by its tensor's largest:", worst)
        assert max(worst.values()) < 1e-5
    assert any(k.startswith("model.expert") for k in one["whole-None"])
    assert not any(k.startswith("model.expert") for k in one["words-4"])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("run", ["whole", "parts", "words"])
def test_two_processes_write_the_checkpoint_of_one(runs, strategy, run):
    a, b = newest(runs / strategy / run), newest(runs / "one" / run)
    assert sorted(p.name for p in a.iterdir()) == sorted(p.name for p in b.iterdir())
    averaged = [load_file(f / "model.safetensors") for f in (a, b)]
    training = [{k: v.float() for k, v in load_file(f / "training.safetensors").items()
                 if not k.startswith("/callbacks")} for f in (a, b)]
    # Where a stage leaves weights out, one device has no moments for them and shards have zeros.
    more = set(training[0]) - set(training[1])
    assert not more or (strategy, run) == ("fsdp", "words")
    assert all(not training[0].pop(k).any() for k in more if not k.endswith("step"))
    training[0] = {k: v for k, v in training[0].items() if k not in more}
    off = [max((x[k] - y[k]).abs().max().item() for k in y) for x, y in (averaged, training)]
    print(f"{strategy}, {run}, largest difference of weights and of the training state:", off)
    assert [set(x) for x in (averaged[0], training[0])] == [set(averaged[1]), set(training[1])]
    assert max(off) < 1e-5
    assert not list(runs.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_stopping_and_going_on_equals_one_run_on_two_processes(runs, strategy):
    loss = kept(runs / strategy, "loss")
    assert sorted(map(int, loss["parts-None"])) == list(range(6, 13))
    whole = loss["whole-None"]
    assert all(torch.equal(v, whole[k]) for part in ("parts-5", "parts-None")
               for k, v in loss[part].items())
    a, b = (load_file(newest(runs / strategy / run) / "model.safetensors")
            for run in ("whole", "parts"))
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
def test_each_process_keeps_prefixes_of_its_own_and_the_weights_stay_one(runs):
    """They draw from other rows than one process does, so the runs are alike, not the same."""
    tables = [load_file(runs / "ddp" / f"kept-None.{rank}") for rank in (0, 1)]
    for name, value in tables[0].items():
        assert torch.equal(value, tables[1][name]), name  # one loss, one gradient
    one = load_file(runs / "one" / "kept-None.0")
    assert set(one) == set(tables[0]) and not torch.equal(one["loss/9"], tables[0]["loss/9"])
    assert float(tables[0]["loss/16"]) < float(tables[0]["loss/1"])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_of_two_processes_goes_on_with_one(runs, strategy, tmp_path):
    """And its checkpoint is an ordinary one."""
    shutil.copytree(runs / strategy / "words", tmp_path / "run")
    r = many.PRETRAIN
    policy = fit(*toy.parts(), r, tmp_path / "run", until=6, progress=False, tensorboard=False)
    assert newest(tmp_path / "run").name == "step-000006"
    assert policy.model.embedding.weight.isfinite().all()
    pi05lite.load(runs / strategy / "whole")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_comes_late_finds_the_folder_written_and_goes_on(rank, tmp_path):
    """Lightning's own took it for a path that is not free; which process comes first is chance."""
    written = []
    strategy = Sharded()
    strategy._checkpoint_io = SimpleNamespace(save_checkpoint=lambda *args: written.append(args))
    strategy.cluster_environment = SimpleNamespace(global_rank=lambda: rank)
    strategy.broadcast = lambda path: path
    strategy.save_checkpoint({"state_dict": {}}, tmp_path)
    assert written == [({"state_dict": {}}, tmp_path)] * (rank == 0)


def test_the_mean_of_means_would_be_another_loss():
    """So that the tests above could fail: the halves of a batch hold unlike numbers of terms."""
    model, processor, mixture = toy.parts()
    module = TrainingModule(model, many.RECIPE, mixture.names)
    stream = [next(iter(Stream(mixture, processor.collate, 7, 1, rank=r, world=w)))
              for r, w in ((0, 1), (0, 2), (1, 2))]
    whole, *halves = (module.losses(b, Draws(0, n)) for b, n in zip(
        stream, (range(7), range(0, 7, 2), range(1, 7, 2))))
    mean = sum(h["loss"] for h in halves) / 2
    assert abs(mean - whole["loss"]) > 1e-3 * whole["loss"]


def test_draws_belong_to_the_example():
    c = toy.config.nano()
    noise, tau = Draws(3, range(10, 16)).flow(c, 2)
    part, part_tau = Draws(3, range(11, 16, 2)).flow(c, 2)
    rows = torch.tensor([2, 3, 6, 7, 10, 11])  # two draws an example
    assert torch.equal(noise[rows], part) and torch.equal(tau[rows], part_tau)
    assert not torch.equal(noise, Draws(4, range(10, 16)).flow(c, 2)[0])
    assert noise.unique(dim=0).shape == noise.shape and abs(noise.std() - 1) < 0.1
    chosen = Draws(3, range(3)).select(torch.tensor([True, False, True]))
    assert torch.equal(chosen.rand(4), Draws(3, [0, 2]).rand(4))


def test_pictures_are_changed_by_example():
    g = torch.Generator().manual_seed(0)
    images = torch.rand(4, 2, 3, 28, 28, generator=g) * 2 - 1
    cameras = ("base", "left_wrist")
    whole = augment(images, cameras, Draws(0, range(4)))
    assert torch.equal(whole[1::2], augment(images[1::2], cameras, Draws(0, [1, 3])))
    assert (whole - images).abs().amax((1, 2, 3, 4)).min() > 0.01


@pytest.mark.parametrize("other", ["weights", "processor", "recipe"])
def test_a_process_that_starts_from_something_else_is_refused(monkeypatch, other):
    """What the first process sends is put in its place here; sending it is tested above."""
    model, processor, mixture = toy.parts()
    data = BatchesFromStep(mixture, processor, many.RECIPE)
    first = {}  # what was sent first
    strategy = SimpleNamespace(broadcast=lambda mine: first or first.update(mine) or dict(mine))
    data.trainer = SimpleNamespace(world_size=2, global_rank=1, strategy=strategy,
                                   lightning_module=TrainingModule(model, many.RECIPE, []))
    data.setup("fit")
    data.setup("fit")
    if other == "weights":
        data.trainer.lightning_module = TrainingModule(toy.parts(1)[0], many.RECIPE, [])
    elif other == "processor":
        data.processor.sources = ["other"]
    else:
        data.recipe = replace(many.RECIPE, seed=9)
    with pytest.raises(ConfigError, match=f"another {other}"):
        data.setup("fit")


@pytest.mark.parametrize("changes,options,words", [
    (dict(batch_size=1), dict(devices=2, strategy="ddp"), "2 processes"),
    ({}, dict(accumulate_grad_batches=2), "accumulate_grad_batches"),
    ({}, dict(devices=2, strategy="ddp_spawn"), "ddp_spawn"),
])
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, changes, options, words):
    r = replace(toy.quick(), **changes)
    with pytest.raises(ConfigError, match=words):
        fit(*toy.parts(), r, tmp_path, progress=False, tensorboard=False, accelerator="cpu",
            **options)
