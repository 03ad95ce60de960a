"""Outside worlds run under the same rollouts, where their packages are installed."""

import pytest

from pi05lite.errors import ConfigError
from pi05lite.evaluate import outside
from pi05lite.evaluate.drivers import RandomDriver
from pi05lite.evaluate.rollout import rollouts


class Corridor:
    """A stand-in for a Gymnasium environment: walk to 1.0."""

    def __init__(self):
        import gymnasium
        import numpy as np

        self.action_space = gymnasium.spaces.Box(-1, 1, (1,))
        self.picture = np.zeros((10, 20, 3), np.uint8)

    def _look(self):
        return {"pixels": {"top": self.picture}, "agent_pos": [self.x]}

    def reset(self, seed):
        self.x = 0.0
        return self._look(), {}

    def step(self, action):
        self.x += float(action[0]) / 4
        done = self.x >= 1
        return self._look(), self.x, done, False, {"is_success": done}


def corridor(limit=50):
    return outside.GymTrial(Corridor, "corridor", "walker", "go to the end", {
        "base": ("pixels", "top")}, "agent_pos", limit, 1.0, seed=3, size=16)


def test_a_gym_world_is_a_trial_like_any_other():
    trial = corridor()
    seen = trial.observe()
    assert seen.robot == "walker" and seen.images["base"].shape == (16, 16, 3)
    assert seen.state.tolist() == [0.0]
    for _ in range(4):
        trial.step([9.0])  # clipped to 1
    outcome = trial.outcome()
    assert trial.over and outcome.success and outcome.progress == 1 and outcome.steps == 4
    assert rollouts(RandomDriver(), [lambda: corridor(5)], progress=False)[0].steps == 5


def test_progress_is_the_best_so_far():
    trial = corridor()
    for action in (1, 1, -1, -1):
        trial.step([action])
    assert trial.outcome().progress == pytest.approx(0.5) and not trial.outcome().success


@pytest.mark.parametrize("name", ["pusht", "aloha"])
def test_a_missing_package_is_named_with_its_cure(name, monkeypatch):
    def missing(package):
        raise ImportError(f"No module named {package!r}")

    monkeypatch.setattr(outside, "import_module", missing)
    with pytest.raises(ConfigError, match=rf"(?s)gym_{name}.*pi05lite\[{name}\]"):
        getattr(outside, name)()


def test_pusht_runs():
    pytest.importorskip("gym_pusht")
    found = rollouts(RandomDriver(), [lambda: outside.pusht(seed=1)], execute=10, progress=False)
    assert found[0].steps == 300 and 0 <= found[0].progress < 1 and not found[0].success
    seen = outside.pusht(seed=1).observe()
    assert seen.images["base"].shape == (64, 64, 3) and seen.state.shape == (2,)


def test_aloha_runs():
    pytest.importorskip("gym_aloha")
    trial = outside.aloha(seed=1)
    seen = trial.observe()
    assert seen.images["base"].shape == (64, 64, 3) and seen.state.shape == (14,)
    trial.step(seen.state)
    assert trial.steps == 1 and trial.outcome().failure == "timeout"
    with pytest.raises(ConfigError, match="ALOHA task"):
        outside.aloha(task="Juggle")
