"""Rollouts: side by side as alone, the same trials from a seed, ceilings and floors, files."""

from functools import partial

import numpy as np
import pytest

from pi05lite import cli
from pi05lite.errors import ConfigError, DataError
from pi05lite.evaluate import film, scores
from pi05lite.evaluate.command import evaluate
from pi05lite.evaluate.drivers import PolicyDriver, RandomDriver, ScriptedDriver
from pi05lite.evaluate.rollout import rollouts
from pi05lite.evaluate.trials import SUITES, HomeTrial, Outcome, requests
from pi05lite.homes.home import Home
from pi05lite.homes.tasks import Request


@pytest.fixture(scope="module")
def home_policy(toy_setup):
    """An untrained nano policy that knows the mobile robot."""
    from dataclasses import replace

    import torch

    from pi05lite.data.robots import Robot
    from pi05lite.data.stats import DatasetStats, of_values
    from pi05lite.model.pi05 import Pi05
    from pi05lite.policy import Policy
    from pi05lite.processor import Processor

    rng = np.random.default_rng(0)
    stats = DatasetStats("mobile", of_values(rng.uniform(-1, 1, (50, 7))),
                         of_values(rng.uniform(-0.3, 0.3, (50, 7))))
    robot = Robot("mobile", stats, {"base": "head", "left_wrist": "wrist"}, 50)
    config = replace(toy_setup.config, horizon=10)
    processor = Processor(config, toy_setup.processor.text, None, {"mobile": robot})
    torch.manual_seed(0)
    return Policy(Pi05(config), processor, steps=2)


def trials(suite="short", count=6, size=28, seed=0):
    cameras = {"base": "head", "left_wrist": "wrist"}
    return [partial(HomeTrial, r, size, cameras) for r in requests(suite, count, seed)]


def test_the_script_is_the_ceiling_and_chance_the_floor():
    best = rollouts(ScriptedDriver(), trials(), progress=False)
    worst = rollouts(RandomDriver(), trials(), progress=False)
    assert all(o.success and o.failure == "" for o in best)
    assert sum(o.success for o in worst) <= 1
    assert [o.name for o in best] == [o.name for o in worst]
    assert all(o.texts[0][1] for o in best)


@pytest.mark.parametrize("together", [1, 4])
def test_trials_go_as_they_would_alone(together):
    found = rollouts(RandomDriver(), trials(count=4), together=together, progress=False)
    alone = [rollouts(RandomDriver(), [t], progress=False)[0] for t in trials(count=4)]
    assert found == alone


def test_a_policy_is_asked_for_all_trials_in_one_call(home_policy, monkeypatch):
    sizes, sample = [], home_policy.model.sample

    def count(batch, *args, **options):
        sizes.append(len(batch.tokens))
        return sample(batch, *args, **options)

    monkeypatch.setattr(home_policy.model, "sample", count)
    short = [partial(_Short, r, 28, {"base": "head", "left_wrist": "wrist"})
             for r in requests("short", 3)]
    out = rollouts(PolicyDriver(home_policy), short, execute=10, progress=False)
    assert len(out) == 3 and sizes[0] == 3 and all(o.steps == 30 for o in out if not o.success)


class _Short(HomeTrial):
    """A trial that ends after 30 steps."""

    @property
    def over(self):
        return super().over or self.steps >= 30


@pytest.mark.parametrize("high", ["none", "script"])
def test_noise_belongs_to_the_trial_and_not_to_the_batch(home_policy, high):
    make = [partial(_Short, r, 28, {"base": "head", "left_wrist": "wrist"})
            for r in requests("language", 3)]
    driver = PolicyDriver(home_policy, high)
    together = driver.plans([m() for m in make])
    for m, (actions, text) in zip(make, together):
        trial = m()
        alone, said = driver.plans([trial])[0]
        assert alone == pytest.approx(actions, abs=1e-4) and said == text
        assert text == trial.prompt if high == "none" else text.startswith("pick up")
    other = PolicyDriver(home_policy, high, seed=1).plans([make[0]()])[0][0]
    assert np.abs(other - together[0][0]).max() > 1e-3


def test_an_outsider_goes_through_its_list_whatever_the_robot_does():
    from pi05lite.evaluate.drivers import PATIENCE, outsider

    (make,) = trials("long", 1)
    trial, said = make(), []
    goals = trial.episode.goals
    for k in range(2 * len(goals) + 1):
        trial.world.time = 50 * PATIENCE * k
        said.append(outsider(trial))
    assert [s.skill for s in said[:4]] == ["pick", "put", "pick", "put"]
    assert said[0].thing == said[1].thing == goals[0].thing
    assert said[2].thing == goals[1].thing
    assert not trial.episode.stains and said[-1] == said[0]  # and over again
    assert "go" not in {s.skill for s in said}
    (make,) = trials("short", 1)
    assert outsider(make()) == make().episode.first


