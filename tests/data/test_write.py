"""What is written is read back, lies where LeRobot v3.0 puts it, and is never half there."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.write import convert, write_dataset
from pi05lite.errors import DataError

from .conftest import CAMERA, smooth_frames, vectors

WRIST = "observation.images.wrist"


def episode(number, length, **changes):
    frames = smooth_frames(length, 32, 32, seed=number)
    found = {"state": vectors(length, 4, number), "action": vectors(length, 3, 50 + number),
             "task": f"task {number % 2}", "meta": {"success": number, "place": f"home {number}"},
             "images": {CAMERA: frames, WRIST: 255 - frames}}
    return found | changes


LENGTHS = (7, 3, 12)


@pytest.fixture(params=[True, False], ids=["video", "pictures"])
def written(request, tmp_path):
    episodes = (episode(i, n) for i, n in enumerate(LENGTHS))
    names = {"action": ["x", "y", "gripper"]}
    return write_dataset(tmp_path / "new", episodes, 10, "toy", names, video=request.param)


def test_what_was_written_is_read_back(written):
    dataset = LeRobotDataset(written, image_size=32)
    is_video = dataset.features[CAMERA]["dtype"] == "video"
    assert (dataset.version, dataset.fps, dataset.robot) == ("v3.0", 10, "toy")
    assert [e.length for e in dataset.episodes] == list(LENGTHS)
    assert dataset.all_cameras == (CAMERA, WRIST)
    for i, length in enumerate(LENGTHS):
        source = episode(i, length)
        assert dataset.episodes[i].meta == source["meta"]
        assert dataset.episodes[i].tasks == (source["task"],) == (dataset.task(i, length - 1),)
        assert np.array_equal(dataset.states(i), source["state"])
        assert np.array_equal(dataset.actions(i), source["action"])
        assert dataset.timestamps(i) == pytest.approx(np.arange(length) / 10)
        for camera, frames in source["images"].items():
            error = np.mean((dataset.images(i, camera).astype(float) - frames) ** 2)
            assert error < 255**2 / 1e3 if is_video else error == 0  # 30 dB


def test_the_files_are_those_of_lerobot_v30(written):
    info = json.loads((written / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["splits"] == {"train": "0:3"}
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 22, 2)
    assert info["features"]["action"]["names"] == ["x", "y", "gripper"]
    assert info["features"][CAMERA]["shape"] == [32, 32, 3]
    tasks = pq.read_table(written / "meta/tasks.parquet")
    assert tasks.to_pylist() == [{"task_index": i, "task": f"task {i}"} for i in range(2)]
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    file = pq.ParquetFile(written / "data/chunk-000/file-000.parquet")
    assert file.num_row_groups == 3
    table = file.read(["index", "episode_index", "frame_index"])
    assert table["index"].to_pylist() == list(range(22))
    rows = pq.read_table(written / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(r["dataset_from_index"], r["dataset_to_index"]) for r in rows] == [
        (0, 7), (7, 10), (10, 22)]
    assert rows[1]["stats/action/max"] == pytest.approx(vectors(3, 3, 51).max(0))
    assert rows[1]["stats/action/count"] == [3]
    if info["video_path"]:
        assert (written / f"videos/{WRIST}/chunk-000/file-000.mp4").is_file()
        assert rows[2][f"videos/{WRIST}/from_timestamp"] == pytest.approx(1.0)
        assert rows[2][f"videos/{WRIST}/to_timestamp"] == pytest.approx(2.2)


def test_the_statistics_are_exact(written):
    stats = json.loads((written / "meta/stats.json").read_text())
    actions = np.concatenate([vectors(n, 3, 50 + i) for i, n in enumerate(LENGTHS)])
    assert stats["action"]["q99"] == pytest.approx(np.quantile(actions, 0.99, 0))
    assert stats["action"]["count"] == [22] == stats[CAMERA]["count"]
    pixels = np.concatenate([episode(i, n)["images"][CAMERA] for i, n in enumerate(LENGTHS)])
    pixels = pixels.reshape(-1, 3) / 255
    found = {name: np.array(value) for name, value in stats[CAMERA].items()}
    assert found["mean"].shape == (3, 1, 1)
    for name, value in {"mean": pixels.mean(0), "std": pixels.std(0), "min": pixels.min(0),
                        "max": pixels.max(0)}.items():
        assert found[name].ravel() == pytest.approx(value, abs=1e-6)
    assert found["q10"].ravel() == pytest.approx(np.quantile(pixels, 0.1, 0), abs=1 / 255)


def test_tasks_can_change_from_frame_to_frame_and_images_can_be_absent(tmp_path):
    words = ["reach", "reach", "grasp", ""]
    root = write_dataset(tmp_path / "new", [{**episode(0, 4, task=words), "images": {}}], 10, "toy")
    dataset = LeRobotDataset(root)
    assert [dataset.task(0, t) for t in range(4)] == words
    assert dataset.episodes[0].tasks == ("reach", "grasp", "") and dataset.cameras == ()


def test_convert_writes_an_opened_dataset_again(v21, tmp_path):
    source = LeRobotDataset(v21, image_size=32, episodes=[2, 0])
    again = LeRobotDataset(convert(source, tmp_path / "again", video=False), image_size=32)
    assert (again.version, again.fps, len(again)) == ("v3.0", source.fps, 11)
    for e in range(2):
        assert np.array_equal(again.actions(e), source.actions(e))
        assert np.array_equal(again.states(e), source.states(e))
        assert np.array_equal(again.images(e, CAMERA), source.images(e, CAMERA))
        assert [again.task(e, t) for t in range(5)] == [source.task(e, t) for t in range(5)]
        assert again.episodes[e].meta == source.episodes[e].meta


def test_convert_real_pictures_to_video(real_data, tmp_path):
    source = LeRobotDataset(real_data / "bridge_octo64", episodes=range(3))
    again = LeRobotDataset(convert(source, tmp_path / "bridge"))
    for e in range(3):
        assert np.array_equal(again.actions(e), source.actions(e))
        for camera in source.cameras:
            error = np.mean((again.images(e, camera).astype(float) - source.images(e, camera)) ** 2)
            assert error < 255**2 / 10**2.5  # 25 dB: small noisy pictures, colour at half size


def test_an_existing_folder_is_not_overwritten(tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match="(?s)new.*exists already"):
        write_dataset(tmp_path / "new", [episode(0, 3)], 10, "toy")


BAD = {
    "no action": ({"action": None}, "action"),
    "lengths": ({"action": vectors(4, 3, 0)}, "as many frames"),
    "tasks": ({"task": ["a", "b"]}, "as many frames"),
    "flat": ({"state": np.zeros(5)}, r"state \(T, S\)"),
    "empty": ({"state": np.zeros((0, 4)), "action": np.zeros((0, 3)), "task": "",
               "images": {}}, "at least 1"),
    "nan": ({"state": np.full((5, 4), np.nan)}, "finite"),
    "sizes": ({"action": vectors(5, 6, 0)}, "same sizes"),
    "cameras": ({"images": {}}, "same sizes"),
    "floats": ({"images": {CAMERA: np.zeros((5, 32, 32, 3))}}, "uint8"),
    "reserved": ({"meta": {"length": 3}}, "length"),
    "types": ({"meta": {"success": "yes", "place": "x"}}, "one kind of value"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_episode_is_refused_and_nothing_is_left_behind(tmp_path, name):
    changes, message = BAD[name]
    with pytest.raises(DataError, match=message):
        write_dataset(tmp_path / "new", [episode(0, 3), episode(1, 5, **changes)], 10, "toy")
    assert list(tmp_path.iterdir()) == []


def test_no_episodes_and_odd_sizes_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least one episode"):
        write_dataset(tmp_path / "new", [], 10, "toy")
    odd = episode(0, 3, images={CAMERA: smooth_frames(3, 31, 32)})
    with pytest.raises(DataError, match="even"):
        write_dataset(tmp_path / "new", [odd], 10, "toy")
    assert list(tmp_path.iterdir()) == []
    write_dataset(tmp_path / "new", [odd], 10, "toy", video=False)


def test_a_source_that_stops_leaves_nothing_behind(tmp_path):
    def episodes():
        yield episode(0, 3)
        raise RuntimeError("the robot is gone")
    with pytest.raises(RuntimeError, match="gone"):
        write_dataset(tmp_path / "new", episodes(), 10, "toy")
    assert list(tmp_path.iterdir()) == []


def test_actions_may_be_stored_more_often_than_pictures_with_texts_beside_them(tmp_path):
    actions = vectors(20, 3, 7)
    one = episode(0, 4, action=actions, texts={"subtask": ["a", "a", "b", "c"]})
    root = write_dataset(tmp_path / "new", [one, one], 2, "toy", {"action": ["x", "y", "z"]},
                         video=False, steps=5)
    info = json.loads((root / "meta/info.json").read_text())["features"]
    assert info["action"] == {"dtype": "float32", "shape": [15], "names": ["x", "y", "z"],
                              "steps": 5}
    assert info["subtask"]["dtype"] == "string"
    dataset = LeRobotDataset(root, image_size=32)
    assert (dataset.steps, dataset.action_size, len(dataset)) == (5, 3, 8)
    assert np.array_equal(dataset.actions(1), actions)
    chunk, real = dataset.chunk(1, 2, 12)
    assert np.array_equal(chunk[:10], actions[10:]) and real.tolist() == [True] * 10 + [False] * 2
    assert dataset.column(1, "subtask").tolist() == ["a", "a", "b", "c"]
    again = LeRobotDataset(convert(dataset, tmp_path / "again", video=False), image_size=32)
    assert again.steps == 5 and np.array_equal(again.actions(0), actions)
    with pytest.raises(DataError, match="as many frames"):
        write_dataset(tmp_path / "bad", [one], 2, "toy", steps=4)
    with pytest.raises(DataError, match="same sizes"):
        write_dataset(tmp_path / "bad", [one, one | {"texts": {}}], 2, "toy", steps=5)
