"""The codebook learns, stays alive, and is the same for the same seed."""

import numpy as np
import pytest
import torch

from pi05lite.errors import ConfigError, DataError
from pi05lite.tokens.quantizers import VectorQuantizer
from pi05lite.tokens.vq import VQTokenizer


@pytest.fixture(scope="module")
def fitted(smooth):
    return VQTokenizer().fit(smooth(1500), steps=300)


def test_eight_codes_reconstruct_much_better_than_the_mean_chunk(fitted, smooth):
    chunks = smooth(300, seed=1)  # not the fitted ones
    tokens = fitted.encode(chunks)
    assert {len(ids) for ids in tokens} == {8}
    decoded, ok = fitted.decode(tokens, 50, 7)
    rmse = np.sqrt(np.square(decoded - chunks).mean())
    mean = np.sqrt(np.square(smooth(1500).mean(0) - chunks).mean())
    assert ok.all()
    assert rmse < 0.45 * mean


def test_the_loss_falls_and_the_report_is_true(fitted, smooth):
    report = fitted.report
    assert len(report.loss) == 300
    assert np.mean(report.loss[-20:]) < 0.3 * np.mean(report.loss[:5])
    chunks = smooth(1500)
    tokens = fitted.encode(chunks)
    error = fitted.decode(tokens, 50, 7)[0] - chunks
    assert report.rmse == pytest.approx(np.sqrt(np.square(error).mean()))
    assert report.usage == len({i for ids in tokens for i in ids}) / 256 > 0.8
    assert 100 < report.perplexity <= 256 * report.usage


def test_the_codes_ended_where_the_latents_are(fitted, smooth):
    quantizer = fitted.codec.quantizer
    with torch.no_grad():
        latents = fitted.codec.encode(torch.from_numpy(smooth(1500))).flatten(0, 1)
    codes = quantizer.nearest(latents)
    apart = [
        (latents[codes == k].mean(0) - quantizer.codebook[k]).square().sum()
        for k in codes.bincount(minlength=256).argsort()[-50:]
    ]
    spread = (latents - quantizer.codebook[codes]).square().sum(-1).mean()
    assert torch.stack(apart).mean() < 0.1 * spread


def test_same_seed_same_codes(smooth):
    chunks = smooth(64, 10, 3)

    def fit(seed):
        return VQTokenizer(4, 16).fit(chunks, steps=30, seed=seed).encode(chunks)

    before = torch.get_rng_state()
    first = fit(0)
    assert torch.equal(torch.get_rng_state(), before)  # the caller's random numbers are untouched
    assert fit(0) == first
    assert fit(1) != first


def test_another_shape_is_an_error(fitted):
    with pytest.raises(ConfigError, match="as fitted"):
        fitted.encode(np.zeros((1, 49, 7)))
    with pytest.raises(ConfigError, match="as fitted"):
        fitted.decode([[0] * 8], 50, 6)


def test_weights_that_do_not_belong_to_the_config_are_an_error(smooth, tmp_path):
    VQTokenizer(2, 8).fit(smooth(16, 6, 2), steps=5).save(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (whole[:-8], whole[:-1] + bytes([whole[-1] ^ 1])):
        weights.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged"):
            VQTokenizer.load(tmp_path)


def test_the_report_is_saved(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = VQTokenizer.load(tmp_path)
    assert loaded.report.perplexity == fitted.report.perplexity
    assert loaded.report.rmse == fitted.report.rmse


def test_gradient_passes_straight_through_the_codes():
    quantizer = VectorQuantizer(8, 2)
    quantizer.codebook.normal_(generator=torch.Generator().manual_seed(0))
    latents = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    quantised, codes, commitment = quantizer(latents)
    torch.testing.assert_close(quantised, quantizer.codebook[codes[..., 0]])
    distance = torch.cdist(latents.detach().flatten(0, 1), quantizer.codebook)
    assert codes.flatten().tolist() == distance.argmin(1).tolist()
    weight = torch.randn_like(quantised)
    (quantised * weight).sum().backward()
    torch.testing.assert_close(latents.grad, weight)
    assert commitment > 0


def test_k_means_finds_separate_groups_and_the_average_follows_them():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    latents = (centres[:, None] + 0.1 * torch.randn(3, 100, 2, generator=generator)).flatten(0, 1)
    quantizer = VectorQuantizer(32, 2)
    quantizer.start(latents, generator)
    distance = torch.cdist(centres, quantizer.codebook).min(1).values
    assert distance.max() < 0.2
    for _ in range(300):
        quantizer.follow(latents + 1)
    distance = torch.cdist(centres + 1, quantizer.codebook).min(1).values
    assert distance.max() < 0.2


def test_dead_codes_are_moved_to_where_the_latents_are():
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(200, 2, generator=generator)
    quantizer = VectorQuantizer(16, 2)
    quantizer.codebook[:] = 100.0
    quantizer.codebook[0] = 0.0
    quantizer.total.copy_(quantizer.codebook)
    for _ in range(200):
        quantizer.follow(latents)
    assert quantizer.nearest(latents).unique().tolist() == [0]
    assert quantizer.revive(latents, generator) == 15
    assert len(quantizer.nearest(latents).unique()) > 10


def test_sizes_that_cannot_work_are_errors(smooth):
    with pytest.raises(ConfigError, match="at least 1"):
        VQTokenizer(tokens=0)
    with pytest.raises(ConfigError, match="steps"):
        VQTokenizer().fit(smooth(4), steps=0)