def test_an_unknown_high_level_is_refused(home_policy):
    with pytest.raises(ConfigError, match="high level"):
        PolicyDriver(home_policy, "guess")


@pytest.mark.parametrize("suite", SUITES)
def test_suites_are_the_same_from_a_seed_and_of_their_split(suite):
    found = requests(suite, 12, 3)
    assert found == requests(suite, 12, 3) and found != requests(suite, 12, 4)
    split, tasks = SUITES[suite]
    assert {r.split for r in found} == {split}
    assert {r.task for r in found} == set(tasks)
    assert len({r.home for r in found}) == 12


def test_suites_are_held_in_homes_of_their_own():
    for suite in ("short", "perception", "skill", "semantics", "long"):
        home: Home = HomeTrial(requests(suite, 1)[0], 8).episode.home
        assert all(round(side * 100) % 2 == 1 for side in home.size)


def test_impossible_suites_are_refused():
    for bad in ({"suite": "hard"}, {"suite": "short", "count": 0}):
        with pytest.raises(DataError, match="suite|number of trials"):
            requests(**bad)


def outcome(name, success, task="pick", progress=None):
    return Outcome(name, task, "do it", success, float(success) if progress is None else progress,
                   "" if success else "dropped", 100, success)


def test_results_are_kept_and_compared_by_trial(tmp_path):
    good = [outcome(f"t{i}", i < 30) for i in range(40)]
    bad = [outcome(f"t{i}", i < 20) for i in reversed(range(40))]
    figures = scores.summary(good)
    assert figures["all"]["success"][0] == 0.75 and figures["all"]["failures"] == {"dropped": 10}
    tables = []
    for name, rows in (("good", good), ("bad", bad)):
        path = scores.save(tmp_path / f"{name}.json", rows, suite="short", seed=0)
        tables.append(scores.load(path))
    assert tables[0]["about"] == {"suite": "short", "seed": 0} and tables[0]["command"]
    mean, low, high = scores.compare(*tables)
    assert mean == pytest.approx(0.25) and 0 < low < mean < high
    with pytest.raises(DataError, match="same trials"):
        scores.compare(tables[0], {"rows": tables[1]["rows"][:-1]})
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(DataError, match="broken"):
        scores.load(tmp_path / "broken.json")
    assert "75.0 [59.8, 85.8]" in scores.show(figures)


def test_a_film_may_show_the_room_by_another_view():
    class Red:
        def picture(self):
            return np.full((48, 48, 3), (255, 0, 0), np.uint8)

    trial = HomeTrial(Request(task="open", home=2), 48)
    frames, _ = film.film(ScriptedDriver(), trial, every=50, size=48, view=Red())
    assert all((f[:, :48] == (255, 0, 0)).all() and f[:, 48:].std() > 5 for f in frames)


def test_a_film_shows_the_trial_with_its_words(tmp_path):
    trial = HomeTrial(Request("open", 1, "new", 1))
    frames, texts = film.film(ScriptedDriver(), trial, every=10, size=48)
    assert trial.over and len(frames) == len(texts) > 5
    assert frames[0].shape == (48, 144, 3) and texts[0] == "open the drawer"
    picture = film.sheet(frames, texts, columns=2, count=4)
    assert picture.shape == (2 * 62, 288, 3)
    path = film.save_video(tmp_path / "a.mp4", frames, texts, every=10)
    assert path.stat().st_size > 1000


def test_the_command_runs_a_suite(tmp_path, capsys):
    out = tmp_path / "deep" / "scripted.json"
    asked = ["evaluate", "--checkpoint", "scripted", "--suite", "language", "--count", "2",
             "--out", str(out), "--films", "1"]
    assert cli.main(asked) == 0
    assert "100.0" in capsys.readouterr().out
    assert {p.suffix for p in out.parent.iterdir()} == {".json", ".png", ".mp4"}
    assert cli.main([*asked[:2], "random", *asked[3:7], "--against", str(out)]) == 0
    assert "paired" in capsys.readouterr().out
    assert cli.main(["evaluate", "--checkpoint", "scripted", "--suite", "no"]) == 2


def test_a_checkpoint_without_the_robot_is_refused(tmp_path, toy_policy, monkeypatch):
    monkeypatch.setattr("pi05lite.policy.load", lambda path: toy_policy)
    with pytest.raises(DataError, match="trained with the robot mobile"):
        evaluate(str(tmp_path), count=1)
