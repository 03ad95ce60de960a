"""The interface of the action tokenizers: chunks of actions to token ids and back."""

import json
import os
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from pi05lite.errors import ConfigError, DataError, Pi05Error, say

FORMAT = 1  # version of the saved files


class ActionTokenizer(ABC):
    """Chunks (B, H, A) normalised to [-1, 1] <-> lists of token ids below `vocabulary_size`.

    `clipped` counts the values outside [-1, 1] that the last fit or encode moved to the border.
    """

    kind = None  # the name of the class in saved files
    vocabulary_size = 0
    clip = True
    clipped = 0

    @abstractmethod
    def max_length(self, horizon, action_size):
        """The most tokens one chunk can take."""

    @abstractmethod
    def fit(self, chunks, mask=None):
        """Learn from chunks (B, H, A), mask (B, H) True at valid steps; returns self."""

    @abstractmethod
    def encode(self, chunks, mask=None):
        """Chunks (B, H, A), mask (B, H) -> B lists of ids; DataError on bad chunks."""

    @abstractmethod
    def decode(self, tokens, horizon, action_size):
        """B lists of ids -> (chunks (B, H, A) float32, ok (B,) bool).

        A sequence of the wrong length is decoded as far as it goes and has ok False. An id that is
        not an action token at all raises DataError.
        """

    @abstractmethod
    def _config(self, folder):
        """What `save` writes, as plain JSON values; larger arrays go into files in folder."""

    @classmethod
    @abstractmethod
    def _from_config(cls, config, folder):
        """The tokenizer that `_config` described."""

    def prepare(self, chunks, mask=None):
        """Checked chunks (B, H, A) as float32, padding filled, clipped to [-1, 1] and counted."""
        chunks = check_chunks(hold_last(chunks, mask))
        if self.clip:
            self.clipped = int((np.abs(chunks) > 1).sum())
            chunks = np.clip(chunks, -1, 1)
        return chunks

    def save(self, path):
        """Write a folder; each file is complete or absent, and config.json comes last."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"kind": self.kind, "format": FORMAT, **self._config(folder)}
        write_atomic(folder / "config.json", json.dumps(config, indent=1).encode())

    @classmethod
    def load(cls, path):
        """Read a folder written by `save`; DataError if it is damaged or of another kind."""
        config = read_config(path)
        if config["kind"] != cls.kind:
            raise ConfigError(say(
                str(path), f"an action tokenizer of kind {cls.kind}", config["kind"],
                "use pi05lite.tokens.actions.load, which picks the class",
            ))
        try:
            return cls._from_config(config, Path(path))
        except Pi05Error:
            raise
        except Exception as error:  # the tokenizers library raises the bare class
            raise DataError(say(
                str(path), f"a complete action tokenizer of kind {cls.kind}",
                f"{type(error).__name__}: {error}", "save it again",
            )) from None


def load(path):
    """The action tokenizer saved in a folder, whatever its class."""
    from pi05lite.tokens.bins import BinsTokenizer
    from pi05lite.tokens.fast import FastTokenizer
    from pi05lite.tokens.vq import VQTokenizer

    kinds = {tokenizer.kind: tokenizer for tokenizer in (BinsTokenizer, FastTokenizer, VQTokenizer)}
    kind = read_config(path)["kind"]
    if kind not in kinds:
        raise DataError(say(
            f"{path}/config.json, kind", " or ".join(kinds), repr(kind), "use a newer pi05lite"
        ))
    return kinds[kind].load(path)


def hold_last(chunks, mask):
    """Chunks (B, H, A) with every step where mask (B, H) is False made equal to the one before.

    At the end of an episode a chunk runs out of actions. Holding the last one means "stay", and it
    is smooth: zeros would be a jump, which costs tokens and bends the decoded steps before it.
    Invalid steps at the start take the first valid one. Raises DataError on a chunk without any.
    """
    if mask is None:
        return chunks
    chunks, mask = np.asarray(chunks), np.asarray(mask, dtype=bool)
    if mask.shape != chunks.shape[:2] or not mask.any(axis=1).all():
        raise DataError(say(
            "mask of the chunks", f"shape {chunks.shape[:2]}, a valid step in each chunk",
            f"shape {mask.shape}, fewest valid steps {mask.sum(axis=-1).min(initial=0)}",
            "pass mask (B, H), True at valid steps, and drop chunks without any",
        ))
    step = np.where(mask, np.arange(mask.shape[1]), -1)
    step = np.maximum.accumulate(step, axis=1)
    step = np.where(step < 0, mask.argmax(axis=1)[:, None], step)
    return np.take_along_axis(chunks, step[:, :, None], axis=1)


def check_chunks(chunks):
    """Chunks as a float32 array (B, H, A); DataError on a wrong rank, an empty axis or NaN."""
    chunks = np.asarray(chunks)
    if chunks.ndim != 3 or 0 in chunks.shape[1:] or chunks.dtype.kind not in "fiu":
        raise DataError(say(
            "action chunks", "numbers of shape (B, H, A)", f"{chunks.dtype} {chunks.shape}",
            "add the batch axis with chunk[None] if this is one chunk",
        ))
    bad = ~np.isfinite(chunks).all(axis=(1, 2))
    if bad.any():
        raise DataError(say(
            "action chunks", "finite numbers",
            f"NaN or infinity in {bad.sum()} of {len(bad)} chunks, first in chunk {bad.argmax()}",
            "drop these chunks, or mask the steps if they are padding",
        ))
    return chunks.astype(np.float32)


def check_for_fit(chunks):
    """Raise DataError if there is nothing to learn from."""
    if len(chunks) == 0:
        raise DataError(say("chunks to fit", "at least one", "none", "pass training chunks"))


def check_ids(tokens, size):
    """Token sequences as lists of int; DataError naming the first id outside [0, size)."""
    checked = []
    for i, sequence in enumerate(tokens):
        ids = np.asarray(sequence)
        whole = ids.size == 0 or ids.dtype.kind in "iu"
        if ids.ndim != 1 or not whole or (ids.size and not 0 <= ids.min() <= ids.max() < size):
            raise DataError(say(
                f"action tokens, sequence {i}", f"a list of whole numbers, 0 to {size - 1}",
                f"{str(sequence)[:80]}",
                "pass a list of sequences of tokens (Vocabulary.action_token maps ids to tokens)",
            ))
        checked.append(ids.tolist())
    return checked


def unfitted(tokenizer):
    """The error of a tokenizer used before it has learned anything."""
    return ConfigError(say(
        type(tokenizer).__name__, "a fitted tokenizer", "one that is not fitted",
        "call fit(chunks) or load(path) first",
    ))


def read_config(path):
    """The config.json of a saved tokenizer as a dict with "kind"; DataError if unreadable."""
    file = Path(path) / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']}, not {FORMAT}")
        return {**config, "kind": str(config["kind"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(say(
            str(file), "the configuration of an action tokenizer",
            f"{type(error).__name__}: {error}", "pass the folder that save(path) wrote",
        )) from None


def write_atomic(file, data):
    """Write bytes to a file so that a reader finds the old content or the new, never a part."""
    partial = file.with_name(file.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, file)
