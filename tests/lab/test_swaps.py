"""Each worked swap is short, keeps its contract where one applies, learns, and acts."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pi05lite import lab
from pi05lite.lab import swaps
from pi05lite.lab.evaluations import one_chunk
from pi05lite.tokens.kind import Kind
from pi05lite.train.fit import fit

FOLDER = Path(lab.__file__).parent / "swaps"
NAMES = swaps.__all__


def module(name):
    return __import__(f"pi05lite.lab.swaps.{name}", fromlist=["x"])


@pytest.mark.parametrize("file", sorted(FOLDER.glob("[a-z]*.py")), ids=lambda p: p.stem)
def test_each_recipe_has_under_thirty_lines_of_code(file):
    text = file.read_text()
    comment = ast.get_docstring(ast.parse(text), clean=False)
    lines = text.replace(f'"""{comment}"""', "").splitlines()
    assert sum(bool(line.strip()) for line in lines) < 30


CONTRACTS = [
    (lambda: module("diffusion").Diffusion, ()),
    (lambda: module("regression").Regression, ("gradients",)),  # its way in is shown zeros
    (lambda: module("uniform_time").Uniform, ()), (lambda: module("norms").AdaptiveLayerNorm, ()),
    (lambda: module("norms").AdaLN, ()), (lambda: module("norms").AddedTime, ()),
    (lambda: module("one_set").OneSet, ("insulation",)),
    (lambda: module("two_models").Two, ("gradients",)),  # `says` learns from its own loss
    (lambda: lab.build(time=module("norms").MixedTime, state_token=True), ()),
]


@pytest.mark.parametrize("part, without", CONTRACTS)
def test_the_parts_of_the_swaps_keep_their_contract(part, without):
    lab.check(part(), without=without)


class Losses:
    """The losses of all steps, as `Told` hands them to a progress bar."""

    def __init__(self):
        import lightning.pytorch as pl

        class Keep(pl.Callback):
            def on_train_batch_end(inner, trainer, module, outputs, batch, batch_idx):
                self.values.append(float(outputs["loss"]))
        self.values, self.callback = [], Keep()


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """name -> (variant, policy, losses) after 40 steps."""
    made = {}

    def train(name):
        if name not in made:
            v, losses = getattr(swaps, name)(base).run(0, 40), Losses()
            policy = fit(v.model(), v.processor, v.mixture, replace(v.recipe, ema=0.0),
                         tmp_path_factory.mktemp(name), progress=False, tensorboard=False,
                         callbacks=[losses.callback], module=v.module, accelerator="cpu")
            made[name] = v, v.policy(policy.model, v.processor), losses.values
        return made[name]
    return train


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_swap_learns_and_acts(trained, name):
    variant, policy, losses = trained(name)
    assert len(losses) == 40
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6]), losses
    act = one_chunk(policy, variant.mixture)
    first, again = act().actions, act().actions
    assert first.shape == (10, 3) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    example = next(e for e in map(variant.mixture.__getitem__, range(99)) if e.actions is not None)
    words = policy.answers(policy.batch(_seen(example), "which", "words"))
    assert len(words) == 1 and isinstance(words[0], str)


def _seen(example):
    from pi05lite.policy import Observation

    return Observation(example.robot, example.images, example.state)


def losses_at(variant, model, seed=0):
    """All losses of the variant's first batch."""
    from pi05lite.train.draws import Draws

    module = variant.module(model, variant.recipe, variant.mixture.names)
    batch = variant.processor.collate([variant.mixture[i] for i in range(8)])
    return module.losses(batch, Draws(seed, range(8)))


def test_diffusion_runs_from_noise_to_action_and_asks_for_the_noise(base):
    a, n = diffusion_shares(torch.tensor([0.0, 0.5, 1.0]))
    assert a[0] < 0.02 and n[0] > 0.99 and a[2] > 0.99 and n[2] < 0.02
    torch.testing.assert_close(a**2 + n**2, torch.ones_like(a))
    aim = module("diffusion").Diffusion(base.config)
    noise = torch.randn(2, 3, 4)
    assert aim.path(noise, torch.zeros(2, 3, 4), torch.tensor([0.1, 0.9]))[1] is noise
    assert set((aim.times(500, torch.Generator().manual_seed(0)) * 100).round().tolist()) <= set(
        map(float, range(100)))


def diffusion_shares(tau):
    return [x.flatten() for x in module("diffusion").shares(tau)]


def test_guidance_is_refused_where_the_answer_is_no_velocity(base):
    from pi05lite.errors import ConfigError

    variant = swaps.diffusion(base)
    policy = variant.policy(variant.model(), variant.processor)
    example = variant.mixture.sources[0][0]
    with pytest.raises(ConfigError, match="linear"):
        policy.follow(_seen(example), "wave", previous=example.actions[3:], delay=1)


