"""Evaluations for `compare`: functions (policy, seed) -> one number a trial of the same trials.

Write your own like them. seed: of the training run, for noise; trials must not depend on it.
"""

from functools import partial

import numpy as np
import torch

from pi05lite.evaluate import chunks
from pi05lite.evaluate.drivers import PolicyDriver
from pi05lite.evaluate.rollout import rollouts
from pi05lite.evaluate.trials import HomeTrial, requests
from pi05lite.policy import Observation
from pi05lite.train.draws import Draws


def chunk_error(source, train, stride=3, batch_size=32):
    """Held-out chunk error of a robot, one number an episode: squared distance of the chunk that
    the policy would do to what was done, as a share of the mean action's over all episodes.

    source, train: held-out and training RobotSource at level "low".
    """
    asked = chunks.frames(source, stride)
    mean = chunks.by_episode(chunks.mean_chunk(chunks.frames(train, stride)), asked).mean()

    def evaluate(policy, seed):
        parts = [some_chunks(policy, source, asked.places[k:k + batch_size], seed + k)
                 for k in range(0, len(asked.places), batch_size)]
        return (chunks.by_episode(np.concatenate(parts), asked) / mean).tolist()
    return evaluate


def some_chunks(policy, source, places, seed):
    """What a policy does at places (episode, frame), (F, H, A) normalised, told the subtask."""
    examples = [source.example(e, t) for e, t in places]
    for example in examples:
        example.actions = None  # the truth must not be in the prompt
    c, device = policy.model.config, next(policy.model.parameters()).device
    noise = torch.randn(len(places), c.horizon, c.action_size,
                        generator=torch.Generator().manual_seed(seed))
    mask = policy.processor.size_mask(source.robot.name).to(device)
    chunk = policy.chunks(policy.processor.collate(examples).to(device), noise, mask)
    return chunk[..., :source.robot.action_size]


def flow_error(mixture, first=1 << 20, count=64):
    """The flow loss on examples that training never reaches, one number an example with actions,
    with the same noise for every variant. Objectives with other targets are not comparable."""
    examples = [(i, mixture[i]) for i in range(first, first + count)]
    examples = [(i, e) for i, e in examples if e.actions is not None]

    @torch.no_grad()
    def evaluate(policy, seed):
        model, device = policy.model, next(policy.model.parameters()).device
        values = []
        for i, example in examples:
            batch = policy.processor.collate([example]).to(device)
            noise, tau = Draws(0, [i]).flow(model.config, 1, model.objective.times)
            error = model.flow_losses(model.prefix(batch), batch.actions, batch.action_mask,
                                      noise=noise.to(device), tau=tau.to(device))
            values.append(float(error.sum() / batch.action_mask.sum()))
        return values
    return evaluate


def success(suite="short", count=200, high="own", execute=25, together=32):
    """Closed-loop success in homes, 0 or 1 a trial of a suite of `pi05lite evaluate`."""
    asked = requests(suite, count)

    def evaluate(policy, seed):
        pixels = policy.model.config.vision.image_size
        known = policy.processor.robot("mobile")
        cameras = {slot: name.removeprefix("observation.images.")
                   for slot, name in known.cameras.items()}
        trials = [partial(HomeTrial, r, pixels, cameras) for r in asked]
        outcomes = rollouts(PolicyDriver(policy, high, 0), trials, execute, together, False)
        return [float(o.success) for o in outcomes]
    return evaluate


def one_chunk(policy, mixture):
    """A function that asks the policy for one chunk, to be timed."""
    example = next(e for e in map(mixture.__getitem__, range(10_000)) if e.actions is not None)
    seen = Observation(example.robot, example.images, example.state)
    return lambda: policy.follow(seen, example.text)


