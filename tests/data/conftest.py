"""Tiny LeRobot datasets, built by hand so that they do not depend on the kit's own writer."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pi05lite.data.video import encode

CAMERA = "observation.images.top"
TASKS = ["pick the cube", "place the cube", ""]
FPS = 5


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """All tests share one frame cache, which is not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PI05LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def smooth_frames(count, height=32, width=48, seed=0):
    """Pictures with soft colours that differ from frame to frame, uint8 (count, h, w, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    t = (np.arange(count) + 7 * seed)[:, None, None]
    waves = [np.sin(x / 15 + t / 3), np.cos(y / 12 + t / 5), np.sin((x + y) / 20 - t / 4)]
    return np.stack([120 + 90 * wave for wave in np.broadcast_arrays(*waves)], -1).astype(np.uint8)


def vectors(length, size, seed):
    return np.random.default_rng(seed).normal(size=(length, size)).astype(np.float32)


def features(video=True, state=3, action=2):
    plain = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64",
             "index": "int64", "task_index": "int64"}
    found = {"observation.state": {"dtype": "float32", "shape": [state], "names": None},
             "action": {"dtype": "float32", "shape": [action], "names": None}}
    found |= {key: {"dtype": kind, "shape": [1], "names": None} for key, kind in plain.items()}
    kind = "video" if video else "image"
    found[CAMERA] = {"dtype": kind, "shape": [32, 48, 3], "names": ["height", "width", "channels"]}
    return found


def table(episode, length, start, pictures=None):
    """The parquet table of one episode."""
    frames = np.arange(length)
    columns = {
        "observation.state": pa.array(list(vectors(length, 3, episode)), pa.list_(pa.float32())),
        "action": pa.array(list(vectors(length, 2, 100 + episode)), pa.list_(pa.float32(), 2)),
        "timestamp": pa.array((frames / FPS).astype(np.float32)),
        "frame_index": frames,
        "episode_index": np.full(length, episode),
        "index": start + frames,
        "task_index": np.where(frames < length // 2, 0, 1) if episode == 0 else np.full(length, 1),
    }
    if pictures is not None:
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        columns[CAMERA] = pa.array([{"bytes": png(p), "path": None} for p in pictures], kind)
    return pa.table(columns)


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    elif isinstance(content, list):
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    else:
        path.write_text(json.dumps(content))


def _tasks_of(episode):
    return TASKS[:2] if episode == 0 else TASKS[1:2]


def build_v21(root, lengths=(6, 4, 5), video=True):
    """A v2.1 dataset: one table and one video an episode."""
    info = {"codebase_version": "v2.1", "robot_type": "toy", "fps": FPS, "chunks_size": 2,
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/"
                          "episode_{episode_index:06d}.mp4", "features": features(video)}
    _write(root / "meta/info.json", info)
    _write(root / "meta/tasks.jsonl", [{"task_index": i, "task": t} for i, t in enumerate(TASKS)])
    rows = [{"episode_index": e, "tasks": _tasks_of(e), "length": n, "success": e % 2}
            for e, n in enumerate(lengths)]
    _write(root / "meta/episodes.jsonl", rows)
    for e, length in enumerate(lengths):
        pictures = smooth_frames(length, seed=e)
        place = f"chunk-{e // 2:03d}"
        stored = None if video else pictures
        _write(root / f"data/{place}/episode_{e:06d}.parquet",
               table(e, length, sum(lengths[:e]), stored))
        if video:
            path = root / f"videos/{place}/{CAMERA}/episode_{e:06d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            encode(pictures, path, FPS)
    return root


def build_v30(root, lengths=(6, 4, 5), video=True):
    """A v3.0 dataset: all episodes in one video; the last episode in a table of its own."""
    info = {"codebase_version": "v3.0", "robot_type": "toy", "fps": FPS, "chunks_size": 1000,
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            "features": features(video)}
    _write(root / "meta/info.json", info)
    _write(root / "meta/tasks.parquet",
           pa.table({"task_index": list(range(len(TASKS))), "__index_level_0__": TASKS}))
    pictures = [smooth_frames(n, seed=e) for e, n in enumerate(lengths)]
    starts = np.cumsum([0, *lengths]).tolist()
    tables = [table(e, n, starts[e], None if video else pictures[e]) for e, n in enumerate(lengths)]
    _write(root / "data/chunk-000/file-000.parquet", pa.concat_tables(tables[:-1]))
    _write(root / "data/chunk-000/file-001.parquet", tables[-1])
    rows = [{
        "episode_index": e, "tasks": _tasks_of(e), "length": n, "success": e % 2,
        "data/chunk_index": 0, "data/file_index": int(e == len(lengths) - 1),
        "dataset_from_index": starts[e], "dataset_to_index": starts[e + 1],
        f"videos/{CAMERA}/chunk_index": 0, f"videos/{CAMERA}/file_index": 0,
        f"videos/{CAMERA}/from_timestamp": starts[e] / FPS,
        f"videos/{CAMERA}/to_timestamp": starts[e + 1] / FPS,
        "stats/action/min": [0.0, 0.0],
    } for e, n in enumerate(lengths)]
    _write(root / "meta/episodes/chunk-000/file-000.parquet", pa.Table.from_pylist(rows[1:]))
    _write(root / "meta/episodes/chunk-000/file-001.parquet", pa.Table.from_pylist(rows[:1]))
    if video:
        path = root / f"videos/{CAMERA}/chunk-000/file-000.mp4"
        path.parent.mkdir(parents=True)
        encode(np.concatenate(pictures), path, FPS)
    return root


@pytest.fixture
def v21(tmp_path):
    return build_v21(tmp_path / "toy")


@pytest.fixture
def v30(tmp_path):
    return build_v30(tmp_path / "toy3")
