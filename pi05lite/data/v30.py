"""The pieces of a LeRobot v3.0 dataset as its files hold them: columns, statistics, features."""

import io
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from PIL import Image

from pi05lite.errors import DataError, say

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def vector_column(values):
    """Numbers (T, n) as an arrow column: lists of n, or plain numbers where n is 1."""
    size = values.shape[1]
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return flat if size == 1 else pa.FixedSizeListArray.from_arrays(flat, size)


def picture_column(frames):
    """Frames uint8 (T, h, w, 3) as an arrow column of PNG files, packed on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow packs without Python's lock
        files = pool.map(png, frames)
        cells = [{"bytes": file, "path": f"frame-{t:06d}.png"} for t, file in enumerate(files)]
    return pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def png(frame):
    """A frame uint8 (h, w, 3) as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(buffer, "PNG")
    return buffer.getvalue()


def vector_stats(values):
    """Statistics of numbers (T, n) by name, each a list of n; "count" is [T]."""
    found = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0, np.float64),
             "std": values.std(0, np.float64)}
    found |= {name: np.quantile(values, q, 0) for name, q in QUANTILES.items()}
    return {name: value.tolist() for name, value in found.items()} | {"count": [len(values)]}


def histogram(frames):
    """How often each value 0..255 occurs in each channel of frames (T, h, w, 3): (3, 256)."""
    return np.stack([np.bincount(frames[..., c].ravel(), minlength=256) for c in range(3)])


def picture_stats(counts, frames):
    """Exact statistics of pixels in [0, 1] from their histogram (3, 256), each shaped (3, 1, 1)."""
    levels, total = np.arange(256) / 255, counts.sum(1)
    mean = counts @ levels / total  # (3,)
    found = {"mean": mean, "std": np.sqrt(np.maximum(counts @ levels**2 / total - mean**2, 0))}
    reached = np.cumsum(counts, 1) / total[:, None]  # (3, 256), share of pixels up to each value
    for name, q in {"min": 0.0, "max": 1.0, **QUANTILES}.items():
        found[name] = levels[[np.flatnonzero((row >= q) & (row > 0))[0] for row in reached]]
    return {n: v.reshape(3, 1, 1).tolist() for n, v in found.items()} | {"count": [frames]}


def episode_table(rows):
    """The episodes list as a table; raises DataError if a column mixes kinds of values."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    try:
        return pa.table({key: pa.array([row.get(key) for row in rows]) for key in keys})
    except pa.ArrowException as error:
        way_out = "give each column of meta one kind of value in all episodes"
        raise DataError(say("episodes list", "one type a column", error, way_out)) from error


def task_table(tasks):
    """The tasks (text -> index) as a table whose index, for pandas, is the text."""
    described = [
        {"name": n, "field_name": n, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for n, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "columns": described, "column_indexes": [],
              "creator": {"library": "pyarrow", "version": pa.__version__},
              "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array(list(tasks.values()), pa.int64()),
                      "task": pa.array(list(tasks), pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def camera_feature(shape, fps, video):
    """The entry of info.json for one camera; shape (h, w, 3)."""
    feature = {"dtype": "video" if video else "image", "shape": list(shape),
               "names": ["height", "width", "channels"]}
    if video:
        height, width, channels = shape
        feature["info"] = {
            "video.height": height, "video.width": width, "video.channels": channels,
            "video.codec": "h264", "video.pix_fmt": "yuv420p", "video.is_depth_map": False,
            "video.fps": fps, "has_audio": False,
        }
    return feature