def test_regression_answers_in_one_pass_whatever_the_noise(base):
    variant = swaps.regression(base)
    model = variant.model().eval()
    batch = variant.processor.collate([variant.mixture.sources[0][0]])
    a, b = (model.sample(batch, generator=torch.Generator().manual_seed(s))[-1] for s in (0, 1))
    assert torch.equal(a, b)


def test_uniform_times_have_their_mean_in_the_middle(base):
    g = torch.Generator().manual_seed(0)
    model = swaps.uniform_time(base).model()
    assert abs(float(model.objective.times(4000, g).mean()) - 0.5) < 0.02
    assert abs(float(base.model().objective.times(4000, g).mean()) - 0.4) < 0.02


def test_one_set_has_fewer_weights_and_a_new_expert_leaves_the_vlm_alone(base):
    variant = swaps.one_set(base)
    model = variant.model()
    assert model.expert.transformer is model.vlm
    before = {n: p.clone() for n, p in model.named_parameters()}
    model.new_expert()
    same = {n for n, p in model.named_parameters() if torch.equal(p, before[n])}
    assert all(n in same for n in before if n.startswith("vlm."))
    assert "expert.action_in.weight" not in same


def test_tokens_only_leaves_the_expert_alone(base):
    variant = swaps.fast_only(base)
    assert "flow" not in losses_at(variant, variant.model())
    assert type(variant.processor.actions).__name__ == "FastTokenizer"


def test_insulation_cuts_the_flow_loss_off(base):
    grads = {}
    for name in ("insulated", "joint"):
        variant = getattr(swaps, name)(base)
        model = variant.model()
        torch.nn.init.normal_(model.expert.transformer.modulation.weight, std=0.3)
        losses_at(variant, model)["loss"].backward()
        grads[name] = model.vlm.layers[0].attention.qkv.weight.grad
    assert not torch.allclose(grads["insulated"], grads["joint"])


def test_a_frozen_tower_stays_and_its_projector_learns(base):
    model = swaps.frozen_vision(base).model()
    losses_at(base, model)["loss"].backward()
    assert all(p.grad is None for p in model.vision.tower.parameters())
    assert model.vision.projector.weight.grad.any()


def test_the_state_is_where_it_is_said_to_be(base):
    example = base.mixture.sources[0][0]
    prompts = {name: getattr(swaps, name)(base).processor.prompt_ids(example)
               for name in ("state_as_text", "state_as_token", "without_state")}
    assert prompts["state_as_token"] == prompts["without_state"] != prompts["state_as_text"]
    kinds = {name: getattr(swaps, name)(base).model().expert.kinds(3) for name in prompts}
    assert kinds["state_as_token"][0] == Kind.STATE
    assert kinds["state_as_text"] == kinds["without_state"] == [Kind.FLOW] * 3
    variant = swaps.state_as_token(base)
    model, batch = variant.model(), variant.processor.collate([example])
    torch.nn.init.normal_(model.expert.transformer.modulation.weight, std=0.3)
    x, tau = torch.randn(1, 10, 8), torch.tensor([0.3])
    moved = replace(batch, state=batch.state + 0.5)
    a, b = (model.velocity(model.prefix(some), x, tau) for some in (batch, moved))
    assert not torch.allclose(a, b)


def test_two_models_learn_their_own_level_alone(base):
    variant = swaps.two_models(base)
    model = variant.model()
    torch.nn.init.normal_(model.expert.transformer.modulation.weight, std=0.3)
    words = [e for e in map(variant.mixture.__getitem__, range(40)) if e.actions is None][:4]
    acts = [e for e in map(variant.mixture.__getitem__, range(40)) if e.actions is not None][:4]
    trainer = variant.module(model, variant.recipe, variant.mixture.names)
    for examples, silent in ((words, "vlm."), (acts, "says.")):
        model.zero_grad()
        trainer.losses(variant.processor.collate(examples))["loss"].backward()
        assert not any(p.grad is not None and p.grad.any()
                       for n, p in model.named_parameters() if n.startswith(silent))
    both = trainer.losses(variant.processor.collate(words + acts))
    assert {"text", "tokens", "flow", "loss"} <= set(both)
    assert sum(p.numel() for p in model.parameters()) == 2 * sum(
        p.numel() for p in base.model().parameters())


def test_a_swapped_policy_is_read_back_from_its_checkpoint(base, tmp_path):
    from pi05lite.policy import load

    variant = swaps.state_as_token(base).run(0, 2)
    fit(variant.model(), variant.processor, variant.mixture, variant.recipe, tmp_path,
        progress=False, tensorboard=False, accelerator="cpu")
    policy = load(tmp_path, build=variant.build, processor=type(variant.processor),
                  kind=variant.policy)
    example = variant.mixture.sources[0][0]
    assert policy.processor.prompt_state(example) is None
    assert policy.follow(_seen(example), "wave").actions.shape == (10, 3)
