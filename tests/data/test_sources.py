"""Sources turn dataset frames and pictures with words into examples."""

import json

import numpy as np
import pytest
from PIL import Image

from pi05lite.data.images import fit
from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.robots import Known, describe_robot
from pi05lite.data.sources import BoxSource, CaptionSource, RobotSource, square_box
from pi05lite.data.write import write_dataset
from pi05lite.errors import DataError

TOP = "observation.images.top"
TASKS = ["pick the cube", "", "open the box"]


def episodes(tasks):
    """Episodes of 6, 7, 8 steps; the gripper (action 1) closes at step 2 and opens at step 4."""
    for e, task in enumerate(tasks):
        rng, length = np.random.default_rng(e), 6 + e
        action = rng.normal(size=(length, 2)).astype(np.float32)
        action[:, 1] = [0, 0, 1, 1] + [0] * (length - 4)
        pictures = rng.integers(0, 255, (length, 8, 8, 3), dtype=np.uint8)
        yield {"state": rng.normal(size=(length, 3)), "action": action, "task": task,
               "images": {TOP: pictures}}


@pytest.fixture
def make(tmp_path):
    """make(level, gripper, tasks, remember): a source over a dataset written for this test."""
    def build(level, gripper=1, tasks=TASKS, remember=()):
        if not (tmp_path / "arm").exists():
            write_dataset(tmp_path / "arm", episodes(tasks), 5, "arm", video=False)
        dataset = LeRobotDataset(tmp_path / "arm", image_size=8)
        robot = describe_robot(dataset, Known("arm", {"base": TOP}, remember=remember), 4)
        return RobotSource(dataset, robot, 4, level, gripper)
    return build


def test_low_level_has_every_frame_with_its_actions(make):
    source = make("low")
    assert source.name == "arm/low" and len(source) == 6 + 7 + 8
    example = source[6 + 7 + 5]  # episode 2, step 5
    assert (example.source, example.level, example.robot) == ("arm/low", "low", "arm")
    assert example.text == "reach: open the box"
    assert example.answer is None and example.objects is None
    assert np.array_equal(example.state, source.dataset.states(2)[5])
    assert np.array_equal(example.actions[:3], source.dataset.actions(2)[5:8])
    assert example.steps.tolist() == [True, True, True, False]


def test_pictures_come_by_the_models_slots(make):
    source = make("low")
    expected = next(episodes(TASKS))["images"][TOP][3]
    assert list(source[3].images) == ["base"]
    assert np.array_equal(source[3].images["base"], expected)


def test_low_level_without_language_has_an_empty_subtask(make):
    source = make("low")
    assert {source[i].text for i in range(6, 13)} == {""}


def test_both_levels_know_the_last_command_of_a_robot_that_remembers_it(make):
    low, high = (make(level, remember=(1,)) for level in ("low", "high"))
    assert [low[i].state[3] for i in range(6)] == [0, 0, 0, 1, 1, 0]
    assert np.array_equal(low[4].state, high[4].state) and low[4].state.shape == (4,)


def test_high_level_leaves_out_episodes_without_language(make):
    source = make("high")
    assert len(source) == 6 + 8
    assert {source[i].text for i in range(len(source))} == {"pick the cube", "open the box"}


def test_high_level_answers_are_the_subtasks_of_the_low_level(make):
    high, low = make("high"), make("low")
    said = [high[i].answer for i in range(6)]
    phases = ["reach"] * 3 + ["carry"] * 2 + ["reach"]
    assert said == [f"{phase}: pick the cube" for phase in phases]
    assert said == [low[i].text for i in range(6)]
    last, same = high[len(high) - 1], low[len(low) - 1]
    assert last.answer == same.text and np.array_equal(last.state, same.state)
    assert all(high[i].actions is None and high[i].steps is None for i in range(len(high)))


def test_without_a_gripper_the_subtask_is_the_task(make):
    source = make("high", gripper=None)
    assert source[0].answer == source[0].text == "pick the cube"


def test_each_frame_follows_its_own_task(make):
    source = make("low", gripper=None, tasks=["a", ["b"] * 3 + ["c"] * 4])
    assert [source[i].text for i in range(5, 13)] == ["a"] + ["b"] * 3 + ["c"] * 4


def test_a_dataset_without_language_has_no_high_level(make):
    assert len(make("low", tasks=["", ""])) == 13
    with pytest.raises(DataError, match="arm/high"):
        make("high")


