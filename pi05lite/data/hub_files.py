"""Which episodes were asked for, and which files of a LeRobot dataset these episodes live in."""

import json
import operator

from pi05lite.errors import DataError, say

FORMATS = ("v2.0", "v2.1", "v3.0")


def parse_episodes(spec, total):
    """Give the sorted episode numbers that `spec` names out of `total`.

    `spec` is None (all), a text ("0:20", "3", "0,4,7", "40:"), or any iterable of whole numbers.
    Raises DataError for other things, for an empty choice, and for numbers outside the dataset.
    """
    try:
        if spec is None:
            chosen = range(total)
        elif isinstance(spec, str):
            chosen = [n for part in spec.split(",") for n in _parse_part(part, total)]
        else:
            chosen = [operator.index(n) for n in spec]
    except (ValueError, TypeError):
        chosen = []
    if not chosen or min(chosen) < 0 or max(chosen) >= total:
        raise DataError(say(
            "episodes", f"numbers from 0 to {total - 1}: there are {total} episodes", repr(spec),
            'write a range "0:20" (20 not included), one number "3", or a list "0,4,7"',
        ))
    return sorted(set(chosen))


def _parse_part(part, total):
    """Read "3" or "0:20" as a range; raises ValueError where it is neither."""
    first, colon, end = part.strip().partition(":")
    if not colon:
        return range(int(first), int(first) + 1)
    return range(int(first or 0), int(end) if end else total)


def read_info(folder):
    """Read meta/info.json; raises DataError where it is damaged or of an unknown version."""
    path = folder / "meta" / "info.json"
    try:
        info = json.loads(path.read_text())
        version, _ = info["codebase_version"], info["total_episodes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(say(
            path, "a LeRobot info.json with codebase_version and total_episodes", repr(error),
            "check that the repository is a LeRobot dataset",
        )) from error
    if version not in FORMATS:
        raise DataError(say(
            path, "codebase_version " + ", ".join(FORMATS), version,
            "choose a revision with one of these versions, for example --revision v2.1",
        ))
    return info


def needed_files(folder, info, episodes):
    """List the data and video files that hold `episodes`; the meta files must lie in `folder`.

    Versions 2.x keep one file per episode and camera; version 3.0 packs many episodes into one
    file and says in meta/episodes which. Raises DataError where the meta files do not say it.
    """
    cameras = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    try:
        places = _places_v3 if info["codebase_version"] == "v3.0" else _places_v2
        return list(dict.fromkeys(places(folder, info, episodes, cameras)))
    except (KeyError, IndexError, AttributeError) as error:
        raise DataError(say(
            folder / "meta", "a place for every episode and camera", f"missing {error}",
            "the dataset's own meta files are incomplete: choose another revision",
        )) from error


def _places_v2(folder, info, episodes, cameras):
    """Yield the path of every file of `episodes` in the layout of versions 2.0 and 2.1."""
    for episode in episodes:
        place = {"episode_chunk": episode // info["chunks_size"], "episode_index": episode}
        yield info["data_path"].format(**place)
        for camera in cameras:
            yield info["video_path"].format(video_key=camera, **place)


def _places_v3(folder, info, episodes, cameras):
    """Yield the path of every file of `episodes` in the layout of version 3.0."""
    rows = _episode_rows(folder, cameras)
    for episode in episodes:
        row = rows[episode]
        chunk, file = row["data/chunk_index"], row["data/file_index"]
        yield info["data_path"].format(chunk_index=chunk, file_index=file)
        for camera in cameras:
            chunk, file = row[f"videos/{camera}/chunk_index"], row[f"videos/{camera}/file_index"]
            yield info["video_path"].format(video_key=camera, chunk_index=chunk, file_index=file)


def _episode_rows(folder, cameras):
    """Read episode number -> place columns from the parquet files in meta/episodes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["episode_index", "data/chunk_index", "data/file_index"]
    for camera in cameras:
        columns += [f"videos/{camera}/chunk_index", f"videos/{camera}/file_index"]
    rows = {}
    for path in sorted((folder / "meta" / "episodes").glob("*/*.parquet")):
        try:
            table = pq.read_table(path, columns=columns)
        except pa.ArrowException as error:
            raise DataError(say(
                path, "a parquet file of episodes", str(error),
                "delete the file and run the same command again",
            )) from error
        rows.update({row["episode_index"]: row for row in table.to_pylist()})
    return rows
