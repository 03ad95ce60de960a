"""Real-time chunking: the weights, the true Jacobian, and what guidance does to a chunk."""


import copy

import pytest
import torch

from pi05lite.errors import ConfigError
from pi05lite.model import flow
from pi05lite.model.realtime import guided, pull, soft_weights, strength
from tests.model.conftest import make_batch

H, A = 10, 8


def chunk(seed=7, rows=4):
    """A made-up committed chunk, smooth in time."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(H)[:, None] / H
    return 0.7 * torch.sin(3 * t + 6 * torch.rand(rows, 1, A, generator=g))


def frozen_error(model, batch, noise, beta, steps=10, frozen=3, overlap=7):
    """Root mean square distance of the frozen steps to the committed ones."""
    aim = chunk()
    solver = guided(aim, soft_weights(H, frozen, overlap), beta)
    out = model.sample(batch, steps, noise, solver=solver)[-1]
    return (out - aim)[:, :frozen].square().mean().sqrt().item()


# ---------------------------------------------------------------------------- numbers by hand


def test_soft_weights_equal_the_ones_worked_out_by_hand():
    # 2 frozen, 4 to decay over (w = 4/5, 3/5, 2/5, 1/5), 4 free; each w (e^w - 1) / (e - 1)
    by_hand = [1, 1, 0.570589, 0.287072, 0.114492, 0.025770, 0, 0, 0, 0]
    assert soft_weights(10, 2, 6).tolist() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("frozen,overlap", [(0, 0), (0, 10), (10, 10), (3, 3), (0, 5)])
def test_soft_weights_fall_from_one_to_zero(frozen, overlap):
    w = soft_weights(H, frozen, overlap)
    assert w.shape == (H,) and (w[:frozen] == 1).all() and (w[overlap:] == 0).all()
    assert (w.diff() <= 0).all() and (w[:overlap] > 0).all()
    assert frozen == overlap or w[frozen] < 1


@pytest.mark.parametrize("frozen,overlap", [(4, 3), (-1, 3), (2, 11)])
def test_a_delay_beyond_what_is_left_is_refused(frozen, overlap):
    with pytest.raises(ConfigError, match="steps left.*\n.*delay"):
        soft_weights(H, frozen, overlap)


def test_strength_equals_the_table_worked_out_by_hand():
    tau = torch.tensor([0, 0.1, 0.2, 0.5, 0.8, 1])
    # c r = (tau^2 + (1 - tau)^2) / (tau (1 - tau)): inf, 9.1111, 4.25, 2, 4.25, inf
    assert strength(tau, 5.0).tolist() == pytest.approx([5, 5, 4.25, 2, 4.25, 5])
    assert strength(tau, 10.0)[1].item() == pytest.approx(0.82 / 0.09)
    assert strength(tau, 0.0).tolist() == [0] * 6


# ------------------------------------------------------------------------------- the Jacobian


def test_the_pull_is_the_vector_jacobian_product(awake, noise, monkeypatch):
    """Against central differences of the clean guess along random directions, in float64."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # norms and angles stay double
    model = copy.deepcopy(awake).double()
    batch = make_batch().map(lambda x: x.double() if x.is_floating_point() else x)
    with torch.no_grad():
        prefix = model.prefix(batch)
    aim, w = chunk().double(), soft_weights(H, 2, 6).double()[:, None]
    tau, x = torch.tensor([0.0, 0.3, 0.6, 0.9], dtype=torch.float64), noise.double()
    def velocity(x, tau):
        return model.velocity(prefix, x, tau)

    @torch.no_grad()
    def guess(x):
        return x + (1 - tau)[:, None, None] * velocity(x, tau)

    v, back = pull(velocity, x, tau, aim, w)
    assert torch.equal(v, velocity(x, tau).detach())
    error, eps = w * (aim - guess(x)), 1e-5
    g = torch.Generator().manual_seed(0)
    for _ in range(5):
        u = torch.randn(x.shape, generator=g, dtype=torch.float64)
        slope = (error * (guess(x + eps * u) - guess(x - eps * u)) / (2 * eps)).sum((1, 2))
        torch.testing.assert_close((back * u).sum((1, 2)), slope, rtol=1e-7, atol=1e-8)


