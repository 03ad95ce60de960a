"""openpi's toy weights through our importer give openpi's figures, array by array.

The golden files run flow time the other way (t = 1 is noise); tests/golden/README.md says more.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pi05lite.model import flow
from pi05lite.model.batch import Batch
from pi05lite.model.importing import load_openpi, places
from pi05lite.model.layers import attention_bias

from .toy import CONFIG, PARITY

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STATES, FLOWS = 1e-5, 5e-5  # absolute and relative: embeddings and hidden states; flow figures


class Golden:
    """One model with its batch, what an implementation gives for it, and ours."""

    def __init__(self, name):
        self.name = name
        self.model = load_openpi(GOLDEN / f"{name}_model.safetensors", CONFIG).eval()
        self.given = given = load_file(GOLDEN / "inputs.safetensors")
        self.out = load_file(GOLDEN / f"{name}_outputs.safetensors")
        self.jax = load_file(GOLDEN / f"{name}_outputs_jax.safetensors")
        tokens = given["tokens"]
        self.batch = Batch(given["images"].transpose(0, 1), given["image_masks"].T, tokens,
                           torch.zeros_like(tokens), given["token_mask"], actions=given["actions"],
                           state=given["state"])
        self.tau = 1 - given["time"].double()
        self.notes = []
        with torch.no_grad():
            self.prefix = self.model.prefix(self.batch)
            self.model.prefix(self.batch, self.notes)  # explicit attention, layer by layer

    @property
    def valid(self):
        return self.prefix.valid


@pytest.fixture(scope="module", params=["pi05", "pi0"])
def golden(request):
    return Golden(request.param)


@pytest.fixture
def close(request, golden):
    """Compare, and keep the largest difference for the summary at the end of the run."""
    def compare(thing, ours, theirs, tolerance):
        ours = ours.detach()
        gap = float((ours - theirs).abs().max() / theirs.abs().max())
        rows = request.config.stash.setdefault(PARITY, {})
        rows[thing, golden.name] = max(gap, rows.get((thing, golden.name), 0.0))
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    return compare


def test_image_tokens(golden, close):
    with torch.no_grad():
        tokens = golden.model.vision(golden.given["images"].flatten(0, 1))
    close("image tokens", tokens, golden.out["image_tokens"].flatten(0, 1), STATES)


def test_sequence_masks_and_positions(golden, close):
    out, layout = golden.out, golden.prefix.layout
    x, _ = golden.model.embed(golden.batch)
    assert torch.equal(layout.valid, out["prefix_pad_mask"].bool())
    close("prefix embeddings", x[golden.valid], out["prefix_embs"][golden.valid], STATES)
    assert torch.equal(layout.mask(), out["prefix_att_2d"].bool())
    assert torch.equal(layout.positions(), out["prefix_position_ids"])
    kinds = golden.model.expert.kinds(10)
    joint = layout.append(kinds)
    assert torch.equal(joint.mask(), out["joint_att_2d"].bool())
    assert torch.equal(joint.positions(), out["joint_position_ids"])
    assert torch.equal(joint.mask(len(kinds)), out["suffix_att_2d"].bool())
    assert torch.equal(joint.positions(len(kinds)), out["suffix_position_ids"])


def test_prefix_keys_values_and_hidden_states(golden, close):
    out, valid = golden.out, golden.valid
    for i, note in enumerate(golden.notes):
        for which in ("prefix_hidden", "joint_prefix_hidden"):
            close("hidden states", note["input"][valid], out[which][i][valid], STATES)
    for which in ("prefix_out", "joint_prefix_out"):
        close("hidden states", golden.prefix.hidden[valid], out[which][valid], STATES)
    for i, pair in enumerate(golden.prefix.cache):
        both = (out["prefix_k"], out["prefix_v"])
        for thing, ours, theirs in zip(("keys", "values"), pair, both):
            close(thing, ours.transpose(1, 2)[valid], theirs[i].transpose(1, 2)[valid], STATES)


def test_leaving_the_hidden_states_out_keeps_keys_and_values(golden):
    short = golden.model.prefix(golden.batch, hidden=False)
    assert short.hidden is None
    for ours, theirs in zip(short.cache, golden.prefix.cache):
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_hidden_states_of_the_last_tokens_alone_are_those_of_all(golden, count):
    whole, short = golden.prefix, golden.model.prefix(golden.batch, hidden=count)
    if count:
        assert torch.allclose(short.hidden, whole.hidden[:, -count:], atol=1e-5)
        assert short.hidden.shape[1] == count
    for a, b in zip(sum(short.cache, ()), sum(whole.cache, ()), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [0, 2])
def test_hidden_states_of_the_last_tokens_behind_cached_ones(golden, count):
    vlm = golden.model.vlm
    x, layout = golden.model.embed(golden.batch)
    bias, turn = attention_bias(layout.mask(), x.dtype), vlm.turn(layout.positions())
    first = lambda parts: [part[:, :-5] for part in parts]  # noqa: E731
    past = vlm(*first([x]), bias[:, :, :-5, :-5], first(turn))[1]
    rest = x[:, -5:], bias[:, :, -5:], [part[:, -5:] for part in turn], past
    (whole, cache), (short, same) = vlm(*rest), vlm(*rest, hidden=count)
    assert (short is None) if count == 0 else torch.allclose(short, whole[:, -2:], atol=1e-5)
    for a, b in zip(cache, same, strict=True):
        assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(a, b, strict=True))


def test_expert_tokens_condition_and_hidden_states(golden, close):
    model, out, notes = golden.model, golden.out, []
    wave = flow.time_embedding(golden.tau, 32)
    close("time embedding", wave, out["time_sincos"], STATES)
    x = out["x_t"]
    tokens, condition = model.expert.embed(x, golden.tau, golden.given["state"])
    close("suffix embeddings", tokens, out["suffix_embs"], STATES)
    if golden.name == "pi05":
        close("condition", condition, out["adarms_cond"], STATES)
    with torch.no_grad():
        context = model.context(golden.prefix, 10)
        hidden, _ = model.expert.transformer(tokens, context.bias, context.turn, context.past,
                                             condition, notes)
    for i, note in enumerate(notes):
        close("expert hidden states", note["input"], out["joint_suffix_hidden"][i], FLOWS)
    close("expert hidden states", hidden, out["joint_suffix_out"], FLOWS)


def test_path_velocity_and_loss_with_time_turned_round_once(golden, close):
    model, given, out = golden.model, golden.given, golden.out
    x, velocity = flow.path(given["noise"], given["actions"], golden.tau)
    close("path", x, out["x_t"], STATES)
    close("target", -velocity, out["u_t"], STATES)
    with torch.no_grad():
        ours = model.velocity(golden.prefix, out["x_t"], golden.tau)
        loss = model.flow_losses(golden.prefix, given["actions"], noise=given["noise"],
                                 tau=golden.tau)
    close("velocity", -ours, out["v_t"], FLOWS)
    close("velocity", -ours, out["v_t_cached"], FLOWS)
    close("loss", loss, out["loss"], FLOWS)


@pytest.mark.parametrize("steps", [10, 5])
def test_sampled_chunks_step_by_step(golden, close, steps):
    times = golden.out[f"sample_{steps}_times"].double()  # summed up in float32: not quite k / N

    def euler(velocity, x, steps):
        points = [x]
        for t in times:
            x = x + velocity(x, (1 - t).expand(len(x))) / steps
            points.append(x)
        return points

    noise, path = golden.given["sample_noise"], golden.out[f"sample_{steps}_path"]
    ours = golden.model.sample(golden.prefix, steps, noise, solver=euler)
    close("sampled path", torch.stack(ours), path, FLOWS)
    ours = golden.model.sample(golden.prefix, steps, noise)
    close("sampled chunk, exact times", ours[-1], golden.out[f"sample_{steps}"], 1e-4)


def test_gradients(golden, close):
    model, given = golden.model, golden.given
    model.zero_grad()
    prefix = model.prefix(golden.batch)
    model.flow_losses(prefix, given["actions"], noise=given["noise"],
                      tau=golden.tau).mean().backward()
    theirs = load_file(GOLDEN / f"{golden.name}_grads.safetensors")
    ours = gradients(model)
    head = "paligemma_with_expert.paligemma.lm_head.weight"
    ours[head.replace("lm_head", "model.language_model.embed_tokens")] = ours.pop(head)
    without = {name for name, gradient in ours.items() if gradient is None}
    assert set(theirs) >= set(ours) - without and all(
        ".layers.2." in name or name.endswith("language_model.norm.weight") for name in without)
    largest = max(float(digest[1]) for digest in theirs.values())
    for name, digest in theirs.items():
        if not digest.any():  # the last layer behind its keys and values: the flow reads none
            assert name in without or not ours[name].any()
            continue
        flat = ours[name].flatten()
        if name.endswith("k_proj.bias"):  # it moves no softmax: 0 but for rounding
            assert flat.abs().max() < 1e-6 * largest and digest[1] < 1e-6 * largest
            continue
        norm, scale, entries = digest[0], digest[1], digest[2:]
        places = torch.linspace(0, len(flat) - 1, len(entries), dtype=torch.float64).round().long()
        close("gradients", flat[places] / scale, entries / scale, 1e-4)
        close("gradient norms", flat.norm() / scale, norm / scale, 1e-4)


def gradients(model):
    """{openpi's name: gradient or None}, by putting the gradients where the weights are."""
    grads = {name: p.grad for name, p in model.named_parameters()}
    found = {}
    for name, place in places(model).items():
        grad = grads[place.ours]
        if grad is not None:
            start = place.view.storage_offset() - model.state_dict()[place.ours].storage_offset()
            grad = grad.flatten()[start:start + place.view.numel()].view(place.view.shape)
            grad = -grad if place.negative else grad
        found[name] = grad
    return found


def test_the_jax_original_agrees_as_far_as_its_float32_time_allows(golden, close):
    model, given, jax = golden.model, golden.given, golden.jax
    valid = golden.valid
    with torch.no_grad():
        tokens = model.vision(given["images"].flatten(0, 1))
        ours = model.velocity(golden.prefix, golden.out["x_t"], golden.tau)
    close("JAX: image tokens", tokens, jax["image_tokens"].flatten(0, 1), STATES)
    for i, (k, v) in enumerate(golden.prefix.cache):
        for x, name in ((k, "prefix_k"), (v, "prefix_v")):
            close("JAX: keys, values", x.transpose(1, 2)[valid],
                  jax[name][i].transpose(1, 2)[valid], 2e-5)
    close("JAX: velocity", -ours, jax["v_t"], 2e-4)
    for steps in (10, 5):
        chunk = model.sample(golden.prefix, steps, given["sample_noise"])[-1]
        close("JAX: sampled chunk", chunk, jax[f"sample_{steps}"], 2e-4)
