"""`pi05lite lab findings`: answer the paper's questions in homes, as far as they are not yet."""

import json
from functools import partial
from hashlib import blake2b
from pathlib import Path

from pi05lite.errors import ConfigError, say
from pi05lite.evaluate import results
from pi05lite.lab.findings import trials
from pi05lite.lab.findings.estimate import lines, sizes_for, table
from pi05lite.lab.findings.plan import STAGES, stages
from pi05lite.lab.findings.questions import QUESTIONS, STANDARD
from pi05lite.lab.findings.result import differences, point_entry
from pi05lite.lab.findings.training import Place, done, read_policy, train
from pi05lite.lab.runs import versions
from pi05lite.train.checkpoint import newest, step_of

SEEDS, COUNT, HOURS = (0, 1), 200, 12.0
EXECUTE = 50  # all of each chunk, which costs half as much as the half that `evaluate` does


def findings(numbers=(), data=None, out="notebooks/results", runs="runs/findings", hours=HOURS,
             seeds=SEEDS, count=COUNT, policies=(), execute=EXECUTE, sizes=None, place=None,
             tell=print):
    """Answer questions of QUESTIONS (none named: all); returns their result files.

    data: folder of `pi05lite homes data`; runs: where trained stages and rollouts are kept; hours:
    what all seven may take on two CPU cores, which settles the steps of every stage; count:
    rollouts a point at least, over all seeds together; policies: checkpoints to try in
    place of training, one a seed: then only what needs no training of its own is answered; execute:
    steps that are done of each chunk; sizes: stage -> steps in place of what `hours` settles;
    place: a Place of another kind.
    """
    numbers = chosen(numbers)
    seeds = range(len(policies)) if policies else seeds
    count = -(-count // len(seeds))  # a seed
    folder = Path(runs)
    if not policies:
        if data is None and place is None:
            raise ConfigError(say("data", "a folder with the six sources of the homes", "none",
                                  "pi05lite homes data DATA, then --data DATA; or --policy"))
        place = place or Place(Path(data), folder)
        sizes = sizes or sizes_for(hours, seeds, count, place.episodes)
        find = lambda plan, seed: train(place, plan, sizes, seed, tell)  # noqa: E731
    else:
        find = lambda plan, seed: given(policies[seed], folder)  # noqa: E731
    files = []
    for number in numbers:
        question, left_out = QUESTIONS[number], []
        if policies:
            left_out = [p for p in question.points if p.plan != STANDARD]
        points = [p for p in question.points if p not in left_out]
        if len(points) < 2:
            tell(f"finding {number}: what is to be compared needs training of its own; left out")
            continue
        how = "--policy CHECKPOINT" if policies else f"--data DATA --budget {hours:g}"
        answer = {"command": f"pi05lite lab findings {number} {how} --count {count * len(seeds)} "
                             f"--seeds {' '.join(map(str, seeds))} --execute {execute}"}
        attempt = partial(trials.rows, count=count, execute=execute)
        answer |= answered(question, points, seeds, find, attempt, tell)
        if policies:
            answer["policies"] = [about_policy(path) for path in policies]
        else:
            answer |= {"hours": hours, "steps": sizes, "standard": standard(sizes, seeds[0])}
        answer["left out"] = [f"{p.label}, {p.suite}" for p in left_out]
        name = f"finding_{number}{'_policy' if policies else ''}.json"
        files.append(results.save(answer, Path(out) / name))
        tell(f"written: {files[-1]}")
    return files


def chosen(numbers):
    """The numbers asked for, all where none is; ConfigError for one that there is not."""
    wrong = sorted(set(numbers) - set(QUESTIONS))
    if wrong:
        raise ConfigError(say("finding", f"numbers of {sorted(QUESTIONS)}", wrong, "see README"))
    return list(numbers) or list(QUESTIONS)


def answered(question, points, seeds, find, attempt, tell):
    """Train and try all points of a question; its result."""
    rows, entries, used = [], [], {}
    for point in points:
        folders = [find(point.plan, seed) for seed in seeds]
        tell(f"finding {question.number}: {point.label}, {point.suite}")
        rows.append([attempt(partial(read_policy, trained(f), point.plan), f, point)
                     for f in folders])
        used |= {f.name: done(f) or {} for f in folders}
        entries.append(point_entry(point, rows[-1], [f.name for f in folders]))
    if question.timed:
        time_chunks(points, entries, [find(p.plan, seeds[0]) for p in points])
    return {"finding": question.number, "question": question.text, "note": question.note,
            "seeds": list(seeds),
            "commit": results.commit(), "versions": versions(), "points": entries,
            "differences": differences(question, points, rows),
            "runs": [{"run": name, "commit": about.get("commit"), "seconds": about.get("seconds")}
                     for name, about in used.items()]}


def time_chunks(points, entries, folders):
    """Add the seconds of one chunk, of the first seed's policies."""
    load = {p.label: partial(read_policy, trained(f), p.plan) for p, f in zip(points, folders)}
    found = trials.chunk_seconds(load, points, folders[0])
    for entry in entries:
        entry["seconds a chunk"] = found[entry["label"]]


def standard(sizes, seed):
    """The recipe of all stages that plans are told apart from."""
    return {s.kind: {"recipe": vars(s.recipe), "shares": s.shares}
            for s in stages(STANDARD, sizes, seed)}


# ---- policies that were trained elsewhere ----------------------------------------------------


def given(path, folder):
    """Where the rollouts of a given policy are kept; its checkpoint is named there."""
    kept = folder / f"policy-{digest(path)}"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "checkpoint").write_text(str(newest(path).resolve()))
    return kept


def trained(folder):
    """The checkpoint of a stage, or the one that a folder of `given` names."""
    named = folder / "checkpoint"
    return Path(named.read_text()) if named.is_file() else folder


def digest(path):
    """A short hash of a policy's weights."""
    weights = (newest(path) / "model.safetensors").read_bytes()
    return blake2b(weights, digest_size=6).hexdigest()


def about_policy(path):
    """What a result says of a policy that it was handed: no more than it holds itself."""
    folder = newest(path)
    recipe = folder / "recipe.json"
    step = step_of(folder) if folder.name.startswith("step-") else None
    return {"weights": digest(path), "step": step,
            "recipe": json.loads(recipe.read_text()) if recipe.is_file() else None}


def estimate(numbers=(), hours=HOURS, seeds=SEEDS, count=COUNT, sizes=None):
    """The work of findings as text, with minutes; runs nothing and needs no data."""
    count, episodes = -(-count // len(seeds)), Place.episodes
    sizes = sizes or sizes_for(hours, seeds, count, episodes)
    work = lines(chosen(numbers), sizes, seeds, count, episodes)
    steps = ", ".join(f"{kind} {sizes[kind]}" for kind in STAGES)
    return f"steps: {steps} (all seven findings in {hours:g} hours)\n{table(work)}"