@pytest.mark.parametrize("width, height", [(96, 54), (54, 96), (80, 80)])
def test_boxes_move_with_the_padding_that_makes_pictures_square(width, height):
    box = (0.25, 0.1, 0.75, 0.6)
    picture = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, [width, height] * 2))
    picture[y0:y1, x0:x1] = 255
    size = 64
    rows, columns = np.nonzero(fit(picture, size)[..., 0] > 127)
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.array(square_box(box, width, height)) * size == pytest.approx(seen, abs=1.5)


def test_the_whole_picture_keeps_its_shape():
    assert square_box((0, 0, 1, 1), 200, 100) == pytest.approx((0, 0.25, 1, 0.75))
    assert square_box((0, 0, 1, 1), 100, 200) == pytest.approx((0.25, 0, 0.75, 1))


@pytest.fixture
def pictures(tmp_path):
    """A folder with two small pictures, their captions and their boxes."""
    folder = tmp_path / "cards"
    folder.mkdir()
    for k in range(2):
        Image.new("RGB", (40, 20), (10, 200, 30)).save(folder / f"{k}.png")
    objects = [{"label": "king", "box_xyxy_norm": [0.5, 0, 1, 1]},
               {"label": "ace", "box_xyxy_norm": [0, 0, 0.5, 1]},
               {"label": "king", "box_xyxy_norm": [0, 0, 0.25, 1]}]
    rows = [{"image": f"{k}.png", "instruction": f"do {k}", "split": ("train", "test")[k],
             "width": 40, "height": 20, "objects": objects} for k in range(2)]
    for name in ("captions.jsonl", "boxes.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_captions_answer_a_fixed_question(pictures):
    source = CaptionSource(pictures, 16)
    assert source.name == "cards" and len(source) == 2
    example = source[1]
    assert (example.level, example.text, example.answer) == ("words", "caption en", "do 1")
    assert example.robot is None and example.actions is None and example.state is None
    image = example.images["base"]
    assert image.shape == (16, 16, 3) and not image[:3].any()  # black bars above
    assert image[8, 8].tolist() == [10, 200, 30]


def test_boxes_are_asked_for_by_label_and_said_in_order(pictures):
    source = BoxSource(pictures, 16, slot="left_wrist")
    assert len(source) == 1  # the test split is left out
    example = source[0]
    assert example.text == "detect ace ; king" and list(example.images) == ["left_wrist"]
    assert [label for label, _ in example.objects] == ["ace", "king", "king"]
    assert dict(example.objects[:1])["ace"] == pytest.approx((0.25, 0, 0.75, 0.5))  # y first
    assert len(BoxSource(pictures, 16, split=None)) == 2


def test_missing_lists_and_damaged_pictures_are_named(pictures):
    with pytest.raises(DataError, match="boxes.jsonl"):
        BoxSource(pictures / "nowhere", 16)
    (pictures / "0.png").write_bytes(b"no picture")
    (pictures / "1.png").unlink()
    for i in range(2):
        with pytest.raises(DataError, match=f"{i}.png"):
            CaptionSource(pictures, 16)[i]


def test_a_damaged_list_is_named(pictures):
    (pictures / "captions.jsonl").write_text('{"image": "0.png", "instr\n')
    with pytest.raises(DataError, match="captions.jsonl"):
        CaptionSource(pictures, 16)


def test_real_captions(real_data):
    source = CaptionSource(real_data / "vl/droid_captions", 32)
    assert len(source) == 1000
    assert source[0].answer == "Put the pot upright"
    image = source[999].images["base"]
    assert image.shape == (32, 32, 3) and image.std() > 5


def test_real_boxes(real_data):
    source = BoxSource(real_data / "vl/playing_cards", 32)
    whole = BoxSource(real_data / "vl/playing_cards", 32, split=None)
    assert 200 < len(source) < len(whole) == 363
    for i in range(0, len(source), 40):
        example = source[i]
        assert example.objects and example.text.startswith("detect ")
        for label, box in example.objects:
            assert label in example.text
            assert 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
    # 336 x 448: the picture fills x from 1/8 to 7/8 of the square, so no box lies outside.
    assert 0.125 <= source[0].objects[0][1][0] and source[0].objects[0][1][2] <= 0.875


def test_real_robot_without_language_is_left_out_of_the_high_level(real_data):
    from pi05lite.data.robots import KNOWN

    dataset = LeRobotDataset(real_data / "droid_subset", name="droid", cameras=())
    robot = describe_robot(dataset, Known("droid_subset", {}), 5)
    low, high = (RobotSource(dataset, robot, 5, level, KNOWN["droid"].gripper)
                 for level in ("low", "high"))
    silent = sum(e.length for e in dataset.episodes if not any(e.tasks))
    assert silent > 0 and len(low) - len(high) == silent
    example = high[len(high) // 2]
    assert example.text and example.answer.endswith(": " + example.text)
