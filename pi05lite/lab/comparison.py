"""Compare variants under one budget: the same data order, the same seeds, one device."""

import json
from pathlib import Path

from tqdm.auto import tqdm

from pi05lite.data.cache import atomic_path
from pi05lite.errors import ConfigError, say
from pi05lite.lab.budget import Budget, device_of, side_by_side, speeds
from pi05lite.lab.evaluations import one_chunk
from pi05lite.lab.results import Comparison
from pi05lite.lab.runs import Run
from pi05lite.lab.variant import Variant


def compare(variants, base, budget, seeds=(0, 1), out="runs/lab", evaluate=None, progress=True,
            launch=None, **trainer):
    """Train every variant with every seed and compare them with the first: a Comparison.

    variants: name -> swap, a function of the Variant `base` that returns another Variant (see
    `lab.part`, `lab.numbers`, `lab.swaps`); budget: `lab.Budget(steps=...)` for the same steps, or
    `Budget(seconds=...)` for the same training time (lab/budget.py says how that is fair);
    evaluate: metric -> function (policy, seed) -> one number a trial.
    out: folder of small result files; what is there is not done again, and a run that was cut off
    goes on. launch: runs jobs elsewhere (`lab.spread`). trainer: goes to `fit`, as devices=2.
    """
    out, device, evaluate = Path(out), device_of(trainer), dict(evaluate or {})
    made = {name: made_by(name, swap, base) for name, swap in variants.items()}
    if not isinstance(budget, Budget):
        raise ConfigError(say("budget", "a lab.Budget", repr(budget), "lab.Budget(seconds=120)"))
    out.mkdir(parents=True, exist_ok=True)
    took = measured(out, made, device)
    steps = {name: budget.steps_at(took[name]["seconds_a_step"]) for name in made}
    runs = [Run(name, made[name].run(seed, steps[name]), base, out, device)
            for seed in seeds for name in made]
    for run in runs:  # all of them before the first is trained
        run.kept()
    finish(runs, evaluate, progress, launch, trainer)
    time_chunks(out, runs[:len(made)], took, trainer)
    return Comparison([run.kept() | took[run.name] for run in runs])


def made_by(name, swap, base):
    """The variant that a swap makes; ConfigError where it makes something else."""
    made = swap(base)
    if not isinstance(made, Variant):
        raise ConfigError(say(f"variant {name!r}", "a function of a Variant that returns a Variant",
                              type(made).__name__, "wrap a part: lab.part(attention=Mine), a "
                              "number: lab.numbers(insulate=True)"))
    return made


def finish(runs, evaluate, progress, launch, trainer):
    """Do what is not done yet, one run after the other or by a launcher."""
    if launch:
        launch([lambda run=run, **more: run.finish(evaluate, **trainer | more) for run in runs])
        return
    total = sum(run.variant.recipe.steps for run in runs)
    with tqdm(total=total, disable=not progress, unit="step") as bar:
        done = 0
        for run in runs:
            bar.set_description(f"{run.name}, seed {run.seed}")
            result = run.finish(evaluate, bar, **trainer)
            done += run.variant.recipe.steps
            bar.update(done - bar.n)  # what was there already
            means = {m: sum(v) / len(v) for m, v in result["values"].items()}
            if progress:
                bar.write(f"{run.name}, seed {run.seed}: " + ", ".join(
                    f"{m} {x:.3g}" for m, x in (means or result["losses"]).items()))


def measured(out, made, device):
    """What was timed side by side, name -> {seconds_a_step}; variants without are timed now."""
    took, first = read_speed(out), next(iter(made))
    known = {n: row["seconds_a_step"] for n, row in took.items()}
    if known and first not in known:
        raise ConfigError(say(f"first variant of a comparison in {out}", f"one of {sorted(known)}: "
                              "new ones are timed beside it", first, "put it first, or take "
                              "another folder"))
    now = speeds(made, known, device)
    new = {name: {"seconds_a_step": now[name]} for name in now if name not in took}
    return write_speed(out, took | new) if new else took


def time_chunks(out, runs, took, trainer):
    """Seconds of one chunk of every trained policy, timed in turns and kept beside the others."""
    new = [run for run in runs if "act_seconds" not in took[run.name]]
    if not new:
        return
    asked = new if runs[0] in new else [runs[0], *new]
    timed = side_by_side({r.name: one_chunk(r.trained(**trainer)[0], r.variant.mixture)
                          for r in asked}, 5)
    first = runs[0].name
    scale = took[first].get("act_seconds", timed[first]) / timed[first]
    for run in new:
        took[run.name]["act_seconds"] = scale * timed[run.name]
    write_speed(out, took)


def read_speed(out):
    """The file of what was timed, or nothing."""
    file = out / "speed.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def write_speed(out, took):
    """Keep what was timed."""
    with atomic_path(out / "speed.json") as temporary:
        temporary.write_text(json.dumps(took, indent=1))
    return took


