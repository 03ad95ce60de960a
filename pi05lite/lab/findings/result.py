"""What a finding found, as one small JSON file: every mean with its two intervals.

"these runs": over trials, of the policies that were trained. "other seeds": over seeds and trials,
what another start would have given too (lab/statistics.py); with two seeds it is wide, and that is
what two seeds are worth.
"""

import numpy as np

from pi05lite.lab.statistics import difference, interval

METRICS = ("success", "progress", "named thing touched first")


def values(rows, metric):
    """A number a trial."""
    if metric == METRICS[2]:
        return [float(row["right_first"] is True) for row in rows]
    return [float(row[metric]) for row in rows]


def metrics(point):
    """What is told of a point: whether the named thing came first only where one is named."""
    return METRICS if point.suite.startswith("language") else METRICS[:2]


def point_entry(point, rows_by_seed, runs):
    """A point with its figures. rows_by_seed: a list of trials for each seed; runs: their names."""
    n = len(rows_by_seed[0])
    entry = {"label": point.label, "suite": point.suite, "high": point.high, "metric": point.metric,
             "denoising": f"{point.steps} x {point.solver}", "differs": point.plan.differs(),
             "trials a seed": n, "rollouts": n * len(rows_by_seed), "runs": runs}
    for metric in metrics(point):
        table = np.array([values(rows, metric) for rows in rows_by_seed])  # (S, N)
        entry[metric] = {"mean": float(table.mean()), "seeds": table.mean(axis=1).tolist(),
                         "these runs": interval(table.mean(axis=0)[None])[1:],
                         "other seeds": interval(table)[1:] if len(table) > 1 else None}
    failures = [row["failure"] for rows in rows_by_seed for row in rows if row["failure"]]
    entry["failures"] = {f: failures.count(f) for f in sorted(set(failures))}
    return entry


def differences(question, points, rows):
    """Every point against the one that the question names, in the same suite, paired.

    rows: of each point, a list of trials for each seed. Intervals hold for all comparisons of a
    suite together.
    """
    out = []
    for suite in dict.fromkeys(p.suite for p in points):
        mine = [(p, r) for p, r in zip(points, rows) if p.suite == suite]
        first = next(((p, r) for p, r in mine if p.label == question.against), None)
        others = [(p, r) for p, r in mine if p.label != question.against]
        for point, found in others if first else ():
            a, b = ([values(seed, point.metric) for seed in r] for r in (found, first[1]))
            mean, low, high, sure = difference(a, b, len(others))
            out.append({"label": point.label, "against": question.against, "suite": suite,
                        "metric": point.metric, "mean": mean, "interval": [low, high],
                        "over": "seeds and trials" if len(a) > 1 else "trials of these runs",
                        "significant": sure if len(a) > 1 else None})
    return out
