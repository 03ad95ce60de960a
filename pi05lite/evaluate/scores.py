"""Results as a small file: what was run, every outcome, and the summary with its intervals."""

import json
import sys
from collections import Counter
from importlib import metadata

from pi05lite import __version__
from pi05lite.data.cache import atomic_path
from pi05lite.errors import DataError, say
from pi05lite.evaluate.intervals import bootstrap, paired, wilson


def summary(outcomes):
    """{task: figures} and "all": number, success and progress with 95 % intervals, failures."""
    rows = [o if isinstance(o, dict) else o.row() for o in outcomes]
    groups = {"all": rows}
    for row in rows:
        groups.setdefault(row["task"], []).append(row)
    return {name: _figures(group) for name, group in groups.items()}


def _figures(rows):
    n, successes = len(rows), sum(r["success"] for r in rows)
    followed = [r["right_first"] for r in rows if r["right_first"] is not None]
    return {
        "n": n, "success": [successes / n, *wilson(successes, n)],
        "progress": list(bootstrap([r["progress"] for r in rows])),
        "right_first": [sum(followed) / n, *wilson(sum(followed), n)],
        "failures": dict(Counter(r["failure"] for r in rows if r["failure"])),
        "steps": sum(r["steps"] for r in rows) / n,
    }


def save(path, outcomes, **about):
    """Write outcomes with what they came from (suite, seed, policy ...); returns the path."""
    table = {
        "command": " ".join(sys.argv), "about": about,
        "versions": {"pi05lite": __version__, "mujoco": metadata.version("mujoco")},
        "summary": summary(outcomes), "rows": [o.row() for o in outcomes],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(table, indent=1))
    return path


def load(path):
    """What `save` wrote; raises DataError for another file."""
    try:
        with open(path) as file:
            table = json.load(file)
        table["rows"], table["about"], table["summary"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(say(f"results {path}", "a file that scores.save wrote", repr(error),
                            "run pi05lite evaluate again")) from error
    return table


def show(figures):
    """The summary as lines of text."""
    head = f"{'task':<12} {'n':>5}  {'success':<20} {'progress':<20} failures"
    return "\n".join([head, *(_line(name, f) for name, f in figures.items())])


def _line(name, f):
    def span(figure):
        mean, low, high = (100 * v for v in figure)
        return f"{mean:5.1f} [{low:.1f}, {high:.1f}]"

    wrong = ", ".join(f"{count} {what}" for what, count in f["failures"].items()) or "-"
    return (f"{name:<12} {f['n']:>5}  {span(f['success']):<20} {span(f['progress']):<20} {wrong}")


def compare(one, other, figure="success"):
    """(mean, low, high) of the difference of two results on the same trials."""
    a, b = ({row["name"]: float(row[figure]) for row in table["rows"]} for table in (one, other))
    if set(a) != set(b):
        raise DataError(say("results to compare", "the same trials in both",
                            f"{len(set(a) ^ set(b))} trials that only one has",
                            "run both with the same suite, count and seed"))
    names = sorted(a)
    return paired([a[n] for n in names], [b[n] for n in names])
