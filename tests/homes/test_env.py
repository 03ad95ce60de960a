"""The Gymnasium interface: checker, seeds, vectors, clear errors."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import pi05lite.homes as homes
from pi05lite.errors import DataError


@pytest.mark.parametrize("robot, task", [("mobile", "pick"), ("arm", "drawer"),
                                         ("two_arm", "tray")])
def test_the_checker_passes(robot, task):
    env = gymnasium.make(homes.ENVIRONMENT, robot=robot, task=task, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its taste in ranges of boxes
        check_env(env.unwrapped)


def test_a_seed_gives_the_same_episode_and_frames():
    runs = []
    for _ in range(2):
        env = gymnasium.make(homes.ENVIRONMENT, cameras=["head"])
        first, info = env.reset(seed=7)
        env.action_space.seed(0)
        frames = [first["head"]] + [env.step(env.action_space.sample())[0]["head"]
                                    for _ in range(5)]
        runs.append((info["prompt"], np.array(frames)))
    assert runs[0][0] == runs[1][0] and np.array_equal(runs[0][1], runs[1][1])
    env.reset(seed=8)
    assert env.unwrapped.episode.request.home != runs[0]


def test_vector_environments_batch_it():
    env = gymnasium.make_vec(homes.ENVIRONMENT, num_envs=2, vectorization_mode="sync",
                             vector_kwargs={"copy": False}, cameras=["head"])
    seen, info = env.reset(seed=0)
    assert seen["head"].shape == (2, 64, 64, 3) and seen["state"].shape == (2, 7)
    assert len(info["prompt"]) == 2
    _, reward, done, late, _ = env.step(env.action_space.sample())
    assert reward.shape == done.shape == late.shape == (2,)


def test_options_choose_the_episode():
    env = gymnasium.make(homes.ENVIRONMENT).unwrapped
    env.reset(seed=0, options={"task": "go", "home": 12, "split": "skill", "seed": 3})
    r = env.episode.request
    assert (r.task, r.home, r.split, r.seed) == ("go", 12, "skill", 3)
    with pytest.raises(DataError, match="options of reset"):
        env.reset(options={"house": 1})


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="camera of mobile"):
        gymnasium.make(homes.ENVIRONMENT, cameras=["rear"])
    env = gymnasium.make(homes.ENVIRONMENT, cameras=["head"]).unwrapped
    with pytest.raises(DataError, match="reset"):
        env.step(np.zeros(7))
    env.reset(seed=0)
    with pytest.raises(DataError, match="finite"):
        env.step(np.full(7, np.nan))
    with pytest.raises(DataError, match="shape"):
        env.step(np.zeros(6))


def test_reward_adds_up_to_progress_and_a_done_episode_takes_no_step():
    from pi05lite.homes.expert import Expert

    env = gymnasium.make(homes.ENVIRONMENT, cameras=[]).unwrapped
    env.reset(seed=3)
    expert, total, done = Expert(env.episode), 0.0, False
    while not done:
        _, reward, done, late, info = env.step(expert.act()[0])
        total += reward
        assert not late
    assert total == pytest.approx(1) and info["success"] and info["failure"] == ""
    with pytest.raises(DataError, match="after its end"):
        env.step(np.zeros(7))


def test_registering_imports_nothing_heavy():
    code = ("import sys, pi05lite.homes, gymnasium; "
            "assert 'pi05lite/TidyHome-v0' in gymnasium.registry; "
            "print([m for m in ('torch', 'mujoco', 'av', 'pyarrow') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
