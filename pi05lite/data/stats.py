"""Exact statistics of states and actions, and the scaling to [-1, 1] made from them.

pi0.5 maps each dataset's 1 % quantile to -1 and its 99 % quantile to 1. The quantiles here are
exact (all values are sorted); a running histogram, as openpi keeps, can lose counts when its range
grows.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from pi05lite.data.cache import atomic_path, cache_folder, key_of
from pi05lite.errors import DataError, say

VERSION = 1  # raise it when the same tables would give other numbers
FLOOR = 1e-4


@dataclass(frozen=True, eq=False)
class Stats:
    """Statistics of one vector over all frames, each array (n,) float64, in the vector's units.

    clipped: how many values lie outside [q01, q99]; widened: True where q99 - q01 was below the
    floor and the range was widened to it, round its centre.
    """

    q01: np.ndarray
    q99: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    count: int
    clipped: np.ndarray
    widened: np.ndarray

    def normalize(self, x, clip=True):
        """Map [q01, q99] to [-1, 1] and clip what is outside; x (..., n), numpy or torch.

        Source: pi0.5 paper (per-dataset 1 % and 99 % quantiles). Raises DataError for another last
        dimension, NaN or infinity.
        """
        x, wide, low, span = self._prepare(x)
        scaled = (wide - low) / span * 2 - 1
        return _like(scaled.clip(-1, 1) if clip else scaled, x)

    def unnormalize(self, x):
        """Map [-1, 1] back to [q01, q99]; x (..., n); raises DataError as `normalize` does."""
        x, wide, low, span = self._prepare(x)
        return _like((wide + 1) / 2 * span + low, x)

    def _prepare(self, x):
        """x; then x, q01, q99 - q01 in float64, which a narrow range far from zero needs."""
        x, n = x if _is_torch(x) else np.asarray(x), len(self.q01)
        if x.shape[-1:] != (n,):
            way_out = "use the statistics of the dataset that the values come from"
            raise DataError(say("values to scale", f"shape (..., {n})", tuple(x.shape), way_out))
        wide = x.double() if _is_torch(x) else x.astype(np.float64)
        if not (abs(wide) < float("inf")).all():  # NaN compares as False
            way_out = "look for the NaN where the values were made"
            raise DataError(say("values to scale", "finite numbers", "NaN or infinity", way_out))
        both = (self.q01, self.q99 - self.q01)
        return x, wide, *(wide.new_tensor(v) if _is_torch(x) else v for v in both)


@dataclass(frozen=True, eq=False)
class DatasetStats:
    """Statistics of a dataset's states and actions."""

    name: str
    state: Stats
    action: Stats

    def save(self, path):
        """Write to a JSON file, which appears only when complete."""
        content = json.dumps(asdict(self), default=lambda array: array.tolist(), indent=1)
        with atomic_path(path) as temporary:
            temporary.write_text(content, encoding="utf-8")

    @staticmethod
    def load(path):
        """Read what `save` wrote; raises DataError if the file is missing or not such a file."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            state, action = (_from_lists(content[key]) for key in ("state", "action"))
            return DatasetStats(content["name"], state, action)
        except (OSError, ValueError, KeyError, TypeError) as error:
            way_out = "compute them again: stats.compute(dataset).save(path)"
            received = f"{type(error).__name__}: {error}"
            raise DataError(say(path, "statistics of a dataset", received, way_out)) from error

    @staticmethod
    def from_openpi(path, name, state_size=None, action_size=None):
        """The statistics in an openpi checkpoint's norm_stats.json (quantiles, as for pi0.5).

        state_size, action_size: how many numbers the robot has, where the file holds padding too.
        openpi divides by q99 - q01 + 1e-6; the 1e-6 is made part of q99 here. Raises DataError if
        the file is not such a file or has no quantiles.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))["norm_stats"]
            state, action = (_from_quantiles(content[key], size) for key, size in
                             (("state", state_size), ("actions", action_size)))
            return DatasetStats(name, state, action)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(say(path, "openpi's norm_stats.json with q01 and q99",
                                f"{type(error).__name__}: {error}",
                                "take it from the checkpoint's assets folder")) from error

    def describe(self):
        """A few lines for people: ranges, what is clipped, which ranges were widened."""
        lines = [f"{self.name}: statistics of {self.action.count} frames"]
        for name, stats in (("state", self.state), ("action", self.action)):
            share = stats.clipped.sum() / (stats.count * len(stats.q01))
            lines.append(
                f"  {name}: {len(stats.q01)} dimensions, {share:.2%} of values outside the range, "
                f"{stats.widened.sum()} ranges widened to the floor"
            )
        return "\n".join(lines)


