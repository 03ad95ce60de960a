"""Who sees whom, what is lost where, and that cached equals uncached."""

import dataclasses

import pytest
import torch

from pi05lite import config
from pi05lite.errors import ConfigError
from pi05lite.model import layers
from pi05lite.model.pi05 import Pi05, check_batch
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.vocabulary import EOS

from .conftest import make_batch

TAU = torch.tensor([0.1, 0.4, 0.6, 0.9])


def close(a, b, atol=1e-5):
    torch.testing.assert_close(a, b, atol=atol, rtol=1e-5)


def test_full_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = Pi05(config.pi05())
    assert sum(p.numel() for p in model.parameters()) == 3_353_433_872
    assert model.vlm.layers[0].attention.qkv.weight.shape == (2560, 2048)  # 8 heads, not 18


@pytest.mark.parametrize("preset, low, high", [
    (config.nano, 0.05e6, 0.2e6), (config.tiny, 1e6, 5e6), (config.small, 30e6, 100e6)])
def test_presets_have_their_size(preset, low, high):
    with torch.device("meta"):
        count = sum(p.numel() for p in Pi05(preset()).parameters())
    assert low < count < high


def test_prefix_never_changes_with_the_flow_tokens(awake, batch, noise):
    before = awake.prefix(batch)
    awake.velocity(before, noise, TAU)
    after = awake.prefix(batch)
    for (k, v), (k2, v2) in zip(before.cache, after.cache):
        assert torch.equal(k, k2) and torch.equal(v, v2)


def test_velocity_sees_pictures_prompt_and_answer_but_no_action_tokens(awake, batch, noise):
    base = awake.velocity(awake.prefix(batch), noise, TAU)
    for kind, changes in ((Kind.PROMPT, True), (Kind.TEXT, True), (Kind.ACTION, False)):
        other = make_batch()
        other.tokens[other.kinds == kind] = 7
        velocity = awake.velocity(awake.prefix(other), noise, TAU)
        if changes:
            assert not torch.allclose(base, velocity, atol=1e-3), f"blind to {kind.name}"
        else:
            close(base, velocity)
    other = make_batch()
    other.images = other.images.flip(0)
    assert not torch.allclose(base, awake.velocity(awake.prefix(other), noise, TAU), atol=1e-3)


def test_text_logits_do_not_see_later_tokens(awake, batch):
    prefix = awake.prefix(batch)
    other = make_batch()
    other.tokens[:, -1] = 9  # the last action token
    first, second = prefix.hidden, awake.prefix(other).hidden
    seen = prefix.valid[:, :-1]
    close(first[:, :-1][seen], second[:, :-1][seen])
    assert not torch.allclose(first[0, -1], second[0, -1])


def test_prompt_sees_all_of_the_prompt(awake, batch):
    other = make_batch()
    other.tokens[:, 9] = 9  # the last prompt token
    assert not torch.allclose(awake.prefix(batch).hidden[:, 0], awake.prefix(other).hidden[:, 0])


def test_padding_and_absent_cameras_are_never_seen(awake, batch, noise):
    base = awake.velocity(awake.prefix(batch), noise, TAU)
    other = make_batch()
    other.tokens[~other.valid] = 11
    other.images[~other.image_mask] = 5.0
    assert torch.equal(base, awake.velocity(awake.prefix(other), noise, TAU))


def test_padding_gets_no_weight_in_any_layer(awake, batch, noise):
    notes, flow_notes = [], []
    prefix = awake.prefix(batch, notes)
    awake.velocity(prefix, noise, TAU, flow_notes)
    pad = ~prefix.valid
    assert pad.any()
    for layer in notes:
        seen = layer["attention"].permute(0, 3, 1, 2)[pad]  # weight on padding from every row
        rows = prefix.valid[pad.nonzero()[:, 0]][:, None].expand(-1, seen.shape[1], -1)
        assert (seen[rows] == 0).all()
    for layer in flow_notes:
        weights = layer["attention"][..., :pad.shape[1]].permute(0, 3, 1, 2)
        assert (weights[pad] == 0).all()
        assert (weights[prefix.kinds == Kind.ACTION] == 0).all()


