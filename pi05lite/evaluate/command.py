"""`pi05lite evaluate`: a policy on a suite of trials, with its results file, sheets and videos."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

from pi05lite.errors import DataError, say
from pi05lite.evaluate import film, scores
from pi05lite.evaluate.drivers import PolicyDriver, RandomDriver, ScriptedDriver
from pi05lite.evaluate.rollout import rollouts
from pi05lite.evaluate.trials import HomeTrial, requests
from pi05lite.homes.gl import View


def evaluate(checkpoint, suite="short", count=200, seed=0, high="own", out=None, films=0,
             execute=25, together=32, size=None, progress=True, pretty=False):
    """Run a suite and return its Outcomes.

    checkpoint: a folder, "scripted" or "random"; out: a .json file for the results; films: how many
    of the trials are filmed, next to `out`; pretty: the room in the films by OpenGL.
    """
    driver, pixels, cameras = make_driver(checkpoint, high, seed)
    asked = requests(suite, count, seed)
    trials = [partial(HomeTrial, r, size or pixels, cameras) for r in asked]
    outcomes = rollouts(driver, trials, execute, together, progress)
    if films and out is None:
        raise DataError(say("films", "out=, a file beside which they are put", None, "name it"))
    if out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        scores.save(out, outcomes, policy=str(checkpoint), suite=suite, count=count, seed=seed,
                     high=high, execute=execute)
    for k in range(min(films, count)):
        trial = trials[k]()
        with View(trial.world, (160, 160)) if pretty else nullcontext() as view:
            frames, texts = film.film(driver, trial, execute=execute, view=view)
        stem = f"{Path(out).with_suffix('')}_{k:02d}_{asked[k].task}"
        film.save_sheet(f"{stem}.png", frames, texts)
        film.save_video(f"{stem}.mp4", frames, texts)
    return outcomes


def make_driver(checkpoint, high="own", seed=0):
    """(driver, pixels of its pictures, cameras by slot or None) for a checkpoint or a baseline."""
    if checkpoint == "scripted":
        return ScriptedDriver(seed), 64, None
    if checkpoint == "random":
        return RandomDriver(seed), 64, None
    from pi05lite.policy import load

    policy = load(checkpoint)
    known = policy.processor.robots
    if "mobile" not in known:
        raise DataError(say(f"checkpoint {checkpoint}", "one trained with the robot mobile",
                            f"robots {sorted(known)}", "train it on data from `pi05lite homes`"))
    cameras = {slot: name.removeprefix("observation.images.")
               for slot, name in known["mobile"].cameras.items()}
    pixels = policy.model.config.vision.image_size
    return PolicyDriver(policy, high, seed), pixels, cameras
