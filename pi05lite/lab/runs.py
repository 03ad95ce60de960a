"""One run of a comparison: train a variant with a seed, evaluate it, keep a small JSON file."""

import json
import platform
import time
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib import metadata
from pathlib import Path

import lightning.pytorch as pl
import torch

from pi05lite import __version__
from pi05lite.config import differences
from pi05lite.data.cache import atomic_path
from pi05lite.errors import ConfigError, say
from pi05lite.lab.alone import awake
from pi05lite.lab.budget import Stepper
from pi05lite.lab.costs import costs
from pi05lite.train.fit import fit, history


@dataclass(frozen=True)
class Run:
    """A variant with its name and seed, and where its result goes."""

    name: str
    variant: object  # of this seed and number of steps
    base: object  # what its config and recipe are told apart from
    out: Path
    device: torch.device

    @property
    def seed(self):
        """Of weights, data and noise."""
        return self.variant.recipe.seed

    @property
    def file(self):
        """The small file that holds the result."""
        return self.out / f"{slug(self.name)}.seed-{self.seed}.json"

    @property
    def folder(self):
        """Checkpoints and logs."""
        return self.out / "runs" / slug(self.name) / f"seed-{self.seed}"

    @cached_property
    def facts(self):
        """What tells it from other runs."""
        return facts(self.variant)

    def kept(self):
        """The result so far, or None; ConfigError where it is of another variant."""
        if not self.file.is_file():
            return None
        result = json.loads(self.file.read_text())
        unlike = unlike_facts(result["facts"], self.facts)
        if unlike:
            raise ConfigError(say(f"{self.file}", f"a result of the variant {self.name!r} as it is "
                                  "now", f"one of another: {'; '.join(unlike[:4])}", "give the "
                                  "variant another name, or remove this file and "
                                  f"{self.folder}"))
        return result

    def keep(self, result):
        """Write the result; the file is complete or absent."""
        with atomic_path(self.file) as temporary:
            temporary.write_text(json.dumps(result, indent=1))
        return result

    def trained(self, bar=None, **trainer):
        """The policy of the run, trained as far as it is not yet; and the seconds that it took."""
        v, begin = self.variant, time.perf_counter()
        policy = fit(v.model(), v.processor, v.mixture, v.recipe, self.folder, progress=False,
                     tensorboard=False, module=v.module, callbacks=[Told(bar)] if bar else [],
                     **trainer)
        return v.policy(policy.model.to(self.device), v.processor), time.perf_counter() - begin

    def finish(self, evaluate, bar=None, **trainer):
        """The result: of the file where it has all, else trained and evaluated."""
        result = self.kept()
        missing = [m for m in evaluate if m not in (result or {}).get("values", {})]
        if result and result.get("done") and not missing:
            return result
        if result is None:
            result = self.keep({"name": self.name, "seed": self.seed, "done": False,
                                "facts": self.facts, "seconds": 0.0, "values": {},
                                **costs(self.variant, self.device)})
        policy, seconds = self.trained(bar, **trainer)
        if not result["done"]:
            log = history(self.folder)
            result |= {"done": True, "steps": self.variant.recipe.steps,
                       "seconds": seconds, "losses": last(log), "curves": thin(log),
                       "changes": changes(self.base, self.variant), "versions": versions(),
                       "device": str(self.device), "machine": platform.processor() or
                       platform.machine()}
            self.keep(result)
        for metric in missing:
            values = [float(x) for x in evaluate[metric](policy, self.seed)]
            result["values"][metric] = values
            self.keep(result)
        return result


class Told(pl.Callback):
    """Tells a progress bar of every step."""

    def __init__(self, bar):
        self.bar = bar

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        """One step further."""
        self.bar.update()
        if trainer.global_step % 10 == 0:
            self.bar.set_postfix(loss=f"{float(outputs['loss']):.3g}", refresh=False)


def slug(name):
    """A name as part of a path."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    if plain == name:
        return name
    return f"{plain}-{blake2b(name.encode(), digest_size=3).hexdigest()}"


def facts(variant):
    """What tells one run from another: sizes, recipe, data, weights, and a first loss.

    The loss is that of the first batch with every gate open, so that other arithmetic of the same
    weights does not go unnoticed.
    """
    stepper = Stepper(variant, torch.device("cpu"))
    awake(stepper.model, 0)
    with torch.no_grad():
        loss = float(stepper.loss())
    shapes = {n: list(p.shape) for n, p in stepper.model.named_parameters()}
    return {"config": json.loads(variant.config.to_json()),
            "recipe": json.loads(json.dumps(vars(variant.recipe))),
            "data": dict(zip(variant.mixture.names, map(float, variant.mixture.shares))),
            "weights": blake2b(json.dumps(shapes).encode(), digest_size=8).hexdigest(),
            "first_loss": loss}


def unlike_facts(old, new):
    """The facts in which two runs differ, one readable line each; losses up to rounding."""
    lines = [f"{group}.{k}: {old[group].get(k)} against {new[group].get(k)}"
             for group in ("config", "recipe", "data")
             for k in sorted({*old[group], *new[group]})
             if old[group].get(k) != new[group].get(k)]
    if old["weights"] != new["weights"]:
        lines.append("other weights (names or shapes)")
    a, b = old["first_loss"], new["first_loss"]
    if abs(a - b) > 1e-3 * abs(b):
        lines.append(f"the first loss is {a:.5g} against {b:.5g}")
    return lines


def changes(base, variant):
    """What a variant changes, one readable line each."""
    lines = differences(base.config, variant.config)
    lines += [f"recipe.{k}: {vars(base.recipe)[k]} against {v}"
              for k, v in vars(variant.recipe).items() if vars(base.recipe)[k] != v
              and k not in ("steps", "warmup", "save_every", "seed")]
    for thing in ("build", "module", "policy"):
        a, b = getattr(base, thing), getattr(variant, thing)
        if a is not b:
            lines.append(f"{thing}: {plain(b)}")
    tokens = [type(v.processor.actions).__name__ for v in (base, variant)]
    return lines + ([f"actions: {tokens[1]}"] if tokens[0] != tokens[1] else [])


def plain(part):
    """A class or partial in words, without addresses."""
    if hasattr(part, "func"):
        inner = ", ".join(f"{k}={plain(v)}" for k, v in part.keywords.items())
        return f"{plain(part.func)}({inner})"
    return getattr(part, "__name__", repr(part))


def versions():
    """Of Python and of what does the arithmetic."""
    names = ("torch", "lightning", "timm", "numpy")
    return {"python": platform.python_version(), "pi05lite": __version__,
            **{name: metadata.version(name) for name in names}}


def last(log, count=10):
    """The mean of the last logged losses, those of each source among them."""
    keep = {n: v for n, v in log.items() if n not in ("gradient_norm", "bar")}
    return {name: sum(v for _, v in rows[-count:]) / len(rows[-count:])
            for name, rows in keep.items()}


def thin(log, most=40):
    """A few points of each loss over the steps, means of what lies between."""
    curves = {}
    for name in ("text", "tokens", "flow"):
        rows = log.get(name, [])
        size = max(1, -(-len(rows) // most))
        groups = [rows[i:i + size] for i in range(0, len(rows), size)]
        curves[name] = [[g[-1][0], sum(v for _, v in g) / len(g)] for g in groups]
    return curves
