"""Checks of chapter 06, flow matching."""

import numpy as np
import torch

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, several
from pi05lite.model import flow


@check("flow_pair", 2, seals=(flow.path,))
def check_flow_pair(flow_pair):
    """flow_pair(noise, action, tau) -> the point x_tau and the velocity to learn."""
    generator = torch.Generator().manual_seed(1)
    noise, action = torch.randn(2, 5, 6, 3, generator=generator)  # each (B, H, A)
    tau = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    line = lambda share: (1 - share)[:, None, None] * noise + share[:, None, None] * action  # noqa: E731
    x, velocity = several(flow_pair(noise.clone(), action.clone(), tau.clone()), 2, "x, velocity")
    yield compare("the point x_tau", x, line(tau), 1, {
        "time runs the other way: tau = 0 must be pure noise and tau = 1 the action": line(1 - tau),
        "the noise is not faded out: at tau = 1 nothing of it may be left":
            noise + tau[:, None, None] * action,
        "the path is bent: these are shares whose squares add up to 1, as in diffusion, and flow "
        "matching takes the straight line":
            (1 - tau**2).sqrt()[:, None, None] * noise + tau[:, None, None] * action,
        "each chunk of the batch has a tau of its own": line(tau[:1].expand(5)),
    }, "Look at the ends first: what must come out at tau = 0, and what at tau = 1?")
    yield compare("the velocity", velocity, action - noise, 1, {
        "it points the wrong way, from the action to the noise": noise - action,
        "this is the noise (what diffusion predicts), not the way from it to the action": noise,
        "this is the action itself, not how fast x moves towards it": action,
        "this is the way left from x_tau; the velocity is the same along the whole line":
            action - line(tau),
    }, "How does x_tau change when tau grows by a little?")


@check("draw_tau", 2, seals=(flow.sample_tau,))
def check_draw_tau(draw_tau):
    """draw_tau(count) -> flow times by the paper's law."""
    tau = as_array("tau", draw_tau(400_000))
    if tau.shape != (400_000,):
        raise Wrong(f"draw_tau(400000): expected the shape (400000,), got {tau.shape}")
    yield claim(0 <= tau.min() and 0.998 < tau.max() <= 0.9991, 1, "0 to 0.999",
                f"tau runs from {tau.min():.3f} to {tau.max():.4f}: it must stay between 0 and s = "
                "0.999, so that no step is wasted on chunks without noise"
                + (" (forgot s?)" if 0 <= tau.min() and tau.max() <= 1 else ""))
    u = np.sort(tau) / 0.999
    places = (np.arange(len(u)) + 0.5) / len(u)
    laws = {"ok": 1 - np.clip(1 - u, 0, 1) ** 1.5,
            "the weight is on the wrong end: most draws are close to the action": u.clip(0) ** 1.5,
            "this is uniform; the paper looks more often at the noisy end": u,
            "this is Beta(1.5, 1.5): its weight is in the middle": None}
    far = {name: np.abs(law - places).max() for name, law in laws.items() if law is not None}
    middle = abs(tau.mean() - 0.5) < 0.01
    said = min((n for n in far if n != "ok"), key=far.get)
    if far[said] > 0.01:
        said = (list(laws)[-1] if middle else f"the mean is {tau.mean():.2f}, and not the 0.40 "
                "that the law has. Which end should be met more often?")
    yield claim(far["ok"] < 0.01, 1, f"more at the noisy end, mean {tau.mean():.2f}", said)


@check("follow", 3, seals=(flow.euler, flow._march))
def check_follow(follow):
    """follow(velocity, noise, steps) -> the list of all points on the way."""
    noise = torch.linspace(-1, 1, 12).reshape(2, 2, 3)
    steps, asked, fields = 4, [], []

    def velocity(x, tau):
        if not isinstance(tau, torch.Tensor) or tau.shape != (2,):
            raise Wrong("velocity must get tau as a tensor (B,), one flow time for each chunk; got "
                        f"{tuple(tau.shape) if isinstance(tau, torch.Tensor) else tau!r}")
        asked.append(float(tau[0]))
        return 0.5 * x + (1 + tau[:, None, None]) ** 2

    def walk(taus, size=1 / steps):
        x, points = noise, [noise]
        for t in taus:
            x = x + (0.5 * x + (1 + t) ** 2) * size
            points.append(x)
        return torch.stack(points)

    given = noise.clone()
    points = follow(velocity, given, steps)
    if isinstance(points, torch.Tensor) and points.shape == noise.shape:
        raise Wrong("only one point came back; return the list of all of them, the noise first")
    if points is None or len(points) != steps + 1:
        raise Wrong(f"{steps} steps make {steps + 1} points, the noise included; got "
                    f"{'nothing' if points is None else len(points)}")
    fields = torch.stack([p.detach() for p in points])
    yield claim(torch.equal(given, noise), 0, "the noise is left as it was",
                "the noise that was handed in has been changed: x += ... works in place")
    yield compare("the first point is the noise", fields[0], noise, 0)
    k = np.arange(steps)
    yield claim(np.allclose(asked, k / steps, atol=1e-6), 1, "tau = 0, 1/4, 2/4, 3/4",
                asked_wrongly(np.array(asked), k, steps))
    yield compare("the points", fields, walk(k / steps), 2, {
        "the steps are subtracted: the velocity points to the action here, so steps add":
            walk(k / steps, -1 / steps),
        "each step is as long as the whole way: N steps share it": walk(k / steps, 1.0),
        "each velocity is taken where the step ends, not where it starts": walk((k + 1) / steps),
        "flow time stands still at 0": walk(0 * k), "time runs from 1 to 0": walk(1 - k / steps),
    }, "Take one step by hand: where from, how far, in which direction?")


def asked_wrongly(asked, k, steps):
    """Why the flow times that the velocity was asked at are wrong."""
    if len(asked) != steps:
        return f"{steps} steps ask the velocity {steps} times; it was asked {len(asked)} times"
    if np.allclose(asked, 1 - k / steps):
        return "time runs the other way: start at tau = 0, the noise"
    if np.allclose(asked, (k + 1) / steps):
        return "tau is where the step ends; ask where it starts"
    if np.allclose(asked, asked[0]):
        return f"tau stays at {asked[0]:g}: it must move with the steps"
    if np.allclose(asked, k / (steps - 1)):
        return "tau reaches 1 at the last step's start; then there is nothing left to go"
    return f"the velocity was asked at tau = {np.round(asked, 3).tolist()}"


@check("from_openpi", 2)
def check_from_openpi(from_openpi):
    """from_openpi(their_velocity) -> a velocity(x, tau) in the kit's convention."""
    def theirs(x, t):
        return 0.3 * x - (2 * t)[:, None, None] + 0.1

    generator = torch.Generator().manual_seed(2)
    x, tau = torch.randn(4, 3, 2, generator=generator), torch.tensor([0.0, 0.3, 0.8, 1.0])
    ours = from_openpi(theirs)
    if not callable(ours):
        raise Wrong("from_openpi must return a function velocity(x, tau)")
    yield compare("the translated velocity", ours(x, tau), -theirs(x, 1 - tau), 2, {
        "nothing is translated": theirs(x, tau),
        "the sign is turned, but not the time: t = 1 is noise there, tau = 0 is noise here":
            -theirs(x, tau),
        "the time is turned, but not the sign: their velocity points to the noise":
            theirs(x, 1 - tau),
        "x is turned too; the chunk itself is the same in both": -theirs(-x, 1 - tau),
        "the time is turned twice": -theirs(x, tau - 1),
    }, "Two things differ: where time starts, and which way the velocity points.")
