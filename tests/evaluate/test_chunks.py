"""The measure of predicted chunks, its baselines, and that no truth reaches the policy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.robots import Known, describe_robot
from pi05lite.data.sources import RobotSource
from pi05lite.data.write import write_dataset
from pi05lite.evaluate import chunks
from pi05lite.evaluate.chunks import Frames, error
from pi05lite.model import flow
from pi05lite.policy import Observation, Policy

H, A = 10, 4


@pytest.fixture(scope="module")
def source(toy_setup):
    return toy_setup.held_out["toy"]


@pytest.fixture(scope="module")
def test_frames(source):
    return chunks.frames(source, stride=9)


@pytest.fixture(scope="module")
def train_frames(toy_setup):
    return chunks.frames(toy_setup.train["toy"], stride=4)


@pytest.fixture
def made_up():
    """Twelve frames of three episodes with random truth; some steps lie past the end."""
    rng = np.random.default_rng(0)
    steps = np.ones((12, 5), bool)
    steps[3, 2:] = steps[7, 4:] = False
    return Frames([(k // 4, k % 4) for k in range(12)], rng.normal(size=(12, 5, 2)), steps, [""])


def test_frames_are_every_few_of_the_source(source, test_frames, toy_setup):
    assert len(test_frames.places) == -(-len(source) // 9)
    assert test_frames.chunks.shape == (len(test_frames.places), H, A)
    for k in (0, 7, -1):
        example = source.example(*test_frames.places[k])
        assert test_frames.texts[k] == example.text
        assert np.array_equal(test_frames.steps[k], example.steps)
        assert np.array_equal(test_frames.chunks[k], toy_setup.processor.normal_actions(example))
    assert not chunks.frames(source).steps.all()  # some frames are close to the end


def test_the_truth_has_error_0_and_the_mean_error_1(made_up):
    mean = np.zeros((5, 2))
    assert error(made_up.chunks, made_up, mean) == (0, 0, 0)
    assert error(np.broadcast_to(mean, made_up.chunks.shape), made_up, mean) == (1, 1, 1)
    assert error(2 * made_up.chunks, made_up, mean)[0] == pytest.approx(1)
    assert error(1.5 * made_up.chunks, made_up, mean)[0] == pytest.approx(0.25)


def test_the_interval_holds_the_value_and_repeats(made_up):
    predicted = made_up.chunks + np.random.default_rng(1).normal(size=made_up.chunks.shape)
    value, low, high = error(predicted, made_up, np.zeros((5, 2)))
    assert low < value < high
    assert (value, low, high) == error(predicted, made_up, np.zeros((5, 2)))


def test_the_interval_is_over_episodes_not_frames(made_up):
    predicted = made_up.chunks.copy()
    predicted[:4] += 1  # one of three episodes is all wrong
    _, low, high = error(predicted, made_up, np.zeros((5, 2)))
    assert low == 0 and high > 0.5
    one = replace(made_up, places=[(0, k) for k in range(12)])
    value, low, high = error(predicted, one, np.zeros((5, 2)))
    assert low == pytest.approx(value) == high


def test_steps_past_the_end_do_not_count(made_up):
    predicted = made_up.chunks.copy()
    predicted[~made_up.steps] = 1e6
    assert error(predicted, made_up, np.full((5, 2), 0.5))[0] == 0


def test_samples_are_judged_one_by_one(made_up):
    rng = np.random.default_rng(2)
    predicted = made_up.chunks[:, None] + rng.normal(size=(12, 3, 5, 2))
    mean = np.zeros((5, 2))
    alone = [error(predicted[:, k], made_up, mean)[0] for k in range(3)]
    assert error(predicted, made_up, mean)[0] == pytest.approx(np.mean(alone))
    assert error(predicted.mean(1), made_up, mean)[0] < min(alone)


def test_the_mean_chunk_leaves_out_steps_past_the_end(made_up):
    found = chunks.mean_chunk(made_up)
    assert found[0] == pytest.approx(made_up.chunks[:, 0].mean(0))
    keep = [k for k in range(12) if k != 3]
    assert found[2] == pytest.approx(made_up.chunks[keep, 2].mean(0))


def test_holding_still_commands_no_velocity_and_keeps_the_gripper(source, test_frames):
    still = chunks.hold(source, test_frames)
    assert still.shape == test_frames.chunks.shape
    for k, (e, t) in enumerate(test_frames.places):
        physical = source.robot.from_model(still[k], source.states[e][t])
        expected = [0, 0, 0, source.dataset.actions(e)[max(t - 1, 0), 3]]
        assert physical == pytest.approx(np.tile(expected, (H, 1)), abs=1e-3)


@pytest.mark.parametrize("relative", [0, 2])
def test_holding_still_keeps_positions(tmp_path, relative):
    def episode():
        state = np.cumsum(np.random.default_rng(0).normal(size=(40, 3)), axis=0)
        return {"state": state, "action": state[:, [2, 1]] if not relative else state[:, :2],
                "task": "go"}

    names = {"state": ["x", "y", "z"], "action": ["z", "y"] if not relative else ["x", "y"]}
    dataset = LeRobotDataset(write_dataset(tmp_path / "arm", [episode()], 5, "arm", names))
    robot = describe_robot(dataset, Known("arm", {}, relative=relative), 4)
    source = RobotSource(dataset, robot, 4)
    held = chunks.frames(source, 5)
    still = chunks.hold(source, held)
    middle = 4
    e, t = held.places[middle]
    physical = robot.from_model(still[middle], dataset.states(e)[t])
    state = dataset.states(e)[t]
    expected = state[:2] if relative else state[[2, 1]]
    assert physical == pytest.approx(np.tile(expected, (4, 1)), abs=1e-3)


def test_the_nearest_neighbour_of_a_training_frame_is_itself(toy_setup, train_frames):
    train = toy_setup.train["toy"]
    found = chunks.nearest(train, train_frames, train, train_frames)
    same = (found == train_frames.chunks).all((1, 2))
    assert same.mean() > 0.99


def test_the_nearest_neighbour_is_a_training_chunk(toy_setup, train_frames, source, test_frames):
    found = chunks.nearest(toy_setup.train["toy"], train_frames, source, test_frames)
    assert found.shape == test_frames.chunks.shape
    assert all((train_frames.chunks == chunk).all((1, 2)).any() for chunk in found)


def few(test_frames, *which):
    return Frames([test_frames.places[k] for k in which], test_frames.chunks[list(which)],
                  test_frames.steps[list(which)], [test_frames.texts[k] for k in which])


def test_predictions_are_what_the_policy_does(toy_policy, source, test_frames):
    one = few(test_frames, 5)
    predicted = chunks.predict(toy_policy, source, one, samples=1, seed=3)
    example = source.example(*one.places[0])
    observation = Observation("toy", example.images, example.state)
    chunk = toy_policy.follow(observation, example.text, seed=3)
    assert predicted.shape == (1, 1, H, A)
    assert predicted[0, 0] == pytest.approx(chunk.path[-1][:, :A], abs=1e-4)


def test_predictions_differ_by_sample_and_repeat_by_seed(toy_policy, source, test_frames):
    part = few(test_frames, 0, 3, 6)
    one, two, other = (chunks.predict(toy_policy, source, part, samples=2, batch_size=2, seed=s)
                       for s in (0, 0, 1))
    assert one.shape == (3, 2, H, A) and np.array_equal(one, two)
    assert np.abs(one - other).max() > 0.01 and np.abs(one[:, 0] - one[:, 1]).max() > 0.01


def test_the_truth_never_reaches_the_policy(toy_policy, source, test_frames, monkeypatch):
    part = few(test_frames, 0, 3, 6)
    base = chunks.predict(toy_policy, source, part, samples=1)
    wrong = np.full((H, A), 0.3, np.float32), np.ones(H, bool)
    monkeypatch.setattr(source.dataset, "chunk", lambda *_: wrong)
    lied = replace(part, chunks=part.chunks * 0 + 7, steps=~part.steps, texts=["x"] * 3)
    assert np.array_equal(base, chunks.predict(toy_policy, source, lied, samples=1))


def test_the_policys_own_subtasks_take_the_place_of_the_labels(
        toy_policy, toy_setup, source, test_frames, monkeypatch):
    part, high = few(test_frames, 0, 3), toy_setup.high("toy")
    asked = []

    def answers(batch, *_):
        asked.extend(toy_policy.processor.text.decode(row.tolist()) for row in batch.tokens)
        assert not batch.target.any()  # the label is not in the prompt
        return ["reach: it", "carry: it"]

    monkeypatch.setattr(toy_policy, "answers", answers)
    own = chunks.predict(toy_policy, source, part, high, samples=1)
    assert all(text.startswith("Task: put the ") and text.endswith("Subtask: ") for text in asked)
    monkeypatch.setattr(source, "subtask", lambda e, t: "reach: it" if t == part.places[0][1]
                        else "carry: it")
    assert own == pytest.approx(chunks.predict(toy_policy, source, part, samples=1), abs=1e-4)


def test_predictions_use_the_policys_solver(toy_model, toy_setup, source, test_frames):
    used = []

    def solver(velocity, noise, steps):
        used.append(steps)
        return flow.euler(velocity, noise, steps)

    policy = Policy(toy_model, toy_setup.processor, steps=2, solver=solver)
    chunks.predict(policy, source, few(test_frames, 0), samples=1)
    assert used == [2]


def test_compare_puts_the_policy_beside_the_baselines(toy_policy, toy_setup, source):
    toy_policy.steps = 2
    table = chunks.compare(toy_policy, toy_setup.train["toy"], source, toy_setup.high("toy"),
                           stride=10, samples=2)
    assert table["mean action"] == pytest.approx((1, 1, 1))
    assert table["nearest neighbour"][0] < 0.7
    assert table["pi0.5, own subtask"][0] < table["pi0.5, one sample"][0]
    assert all(low <= value <= high for value, low, high in table.values())
    assert list(table) == ["pi0.5, own subtask", "pi0.5, told subtask", "pi0.5, one sample",
                           "nearest neighbour", "mean action", "hold still",
                           "pi0.5 - best baseline"]
    gap = table["pi0.5, own subtask"][0] - min(
        table[name][0] for name in ("nearest neighbour", "mean action", "hold still"))
    assert table["pi0.5 - best baseline"][0] == pytest.approx(gap)
    told = chunks.compare(toy_policy, toy_setup.train["toy"], source, stride=10, samples=2)
    assert "pi0.5, own subtask" not in told
    assert told["pi0.5, told subtask"] == table["pi0.5, told subtask"]


def test_a_difference_is_paired_by_episode(made_up):
    rng = np.random.default_rng(3)
    noise, mean = rng.normal(size=made_up.chunks.shape), np.zeros((5, 2))
    scale = np.repeat([1.0, 3.0, 9.0], 4)[:, None, None]  # episodes of very different difficulty
    better, worse = made_up.chunks + scale * noise, made_up.chunks + 1.1 * scale * noise
    _, low, high = error(better, made_up, mean)
    assert high > 5 * low  # alone the two cannot be told apart
    value, low, high = error(better, made_up, mean, worse)
    assert low <= value <= high < 0


def test_subtask_accuracy_counts_exact_answers(toy_policy, toy_setup, monkeypatch):
    high = toy_setup.high("toy")
    labels = [high[i].answer for i in range(0, len(high), 20)]
    said = iter([labels[0], *labels[1:-1], "dance"])
    monkeypatch.setattr(toy_policy, "answers",
                        lambda batch, *_: [next(said) for _ in range(len(batch))])
    share, rows = chunks.subtask_accuracy(toy_policy, high, stride=20, batch_size=4)
    assert share == pytest.approx(1 - 1 / len(labels)) and len(rows) == len(labels)
    assert rows[-1][2:] == (labels[-1], "dance")
    assert [row[2] for row in rows] == labels
    assert rows[3][:2] == high.dataset.locate(high.frames[60])


def test_the_label_is_not_in_what_the_policy_is_asked(toy_policy, toy_setup, monkeypatch):
    def answers(batch, *_):
        assert not batch.target.any()
        assert isinstance(batch.tokens, torch.Tensor)
        return [""] * len(batch)

    monkeypatch.setattr(toy_policy, "answers", answers)
    assert chunks.subtask_accuracy(toy_policy, toy_setup.high("toy"), stride=50)[0] == 0
