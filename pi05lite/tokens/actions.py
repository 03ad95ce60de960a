"""The interface of the action tokenizers: chunks of actions to token ids and back."""

import json
import os
from abc import ABC, abstractmethod
from array import array
from itertools import chain
from pathlib import Path

import numpy as np

from pi05lite.errors import ConfigError, DataError, Pi05Error, say
from pi05lite.tokens.spelling import fewest_tokens, may_follow

FORMAT = 1  # version of the saved files


class ActionTokenizer(ABC):
    """Chunks (B, H, A) normalised to [-1, 1] <-> lists of token ids below `vocabulary_size`.

    To make your own, write the abstract methods, and `places` and `spans` if its sequences differ
    in length. `clipped` counts the values outside [-1, 1] that the last fit or encode moved to the
    border, `malformed` the sequences of the last decode that did not spell a whole chunk.
    """

    kind = None  # the name of the class in saved files
    vocabulary_size = 0
    clip = True
    fitted = True  # False until it has learned what it needs
    clipped = 0
    malformed = 0

    @abstractmethod
    def max_length(self, horizon, action_size):
        """The most tokens one chunk can take."""

    @abstractmethod
    def fit(self, chunks, mask=None):
        """Learn from chunks (B, H, A), mask (B, H) True at valid steps; returns self."""

    def encode(self, chunks, mask=None):
        """Chunks (B, H, A), mask (B, H) -> B lists of ids; DataError on bad chunks."""
        self._check_fitted()
        return self._encode(self.prepare(chunks, mask))

    def decode(self, tokens, horizon, action_size):
        """B lists of ids -> (chunks (B, H, A) float32, ok (B,) bool).

        A sequence of the wrong length is decoded as far as it goes and has ok False. An id that is
        not an action token at all raises DataError.
        """
        self._check_fitted()
        ids, counts = check_ids(tokens, self.vocabulary_size)
        chunks, ok = self._decode(ids, counts, horizon, action_size)
        self.malformed = int((~ok).sum())
        return chunks, ok

    @abstractmethod
    def _encode(self, chunks):
        """Prepared chunks (B, H, A) -> B lists of ids."""

    @abstractmethod
    def _decode(self, ids, counts, horizon, action_size):
        """The ids of all sequences one after the other (N,), how many each has (B,) -> as decode"""

    def places(self, horizon, action_size):
        """How many places the tokens of a whole chunk fill together."""
        return self.max_length(horizon, action_size)

    @property
    def spans(self):
        """(V,) how many places each token fills; 0: the token is never used."""
        return np.ones(self.vocabulary_size, dtype=int)

    def min_length(self, horizon, action_size):
        """The fewest tokens that can spell a whole chunk."""
        places = self.places(horizon, action_size)
        return int(fewest_tokens(tuple(np.unique(self.spans).tolist()), places)[places])

    def may_follow(self, ids, horizon, action_size, limit):
        """(V,) bool: the tokens that may come next so that the chunk is whole in `limit` tokens.

        None may where `ids` already spell a whole chunk. Always one may where limit is at least
        `min_length`.
        """
        spans, places = self.spans, self.places(horizon, action_size)
        fewest = fewest_tokens(tuple(np.unique(spans).tolist()), places)
        left = places - int(spans[np.asarray(ids, dtype=int)].sum())
        return may_follow(spans, fewest, left, limit - len(ids))

    def check_shape(self, horizon, action_size):  # noqa: B027
        """Raise ConfigError where it cannot serve chunks of this shape; most serve any."""

    def prepare(self, chunks, mask=None):
        """Checked chunks (B, H, A) as float32, padding filled, clipped to [-1, 1] and counted."""
        chunks = check_chunks(hold_last(chunks, mask))
        if self.clip:
            self.clipped = int((np.abs(chunks) > 1).sum())
            chunks = np.clip(chunks, -1, 1)
        return chunks

    def describe(self):
        """One line for people: what was clipped and what was malformed in the last calls."""
        return (f"{type(self).__name__}, {self.vocabulary_size} ids: last encode clipped "
                f"{self.clipped} values, last decode met {self.malformed} malformed sequences")

    def _check_fitted(self):
        if not self.fitted:
            raise ConfigError(say(
                type(self).__name__, "a fitted tokenizer", "one that is not fitted",
                "call fit(chunks) or load(path) first",
            ))

    @abstractmethod
    def _config(self, folder):
        """What `save` writes, as plain JSON values; larger arrays go into files in folder."""

    @classmethod
    @abstractmethod
    def _from_config(cls, config, folder):
        """The tokenizer that `_config` described."""

    def save(self, path):
        """Write a folder; each file is complete or absent, and config.json comes last."""
        self._check_fitted()
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
    """The action tokenizer saved in a folder, whatever its class: also one of your own.

    The class is known by its `kind`; your own must be defined before.
    """
    from pi05lite.tokens import bins, fast, vq  # noqa: F401  # so that their classes are known

    return pick(ActionTokenizer, read_config(path)["kind"], path).load(path)


def pick(base, kind, path):
    """The subclass of `base` that has a kind; DataError where none has."""
    kinds, found = {}, [base]
    for known in found:
        found += known.__subclasses__()
        kinds |= {known.kind: known} if known.__dict__.get("kind") else {}
    if kind not in kinds:
        raise DataError(say(f"{path}/config.json, kind", " or ".join(kinds), repr(kind),
                            f"define the {base.__name__} of that kind first"))
    return kinds[kind]


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
    """Token sequences as (all ids (N,), how many each has (B,)); DataError if one is no token."""
    try:
        counts = np.fromiter(map(len, tokens), dtype=int)
        flat = list(chain.from_iterable(tokens))
        ids = np.frombuffer(array("q", flat), dtype=np.int64)  # TypeError if one is not whole
        if ids.size == 0 or 0 <= ids.min() <= ids.max() < size:
            return ids, counts
    except (TypeError, OverflowError):  # a sequence without length, or an id that is no number
        pass
    bad = next((i for i, ids in enumerate(tokens) if not _are_ids(ids, size)), 0)
    raise DataError(say(
        f"action tokens, sequence {bad}", f"a list of whole numbers, 0 to {size - 1}",
        f"{str(tokens[bad])[:80]}",
        "pass a list of sequences of tokens (Vocabulary.action_token maps ids to tokens)",
    ))


def _are_ids(ids, size):
    """If `ids` is a flat sequence of whole numbers below size."""
    ids = np.array(ids, dtype=object)
    return ids.ndim == 1 and all(
        isinstance(i, (int, np.integer)) and 0 <= i < size for i in ids)


def to_rows(values, counts, length, fill=0):
    """Values (N,) of all rows one after the other, counts (B,) -> table (B, length).

    What a row lacks is `fill`; what it has too much is dropped.
    """
    if (counts == length).all():
        return values.reshape(-1, length)
    table = np.full((len(counts), length), fill, dtype=values.dtype)
    if counts.max(initial=0) > length:
        place = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
        values = values[place < length]
    table[np.arange(length) < counts[:, None]] = values
    return table


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