def compute(dataset, floor=FLOOR):
    """Exact statistics over a dataset's chosen episodes; float32 values, summed in float64.

    floor: the least q99 - q01; a narrower range is widened to it, so that a dimension that hardly
    moves is not blown up into noise. Raises DataError for NaN or infinity in the data.
    """
    if floor <= 0:
        raise DataError(say("floor", "above 0", floor, f"leave it at {FLOOR}"))
    episodes = range(len(dataset.episodes))
    state = of_values(np.concatenate([dataset.states(e) for e in episodes]), floor)
    action = of_values(np.concatenate([dataset.actions(e) for e in episodes]), floor)
    return DatasetStats(dataset.name, state, action)


def cached(dataset, folder=None, floor=FLOOR):
    """`compute`, or its result from an earlier time for the same tables, episodes and floor.

    folder: the cache folder (None: the dataset's default, see `cache_folder`).
    """
    path = cache_folder(folder) / "stats" / f"{key_of(VERSION, floor, dataset.content())}.json"
    if path.is_file():
        try:
            found = DatasetStats.load(path)
            return DatasetStats(dataset.name, found.state, found.action)
        except DataError:
            pass  # damaged: made again below
    stats = compute(dataset, floor)
    stats.save(path)
    return stats


def of_values(values, floor=FLOOR):
    """Statistics of values (T, n), one dimension at a time to keep the float64 copies small."""
    columns = [_column_stats(column.astype(np.float64), floor) for column in values.T]
    arrays = {name: np.array([column[name] for column in columns]) for name in columns[0]}
    return Stats(count=len(values), **arrays)


def _column_stats(column, floor):
    low, high = np.quantile(column, [0.01, 0.99])
    widened = high - low < floor
    if widened:
        low, high = (low + high) / 2 - floor / 2, (low + high) / 2 + floor / 2
    return {
        "q01": low, "q99": high, "mean": column.mean(), "std": column.std(),
        "minimum": column.min(), "maximum": column.max(),
        "clipped": int(((column < low) | (column > high)).sum()), "widened": widened,
    }


def _from_lists(content):
    arrays = {f.name: np.asarray(content[f.name]) for f in fields(Stats) if f.name != "count"}
    sizes = {array.shape for array in arrays.values()}
    if len(sizes) != 1 or not np.isfinite(arrays["q99"] - arrays["q01"]).all():
        raise ValueError("arrays of different sizes, or not numbers")
    return Stats(count=int(content["count"]), **arrays)


def _from_quantiles(content, size):
    q01, q99, mean, std = (np.asarray(content[key], dtype=np.float64)[:size]
                           for key in ("q01", "q99", "mean", "std"))
    q99 = q99 + 1e-6
    nothing = np.zeros(len(q01))
    return Stats(q01, q99, mean, std, minimum=q01, maximum=q99, count=0,
                 clipped=nothing.astype(int), widened=nothing.astype(bool))


def _is_torch(x):
    return hasattr(x, "new_tensor")  # so that torch need not be imported here


def _like(wide, x):
    """Back to the kind of number that came in; whole numbers become float32."""
    if _is_torch(x):
        return wide.to(x.dtype) if x.is_floating_point() else wide.float()
    return wide.astype(x.dtype if x.dtype.kind == "f" else np.float32)