def test_explicit_attention_equals_fused(awake, batch, noise, monkeypatch):
    monkeypatch.setattr(layers, "fused_pays", lambda q: True)
    fused, explicit = awake.prefix(batch), awake.prefix(batch, [])
    close(fused.hidden[fused.valid], explicit.hidden[fused.valid])
    close(awake.velocity(fused, noise, TAU), awake.velocity(explicit, noise, TAU, []))


def test_absent_padding_and_longer_batches_do_not_change_a_row(awake, batch, noise):
    alone = awake.prefix(batch[1:2])
    base = awake.velocity(awake.prefix(batch), noise, TAU)[1:2]
    close(base, awake.velocity(alone, noise[1:2], TAU[1:2]))


def test_the_ways_of_a_gpu_and_of_a_cpu_agree(awake, batch, noise, monkeypatch):
    """Loss and gradients with the fused kernel, which GPUs use, equal those of a CPU."""
    def run():
        awake.zero_grad()
        loss = awake.flow_losses(awake.prefix(batch), batch.actions, noise=noise, tau=TAU).mean()
        loss.backward()
        return loss.detach(), [p.grad.clone() for p in awake.parameters() if p.grad is not None]

    cpu = run()
    monkeypatch.setattr(layers, "fused_pays", lambda q: True)
    gpu = run()
    close(cpu[0], gpu[0])
    for a, b in zip(cpu[1], gpu[1]):
        close(a, b)


def test_compiled_parts_give_the_same_chunk(batch, noise):
    torch.manual_seed(0)
    model = Pi05(config.nano()).eval()
    torch.nn.init.normal_(model.expert.transformer.modulation.weight, std=0.3)
    eager = model.sample(batch, 3, noise)[-1]
    model.compile_parts(backend="eager")  # the graph without the compiler: seconds, not minutes
    close(eager, model.sample(batch, 3, noise)[-1])
    words = make_batch(text=0, action=0)
    assert model.generate(words, EOS, 3).shape[0] == len(words)


def test_insulation_gives_exactly_no_gradient_to_the_vlm(awake, batch):
    def gradients(insulate):
        awake.zero_grad()
        g = torch.Generator().manual_seed(0)
        prefix = awake.prefix(batch)
        awake.flow_losses(prefix, batch.actions, insulate=insulate, generator=g).mean().backward()
        return {n: p.grad for n, p in awake.named_parameters() if p.grad is not None}

    free, kept = gradients(False), gradients(True)
    assert any(n.startswith("vision.") and g.abs().sum() > 0 for n, g in free.items())
    assert all(n.startswith("expert.") or not g.any() for n, g in kept.items())
    expert = [n for n in free if n.startswith("expert.")]
    assert expert and all(torch.allclose(free[n], kept[n]) for n in expert)


def test_loss_does_not_change_when_sizes_are_padded(awake, batch, noise):
    mask = batch.action_mask.clone()
    mask[..., 6:] = False
    actions = batch.actions * mask
    prefix = awake.prefix(batch)
    loss = awake.flow_losses(prefix, actions, mask, noise=noise, tau=TAU)
    other = noise.clone()
    other[..., 6:] = 3.0
    assert torch.equal(loss, awake.flow_losses(prefix, actions, mask, noise=other, tau=TAU))
    assert not loss[..., 6:].any() and loss[..., :6].all()


def test_loss_ignores_steps_past_the_end(awake, batch, noise):
    mask = batch.action_mask.clone()
    mask[:, 7:] = False
    loss = awake.flow_losses(awake.prefix(batch), batch.actions, mask, noise=noise, tau=TAU)
    assert not loss[:, 7:].any() and loss[:, :7].all()


def test_several_draws_equal_several_calls(awake, batch, noise):
    prefix, tau = awake.prefix(batch), torch.stack([TAU, TAU.flip(0)], 1).flatten()
    two = torch.stack([noise, -noise], 1).flatten(0, 1)
    loss = awake.flow_losses(prefix, batch.actions, draws=2, noise=two, tau=tau)
    close(loss[0::2], awake.flow_losses(prefix, batch.actions, noise=noise, tau=TAU))
    close(loss[1::2], awake.flow_losses(prefix, batch.actions, noise=-noise, tau=TAU.flip(0)))


