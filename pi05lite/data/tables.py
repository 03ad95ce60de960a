"""Parquet tables as numpy: one column of a file, or of some of its rows."""

from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pi05lite.errors import DataError, say

MISSING = (
    "run `pi05lite data get NAME` to download a dataset, "
    "or point PI05LITE_DATA at the folder that holds it"
)


class Tables:
    """The tables of one dataset; each column is read when first asked for and then kept."""

    def __init__(self):
        self._columns = {}
        self._rows = {}

    def column(self, path, key):
        """A whole column of one file, (T,) or (T, n); raises DataError as `read_column` does."""
        if (path, key) not in self._columns:
            self._columns[path, key] = to_numpy(read_column(path, key), f"{path}: column {key!r}")
        return self._columns[path, key]

    def rows(self, path, episode):
        """Which rows of a file belong to an episode index, as a slice; empty if none do."""
        if path not in self._rows:
            numbers = self.column(path, "episode_index")
            starts = np.flatnonzero(np.diff(numbers, prepend=-1))
            if len(np.unique(numbers)) != len(starts):
                expected = "the rows of each episode one after the other"
                way_out = "sort the table by episode_index and frame_index"
                raise DataError(say(path, expected, "episodes mixed with each other", way_out))
            stops = [*starts[1:].tolist(), len(numbers)]
            self._rows[path] = {
                int(numbers[start]): slice(start, stop)
                for start, stop in zip(starts.tolist(), stops)
            }
        return self._rows[path].get(episode, slice(0, 0))


def open_table(path):
    """A parquet file with its footer read; raises DataError if it is missing or cut off."""
    if not path.is_file():
        raise DataError(say(path, "a parquet file", "nothing there", MISSING))
    with _readable(path):
        status = path.stat()
        return pq.ParquetFile(path, metadata=_footer(path, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=16)
def _footer(path, size, mtime_ns):
    """The footer of a file as it is now: with a row group an episode, it takes long to read."""
    return pq.read_metadata(path)


def read_column(path, key, rows=None):
    """One column of a parquet file as an arrow array; rows (a slice) reads only those.

    Raises DataError if the file is missing or damaged, or has no such column.
    """
    file = open_table(path)
    if key not in file.schema_arrow.names:
        raise DataError(_no_column(path, key, file.schema_arrow))
    if rows is None:
        rows = slice(0, file.metadata.num_rows)
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    ends = np.cumsum(sizes)
    groups = np.flatnonzero((ends > rows.start) & (ends - sizes < rows.stop)).tolist()
    if not groups:
        return file.schema_arrow.empty_table().column(key)
    with _readable(path):
        column = file.read_row_groups(groups, columns=[key]).column(key)
    skipped = int(ends[groups[0]]) - sizes[groups[0]]
    return column.slice(rows.start - skipped, rows.stop - rows.start)


def to_numpy(column, thing):
    """An arrow column as numpy: (T,) for plain values, (T, n) for lists of numbers.

    Raises DataError, naming `thing`, for lists of different lengths.
    """
    kind = column.type
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_list(kind) for is_list in lists):
        return column.to_numpy()
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or lengths[0] is None:
        way_out = "write the table with one size in all rows"
        raise DataError(say(thing, "as many values in every row", f"sizes {lengths}", way_out))
    return pc.list_flatten(column).to_numpy().reshape(len(column), -1)


def check_columns(path, sizes):
    """Raise DataError unless the table has these columns, with these sizes where it says them."""
    schema = open_table(path).schema_arrow
    for key, size in sizes.items():
        if key not in schema.names:
            raise DataError(_no_column(path, key, schema))
        stored = getattr(schema.field(key).type, "list_size", size)
        if stored != size:
            thing = f"{path}: {key!r}"
            way_out = "table and meta/info.json disagree: mend one of them"
            raise DataError(say(thing, f"{size} values", f"{stored} values", way_out))


def check_finite(values, thing):
    """Raise DataError naming the first frame of `values` (T, n) with NaN or infinity."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        t, i = bad[0].tolist()
        received = f"{values[t, i]} at frame {t}, dimension {i} ({len(bad)} such values in all)"
        way_out = "leave this episode out (episodes=...), or repair the recording"
        raise DataError(say(thing, "finite numbers", received, way_out))


def _no_column(path, key, schema):
    expected = f"a column of {', '.join(schema.names)}"
    return say(path, expected, f"no column {key!r}", "ask for a column that is there")


@contextmanager
def _readable(path):
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        way_out = "the file may be cut off: get it again"
        raise DataError(say(path, "a readable parquet file", error, way_out)) from error
