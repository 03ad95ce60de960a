"""The learned codebook: a chunk of 50 x 7 numbers becomes 8 codes of 256 (VQ-VAE, 1711.00937)."""

import hashlib
import math
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn
from tqdm.auto import tqdm

from pi05lite.errors import ConfigError, DataError, say
from pi05lite.tokens import actions


class VectorQuantizer(nn.Module):
    """Replaces each latent vector (..., D) by the nearest of K code vectors.

    The codes follow the latents by a moving average (VQ-VAE, appendix A.1); codes that nothing
    uses are moved onto random latents, because no gradient could ever bring them back.
    """

    def __init__(self, codes, width, decay=0.98):
        super().__init__()
        self.decay = decay
        self.register_buffer("codebook", torch.zeros(codes, width))
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", torch.zeros(codes, width))
        self.revived = 0

    def nearest(self, latents):
        """Codes (...) of latents (..., D)."""
        # |z - e|^2 without |z|^2, which is the same for every code.
        distance = self.codebook.square().sum(-1) - 2 * latents @ self.codebook.T
        return distance.argmin(-1)

    def forward(self, latents):
        """Latents (..., D) -> (quantised with a straight-through gradient, codes, commitment)."""
        codes = self.nearest(latents)
        quantised = self.codebook[codes]
        commitment = F.mse_loss(latents, quantised)
        return latents + (quantised - latents).detach(), codes, commitment

    @torch.no_grad()
    def start(self, latents, generator, rounds=10):
        """k-means on latents (M, D): the codebook begins where the latents are."""
        pick = torch.randint(len(latents), (len(self.codebook),), generator=generator)
        self.codebook.copy_(latents[pick])
        for _ in range(rounds):
            count, total = self._sums(latents)
            used = count > 0
            self.codebook[used] = total[used] / count[used, None]
        count, _ = self._sums(latents)
        self.count.copy_(count.clamp(min=1))
        self.total.copy_(self.codebook * self.count[:, None])

    @torch.no_grad()
    def follow(self, latents):
        """One moving-average step of the codebook towards latents (M, D)."""
        count, total = self._sums(latents)
        self.count.lerp_(count, 1 - self.decay)
        self.total.lerp_(total, 1 - self.decay)
        self.codebook.copy_(self.total / self.count[:, None].clamp(min=1e-5))

    @torch.no_grad()
    def revive(self, latents, generator, share=0.05):
        """Move every code used less than `share` of the average onto a random latent of (M, D)."""
        average = self.count.mean()
        dead = (self.count < share * average).nonzero()[:, 0]
        pick = torch.randint(len(latents), (len(dead),), generator=generator)
        self.codebook[dead] = latents[pick]
        self.count[dead] = average
        self.total[dead] = latents[pick] * average
        self.revived += len(dead)

    def _sums(self, latents):
        """How many latents (M, D) each code has (K,), and their sums (K, D)."""
        hot = F.one_hot(self.nearest(latents), len(self.codebook)).to(latents)
        return hot.sum(0), hot.T @ latents


