"""What an objective promises: what it asks of the expert, and that drawing undoes the asking.

B batch, H horizon, A action size; flow time tau is 0 at noise and 1 at the action.
"""

import torch

from pi05lite.lab import alone
from pi05lite.lab.promise import must, same, shape

B = 16


class Case(alone.Case):
    """An objective with noise and chunks, each (B, H, A)."""

    def start(self):
        """Make it, and draw noise and chunks."""
        self.aim = self.part(self.config)
        g = torch.Generator().manual_seed(self.seed)
        c = self.config
        self.noise = torch.randn(B, c.horizon, c.action_size, generator=g)
        self.actions = torch.rand(B, c.horizon, c.action_size, generator=g) * 2 - 1

    def times(self, seed=0, count=B):
        """Flow times by a generator of that seed."""
        return self.aim.times(count, torch.Generator().manual_seed(seed))


def shapes(case):
    tau = case.times()
    shape(tau, (B,), "objective.times")
    for name, x in zip(("input", "target"), case.aim.path(case.noise, case.actions, tau)):
        shape(x, case.actions.shape, f"objective.path, its {name}")
    shape(case.aim.error(case.noise, case.actions), case.actions.shape, "objective.error",
          "give the error of each number; the mean over those that count is taken later")
    points = case.aim.solve(lambda x, tau: -x, case.noise, 4)
    must(isinstance(points, list), "objective.solve", "a list of all points on the way",
         type(points).__name__, "return [noise, ..., chunk]")
    shape(points[-1], case.actions.shape, "objective.solve, its last point")


def determinism(case):
    same(case.times(3), case.times(3), "objective.times with the same generator", "the same times",
         "hand the generator on to torch.rand: every draw belongs to an example")
    must(not torch.equal(case.times(3), case.times(4)) or len(case.times(3).unique()) == 1,
         "objective.times with another generator", "other times", "the same",
         "hand the generator on to torch.rand")
    tau = case.times()
    first, again = (case.aim.path(case.noise, case.actions, tau) for _ in range(2))
    drawn = [case.aim.solve(lambda x, t: -x, case.noise, 4)[-1] for _ in range(2)]
    for a, b in ((*first,), (*again,)), drawn:
        for x, y in zip(a, b):
            same(x, y, "objective, asked twice", "the same numbers",
                 "all randomness is in the noise and in the times that it is given")


def times(case):
    tau = case.times(count=2000)
    must(bool((tau >= 0).all() and (tau <= 1).all()), "objective.times",
         "within [0, 1]: 0 is noise, 1 the action", [float(tau.min()), float(tau.max())],
         "turn the time round, or scale it")


def masks(case):
    tau = case.times()
    pairs = zip(case.aim.path(case.noise, case.actions, tau), case.aim.path(
        alone.changed(case.noise, 1), alone.changed(case.actions, 1), tau))
    for x, other in pairs:
        same(other[0], x[0], "objective.path", "no example of a batch sees another",
             "take care of the batch dimension")
    gone = torch.zeros(1, *case.actions.shape[1:])
    for x in case.aim.path(gone, gone, tau[:1]):
        same(x, gone, "objective.path where noise and action are 0", "0, since sizes that a robot "
             "lacks must not say anything", "add nothing that does not come from the two")


def errors(case):
    error = case.aim.error(case.actions, case.actions)
    same(error, torch.zeros_like(error), "objective.error of a right answer", "0",
         "measure the distance of the answer from the target")
    must(bool((case.aim.error(case.noise, case.actions) >= 0).all()), "objective.error",
         "nothing below 0", "numbers below 0", "take a square or an absolute value")


def gradients(case):
    answer = case.noise.clone().requires_grad_()
    case.aim.error(answer, case.actions).sum().backward()
    must(answer.grad is not None and bool(answer.grad.isfinite().all() and answer.grad.any()),
         "gradient of objective.error", "a finite one by the answer", "none, or NaN",
         "compute it with torch, without detach() or no_grad()")


def drawing(case):
    """With an expert that knows the chunk, drawing finds it: path and solve fit together."""
    one, zero = torch.ones_like(case.noise), torch.zeros_like(case.noise)

    def knowing(x, tau):
        from_noise, said_noise = case.aim.path(one, zero, tau)
        from_action, said_action = case.aim.path(zero, one, tau)
        noise = (x - from_action * case.actions) / torch.where(from_noise == 0, 1, from_noise)
        return said_noise * torch.where(from_noise == 0, 0, noise) + said_action * case.actions

    start = case.aim.path(zero, one, torch.zeros(B))[0]
    must(float(start.abs().max()) < 0.2, "objective.path at flow time 0", "noise alone: less than "
         "0.2 of the action", float(start.abs().max()), "turn the time round: 0 is noise, 1 the "
         "action")
    with torch.no_grad():
        found = case.aim.solve(knowing, case.noise, 20)[-1]
    gap = float((found - case.actions).square().mean().sqrt())
    must(gap < 0.05, "objective.solve with an expert that answers exactly what path asks for",
         "the chunk that the expert knows", f"a root mean square error of {gap:.2g}",
         "check signs and the direction of time: 0 is noise, 1 the action, and the steps of solve "
         "go from one to the other")


PROMISES = {"shapes": shapes, "determinism": determinism, "times": times, "masks": masks,
            "errors": errors, "gradients": gradients, "drawing": drawing}
