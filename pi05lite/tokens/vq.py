"""The learned codebook: a chunk of 50 x 7 numbers becomes 8 codes of 256."""

import copy
import hashlib
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn
from tqdm.auto import tqdm

from pi05lite.errors import ConfigError, DataError, say
from pi05lite.tokens import actions
from pi05lite.tokens.quantizers import Quantizer, VectorQuantizer

DEFAULT = Path(__file__).resolve().parents[2] / "data" / "vq_50x7"


def default():
    """The kit's trained codebook for chunks of 50 x 7 (data/README.md says on what)."""
    return VQTokenizer.load(DEFAULT)


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
    """Chunks (B, H, A) -> latents (B, L, D) -> chunks; every latent sees all of time."""

    def __init__(self, horizon, action_size, latents, width, quantizer):
        super().__init__()
        numbers = horizon * action_size
        self.horizon, self.latents = horizon, latents
        self.register_buffer("mean", torch.zeros(horizon, action_size))
        self.register_buffer("std", torch.ones(()))
        self.down = Network(numbers, width, latents * quantizer.width)
        self.up = Network(latents * quantizer.width, width, numbers)
        self.quantizer = quantizer

    def measure(self, chunks):
        """Take the mean chunk and the spread around it from chunks (M, H, A)."""
        self.mean.copy_(chunks.mean(0))
        self.std.copy_((chunks - self.mean).square().mean().sqrt().clamp(min=1e-6))

    def encode(self, chunks):
        """Chunks (B, H, A) -> latents (B, L, D)."""
        x = (chunks - self.mean) / self.std
        return self.down(x.flatten(1)).unflatten(1, (self.latents, -1))

    def decode(self, latents):
        """Latents (B, L, D) -> chunks (B, H, A)."""
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
    """A chunk as `tokens` codes of a learned codebook, for the H and A it was fitted on.

    quantizer: a class of pi05lite.tokens.quantizers, or one made with other numbers (then `codes`
    and `code_width` are its own). code_width: numbers of the latent that each token carries; width:
    of encoder and decoder.
    """

    kind = "vq"

    def __init__(self, tokens=8, codes=256, code_width=4, width=128, quantizer=VectorQuantizer):
        if min(tokens, codes, code_width, width) < 1:
            raise ConfigError(say(
                "VQTokenizer", "sizes of at least 1", f"{(tokens, codes, code_width, width)}",
                "the defaults are 8 tokens of 256 codes",
            ))
        self.quantizer = (quantizer if isinstance(quantizer, nn.Module)
                          else quantizer(codes, code_width))  # untrained: every fit copies it
        if tokens % self.quantizer.depth:
            raise ConfigError(say(
                "VQTokenizer.tokens", f"a multiple of {self.quantizer.depth}, the codes that one "
                "latent takes", tokens, "change tokens or the quantiser's depth"))
        self.tokens, self.width, self.vocabulary_size = tokens, width, self.quantizer.codes
        self.codec = None
        self.report = None

    @property
    def fitted(self):
        """If it has an encoder, a codebook and a decoder."""
        return self.codec is not None

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
            loss, revived = _train(self.codec, data, steps, batch, rate, seed, progress)
        self.report = self._report(chunks, loss, revived)
        return self

    @torch.no_grad()
    def _encode(self, chunks):
        """Chunks (B, H, A) of the fitted H and A -> B lists of codes; ConfigError otherwise."""
        self.check_shape(*chunks.shape[1:])
        return self.codes(torch.from_numpy(chunks)).flatten(1).tolist()

    def codes(self, chunks):
        """Chunks (B, H, A) -> codes (B, depth, L), so that coarse ones come first."""
        return self.codec.quantizer.encode(self.codec.encode(chunks)).transpose(1, 2)

    @torch.no_grad()
    def _decode(self, ids, counts, horizon, action_size):
        """Codes -> chunks (B, H, A); missing codes stand for the average one, ok False."""
        self.check_shape(horizon, action_size)
        rows = torch.from_numpy(actions.to_rows(ids, counts, self.tokens, fill=-1))
        codes = rows.unflatten(1, (self.quantizer.depth, -1)).transpose(1, 2)  # (B, L, depth)
        latents = self.codec.quantizer.lookup(codes)
        return self.codec.decode(latents).numpy(), counts == self.tokens

    def _codec(self, horizon, action_size):
        """A fresh codec of this tokenizer's sizes."""
        latents = self.tokens // self.quantizer.depth
        return ChunkCodec(horizon, action_size, latents, self.width,
                          copy.deepcopy(self.quantizer))

    def check_shape(self, horizon, action_size):
        """Raise ConfigError unless the shape is the fitted one."""
        fitted = tuple(self.codec.mean.shape) if self.fitted else (horizon, action_size)
        if (horizon, action_size) != fitted:
            raise ConfigError(say(
                "VQTokenizer, horizon and action size", f"{fitted}, as fitted",
                f"{(horizon, action_size)}", "fit one tokenizer for each shape, or pad the chunks",
            ))

    @torch.no_grad()
    def _report(self, chunks, loss, revived):
        """Measure the codebook on chunks (B, H, A); several levels count by their mean."""
        error = self.decode(self.encode(chunks), *chunks.shape[1:])[0] - chunks
        levels = self.codes(torch.from_numpy(chunks)).transpose(0, 1).flatten(1)  # (depth, B * L)
        counts = torch.stack([k.bincount(minlength=self.vocabulary_size) for k in levels])
        share = counts / counts.sum(1, keepdim=True)
        entropy = -torch.xlogy(share, share).sum(1)
        return VQReport(
            rmse=float(np.sqrt(np.square(error).mean())),
            usage=float((counts > 0).float().mean()), perplexity=float(entropy.exp().mean()),
            revived=revived, loss=loss,
        )

    def _config(self, folder):
        weights = save_tensors(self.codec.state_dict())
        actions.write_atomic(folder / "model.safetensors", weights)
        horizon, action_size = self.codec.mean.shape
        quantizer = {"kind": self.quantizer.kind, **self.quantizer.settings()}
        return {
            "tokens": self.tokens, "width": self.width, "quantizer": quantizer,
            "horizon": horizon, "action_size": action_size,
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
        quantizer = actions.pick(Quantizer, config["quantizer"]["kind"], folder)
        settings = {k: v for k, v in config["quantizer"].items() if k != "kind"}
        tokenizer = cls(config["tokens"], width=config["width"], quantizer=quantizer(**settings))
        tokenizer.codec = tokenizer._codec(config["horizon"], config["action_size"])
        tokenizer.codec.load_state_dict(load_tensors(weights))
        tokenizer.report = VQReport(**config["report"])
        return tokenizer


def _train(codec, data, steps, batch, rate, seed, progress):
    """Minimise error + 0.25 commitment on data (M, H, A); returns (error per step, codes revived).

    The first tenth runs without the codebook, so that k-means finds latents worth keeping.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=rate, weight_decay=1e-4)
    begin, losses, revived = steps // 10, [], 0
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
                revived += codec.quantizer.revive(flat, generator)
        error = F.mse_loss(codec.decode(quantised), chunks) / codec.std.square()
        optimizer.zero_grad()
        (error + 0.25 * commitment).backward()
        optimizer.step()
        losses.append(error.item())
    return losses, revived


@torch.no_grad()
def _start(codec, data, generator, most=1024):
    """Give the codebook its k-means start on the latents of at most `most` chunks."""
    pick = torch.randperm(len(data), generator=generator)[:most]
    codec.quantizer.start(codec.encode(data[pick]).flatten(0, 1), generator)
