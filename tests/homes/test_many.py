"""Many homes, and many episodes in a row; the full counts are in tools/check_homes.py."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

import pi05lite.homes as homes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checks():
    """The tool with the long checks, as a module."""
    spec = importlib.util.spec_from_file_location("check_homes", ROOT / "tools/check_homes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_hundreds_of_homes_build_with_everything_in_reach_and_at_rest(checks, capsys):
    checks.builds(300)
    assert "out of reach: []; moved while settling: []" in capsys.readouterr().out


@pytest.mark.slow
def test_memory_does_not_grow_with_episodes():
    # a process of its own: what other tests left behind, hundreds of MB, comes and goes as it likes
    done = subprocess.run([sys.executable, str(ROOT / "tools/check_homes.py"), "memory", "300"],
                          capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "MB now" in line]  # 150, 200 and 300
    now, used = ([float(line.split()[i]) for line in lines] for i in (2, 5))
    assert len(lines) == 3 and now[-1] - now[0] < 10 and used[-1] - used[0] < 2


@pytest.mark.slow
def test_processes_can_each_have_an_environment():
    env = gymnasium.make_vec(homes.ENVIRONMENT, num_envs=2, vectorization_mode="async",
                             vector_kwargs={"context": "spawn"}, cameras=["head"])
    seen, info = env.reset(seed=0)
    assert seen["head"].shape == (2, 64, 64, 3) and len(set(info["prompt"])) == 2
    _, reward, *_ = env.step(env.action_space.sample())
    assert reward.shape == (2,)
    env.close()
