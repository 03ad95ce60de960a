"""Executing a chunk while the next one is computed, and chunks that go on from the last one."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from pi05lite.errors import ConfigError, DataError
from pi05lite.policy import Chunk, Policy
from pi05lite.processor import Processor
from pi05lite.realtime import RealtimePolicy, measured_delay

H, A = 10, 4


class Counting:
    """Stands in for a policy: chunk n holds 100 n + its step; remembers what it was asked."""

    def __init__(self, model):
        self.model, self.asked, self.gate = model, [], threading.Event()
        self.gate.set()

    def reset(self):
        self.was_reset = True

    def act(self, observation, prompt, seed, previous, delay):
        self.gate.wait(10)
        self.asked.append((observation, prompt, seed, previous, delay))
        return Chunk(100.0 * len(self.asked) + np.arange(H)[:, None], prompt)


@pytest.fixture
def counting(toy_model):
    return Counting(toy_model)


# ------------------------------------------------------------------ a chunk after another one


def test_the_new_chunk_begins_as_the_last_one_goes_on(toy_policy, toy_observation):
    first = toy_policy.follow(toy_observation, "go", seed=1)
    rest = first.actions[4:]
    plain = toy_policy.follow(toy_observation, "go", seed=2).actions
    new = toy_policy.follow(toy_observation, "go", seed=2, previous=rest, delay=2).actions
    scale = toy_policy.processor.robots["toy"].stats.action
    off = lambda a: np.abs((a[:2] - rest[:2]) / (scale.q99 - scale.q01)).mean()  # noqa: E731
    print("mean distance of the frozen steps, in ranges:", off(plain), off(new))
    assert off(new) < 0.25 * off(plain)
    assert np.abs(new[6:] - plain[6:]).max() > 1e-4  # the free steps fit what was decided


def test_a_policy_without_guidance_makes_the_plain_chunk(toy_model, toy_setup, toy_observation):
    policy = Policy(toy_model, toy_setup.processor, beta=0)
    plain = policy.follow(toy_observation, "go", seed=2)
    new = policy.follow(toy_observation, "go", seed=2, previous=plain.actions[3:], delay=2)
    assert np.array_equal(plain.actions, new.actions)


def test_both_levels_can_go_on(toy_policy, toy_observation, monkeypatch):
    monkeypatch.setattr(toy_policy, "subtask", lambda *_: "go")
    rest = toy_policy.act(toy_observation, "clean").actions[4:]
    a = toy_policy.act(toy_observation, "clean", seed=3, previous=rest, delay=2)
    b = toy_policy.follow(toy_observation, "go", seed=3, previous=rest, delay=2)
    assert np.array_equal(a.actions, b.actions)


def test_relative_actions_are_counted_from_the_new_state(toy_model, toy_setup, toy_observation):
    """Commands that count from the joints keep their meaning though the joints have moved on."""
    p = toy_setup.processor
    robot = replace(p.robots["toy"], relative=((0, 0), (1, 1)))
    policy = Policy(toy_model, Processor(p.config, p.text, p.actions, {"toy": robot}))
    first = policy.follow(toy_observation, "go", seed=1)
    rest = first.actions[4:]
    width = robot.stats.action.q99 - robot.stats.action.q01
    moved = toy_observation.state.copy()
    moved[:2] += 0.8 * width[:2]
    later = replace(toy_observation, state=moved.astype(np.float32))
    new = policy.follow(later, "go", seed=2, previous=rest, delay=3)
    off = np.abs((new.actions[:3] - rest[:3]) / width)  # absolute commands, (3, A)
    assert off.max() < 0.25
    shifted = np.abs(new.path[-1][:3, :2] - first.path[-1][4:7, :2])  # normalised numbers
    assert shifted.min() > 1  # 0.8 of a range is 1.6 in normalised units


def test_leftovers_outside_the_quantiles_are_not_clipped(toy_policy, toy_observation):
    robot = toy_policy.processor.robots["toy"]
    far = robot.from_model(np.full((6, A), 1.5, np.float32), toy_observation.state)
    new = toy_policy.follow(toy_observation, "go", previous=far, delay=3)
    assert abs(new.path[-1][:3, :A].mean() - 1.5) < 0.2  # clipped, it would come out near 1


def test_a_full_or_empty_rest_is_fine(toy_policy, toy_observation):
    whole = toy_policy.follow(toy_observation, "go", seed=1).actions
    plain = toy_policy.follow(toy_observation, "go", seed=2).actions
    none = toy_policy.follow(toy_observation, "go", seed=2, previous=whole[H:]).actions
    np.testing.assert_array_equal(plain, none)
    kept = toy_policy.follow(toy_observation, "go", seed=2, previous=whole, delay=H).actions
    assert np.abs(kept - whole).max() < 0.5 * np.abs(plain - whole).max()


@pytest.mark.parametrize("rest,delay,error,words", [
    (np.zeros((6, A)), 7, ConfigError, "delay 7, 6 steps left"),
    (np.zeros((H + 1, A)), 2, ConfigError, "11 steps left"),
    (np.zeros((6, A)), -1, ConfigError, "delay -1"),
    (np.zeros((6, A + 4)), 2, ConfigError, r"previous actions\n.*\(n, 4\)"),
    (np.zeros(6), 0, ConfigError, "previous actions"),
    (np.full((6, A), np.nan), 2, DataError, "values to scale"),
])
def test_bad_leftovers_are_refused(toy_policy, toy_observation, rest, delay, error, words):
    with pytest.raises(error, match=words):
        toy_policy.follow(toy_observation, "go", previous=rest, delay=delay)


# ------------------------------------------------------------------------- step after step


def test_the_next_chunk_takes_over_after_the_delay(counting):
    robot = RealtimePolicy(counting, execute=5, delay=2, seed=40)
    actions = [float(robot.step(t, "go")[0]) for t in range(18)]
    assert actions == [100, 101, 102, 103, 104, 105, 106, 202, 203, 204, 205, 206,
                       302, 303, 304, 305, 306, 402]
    seen, _, seeds, rests, delays = zip(*counting.asked)
    assert seen == (0, 5, 10, 15) and seeds == (40, 41, 42, 43) and delays == (0, 2, 2, 2)
    assert rests[0] is None and rests[1][:, 0].tolist() == [105, 106, 107, 108, 109]
    assert rests[2][:, 0].tolist() == [205, 206, 207, 208, 209]


def test_without_a_delay_the_chunk_is_there_at_once(counting):
    robot = RealtimePolicy(counting, execute=3, delay=0)
    actions = [float(robot.step(t, "go")[0]) for t in range(7)]
    assert actions == [100, 101, 102, 200, 201, 202, 300] and robot.late == 0


def test_a_late_chunk_is_waited_for_and_counted(counting):
    robot = RealtimePolicy(counting, execute=5, delay=2)
    for t in range(7):
        robot.step(t, "go")
        if t == 0:
            counting.gate.clear()
    threading.Timer(0.1, counting.gate.set).start()
    assert robot.step(7, "go")[0] == 202 and robot.late == 1


def test_reset_starts_again(counting):
    robot = RealtimePolicy(counting, execute=5, delay=2)
    for t in range(6):  # one chunk is being computed
        robot.step(t, "go")
    robot.reset()
    assert counting.was_reset and robot.step(9, "go")[0] == 300
    assert counting.asked[-1][0] == 9 and counting.asked[-1][3] is None


def test_an_error_in_the_background_reaches_the_caller(counting, monkeypatch):
    robot = RealtimePolicy(counting, execute=5, delay=2)
    robot.step(0, "go")
    monkeypatch.setattr(counting, "act", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        for t in range(1, 9):
            robot.step(t, "go")


@pytest.mark.parametrize("execute,delay", [(5, 5), (0, 0), (8, 3), (11, 0), (5, -1)])
def test_steps_that_do_not_fit_the_horizon_are_refused(counting, execute, delay):
    with pytest.raises(ConfigError, match="real-time chunking"):
        RealtimePolicy(counting, execute, delay)


@pytest.fixture
def one_thread():
    """The worker computes alone: a second team of threads beside the first can starve it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_real_policy_takes_over_smoothly_and_repeats_itself(
        one_thread, toy_policy, toy_observation):
    def run(beta):
        """Actions, and how far each new chunk is from what the last one meant to do next."""
        toy_policy.beta, actions, gaps = beta, [], []
        robot = RealtimePolicy(toy_policy, execute=4, delay=2)
        for _ in range(20):
            last = robot.chunk
            actions.append(robot.step(toy_observation, "go"))
            if last is not None and robot.chunk is not last:
                gaps.append(actions[-1] - last.actions[6])
        return np.array(actions), np.abs(gaps).mean()

    (smooth, gap), (again, _), (_, plain) = run(5.0), run(5.0), run(0.0)
    assert np.array_equal(smooth, again) and smooth.shape == (20, A)
    print("mean gap where a chunk takes over:", plain, gap)
    assert gap < 0.5 * plain


def test_the_delay_is_measured_in_steps_of_the_robot(toy_policy, toy_observation, monkeypatch):
    clock = iter([0.0, 0.03, 1.0, 1.31, 2.0, 2.05])
    monkeypatch.setattr("pi05lite.realtime.time.perf_counter", lambda: next(clock))
    fps = toy_policy.processor.robots["toy"].fps
    assert measured_delay(toy_policy, toy_observation, "go") == int(np.ceil(0.31 * fps))
