"""Write LeRobot v3.0 datasets: one table, one video a camera, and the lists that say what is where.

The dataset is made in a hidden folder beside its place and renamed when it is whole.
"""

import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pi05lite.data import v30
from pi05lite.data.images import check_image
from pi05lite.data.tables import check_finite
from pi05lite.data.video import encoder
from pi05lite.errors import DataError, say

FIRST = {"chunk_index": 0, "file_index": 0}  # everything goes into the first file of its kind
COUNTERS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64",
            "index": "int64", "task_index": "int64"}


def write_dataset(root, episodes, fps, robot, names=None, video=True, steps=1):
    """Write episodes as a LeRobot v3.0 dataset in the new folder `root`; returns its path.

    episodes: an iterable of dicts {"state": (T, S), "action": (T, A), "task": text or T texts,
    "images": {feature key: uint8 (T, h, w, 3)}, "texts": {column: T texts}, "meta": {column:
    value}}; the last three may be left out. fps: frames a second; names: {"state": [...],
    "action": [...]}; video: H.264 videos (small, not exact; even sizes only), else PNG pictures in
    the table (exact). steps: actions a frame, where they are stored more often than pictures: then
    "action" is (T * steps, A), and a frame's row holds steps * A numbers. Raises DataError if
    `root` exists or an episode does not fit; then nothing is left behind.
    """
    root = Path(root).expanduser()
    if root.exists():
        way_out = "choose another folder, or remove this one"
        raise DataError(say(f"dataset {root}", "a new folder", "it exists already", way_out))
    temporary = root.with_name(f".{root.name}.{uuid4().hex}.part")
    try:
        with ExitStack() as stack:
            writer = _Writer(temporary, fps, video, steps, stack)
            for episode in episodes:
                writer.add(episode)
        writer.finish(robot, names or {})
        os.rename(temporary, root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root


def convert(source, root, video=True):
    """Write an opened dataset as LeRobot v3.0: its chosen episodes and cameras, at its image size.

    Episodes are numbered anew from 0; columns other than state and action are left out.
    """
    keys = {"state": source.state_key, "action": source.action_key}
    names = {name: source.features[key].get("names") for name, key in keys.items()}
    episodes = (
        {
            "state": source.states(e),
            "action": source.actions(e),
            "task": [source.task(e, t) for t in range(episode.length)],
            "images": {camera: source.images(e, camera) for camera in source.cameras},
            "meta": episode.meta,
        }
        for e, episode in enumerate(source.episodes)
    )
    return write_dataset(root, episodes, source.fps, source.robot, names, video, source.steps)


class _Writer:
    """An unfinished dataset: open table and videos, and the lists collected so far."""

    def __init__(self, root, fps, video, steps, stack):
        self.root, self.fps, self.video, self._stack = root, fps, video, stack
        self.steps, self.texts = steps, ()  # names of the columns of text
        self.rows, self.tasks, self.shapes, self.frames = [], {}, None, 0
        self.values, self.histograms = {}, {}  # of all episodes, for meta/stats.json
        self._table, self._encoders = None, {}

    def add(self, episode):
        """Append one episode to the table and the videos, and one row to the list."""
        episode = _checked(episode, len(self.rows), self.steps)
        length = len(episode["state"])
        self._check_shapes(episode)
        columns = self._columns(episode, length)
        stats = {key: v30.vector_stats(values) for key, values in columns.items()}
        for key, values in columns.items():
            self.values.setdefault(key, []).append(values)
        for key, frames in episode["images"].items():
            histogram = v30.histogram(frames)
            self.histograms[key] = self.histograms.get(key, 0) + histogram
            stats[key] = v30.picture_stats(histogram, length)
        pictures = self._write_images(episode["images"])
        texts = {key: pa.array(values, pa.string()) for key, values in episode["texts"].items()}
        self.texts = tuple(texts)
        self._write_rows(columns, texts | pictures)
        self._list(episode, length, stats)
        self.frames += length

    def _check_shapes(self, episode):
        shapes = {key: episode[key].shape[1] for key in ("state", "action")}
        shapes |= {key: frames.shape[1:] for key, frames in episode["images"].items()}
        shapes |= {key: "text" for key in episode["texts"]}
        self.shapes = self.shapes or shapes
        if shapes != self.shapes:
            way_out = "give every episode the same sizes and cameras"
            thing = f"episode {len(self.rows)} to write"
            raise DataError(say(thing, f"sizes {self.shapes}", f"sizes {shapes}", way_out))

    def _columns(self, episode, length):
        steps = np.arange(length)
        task_index = [self.tasks.setdefault(text, len(self.tasks)) for text in episode["tasks"]]
        counters = (steps / self.fps, steps, np.full(length, len(self.rows)),
                    self.frames + steps, np.array(task_index))
        numbers = {key: value.astype(kind)[:, None]
                   for (key, kind), value in zip(COUNTERS.items(), counters)}
        return {"observation.state": episode["state"], "action": episode["action"]} | numbers

    def _write_images(self, images):
        """Append to the videos, or give arrow columns of PNG pictures for the table."""
        if not self.video:
            return {key: v30.picture_column(frames) for key, frames in images.items()}
        for key, frames in images.items():
            if key not in self._encoders:
                path = self.root / v30.VIDEO_PATH.format(video_key=key, **FIRST)
                self._encoders[key] = self._stack.enter_context(encoder(path, self.fps))
            self._encoders[key].add(frames)
        return {}

    def _write_rows(self, columns, others):
        numbers = {key: v30.vector_column(values) for key, values in columns.items()}
        table = pa.table(numbers | others)
        if self._table is None:
            path = self.root / v30.DATA_PATH.format(**FIRST)
            path.parent.mkdir(parents=True)
            self._table = self._stack.enter_context(pq.ParquetWriter(path, table.schema))
        self._table.write_table(table)  # one row group an episode

    def _list(self, episode, length, stats):
        row = {
            "episode_index": len(self.rows),
            "tasks": list(dict.fromkeys(episode["tasks"])),
            "length": length,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + length,
        }
        span = {"from_timestamp": self.frames / self.fps,
                "to_timestamp": (self.frames + length) / self.fps}
        places = {"data": FIRST, "meta/episodes": FIRST}
        places |= {f"videos/{key}": FIRST | span for key in self._encoders}
        row |= {f"{a}/{b}": v for a, place in places.items() for b, v in place.items()}
        row |= {f"stats/{a}/{b}": v for a, part in stats.items() for b, v in part.items()}
        self.rows.append(_merge(row, episode["meta"]))

    def finish(self, robot, names):
        """Write meta/: info, statistics, tasks, episodes."""
        if not self.rows:
            way_out = "give at least one episode"
            raise DataError(say(f"dataset {self.root.name}", "episodes", "none", way_out))
        stats = {key: v30.vector_stats(np.concatenate(parts)) for key, parts in self.values.items()}
        stats |= {key: v30.picture_stats(h, self.frames) for key, h in self.histograms.items()}
        path = self.root / v30.EPISODES_PATH.format(**FIRST)
        path.parent.mkdir(parents=True)
        pq.write_table(v30.episode_table(self.rows), path)
        pq.write_table(v30.task_table(self.tasks), self.root / "meta/tasks.parquet")
        self._write_json("stats", stats)
        self._write_json("info", self._info(robot, names))

    def _write_json(self, name, content):
        text = json.dumps(content, indent=4, ensure_ascii=False)
        (self.root / f"meta/{name}.json").write_text(text, encoding="utf-8")

    def _info(self, robot, names):
        return {
            "codebase_version": "v3.0",
            "robot_type": robot,
            "total_episodes": len(self.rows),
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": 1000,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self.rows)}"},
            "data_path": v30.DATA_PATH,
            "video_path": v30.VIDEO_PATH if self._encoders else None,
            "features": {k: self._feature(k, names)
                         for k in (*self.values, *self.histograms, *self.texts)},
        }

    def _feature(self, key, names):
        if key in self.histograms:
            return v30.camera_feature(self.shapes[key], self.fps, self.video)
        if key in self.texts:
            return {"dtype": "string", "shape": [1], "names": None}
        if key in COUNTERS:
            return {"dtype": COUNTERS[key], "shape": [1], "names": None}
        name = key.removeprefix("observation.")
        size, steps = self.shapes[name], self.steps if key == "action" else 1
        feature = {
            "dtype": "float32",
            "shape": [size],
            "names": names.get(name) or [f"{name}_{i}" for i in range(size // steps)],
        }
        return feature | ({"steps": steps} if steps > 1 else {})


def _checked(episode, number, steps):
    """The episode with float32 vectors and one text a frame; raises DataError if parts disagree."""
    thing = f"episode {number} to write"
    try:
        state, action = (np.asarray(episode[k], np.float32) for k in ("state", "action"))
        tasks, images = episode["task"], episode.get("images", {})
    except (KeyError, ValueError, TypeError) as error:
        way_out = "see write_dataset for what an episode holds"
        expected = 'a dict with "state", "action" and "task"'
        raise DataError(say(thing, expected, repr(error), way_out)) from error
    texts = episode.get("texts", {})
    if state.ndim != 2 or action.ndim != 2 or not len(state):
        received = f"state {state.shape}, action {action.shape}"
        way_out = "give T rows of each, T at least 1"
        raise DataError(say(thing, "state (T, S) and action (T, A)", received, way_out))
    tasks = [tasks] * len(state) if isinstance(tasks, str) else [str(text) for text in tasks]
    lengths = {"state": len(state), "action": len(action) / steps, "task": len(tasks)}
    lengths |= {key: len(values) for key, values in (images | texts).items()}
    if len(set(lengths.values())) != 1:
        way_out = "give T rows of each"
        raise DataError(say(thing, "as many frames of everything", lengths, way_out))
    check_finite(state, f"{thing}: state")
    check_finite(action, f"{thing}: action")
    for frames in images.values():
        check_image(frames[0])
    action = action.reshape(len(state), -1)  # (T, steps * A)
    return {"state": state, "action": action, "tasks": tasks, "images": images, "texts": texts,
            "meta": episode.get("meta", {})}


def _merge(row, meta):
    taken = sorted(set(row) & set(meta))
    if taken:
        way_out = "rename these columns of the episode's meta"
        raise DataError(say("meta", "columns of its own", f"{taken}, used by the format", way_out))
    return row | meta
