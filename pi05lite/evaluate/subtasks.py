"""How often the high level says what the expert does next, in homes it has never seen."""

import json
from functools import partial

from tqdm.auto import tqdm

from pi05lite.data.cache import atomic_path
from pi05lite.evaluate.intervals import bootstrap
from pi05lite.evaluate.trials import HomeTrial, requests
from pi05lite.homes.expert import Expert
from pi05lite.homes.language import same


def subtasks(driver, suite="long", count=40, seed=0, every=50, size=64, cameras=None,
             progress=True):
    """Rows of (trial, step, prompt, expected, said, right): the script acts, the driver is asked.

    driver: a PolicyDriver; every: steps between questions. A synonym of what is expected is right
    (see `language.same`).
    """
    rows = []
    for request in tqdm(requests(suite, count, seed), "episodes", disable=not progress):
        trial = HomeTrial(request, size, cameras)
        asked, episode, expert = [], trial.episode, Expert(trial.episode, request.seed)
        while not trial.over:
            action, task = expert.act()
            if trial.steps % every == 0:
                asked.append((trial.steps, trial.observe(), episode.usual.say(task)))
            trial.step(action)
        said = driver.say_subtasks([(o, trial.prompt) for _, o, _ in asked])
        alike = partial(same, home=episode.home, things=episode.things)
        rows += [{"trial": trial.name, "task": request.task, "step": step, "prompt": trial.prompt,
                  "expected": expected, "said": text, "right": alike(text, expected)}
                 for (step, _, expected), text in zip(asked, said)]
    return rows


def accuracy(rows):
    """(mean, low, high) over trials, which are drawn again for the interval."""
    trials = {}
    for row in rows:
        trials.setdefault(row["trial"], []).append(row["right"])
    return bootstrap([sum(right) / len(right) for right in trials.values()])


def save(path, rows):
    """Write the rows with their accuracy."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"accuracy": accuracy(rows), "rows": rows}, indent=1))
