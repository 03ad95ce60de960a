"""Both versions of the format behind one class, and the real subsets as their README states."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pi05lite.data import video
from pi05lite.data.images import fit
from pi05lite.data.lerobot import LeRobotDataset

from .conftest import CAMERA, FPS, TASKS, build_v21, build_v30, smooth_frames, vectors

LENGTHS = (6, 4, 5)
BUILDERS = {"v2.1": build_v21, "v3.0": build_v30}


@pytest.fixture(params=[(v, kind) for v in BUILDERS for kind in (True, False)],
                ids=lambda p: f"{p[0]}-{'video' if p[1] else 'pictures'}")
def any_toy(request, tmp_path):
    version, is_video = request.param
    return BUILDERS[version](tmp_path / "toy", LENGTHS, is_video)


def test_both_versions_give_the_same_episodes(any_toy):
    dataset = LeRobotDataset(any_toy, image_size=32)
    assert (dataset.name, dataset.fps, dataset.robot) == ("toy", FPS, "toy")
    assert [e.index for e in dataset.episodes] == [0, 1, 2]
    assert [e.length for e in dataset.episodes] == list(LENGTHS) and len(dataset) == 15
    assert dataset.episodes[0].tasks == tuple(TASKS[:2])
    assert [e.meta for e in dataset.episodes] == [{"success": 0}, {"success": 1}, {"success": 0}]
    for e, length in enumerate(LENGTHS):
        assert np.array_equal(dataset.states(e), vectors(length, 3, e))
        assert np.array_equal(dataset.actions(e), vectors(length, 2, 100 + e))
        assert dataset.states(e).dtype == dataset.actions(e).dtype == np.float32
        assert dataset.timestamps(e) == pytest.approx(np.arange(length) / FPS)
        assert dataset.timestamps(e).dtype == np.float64
        assert dataset.column(e, "frame_index").tolist() == list(range(length))


def test_pictures_are_those_of_the_episode(any_toy):
    dataset = LeRobotDataset(any_toy, image_size=32)
    for e, length in enumerate(LENGTHS):
        images = dataset.images(e, CAMERA)
        expected = np.array([fit(frame, 32) for frame in smooth_frames(length, seed=e)])
        assert images.shape == (length, 32, 32, 3) and images.dtype == np.uint8
        # Pictures in a table come back exactly; videos nearly, and nearest to their own frame.
        error = np.abs(images[:, None].astype(int) - expected[None]).mean((2, 3, 4))
        assert (error.argmin(1) == np.arange(length)).all() and np.diag(error).max() < 4
        assert np.array_equal(dataset.image(e, 2, CAMERA), images[2])


def test_words_change_within_an_episode(any_toy):
    dataset = LeRobotDataset(any_toy, cameras=())
    assert [dataset.task(0, t) for t in range(6)] == [TASKS[0]] * 3 + [TASKS[1]] * 3
    assert dataset.task(2, 4) == TASKS[1]


def test_random_access_equals_sequential_decoding_within_a_v30_file(v30):
    dataset = LeRobotDataset(v30, image_size=32)
    path = v30 / f"videos/{CAMERA}/chunk-000/file-000.mp4"
    every = [fit(frame, 32) for frame in video.decode(path)]
    joined = np.concatenate([dataset.images(e, CAMERA) for e in range(3)])
    assert np.array_equal(joined, every)


def test_episodes_of_one_length_in_one_file_are_kept_apart(tmp_path):
    dataset = LeRobotDataset(build_v30(tmp_path / "even", (5, 5, 5)), image_size=32)
    first, second = (np.array(dataset.images(e, CAMERA)).astype(int) for e in (0, 1))
    assert np.abs(second - np.array([fit(f, 32) for f in smooth_frames(5, seed=1)])).mean() < 4
    assert np.abs(first - second).mean() > 10


def test_locate_counts_through_the_chosen_episodes(v21):
    dataset = LeRobotDataset(v21, episodes=[2, 0])
    places = [dataset.locate(i) for i in range(len(dataset))]
    assert places == [(0, t) for t in range(5)] + [(1, t) for t in range(6)]
    assert np.array_equal(dataset.actions(0), vectors(5, 2, 102))


def test_chunk_repeats_the_last_action_and_masks_it(v21):
    dataset = LeRobotDataset(v21, cameras=())
    actions, mask = dataset.chunk(1, 2, 5)
    real = vectors(4, 2, 101)
    assert np.array_equal(actions, real[[2, 3, 3, 3, 3]])
    assert mask.tolist() == [True, True, False, False, False]
    assert actions.dtype == np.float32 and mask.dtype == bool
    actions[:] = 0  # a copy: the dataset must not change
    assert np.array_equal(dataset.actions(1), real)


def test_states_and_actions_cannot_be_changed_by_accident(v21):
    with pytest.raises(ValueError, match="read-only"):
        LeRobotDataset(v21, cameras=()).actions(0)[0] = 0


def test_subset_keeps_only_these_episodes(v21):
    dataset = LeRobotDataset(v21, image_size=16)
    train, held_out = dataset.subset([0, 1]), dataset.subset(iter([2]))
    assert (len(train), len(held_out), len(dataset)) == (10, 5, 15)
    assert held_out.episodes[0].index == 2 and held_out.locate(0) == (0, 0)
    assert np.array_equal(held_out.images(0, CAMERA), dataset.images(2, CAMERA))
    assert held_out.content() != train.content() != dataset.content()


def test_cameras_and_keys_can_be_chosen(v21):
    assert LeRobotDataset(v21, cameras=CAMERA).cameras == (CAMERA,)
    assert LeRobotDataset(v21).all_cameras == (CAMERA,)
    swapped = LeRobotDataset(v21, state_key="action", action_key="observation.state", name="x")
    assert (swapped.state_size, swapped.action_size, swapped.name) == (2, 3, "x")
    LeRobotDataset(v21, cameras=())
    for path in (v21 / "videos").rglob("*.mp4"):
        path.unlink()
    assert LeRobotDataset(v21, cameras=()).cameras == ()  # no videos needed without cameras


def test_prepare_decodes_everything_once(v21, tmp_path):
    dataset = LeRobotDataset(v21, cache=tmp_path / "cache", image_size=8).prepare(progress=False)
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 3
    before = np.array(dataset.images(1, CAMERA))
    for path in (v21 / "videos").rglob("*.mp4"):
        path.touch()  # same bytes at another time: the cache still holds
    again = LeRobotDataset(v21, cache=tmp_path / "cache", image_size=8)
    assert np.array_equal(again.images(1, CAMERA), before)
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 3


def test_a_changed_video_is_not_answered_from_the_cache(v21):
    before = np.array(LeRobotDataset(v21).images(0, CAMERA))
    path = v21 / f"videos/chunk-000/{CAMERA}/episode_000000.mp4"
    video.encode(smooth_frames(6, seed=40), path, FPS)
    assert (LeRobotDataset(v21).images(0, CAMERA) != before).any()


def test_a_dataset_travels_to_worker_processes_without_its_pictures(v21):
    dataset = LeRobotDataset(v21, image_size=64).prepare(progress=False)
    packed = pickle.dumps(dataset)
    assert len(packed) < dataset.images(0, CAMERA).nbytes
    assert np.array_equal(pickle.loads(packed).images(0, CAMERA), dataset.images(0, CAMERA))


def test_a_state_of_one_number_is_a_column(v21):
    for path in (v21 / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.append_column("height", pa.array(np.arange(table.num_rows) / 2)), path)
    info = v21 / "meta/info.json"
    info.write_text(info.read_text().replace(
        '"features": {', '"features": {"height": {"dtype": "float64", "shape": [1]}, '))
    dataset = LeRobotDataset(v21, state_key="height")
    assert dataset.states(1).tolist() == [[0.0], [0.5], [1.0], [1.5]]


def test_only_the_downloaded_episodes_are_opened(v21):
    (v21 / ".pi05lite-download.json").write_text('{"complete": true, "episodes": [1]}')
    (v21 / "data/chunk-000/episode_000000.parquet").unlink()
    assert [e.index for e in LeRobotDataset(v21).episodes] == [1]


def test_describe_says_what_a_person_wants_to_know(v21):
    text = LeRobotDataset(v21).describe()
    for part in ("toy", "v2.1", "3 of 3 episodes", "15 frames", "5 Hz", "state 3", CAMERA):
        assert part in text


# name: episodes, frames, Hz, action, state, cameras, texts (an empty one is "no language")
README = {
    "droid_subset": (11, 854, 5, 8, 8, 3, 7),
    "droid_new_setup": (13, 1433, 4, 8, 8, 3, 7),
    "cr5_two_tasks": (22, 5513, 10, 7, 6, 1, 2),
    "g1_inspire_bottle": (8, 2916, 30, 26, 26, 1, 1),
    "bridge_vpp": (4, 144, 3, 7, 7, 1, 4),
    "bridge_octo64": (25, 250, 5, 7, 7, 3, 4),
}


@pytest.mark.parametrize("name", README)
def test_real_subsets_are_as_their_readme_states(real_data, name):
    dataset = LeRobotDataset(real_data / name)
    texts = {task for episode in dataset.episodes for task in episode.tasks}
    assert (len(dataset.episodes), len(dataset), dataset.fps, dataset.action_size,
            dataset.state_size, len(dataset.cameras), len(texts)) == README[name]
    for e, episode in enumerate(dataset.episodes):
        assert dataset.states(e).shape == (episode.length, dataset.state_size)
        assert dataset.actions(e).shape == (episode.length, dataset.action_size)
    last = min(range(len(dataset.episodes)), key=lambda e: dataset.episodes[e].length)
    for camera in dataset.cameras:
        images = dataset.images(last, camera)
        assert images.shape == (dataset.episodes[last].length, 64, 64, 3)
        assert images.std() > 10  # a picture, not one colour


def test_real_episodes_without_language_and_with_extra_columns_are_kept(real_data):
    dataset = LeRobotDataset(real_data / "droid_subset", cameras=())
    assert sum(not any(episode.tasks) for episode in dataset.episodes) == 5
    lines = (real_data / "droid_subset/meta/episodes.jsonl").read_text().splitlines()
    success = [json.loads(line)["success"] for line in lines]
    assert [episode.meta["success"] for episode in dataset.episodes] == success
