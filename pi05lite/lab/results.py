"""What a comparison found: a table and figures, made from small result files alone."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pi05lite.errors import DataError, say
from pi05lite.lab.statistics import difference, interval


@dataclass
class Comparison:
    """Results of variants and seeds; the first variant is what the others are compared with."""

    results: list  # one dict a run

    @property
    def names(self):
        """The variants, in order."""
        return list(dict.fromkeys(r["name"] for r in self.results))

    @property
    def metrics(self):
        """What was evaluated of every variant and seed."""
        first = self.results[0]["values"]
        return [m for m in first if all(m in r["values"] for r in self.results)]

    def of(self, name):
        """The results of a variant, a seed each."""
        return sorted((r for r in self.results if r["name"] == name), key=lambda r: r["seed"])

    def values(self, metric, name):
        """(S, N): seeds by trials."""
        rows = [r["values"].get(metric, []) for r in self.of(name)]
        if len({len(row) for row in rows}) != 1 or not rows[0]:
            raise DataError(say(f"{metric} of {name!r}", "the same number of trials for each seed",
                                [len(row) for row in rows], "let the evaluation return one number "
                                "a trial, of the same trials each time"))
        return np.array(rows)

    def measured(self, metric):
        """{name: (mean, low, high)}, 95 %."""
        return {name: interval(self.values(metric, name)) for name in self.names}

    def differences(self, metric):
        """{name: (mean, low, high, significant)} against the first variant."""
        first, *others = self.names
        return {name: difference(self.values(metric, name), self.values(metric, first), len(others))
                for name in others}

    def rows(self):
        """The table as lists of text: a head, then a row a variant."""
        losses = list(dict.fromkeys(n for r in self.results for n in r["losses"] if n != "loss"))
        head = ["", "parameters", "GFLOP a step", "MB a step", "s a step", "s a chunk", "steps",
                *(f"loss {n}" for n in losses)]
        for metric in self.metrics:
            head += [metric, f"{metric}, against {self.names[0]}"]
        return [head, *(self._row(name, losses) for name in self.names)]

    def _row(self, name, losses):
        runs = self.of(name)
        mean = lambda get: number(np.mean([get(r) for r in runs]))  # noqa: E731
        row = [name, f"{runs[0]['parameters']:,}", number(runs[0]["gflop_a_step"]),
               number(runs[0]["megabytes"]), number(runs[0]["seconds_a_step"]),
               number(runs[0].get("act_seconds")), str(runs[0]["steps"])]
        row += [mean(lambda r, n=n: r["losses"][n]) if n in runs[0]["losses"] else ""
                for n in losses]
        for metric in self.metrics:
            row += [span(*self.measured(metric)[name])]
            found = self.differences(metric).get(name)
            row += ["" if found is None else span(*found[:3], sign=True)
                    + (" *" if found[3] else "")]
        return row

    @property
    def note(self):
        """How to read the table."""
        first = self.results[0]
        seeds = sorted({r["seed"] for r in self.results})
        several = ("[95 % intervals over seeds and trials, Student's t]; differences paired, at "
                   "95 % for all comparisons together; * leaves out 0.")
        one = ("One seed: [95 % intervals over trials] tell of these trained models. Whether an "
               "architecture is better they cannot say: no *, more seeds.")
        return (f"Seeds {seeds}, on {first['device']}. Losses: training, the mean of the last "
                f"entries of the log. {several if len(seeds) > 1 else one}")

    def __str__(self):
        rows = self.rows()
        wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in
                           enumerate(zip(row, wide))) for row in rows]
        return "\n".join([*lines, self.note])

    def _repr_html_(self):
        head, *rows = self.rows()
        cells = lambda row, tag: "".join(f"<{tag}>{cell}</{tag}>" for cell in row)  # noqa: E731
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
        return f"<table><tr>{cells(head, 'th')}</tr>{body}</table><p>{self.note}</p>"

    def figure(self, metric=None, title=None):
        """A plotly Figure: each variant's values with intervals, and the differences."""
        from pi05lite.lab.pictures import comparison_figure

        return comparison_figure(self, metric or self.metrics[0], title)

    def curves(self, loss="flow"):
        """A plotly Figure: a loss over the training time of every variant."""
        from pi05lite.lab.pictures import curves_figure

        return curves_figure(self, loss)


def read(folder):
    """The Comparison that `compare` left in a folder, its finished runs; needs no data."""
    folder = Path(folder)
    speed = folder / "speed.json"
    took = json.loads(speed.read_text()) if speed.is_file() else {}
    results = [json.loads(f.read_text()) for f in sorted(folder.glob("*.seed-*.json"))]
    results = [r | took[r["name"]] for r in results if r.get("done")]
    if not results:
        raise DataError(say(f"{folder}", "result files of lab.compare", "none that is done",
                            "run lab.compare(..., out=...) with that folder"))
    order = list(took)
    return Comparison(sorted(results, key=lambda r: (order.index(r["name"]), r["seed"])))


def number(x):
    """Three digits."""
    return "" if x is None else f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def span(mean, low, high, sign=False):
    """A value with its interval."""
    plus = "+" if sign else ""
    return f"{mean:{plus}.3f} [{low:{plus}.3f}, {high:{plus}.3f}]"