def test_generation_with_the_cache_equals_without(awake):
    batch = make_batch(text=0, action=0)
    batch.valid[1, 8:] = False
    cached = awake.generate(batch, EOS, 6)
    tokens = []
    for b in range(len(batch)):
        row = batch[b:b + 1]
        ids = row.tokens[0, row.valid[0]].tolist()
        kinds, out = [int(Kind.PROMPT)] * len(ids), []
        while len(out) < 6 and (not out or out[-1] != EOS):
            row = dataclasses.replace(
                row, tokens=torch.tensor([ids + out]),
                kinds=torch.tensor([kinds + [int(Kind.TEXT)] * len(out)]),
                valid=torch.ones(1, len(ids) + len(out), dtype=torch.bool))
            out.append(int(awake.logits(awake.prefix(row).hidden[0, -1]).argmax()))
        tokens.append(out)
    for b, out in enumerate(tokens):
        assert cached[b, :len(out)].tolist() == out


def test_generation_keeps_to_the_allowed_ids(awake):
    batch = make_batch(text=0, action=0)
    allowed = torch.zeros(awake.config.vocabulary.size, dtype=torch.bool)
    allowed[[5, 6]] = True
    assert set(awake.generate(batch, EOS, 4, allowed).flatten().tolist()) <= {5, 6}
    g = torch.Generator().manual_seed(0)
    drawn = awake.generate(batch, EOS, 20, allowed, temperature=5.0, generator=g)
    assert set(drawn.flatten().tolist()) == {5, 6}


def test_rows_are_written_several_times_by_a_choice_of_ones_own(awake):
    batch, seen = make_batch(text=0, action=0), []

    def second(logits, step):
        seen.append((len(logits), step))
        return logits.topk(2, dim=-1).indices[:, 1]

    three = awake.generate(batch, EOS, 2, samples=3, choose=second)
    once = awake.generate(batch, EOS, 2, choose=second)
    assert torch.equal(three, once.repeat_interleave(3, 0)) and len(once) == len(batch)
    assert seen[0] == (3 * len(batch), 0) and (len(batch), 1) in seen
    allowed = torch.zeros(awake.config.vocabulary.size, dtype=torch.bool)
    allowed[[5, 6]] = True
    assert set(awake.generate(batch, EOS, 3, allowed, choose=second).flatten().tolist()) <= {5, 6}


def test_sampling_repeats_for_a_noise_and_keeps_absent_sizes_at_zero(awake, batch, noise):
    mask = torch.ones(4, 8, dtype=torch.bool)
    mask[:, 6:] = False
    path = awake.sample(batch, 5, noise, mask)
    again = awake.sample(awake.prefix(batch), 5, noise, mask)
    assert len(path) == 6 and all(torch.equal(a, b) for a, b in zip(path, again))
    assert not path[-1][..., 6:].any() and path[-1][..., :6].abs().min() > 0


def test_expert_starts_as_the_identity_with_an_open_way_for_the_gradient(batch, noise):
    torch.manual_seed(0)
    model = Pi05(config.nano())
    blocks = []
    prefix = model.prefix(batch)
    loss = (model.velocity(prefix, noise, TAU, blocks) - batch.actions).square().mean()
    for layer in blocks:
        assert torch.equal(layer["input"], model.expert.action_in(noise))
    loss.backward()
    width = model.config.expert.width  # rows: scale, shift and gate of each norm in turn
    gates = model.expert.transformer.modulation.weight.grad.unflatten(0, (-1, 3, width))[:, 2]
    assert (gates[:-1].abs().sum(dim=(1, 2)) > 0).all()  # the last norm's gate is not used


def test_a_token_may_hold_several_steps_in_their_order(batch, noise):
    torch.manual_seed(0)
    one = Pi05(config.nano())
    model = Pi05(dataclasses.replace(one.config, steps_per_token=5)).eval()
    assert one.expert.kinds(10) == [Kind.FLOW] * 10 and model.expert.kinds(10) == [Kind.FLOW] * 2
    prefix, record = model.prefix(batch), []
    assert model.context(prefix, 10).bias.shape[2] == 2
    velocity = model.velocity(prefix, noise, TAU, record)
    # The layers start as the identity, so a token knows its own steps alone.
    first, second = record[0]["input"].unbind(1)
    for token, steps in ((first, noise[:, :5]), (second, noise[:, 5:])):
        close(token, model.expert.action_in(torch.cat(steps.unbind(1), dim=-1)))
    said = model.expert.action_out(torch.nn.functional.rms_norm(second, second.shape[-1:]))
    close(velocity[:, 7], said[:, 16:24])
    assert velocity.shape == noise.shape
    assert model.sample(batch, 3)[-1].shape == noise.shape