def test_the_jacobian_matters(awake, noise):
    """The shortcut that takes it as the identity gives another pull and another chunk."""
    batch, aim, w = make_batch(), chunk(), soft_weights(H, 2, 6)
    with torch.no_grad():
        prefix = awake.prefix(batch)
    def velocity(x, tau):
        return awake.velocity(prefix, x, tau)

    tau = torch.full((4,), 0.2)
    v, back = pull(velocity, noise, tau, aim, w[:, None])
    shortcut = (w[:, None] * (aim - noise - 0.8 * v))
    assert (back - shortcut).norm() / shortcut.norm() > 0.05
    assert back[:, 6:].abs().max() > 1e-3 and not shortcut[:, 6:].any()  # free steps follow too

    def identity(velocity, noise, steps):
        def steered(x, tau):
            v = velocity(x, tau)
            error = w[:, None] * (aim - x - (1 - tau)[:, None, None] * v)
            return v + strength(tau, 5.0)[:, None, None] * error
        return flow.euler(steered, noise, steps)

    true = awake.sample(prefix, 10, noise, solver=guided(aim, w))[-1]
    short = awake.sample(prefix, 10, noise, solver=identity)[-1]
    assert (true - short).abs().max() > 0.01


# -------------------------------------------------------------------------------- whole chunks


def test_no_guidance_is_plain_sampling_exactly(awake, batch, noise):
    plain = awake.sample(batch, 5, noise)
    off = awake.sample(batch, 5, noise, solver=guided(chunk(), soft_weights(H, 2, 6), beta=0))
    free = awake.sample(batch, 5, noise, solver=guided(chunk(), soft_weights(H, 0, 0)))
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(plain, off, free))
    assert not any(x.requires_grad for x in off)


def test_frozen_steps_come_out_near_the_committed_ones(awake, batch, noise):
    by_beta = [frozen_error(awake, batch, noise, beta) for beta in (0, 0.5, 1, 2, 5)]
    print("distance by beta 0, 0.5, 1, 2, 5:", [round(e, 4) for e in by_beta])
    assert all(b < a for a, b in zip(by_beta, by_beta[1:])) and by_beta[-1] < 0.2 * by_beta[0]
    by_steps = [frozen_error(awake, batch, noise, 20, steps) for steps in (3, 5, 10, 20)]
    print("distance by steps 3, 5, 10, 20, beta 20:", [round(e, 4) for e in by_steps])
    assert all(b < a for a, b in zip(by_steps, by_steps[1:]))  # more steps bear a larger beta
    assert frozen_error(awake, batch, noise, 5, steps=3) < by_steps[0]  # which few steps do not


def test_a_soft_step_is_nearer_than_a_free_one(awake, batch, noise):
    aim = chunk()
    out = awake.sample(batch, 10, noise, solver=guided(aim, soft_weights(H, 2, 7)))[-1]
    off = (out - aim).square().mean((0, 2)).sqrt()
    assert off[:2].max() < off[2:7].mean() < off[7:].mean()


def test_each_row_follows_its_own_target(awake, batch, noise):
    aim, w = chunk(), soft_weights(H, 3, 7)
    together = awake.sample(batch, 5, noise, solver=guided(aim, w))[-1]
    prefix = awake.prefix(batch)
    for b in range(4):
        alone = awake.sample(prefix.select([b]), 5, noise[b:b + 1],
                             solver=guided(aim[b:b + 1], w))[-1]
        torch.testing.assert_close(together[b:b + 1], alone, rtol=1e-5, atol=1e-5)


def test_sizes_that_a_robot_lacks_stay_zero(awake, batch, noise):
    mask = torch.ones(1, A, dtype=torch.bool)
    mask[:, 5:] = False
    aim = chunk() * mask[:, None]
    solver = guided(aim, soft_weights(H, 3, 7), size_mask=mask)
    points = awake.sample(batch, 10, noise, mask, solver=solver)
    assert all((x[..., 5:] == 0).all() for x in points)
    other = noise.clone()
    other[..., 5:] = 9
    assert torch.equal(points[-1], awake.sample(batch, 10, other, mask, solver=solver)[-1])


def test_the_weights_get_no_gradient_and_stay_trainable(awake, batch, noise):
    model = copy.deepcopy(awake)
    model.zero_grad(set_to_none=True)
    model.sample(batch, 2, noise, solver=guided(chunk(), soft_weights(H, 2, 6)))
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_any_solver_can_be_guided(awake, batch, noise):
    def twice(velocity, noise, steps):
        return flow.euler(velocity, noise, 2 * steps)

    aim, w = chunk(), soft_weights(H, 2, 6)
    a = awake.sample(batch, 3, noise, solver=guided(aim, w, solver=twice))
    b = awake.sample(batch, 6, noise, solver=guided(aim, w))
    assert len(a) == 7 and torch.equal(a[-1], b[-1])
