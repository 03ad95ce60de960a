"""A trained run as a small folder to hand on: float16 weights and a card that says what it is.

The optimiser stays behind. `pi05lite.load` reads the folder like any checkpoint.
"""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from pi05lite.errors import DataError, say
from pi05lite.evaluate import scores
from pi05lite.evaluate.results import commit
from pi05lite.model.saving import save_file
from pi05lite.train.checkpoint import newest, step_of, sync

TOLD_BY = {"own": "its own high level", "none": "the prompt alone", "script": "the script"}
LEFT = ("training.json", "training.safetensors", "model.safetensors")


def ship(run, folder, results=(), about="", most=20e6):
    """Write the newest checkpoint of `run` into a new `folder`; returns its size in bytes.

    results: files of `pi05lite evaluate` for the card; about: what else it shall say; most: how
    many bytes. Raises DataError where it would be larger, or `folder` is there already.
    """
    source, folder = newest(run), Path(folder)
    if folder.exists():
        raise DataError(say(f"{folder}", "no folder of that name yet", "one",
                            "remove it, or choose another name"))
    part = Path(f"{folder}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(*LEFT))
        weights = load_file(source / "model.safetensors")
        save_file({name: halved(w) for name, w in weights.items()}, part / "model.safetensors")
        (part / "README.md").write_text(card(source, weights, results, about))
        size = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
        if size > most:
            raise DataError(say(f"{folder}", f"at most {most / 1e6:.0f} MB", f"{size / 1e6:.1f} MB",
                                "ship a smaller model, or allow more"))
        for file in part.rglob("*"):
            sync(file)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return size


def halved(weight):
    """A floating tensor as float16, where none of its numbers becomes infinite."""
    small = weight.to(torch.float16) if weight.is_floating_point() else weight
    return small.contiguous() if torch.isfinite(small).all() else weight.contiguous()


def card(source, weights, results, about):
    """The model card, Markdown: what it is, how it was made, what it reached."""
    recipe = json.loads((source / "recipe.json").read_text())
    sources = json.loads((source / "processor.json").read_text())["sources"]
    count = sum(w.numel() for w in weights.values())
    head = f"# A pi05lite checkpoint: {recipe['stage']}, {count:,} parameters"
    made = (f"Step {step_of(source)} of {recipe['steps']}, averaged weights in float16, seed "
            f"{recipe['seed']}. Sources: {', '.join(sources)}. Commit {commit() or 'unknown'}. "
            "`recipe.json` has all numbers of the recipe, `config.json` those of the model.")
    use = '```python\nimport pi05lite\n\npolicy = pi05lite.load("this folder")\n```'
    parts = [head, about, made, use]
    if results:
        parts.append("## What it reached\n\nSuccess and progress in percent, 95 % intervals.\n\n"
                     + "\n".join(rows(results)))
    return "\n\n".join(part for part in parts if part) + "\n"


def rows(results):
    """A table of results files, a line for all tasks of each."""
    lines = ["| suite | told by | trials | success | progress | seed |",
             "|---|---|---|---|---|---|"]
    for path in results:
        table = scores.load(path)
        how, every = table["about"], table["summary"]["all"]
        lines.append(f"| {how['suite']} | {TOLD_BY[how['high']]} | {every['n']} "
                     f"| {span(every['success'])} | {span(every['progress'])} | {how['seed']} |")
    return lines


def span(figure):
    """A share with its interval: "55 [48, 62]"."""
    mean, low, high = (100 * v for v in figure)
    return f"{mean:.0f} [{low:.0f}, {high:.0f}]"
