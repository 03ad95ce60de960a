"""One LeRobot dataset, v2.1 or v3.0: states, actions, words and pictures by episode and frame.

Tables stay in memory as numpy, read when first asked for. Pictures are decoded once into the frame
cache and mapped from there. Everything that can be known without reading values is checked when the
dataset is opened; the values themselves when they are first read.
"""

import copy
import io

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from pi05lite.data import layout, video
from pi05lite.data.cache import VERSION, FrameCache, content_hash, key_of
from pi05lite.data.images import fit
from pi05lite.data.layout import Episode
from pi05lite.data.tables import Tables, check_columns, check_finite, read_column
from pi05lite.errors import DataError, say

__all__ = ["Episode", "LeRobotDataset"]


class LeRobotDataset:
    """A LeRobot dataset on disk, restricted to chosen episodes and cameras.

    episodes: episode indices (None: all); cameras: feature keys, or one (None: all); cache: folder
    for decoded frames. Methods take e, a position in `self.episodes`, and t, a frame of that
    episode. `steps` is how many actions a frame holds: 1, or more where pictures are stored less
    often than actions (then actions are numbered at their own rate). Raises DataError if files are
    missing or damaged or do not fit together.
    """

    def __init__(self, root, *, name=None, cameras=None, image_size=64, episodes=None,
                 state_key="observation.state", action_key="action", cache=None):
        self._layout = layout.read_layout(root)
        info = self._layout.info
        self.root = self._layout.root
        self.name = name or self.root.resolve().name
        self.version, self.fps = info["codebase_version"], info["fps"]
        self.features = info["features"]
        self.robot = info.get("robot_type") or "unknown"
        self.image_size, self.state_key, self.action_key = image_size, state_key, action_key
        kinds = ("video", "image")
        self.all_cameras = tuple(k for k, f in self.features.items() if f["dtype"] in kinds)
        self.cameras = self._choose_cameras(cameras)
        self.steps = self.features.get(action_key, {}).get("steps", 1)
        self.state_size, self.action_size = self._size(state_key), self._size(action_key)
        self.action_size //= self.steps
        # Shared with every subset: tables, checked states and actions, mapped frames.
        self._tables, self._checked, self._frames = Tables(), {}, {}
        self._cache = FrameCache(cache)
        known = sorted(self._layout.rows)
        self._choose_episodes(known if episodes is None else episodes, known)
        self._check_tables()
        for episode in self.episodes:
            self._check_episode(episode)

    def __len__(self):
        return int(self._ends[-1])

    def __getstate__(self):
        # A mapped file would be copied whole into every worker process; each maps it itself.
        return self.__dict__ | {"_frames": {}}

    def locate(self, i):
        """Frame number among the chosen episodes -> (position of the episode, frame in it)."""
        if not 0 <= i < len(self):
            raise DataError(self._say("frame number", f"0 to {len(self) - 1}", i, "stay inside"))
        e = int(np.searchsorted(self._ends, i, side="right"))
        return e, int(i - self._ends[e] + self.episodes[e].length)

    def states(self, e):
        """States of an episode, float32 (T, S), read-only; raises DataError for NaN, infinity."""
        return self._vectors(e, self.state_key, self.state_size)

    def actions(self, e):
        """Actions of an episode, float32 (T * steps, A), read-only; raises DataError for NaN."""
        rows = self._vectors(e, self.action_key, self.action_size * self.steps)
        return rows.reshape(-1, self.action_size)

    def timestamps(self, e):
        """Seconds since the start of the episode, float64 (T,)."""
        return self.column(e, "timestamp").astype(np.float64).reshape(-1)

    def column(self, e, key):
        """Any column of the table as it is stored, (T,) or (T, n)."""
        path, rows = self._place(self._episode(e))
        return self._tables.column(path, key)[rows]

    def task(self, e, t):
        """The words for frame t of an episode; "" where the dataset has none."""
        return self._layout.tasks[int(self.column(e, "task_index")[self._frame(e, t)])]

    def chunk(self, e, t, horizon):
        """The next actions from frame t: float32 (H, A), and which are real: bool (H,).

        Steps past the episode's end repeat the last action and are marked False.
        """
        if horizon < 1:
            raise DataError(self._say("horizon", "at least 1", horizon, "ask for one step or more"))
        actions = self.actions(e)
        steps = self._frame(e, t) * self.steps + np.arange(horizon)
        return actions[np.minimum(steps, len(actions) - 1)], steps < len(actions)

    def images(self, e, camera):
        """Pictures of an episode, uint8 (T, size, size, 3), mapped from the cache, read-only.

        Decodes at first use. Raises DataError if the video is damaged or shorter than the table.
        """
        episode = self._episode(e)
        if camera not in self.cameras:
            way_out = "ask for one of these, or open the dataset with this camera"
            raise DataError(self._say("camera", f"one of {self.cameras}", camera, way_out))
        if (episode.index, camera) not in self._frames:
            self._frames[episode.index, camera] = self._load_images(episode, camera)
        return self._frames[episode.index, camera]

    def image(self, e, t, camera):
        """One picture, uint8 (size, size, 3)."""
        return self.images(e, camera)[self._frame(e, t)]

    def subset(self, episodes):
        """The dataset with only these episode indices (for splits); shares what is loaded."""
        part = copy.copy(self)
        part._choose_episodes(episodes, [episode.index for episode in self.episodes])
        return part

    def content(self):
        """A short hash of the chosen episodes: their tables, byte for byte, and the keys read."""
        paths = [self._layout.table(episode.index) for episode in self.episodes]
        episodes = [(e.index, content_hash(path)) for e, path in zip(self.episodes, paths)]
        return key_of(episodes, self.state_key, self.action_key)

    def prepare(self, progress=True):
        """Decode every chosen episode and camera into the cache now; returns the dataset."""
        work = [(e, camera) for e in range(len(self.episodes)) for camera in self.cameras]
        for e, camera in tqdm(work, f"decoding {self.name}", disable=not progress):
            self.images(e, camera)
        return self

    def describe(self):
        """A few lines for people: robot, sizes, cameras, tasks."""
        tasks = {task for episode in self.episodes for task in episode.tasks}
        silent = sum(not any(episode.tasks) for episode in self.episodes)
        minutes = len(self) / self.fps / 60
        total = len(self._layout.rows)
        return "\n".join([
            f"{self.name}: {self.robot}, LeRobot {self.version}, {self.root}",
            f"  {len(self.episodes)} of {total} episodes, {len(self)} frames at {self.fps:g} Hz"
            f" ({minutes:.1f} min)",
            f"  state {self.state_size}, action {self.action_size}",
            f"  cameras at {self.image_size} px: {', '.join(self.cameras) or 'none'}",
            f"  {len(tasks - {''})} tasks, {silent} episodes without words",
        ])

    def _say(self, thing, expected, received, way_out):
        return say(f"{self.name}: {thing}", expected, received, way_out)

    def _choose_cameras(self, cameras):
        cameras = self.all_cameras if cameras is None else cameras
        cameras = (cameras,) if isinstance(cameras, str) else tuple(cameras)
        for camera in cameras:
            if camera not in self.all_cameras:
                expected = f"one of {', '.join(self.all_cameras) or 'none (it has no cameras)'}"
                raise DataError(self._say("camera", expected, camera, "see dataset.all_cameras"))
        return cameras

    def _size(self, key):
        numbers = ("float", "int", "uint", "bool")
        vectors = [k for k, f in self.features.items() if f["dtype"].startswith(numbers)]
        if key not in vectors:
            way_out = "pass state_key= or action_key="
            raise DataError(self._say("column", f"one of {', '.join(vectors)}", key, way_out))
        return int(np.prod(self.features[key]["shape"]))

    def _choose_episodes(self, indices, known):
        indices = list(dict.fromkeys(int(index) for index in indices))
        unknown = [index for index in indices if index not in known]
        if unknown or not indices:
            bounds = f" ({min(known)} to {max(known)})" if known else ""
            expected = f"at least one of the dataset's {len(known)} episode indices{bounds}"
            received = f"no episode {unknown[0]}" if unknown else "an empty choice"
            way_out = "choose from those, or get more"
            raise DataError(self._say("episodes", expected, received, way_out))
        self.episodes = [self._layout.episode(index) for index in indices]
        self._ends = np.cumsum([episode.length for episode in self.episodes])

    def _episode(self, e):
        if not 0 <= e < len(self.episodes):
            expected = f"0 to {len(self.episodes) - 1}"
            way_out = "e is a position in dataset.episodes, not an episode's index"
            raise DataError(self._say("episode position", expected, e, way_out))
        return self.episodes[e]

    def _frame(self, e, t):
        episode = self._episode(e)
        if not 0 <= t < episode.length:
            thing = f"frame of episode {episode.index}"
            expected = f"0 to {episode.length - 1}"
            raise DataError(self._say(thing, expected, t, "stay inside the episode"))
        return int(t)

    def _place(self, episode):
        path = self._layout.table(episode.index)
        return path, self._tables.rows(path, episode.index)

    def _check_tables(self):
        sizes = {camera: None for camera in self.cameras if not self._is_video(camera)}
        sizes |= {self.state_key: self.state_size, self.action_key: self.action_size * self.steps}
        for path in sorted({self._layout.table(episode.index) for episode in self.episodes}):
            check_columns(path, sizes)

    def _check_episode(self, episode):
        path, rows = self._place(episode)
        if rows.stop - rows.start != episode.length:
            thing = f"{path}: rows of episode {episode.index}"
            received = f"{rows.stop - rows.start} rows"
            way_out = "table and episodes list disagree: get the dataset again"
            raise DataError(say(thing, f"{episode.length} rows, its length", received, way_out))
        used = self._tables.column(path, "task_index")[rows]
        for unknown in set(used.tolist()) - set(self._layout.tasks):
            thing = f"{path}: task_index of episode {episode.index}"
            expected = f"one of the {len(self._layout.tasks)} tasks listed in meta/"
            raise DataError(say(thing, expected, unknown, "add this task to the list in meta/"))
        for camera in filter(self._is_video, self.cameras):
            video.check_exists(self._layout.video(episode.index, camera)[0])

    def _vectors(self, e, key, size):
        episode = self._episode(e)
        if (episode.index, key) not in self._checked:
            values = self.column(e, key).reshape(episode.length, -1).astype(np.float32, copy=False)
            thing = f"{self.name}: {key!r} of episode {episode.index}"
            if values.shape[1] != size:
                way_out = "table and meta/info.json disagree: mend one of them"
                raise DataError(say(thing, f"{size} values", f"{values.shape[1]} values", way_out))
            check_finite(values, thing)
            values.flags.writeable = False
            self._checked[episode.index, key] = values
        return self._checked[episode.index, key]

    def _is_video(self, camera):
        return self.features[camera]["dtype"] == "video"

    def _load_images(self, episode, camera):
        if self._is_video(camera):
            path, start = self._layout.video(episode.index, camera)
            part = (start, episode.length, self.fps)
        else:
            path, rows = self._place(episode)
            part = (camera, rows.start, rows.stop)

        def build(out):
            if self._is_video(camera):
                frames = video.decode(path, start, episode.length, self.fps)
            else:
                frames = _decode_pictures(path, camera, rows)
            for t, frame in enumerate(frames):
                out[t] = fit(frame, self.image_size)

        key = key_of(VERSION, content_hash(path), part, self.image_size)
        shape = (episode.length, self.image_size, self.image_size, 3)
        return self._cache.get(key, shape, build)


def _decode_pictures(path, camera, rows):
    """Yield the JPEG or PNG pictures of a table's rows, uint8 (h, w, 3)."""
    for row, cell in enumerate(read_column(path, camera, rows), rows.start):
        cell = cell.as_py() or {}
        try:
            source = io.BytesIO(cell["bytes"]) if cell.get("bytes") else path.parent / cell["path"]
            with Image.open(source) as picture:
                yield np.asarray(picture.convert("RGB"))
        except (OSError, KeyError, TypeError) as error:
            thing = f"{path}: {camera!r} in row {row}"
            way_out = "the file is damaged: get it again"
            raise DataError(say(thing, "a JPEG or PNG picture", error, way_out)) from error
