"""Real-time chunking: denoise a chunk that goes on from the one being executed (arXiv 2506.07339).

While a chunk is computed the robot moves on with the last one, so the first steps of the new chunk
are already decided, and the rest of the old one says what was meant next. In-painting by guidance:
at each flow time the model's guess of the clean chunk is pulled towards the old one, and the pull
reaches the noisy chunk through the true Jacobian of that guess. No training is needed.

B batch, H horizon, A action size; flow time tau is 0 at noise and 1 at the action.
"""

import math

import torch

from pi05lite.errors import ConfigError, say
from pi05lite.model import flow


def soft_weights(horizon, frozen, overlap):
    """How much each step (H,) of the new chunk is held to the old one.

    1 for the first `frozen` steps, which will be executed before the new chunk is there; then a
    decay over the rest of the `overlap` steps that the old chunk still has; 0 behind them.
    """
    if not 0 <= frozen <= overlap <= horizon:
        raise ConfigError(say("real-time chunking", "0 <= delay <= steps left of the last chunk "
                              f"<= horizon {horizon}", f"delay {frozen}, {overlap} steps left",
                              "ask for the next chunk sooner, or make it in fewer steps"))
    step = torch.arange(horizon, dtype=torch.float64)
    w = ((overlap - step) / (overlap - frozen + 1)).clamp(0, 1)  # 1 down to 0, evenly
    return (w * torch.expm1(w) / (math.e - 1)).float()


def strength(tau, beta):
    """The guidance weight (B,) at tau (B,): min(beta, c r), equation 2 of the paper.

    c = (1 - tau) / tau and r = (tau^2 + (1 - tau)^2) / (1 - tau)^2; both ends are infinite.
    """
    return ((tau**2 + (1 - tau)**2) / (tau * (1 - tau))).clamp(max=beta)


def pull(velocity, x, tau, target, weights):
    """The velocity at x and the pull of the clean guess towards the target, both (B, H, A).

    The guess is x + (1 - tau) velocity(x, tau); the pull is its weighted error times the guess's
    Jacobian (a vector-Jacobian product: one backward pass through the action expert).
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        v = velocity(x, tau)
        guess = x + (1 - tau)[:, None, None].to(x) * v
        error = weights * (target - guess.detach())
        (back,) = torch.autograd.grad(guess, x, error)
    return v.detach(), back


def guided(target, weights, beta=5.0, size_mask=None, solver=flow.euler):
    """A solver for `Pi05.sample` that keeps to `target` (B or 1, H, A) by `weights` (H,).

    beta: the largest guidance weight, 0 for none. Above the number of denoising steps the first
    step overshoots. size_mask (B or 1, A) bool: the sizes that the robot has.
    """
    keep = 1.0 if size_mask is None else size_mask[:, None]

    def solve(velocity, noise, steps):
        aim, w = target.to(noise), weights.to(noise)[:, None]  # (B, H, A), (H, 1)
        mask = keep.to(noise) if torch.is_tensor(keep) else keep

        def steered(x, tau):
            v, back = pull(velocity, x, tau, aim, w)
            return v + strength(tau, beta)[:, None, None].to(x) * back * mask

        return solver(steered, noise, steps)

    return solve
