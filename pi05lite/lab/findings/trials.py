"""Rollouts of a trained policy, kept beside it block by block: what is there is not run again."""

import json
from functools import partial
from pathlib import Path

import torch

from pi05lite.data.cache import atomic_path
from pi05lite.evaluate.drivers import PolicyDriver
from pi05lite.evaluate.rollout import rollouts
from pi05lite.evaluate.trials import HomeTrial, requests
from pi05lite.lab.budget import side_by_side
from pi05lite.model.flow import SOLVERS

KEPT = ("success", "progress", "right_first", "failure", "steps")


def rows(policy, folder, point, count, execute=50, together=32):
    """The first `count` trials of a point, a dict each, in order.

    policy: a function that loads it, called only where trials are missing; folder: of the policy,
    where the rows are kept; execute: steps that are done of each chunk.
    """
    name = f"{point.suite}-{point.high}-{point.steps}-{point.solver}-{execute}.json"
    file = Path(folder) / "trials" / name
    kept = json.loads(file.read_text()) if file.is_file() else []
    if len(kept) >= count:
        return kept[:count]
    asked = requests(point.suite, count)
    driver, size, cameras = ready(policy(), point)
    while len(kept) < count:
        block = asked[len(kept):len(kept) + together]
        trials = [partial(HomeTrial, r, size, cameras) for r in block]
        found = rollouts(driver, trials, execute, together, progress=False)
        kept += [{"name": o.name, **{k: o.row()[k] for k in KEPT}} for o in found]
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(kept))
    return kept


def ready(policy, point):
    """(driver, pixels, cameras) of a point; its noise does not depend on the training seed."""
    set_solver(policy, point)
    cameras = {slot: name.removeprefix("observation.images.")
               for slot, name in policy.processor.robot("mobile").cameras.items()}
    return PolicyDriver(policy, point.high, 0), policy.model.config.vision.image_size, cameras


def set_solver(policy, point):
    """Denoise as the point says; another objective than flow keeps its own solver."""
    own = policy.model.objective
    policy.steps = point.steps
    policy.solver = SOLVERS[point.solver] if own.linear else own.solve


def chunk_seconds(policies, points, folder, rounds=9):
    """Seconds of one chunk for each point, timed in turns so that a busy machine slows all alike.

    policies: label -> function that loads the policy; kept in `folder` for the next time.
    """
    file = Path(folder) / "seconds.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    if all(point.label in known for point in points):
        return known
    calls = {point.label: one_chunk(policies[point.label](), point) for point in points}
    known = side_by_side(calls, rounds)
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(known))
    return known


def one_chunk(policy, point):
    """A function that asks for one chunk at the start of the point's first trial."""
    driver, size, cameras = ready(policy, point)
    trial = HomeTrial(requests(point.suite, 1)[0], size, cameras)
    batch = policy.batch(trial.observe(), trial.prompt, "low")
    mask = policy.processor.size_mask("mobile").to(batch.tokens.device)
    c = policy.model.config
    noise = torch.zeros(1, c.horizon, c.action_size)

    def call():
        set_solver(policy, point)  # points may share a policy
        policy.chunks(batch, noise, mask)
    return call
