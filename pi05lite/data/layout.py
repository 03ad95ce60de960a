"""Where things lie in a LeRobot dataset: the one place that knows v2.1 from v3.0.

v2.1 has one table and one video a camera for each episode, and lists tasks and episodes in JSON
lines. v3.0 puts many episodes into one table and one video, and lists tasks and episodes in tables.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pi05lite.data.tables import MISSING, open_table
from pi05lite.errors import DataError, say

VERSIONS = ("v2.0", "v2.1", "v3.0")  # v2.0 differs from v2.1 only in statistics, not read here
DOWNLOAD_MARKER = ".pi05lite-download.json"
PLACES = ("data/", "videos/", "meta/", "stats/", "dataset_from_index", "dataset_to_index")


@dataclass(frozen=True)
class Episode:
    """One recorded attempt: its index in the dataset, frames, task texts, and extra columns."""

    index: int
    length: int
    tasks: tuple[str, ...]
    meta: dict


@dataclass(frozen=True)
class Layout:
    """The lists of a dataset, and where each episode's table and videos lie."""

    root: Path
    info: dict
    tasks: dict  # task index -> text
    rows: dict  # episode index -> its row in the episodes list, of the episodes that are here

    @property
    def version(self):
        return self.info["codebase_version"]

    def episode(self, index):
        """The episode with this index."""
        row = self.rows[index]
        own = {k: v for k, v in row.items() if v is not None and not k.startswith(PLACES)}
        index, length, tasks = (own.pop(k, ()) for k in ("episode_index", "length", "tasks"))
        return Episode(index, length, tuple(tasks), own)

    def table(self, index):
        """Path of the parquet file that holds episode `index`."""
        return self._path("data_path", index, "data", {})

    def video(self, index, camera):
        """(path, start in seconds) of an episode's video of one camera."""
        path = self._path("video_path", index, f"videos/{camera}", {"video_key": camera})
        return path, float(self.rows[index].get(f"videos/{camera}/from_timestamp", 0.0))

    def _path(self, template, index, prefix, names):
        row = self.rows[index]
        try:
            if self.version == "v3.0":
                numbers = {k: row[f"{prefix}/{k}"] for k in ("chunk_index", "file_index")}
            else:
                chunk = index // self.info.get("chunks_size", 1000)
                numbers = {"episode_chunk": chunk, "episode_index": index}
            return self.root / self.info[template].format(**numbers, **names)
        except (KeyError, ValueError, AttributeError) as error:
            thing = f"{self.root}: place of episode {index}"
            expected = f"{template} in meta/info.json, its numbers in the episodes list"
            received = f"{type(error).__name__}: {error}"
            way_out = "get the dataset again, or mend these two files"
            raise DataError(say(thing, expected, received, way_out)) from error


def read_layout(root):
    """Read info, tasks and episodes of a LeRobot dataset; raises DataError where one is missing."""
    root = Path(root).expanduser()
    here = _downloaded(root)
    info = read_json(root / "meta/info.json")
    missing = [k for k in ("codebase_version", "features", "fps", "data_path") if k not in info]
    if missing:
        way_out = "get the dataset again, or write the missing keys"
        raise DataError(say(root / "meta/info.json", "the LeRobot keys", f"no {missing}", way_out))
    if info["codebase_version"] not in VERSIONS:
        received = f"codebase_version {info['codebase_version']!r}"
        way_out = "convert it with LeRobot's own conversion scripts"
        expected = f"one of {', '.join(VERSIONS)}"
        raise DataError(say(root / "meta/info.json", expected, received, way_out))
    if info["codebase_version"] == "v3.0":
        tasks, rows = _tables_v30(root)
    else:
        tasks = _read_lines(root / "meta/tasks.jsonl")
        rows = _read_lines(root / "meta/episodes.jsonl")
    try:
        tasks = {row["task_index"]: row["task"] for row in tasks}
        rows = {row["episode_index"]: row for row in rows if row["length"] > 0}
        rows = {index: row for index, row in rows.items() if here is None or index in here}
        return Layout(root, info, tasks, rows)
    except KeyError as error:
        expected = "task_index, task, episode_index and length in every row"
        way_out = "get the dataset again"
        thing = f"{root / 'meta'}: tasks and episodes"
        raise DataError(say(thing, expected, f"a row without {error}", way_out)) from error


def _tables_v30(root):
    tasks = open_table(root / "meta/tasks.parquet").read()
    # The text is the index of a pandas table, which older files leave without a name.
    names = ["task" if name == "__index_level_0__" else name for name in tasks.column_names]
    files = sorted((root / "meta/episodes").glob("*/*.parquet"))
    if not files:
        raise DataError(_missing(root / "meta/episodes", "tables (chunk-000/file-000.parquet)"))
    episodes = [row for file in files for row in _without_stats(file)]
    return tasks.rename_columns(names).to_pylist(), episodes


def _without_stats(path):
    file = open_table(path)
    names = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
    # Nested columns have one leaf name for each level, so pick by the name of the whole column.
    return file.read(columns=names).select(names).to_pylist()


def _downloaded(root):
    """The episode indices that `pi05lite data get` fetched; None if it did not make this folder."""
    if not root.is_dir():
        raise DataError(_missing(root, "a LeRobot dataset folder"))
    marker = root / DOWNLOAD_MARKER
    record = read_json(marker) if marker.is_file() else {"complete": True}
    if not record.get("complete", False):
        received = f"a download that did not finish ({DOWNLOAD_MARKER} says so)"
        way_out = f"run `pi05lite data get {root.name}` again: it goes on where it stopped"
        raise DataError(say(f"dataset {root}", "a complete dataset", received, way_out))
    return record.get("episodes")


def _missing(path, expected):
    return say(path, expected, "nothing there", MISSING)


def read_json(path):
    """The object in a JSON file; raises DataError if it is missing or not JSON."""
    if not path.is_file():
        raise DataError(_missing(path, "a JSON file"))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(say(path, "JSON", error, "the file is damaged: get it again")) from error


def _read_lines(path):
    if not path.is_file():
        raise DataError(_missing(path, "a file of JSON lines"))
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        way_out = "the file is damaged: get it again"
        raise DataError(say(path, "JSON lines", error, way_out)) from error