def test_image_tokens_are_not_scaled_and_text_is(awake, batch):
    images, _ = awake.embed_images(batch.images, batch.image_mask)
    P = awake.vision.tokens_per_image(28)
    close(images[0, :P], awake.vision(batch.images[:1, 0])[0])
    text = awake.embed_tokens(batch.tokens)
    close(text, awake.embedding.weight[batch.tokens] * awake.config.vlm.width**0.5)


def test_token_loss_is_the_usual_next_token_loss(awake, batch):
    prefix = awake.prefix(batch)
    loss, places = awake.token_losses(prefix, batch)
    assert len(loss) == batch.target.sum()
    row, place = places[3].tolist()
    offset = prefix.hidden.shape[1] - batch.tokens.shape[1]
    scores = prefix.hidden[row, offset + place - 1] @ awake.embedding.weight.T
    close(loss[3], -scores.log_softmax(-1)[batch.tokens[row, place]])


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto", "vit_tiny_patch16_224"])
def test_any_timm_tower_gives_tokens(name):
    c = config.nano()
    vision = config.VisionConfig(name=name, image_size=64, act=None)
    model = Pi05(dataclasses.replace(c, vision=vision))
    tokens = model.vision(torch.randn(2, 3, 64, 64))
    assert tokens.shape == (2, model.vision.tokens_per_image(64), c.vlm.width)


def test_parts_can_be_swapped_by_handing_in_a_class(batch, noise):
    from pi05lite.model.layers import FeedForward

    class Half(FeedForward):
        def forward(self, x):
            return super().forward(x) / 2

    model = Pi05(config.nano(), feed_forward=Half)
    assert all(isinstance(layer.feed_forward, Half) for layer in model.vlm.layers)
    assert torch.isfinite(model.velocity(model.prefix(batch), noise, TAU)).all()


def test_batches_that_do_not_fit_are_refused(batch):
    c = config.nano()
    check_batch(batch, c)
    with pytest.raises(ConfigError, match="batch.images"):
        check_batch(dataclasses.replace(batch, images=batch.images[..., :20]), c)
    with pytest.raises(ConfigError, match="batch.tokens"):
        check_batch(dataclasses.replace(batch, tokens=batch.tokens + 5000), c)
    with pytest.raises(ConfigError, match="batch.actions"):
        check_batch(dataclasses.replace(batch, actions=batch.actions[:, :3]), c)


def test_the_flow_runs_on_the_scale_of_the_actions(awake, batch, noise):
    """With a spread s the model is the one without it, on actions divided by s."""
    s = torch.linspace(0.2, 1.6, 8)
    spread = Pi05(dataclasses.replace(awake.config, action_spread=tuple(s.tolist()))).eval()
    spread.load_state_dict(awake.state_dict())
    with torch.no_grad():
        prefix = awake.prefix(batch)
        options = dict(action_mask=batch.action_mask, noise=noise, tau=TAU)
        close(spread.flow_losses(prefix, batch.actions, **options),
              awake.flow_losses(prefix, batch.actions / s, **options))
        close(spread.velocity(prefix, noise * s, TAU), awake.velocity(prefix, noise, TAU) * s)
        path = awake.sample(prefix, 4, noise)
        for mine, theirs in zip(spread.sample(prefix, 4, noise), path):
            close(mine, theirs * s)
    assert float((path[-1] - noise).abs().max()) > 0.1  # it moved at all


def test_the_flow_needs_no_action_tokens(awake, batch, noise):
    fewer = batch.without_action_tokens()
    assert fewer.tokens.shape[1] < batch.tokens.shape[1]
    assert not (fewer.kinds[fewer.valid] == Kind.ACTION).any()
    assert fewer.valid.sum() == (batch.valid & (batch.kinds != Kind.ACTION)).sum()
    with torch.no_grad():
        close(awake.velocity(awake.prefix(fewer), noise, TAU),
              awake.velocity(awake.prefix(batch), noise, TAU))