class Network(nn.Module):
    """A linear map plus a small MLP: the map alone is already a fair code for smooth chunks."""

    def __init__(self, inputs, width, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.mlp = nn.Sequential(
            nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
            nn.Linear(width, outputs),
        )

    def forward(self, x):
        """(B, inputs) -> (B, outputs)."""
        return self.linear(x) + self.mlp(x)


class ChunkCodec(nn.Module):
    """Chunks (B, H, A) -> latents (B, tokens, D) -> chunks; every latent sees all of time."""

    def __init__(self, horizon, action_size, tokens, codes, code_width, width):
        super().__init__()
        numbers, latents = horizon * action_size, tokens * code_width
        self.horizon, self.tokens = horizon, tokens
        self.register_buffer("mean", torch.zeros(horizon, action_size))
        self.register_buffer("std", torch.ones(()))
        self.down = Network(numbers, width, latents)
        self.up = Network(latents, width, numbers)
        self.quantizer = VectorQuantizer(codes, code_width)

    def measure(self, chunks):
        """Take the mean chunk and the spread around it from chunks (M, H, A)."""
        self.mean.copy_(chunks.mean(0))
        self.std.copy_((chunks - self.mean).square().mean().sqrt().clamp(min=1e-6))

    def encode(self, chunks):
        """Chunks (B, H, A) -> latents (B, tokens, D)."""
        x = (chunks - self.mean) / self.std
        return self.down(x.flatten(1)).unflatten(1, (self.tokens, -1))

    def decode(self, latents):
        """Latents (B, tokens, D) -> chunks (B, H, A)."""
        x = self.up(latents.flatten(1)).unflatten(1, (self.horizon, -1))
        return x * self.std + self.mean


@dataclass
class VQReport:
    """What a fit gave, on the chunks it was fitted on."""

    rmse: float  # of the decoded chunks, in normalised units
    usage: float  # share of the codes that occur
    perplexity: float  # exp of the entropy of the codes: how many are in even use
    revived: int  # dead codes moved
    loss: list[float] = field(default_factory=list)  # per step, error over variance; not saved


class VQTokenizer(actions.ActionTokenizer):
    """A chunk as `tokens` codes of one learned codebook, for the H and A it was fitted on."""

    kind = "vq"

    def __init__(self, tokens=8, codes=256, code_width=4, width=128):
        if min(tokens, codes, code_width, width) < 1:
            raise ConfigError(say(
                "VQTokenizer", "sizes of at least 1", f"{(tokens, codes, code_width, width)}",
                "the defaults are 8 tokens of 256 codes",
            ))
        self.tokens, self.vocabulary_size = tokens, codes
        self.code_width, self.width = code_width, width
        self.codec = None
        self.report = None

    def max_length(self, horizon, action_size):
        """Always the same number of tokens."""
        return self.tokens

    def fit(self, chunks, mask=None, steps=1500, batch=128, rate=3e-3, seed=0, progress=False):
        """Train encoder, codebook and decoder on chunks (B, H, A); `report` says how it went."""
        chunks = self.prepare(chunks, mask)
        actions.check_for_fit(chunks)
        if min(steps, batch) < 1:
            raise ConfigError(say(
                "VQTokenizer.fit", "steps and batch of at least 1", f"{steps}, {batch}",
                "the defaults are 1500 and 128",
            ))
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            self.codec = self._codec(*chunks.shape[1:])
            data = torch.from_numpy(chunks)
            self.codec.measure(data)
            loss = _train(self.codec, data, steps, batch, rate, seed, progress)
        self.report = self._report(chunks, loss)
        return self

    @torch.no_grad()
    def encode(self, chunks, mask=None):
        """Chunks (B, H, A) of the fitted H and A -> B lists of codes; ConfigError otherwise."""
        if self.codec is None:
            raise actions.unfitted(self)
        chunks = torch.from_numpy(self.prepare(chunks, mask))
        self._check_shape(*chunks.shape[1:])
        return self.codec.quantizer.nearest(self.codec.encode(chunks)).tolist()

    @torch.no_grad()
    def decode(self, tokens, horizon, action_size):
        """Codes -> chunks (B, H, A); missing codes stand for the average latent, ok False."""
        if self.codec is None:
            raise actions.unfitted(self)
        self._check_shape(horizon, action_size)
        tokens = actions.check_ids(tokens, self.vocabulary_size)
        quantizer = self.codec.quantizer
        average = (quantizer.count @ quantizer.codebook) / quantizer.count.sum()
        latents = average.repeat(len(tokens), self.tokens, 1)
        for row, ids in zip(latents, tokens):
            ids = ids[: self.tokens]
            row[: len(ids)] = quantizer.codebook[ids]
        ok = np.array([len(ids) == self.tokens for ids in tokens], dtype=bool)
        return self.codec.decode(latents).numpy(), ok

    def _codec(self, horizon, action_size):
        """A fresh codec of this tokenizer's sizes."""
        return ChunkCodec(
            horizon, action_size, self.tokens, self.vocabulary_size, self.code_width, self.width
        )

    def _check_shape(self, horizon, action_size):
        """Raise ConfigError unless the shape is the fitted one."""
        fitted = tuple(self.codec.mean.shape)
        if (horizon, action_size) != fitted:
            raise ConfigError(say(
                "VQTokenizer, horizon and action size", f"{fitted}, as fitted",
                f"{(horizon, action_size)}", "fit one tokenizer for each shape, or pad the chunks",
            ))

    def _report(self, chunks, loss):
        """Measure the codebook on chunks (B, H, A)."""
        tokens = self.encode(chunks)
        error = self.decode(tokens, *chunks.shape[1:])[0] - chunks
        share = np.bincount(np.concatenate(tokens), minlength=self.vocabulary_size)
        share = share[share > 0] / share.sum()
        return VQReport(
            rmse=float(np.sqrt(np.square(error).mean())),
            usage=len(share) / self.vocabulary_size,
            perplexity=float(np.exp(-(share * np.log(share)).sum())),
            revived=self.codec.quantizer.revived,
            loss=loss,
        )

    def _config(self, folder):
        if self.codec is None:
            raise actions.unfitted(self)
        weights = save_tensors(self.codec.state_dict())
        actions.write_atomic(folder / "model.safetensors", weights)
        horizon, action_size = self.codec.mean.shape
        return {
            "tokens": self.tokens, "codes": self.vocabulary_size, "code_width": self.code_width,
            "width": self.width, "horizon": horizon, "action_size": action_size,
            "report": {**asdict(self.report), "loss": []},
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }

    @classmethod
    def _from_config(cls, config, folder):
        weights = (folder / "model.safetensors").read_bytes()
        if hashlib.sha256(weights).hexdigest() != config["weights_sha256"]:
            raise DataError(say(
                f"{folder}/model.safetensors", "the weights that config.json was saved with",
                "other or damaged content", "save the tokenizer again",
            ))
        tokenizer = cls(config["tokens"], config["codes"], config["code_width"], config["width"])
        tokenizer.codec = tokenizer._codec(config["horizon"], config["action_size"])
        tokenizer.codec.load_state_dict(load_tensors(weights))
        tokenizer.report = VQReport(**config["report"])
        return tokenizer


def _train(codec, data, steps, batch, rate, seed, progress):
    """Minimise error + 0.25 commitment on data (M, H, A); returns the error per step.

    The first tenth runs without the codebook, so that k-means finds latents worth keeping.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=rate, weight_decay=1e-4)
    begin, losses = steps // 10, []
    for step in tqdm(range(steps), desc="codebook", disable=not progress):
        for group in optimizer.param_groups:
            warm = min(1, (step + 1) / 20)
            group["lr"] = rate * warm * (1 + math.cos(math.pi * step / steps)) / 2
        if step == begin:
            _start(codec, data, generator)
        chunks = data[torch.randint(len(data), (batch,), generator=generator)]
        latents, commitment = codec.encode(chunks), 0.0
        quantised = latents
        if step >= begin:
            quantised, _, commitment = codec.quantizer(latents)
            flat = latents.detach().flatten(0, 1)
            codec.quantizer.follow(flat)
            if step % 20 == 0 and step < 0.8 * steps:
                codec.quantizer.revive(flat, generator)
        error = F.mse_loss(codec.decode(quantised), chunks) / codec.std.square()
        optimizer.zero_grad()
        (error + 0.25 * commitment).backward()
        optimizer.step()
        losses.append(error.item())
    return losses


@torch.no_grad()
def _start(codec, data, generator, most=1024):
    """Give the codebook its k-means start on the latents of at most `most` chunks."""
    pick = torch.randperm(len(data), generator=generator)[:most]
    codec.quantizer.start(codec.encode(data[pick]).flatten(0, 1), generator)
