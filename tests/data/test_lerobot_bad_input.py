"""Every way a dataset can be broken has its own clear error, which names the thing."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.video import encode
from pi05lite.errors import DataError

from .conftest import CAMERA, FPS, build_v21, smooth_frames

TABLE = "data/chunk-000/episode_000001.parquet"
VIDEO = f"videos/chunk-000/{CAMERA}/episode_000001.mp4"


def refused(root, message, **options):
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        LeRobotDataset(root, **options)
    assert "way out:" in str(caught.value)


def change_info(root, **changes):
    path = root / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_column(path, name, values):
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), path)


def test_a_missing_folder_says_how_to_get_data(tmp_path):
    refused(tmp_path / "nothing", "nothing.*pi05lite data get NAME.*PI05LITE_DATA")


def test_missing_info(v21):
    (v21 / "meta/info.json").unlink()
    refused(v21, "info.json.*nothing there")


def test_info_that_is_not_json(v21):
    (v21 / "meta/info.json").write_text("{")
    refused(v21, "info.json.*JSON.*damaged")


def test_info_without_a_needed_key(v21):
    info = json.loads((v21 / "meta/info.json").read_text())
    del info["fps"]
    (v21 / "meta/info.json").write_text(json.dumps(info))
    refused(v21, "info.json.*fps")


def test_unknown_version(v21):
    change_info(v21, codebase_version="v1.6")
    refused(v21, "one of v2.0, v2.1, v3.0.*v1.6")


@pytest.mark.parametrize("name", ["tasks", "episodes"])
def test_missing_lists(v21, name):
    (v21 / f"meta/{name}.jsonl").unlink()
    refused(v21, f"{name}.jsonl.*nothing there")


@pytest.mark.parametrize("name", ["tasks.parquet", "episodes"])
def test_missing_lists_v30(v30, name):
    path = v30 / "meta" / name
    path.rename(path.with_name("elsewhere"))
    refused(v30, f"meta/{name}.*nothing there")


def test_missing_parquet(v21):
    (v21 / TABLE).unlink()
    refused(v21, "episode_000001.parquet.*nothing there")


@pytest.mark.parametrize("kept", [0, 100, -10])
def test_truncated_parquet(v21, kept):
    (v21 / TABLE).write_bytes((v21 / TABLE).read_bytes()[:kept])
    refused(v21, "episode_000001.parquet.*readable parquet.*cut off")


def test_missing_video(v21):
    (v21 / VIDEO).unlink()
    refused(v21, "episode_000001.mp4.*no such file")


def test_missing_video_v30(v30):
    (v30 / f"videos/{CAMERA}/chunk-000/file-000.mp4").unlink()
    refused(v30, "file-000.mp4.*no such file")


def test_a_video_shorter_than_the_table(v21):
    encode(smooth_frames(3), v21 / VIDEO, FPS)
    dataset = LeRobotDataset(v21)
    dataset.images(0, CAMERA)
    with pytest.raises(DataError, match="(?s)episode_000001.mp4.*4 frames.*received: 3 frames"):
        dataset.images(1, CAMERA)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("key, read", [("action", "actions"), ("observation.state", "states")])
def test_nan_and_infinity_name_episode_and_frame(v21, key, read, value):
    values = np.zeros((4, 2 if key == "action" else 3), np.float32)
    values[2, 1] = value
    change_column(v21 / TABLE, key, pa.array(list(values), pa.list_(pa.float32())))
    dataset = LeRobotDataset(v21)
    getattr(dataset, read)(0)
    with pytest.raises(DataError, match=f"(?s)'{key}' of episode 1.*frame 2, dimension 1"):
        getattr(dataset, read)(1)


def test_an_episode_of_another_size_is_noticed_at_opening(v21):
    wide = pa.array(list(np.zeros((4, 5), np.float32)), pa.list_(pa.float32(), 5))
    change_column(v21 / TABLE, "action", wide)
    refused(v21, "episode_000001.parquet: 'action'.*2 values.*5 values")


def test_an_episode_of_another_size_in_plain_lists(v21):
    wide = pa.array(list(np.zeros((4, 5), np.float32)), pa.list_(pa.float32()))
    change_column(v21 / TABLE, "action", wide)
    with pytest.raises(DataError, match="(?s)'action' of episode 1.*2 values.*5 values"):
        LeRobotDataset(v21).actions(1)


def test_rows_of_different_sizes(v21):
    ragged = pa.array([[0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]], pa.list_(pa.float32()))
    change_column(v21 / TABLE, "action", ragged)
    with pytest.raises(DataError, match="(?s)episode_000001.parquet.*every row.*sizes"):
        LeRobotDataset(v21).actions(1)


def test_a_size_other_than_info_says(v21):
    info = json.loads((v21 / "meta/info.json").read_text())
    info["features"]["action"]["shape"] = [7]
    change_info(v21, features=info["features"])
    refused(v21, "'action'.*7 values.*2 values")


def test_more_or_fewer_rows_than_the_episode_is_long(v21):
    pq.write_table(pq.read_table(v21 / TABLE).slice(0, 3), v21 / TABLE)
    refused(v21, "rows of episode 1.*4 rows.*3 rows")


def test_a_file_that_holds_another_episode(v21):
    change_column(v21 / TABLE, "episode_index", pa.array([9, 9, 9, 9]))
    refused(v21, "rows of episode 1.*4 rows.*0 rows")


def test_rows_missing_from_a_v30_table(v30):
    path = v30 / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path).slice(0, 8), path)
    refused(v30, "rows of episode 1.*4 rows.*2 rows")


def test_mixed_up_episodes_in_a_v30_table(v30):
    path = v30 / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path).take([0, 1, 2, 6, 7, 8, 3, 4, 5, 9]), path)
    refused(v30, "one after the other.*mixed")


def test_a_v30_episode_without_its_place(v30):
    path = v30 / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["data/file_index"]), path)
    refused(v30, "place of episode.*data/file_index")


def test_a_task_index_without_a_task(v21):
    change_column(v21 / TABLE, "task_index", pa.array([1, 1, 17, 1]))
    refused(v21, "task_index of episode 1.*received: 17")


def test_a_table_without_a_column(v21):
    path = v21 / TABLE
    pq.write_table(pq.read_table(path).drop_columns(["action"]), path)
    refused(v21, "episode_000001.parquet.*no column 'action'")


def test_no_episodes(tmp_path):
    root = build_v21(tmp_path / "toy", lengths=())
    refused(root, "at least one.*0 episode indices.*an empty choice")


def test_an_empty_choice_of_episodes(v21):
    refused(v21, "at least one.*an empty choice", episodes=[])
    with pytest.raises(DataError, match="empty choice"):
        LeRobotDataset(v21).subset([])


def test_unknown_episode(v21):
    refused(v21, r"3 episode indices \(0 to 2\).*no episode 5", episodes=[0, 5])
    with pytest.raises(DataError, match="no episode 2"):
        LeRobotDataset(v21, episodes=[0, 1]).subset([2])


def test_unknown_camera(v21):
    refused(v21, f"camera.*{CAMERA}.*received: wrist", cameras="wrist")
    refused(v21, "camera.*received: action", cameras=["action"])
    with pytest.raises(DataError, match="camera"):
        LeRobotDataset(v21, cameras=()).images(0, CAMERA)


def test_unknown_key(v21):
    refused(v21, "one of observation.state, action.*received: state", state_key="state")
    refused(v21, "received: actions", action_key="actions")
    refused(v21, f"received: {CAMERA}", action_key=CAMERA)
    with pytest.raises(DataError, match="no column 'reward'"):
        LeRobotDataset(v21).column(0, "reward")


def test_places_outside_the_dataset(v21):
    dataset = LeRobotDataset(v21)
    for call, args in [(dataset.states, (3,)), (dataset.states, (-1,)), (dataset.locate, (15,)),
                       (dataset.locate, (-1,)), (dataset.task, (0, 6)), (dataset.chunk, (1, 4, 2)),
                       (dataset.image, (0, -1, CAMERA)), (dataset.chunk, (0, 0, 0))]:
        with pytest.raises(DataError, match="expected: (0 to|at least 1)"):
            call(*args)


def test_a_half_finished_download(v21):
    (v21 / ".pi05lite-download.json").write_text('{"complete": false}')
    refused(v21, "did not finish.*pi05lite data get toy` again")
    (v21 / ".pi05lite-download.json").write_text('{"complete": true}')
    LeRobotDataset(v21)


def test_a_picture_in_the_table_that_is_damaged(tmp_path):
    root = build_v21(tmp_path / "toy", video=False)
    table = pq.read_table(root / TABLE)
    cells = table.column(CAMERA).to_pylist()
    cells[2]["bytes"] = cells[2]["bytes"][:30]
    kind = table.schema.field(CAMERA).type
    change_column(root / TABLE, CAMERA, pa.array(cells, kind))
    with pytest.raises(DataError, match="(?s)episode_000001.parquet.*row 2.*JPEG or PNG"):
        LeRobotDataset(root).images(1, CAMERA)
    cells[2] = None
    change_column(root / TABLE, CAMERA, pa.array(cells, kind))
    with pytest.raises(DataError, match="row 2"):
        LeRobotDataset(root).images(1, CAMERA)
