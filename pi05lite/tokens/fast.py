"""FAST: frequencies of a chunk, rounded and compressed with BPE (arXiv 2501.09747)."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain

import numpy as np
from tokenizers import Tokenizer

from pi05lite.errors import ConfigError, DataError, say
from pi05lite.tokens.actions import ActionTokenizer, check_for_fit, to_rows
from pi05lite.tokens.bpe import LARGEST_CHARACTER, Bpe, train

TOGETHER = 512  # chunks that one thread takes at once: more gain nothing and need more memory


class FastTokenizer(ActionTokenizer):
    """Discrete cosine transform over time, x scale, rounded, then byte pair encoding.

    Coefficient c is the character number c - min_token, so the lowest one is character 0. H and A
    are free: one tokenizer serves any shape, best the one it was fitted on.
    `byte_level=True` gives the published processor's BPE, whose pre-tokenizer cuts the text at
    characters that look like spaces; without it the sequences are shorter. `clip=False` leaves
    values outside [-1, 1] as they are.
    `clipped_coefficients` counts what the last encode had to move to the nearest known coefficient.
    """

    kind = "fast"
    clipped_coefficients = 0

    def __init__(self, vocabulary=1024, scale=10.0, byte_level=False, clip=True):
        if not (vocabulary > 0 and scale > 0):
            raise ConfigError(say(
                "FastTokenizer", "vocabulary and scale above 0", f"{vocabulary}, {scale}",
                "the published values are 1024 and 10",
            ))
        self.vocabulary_size = vocabulary
        self.scale = float(scale)
        self.byte_level = byte_level
        self.clip = clip
        self.min_token = None
        self.bpe = None

    @classmethod
    def from_published(cls, tokenizer_json, min_token, scale, vocabulary):
        """A tokenizer of the published processor from its tokenizer.json (a path or the dict).

        Its chunks are not clipped to [-1, 1], as the published processor does not. Raises DataError
        if the file is no tokenizer.
        """
        tokenizer = cls(vocabulary, scale, byte_level=True, clip=False)
        try:
            if not isinstance(tokenizer_json, dict):
                with open(tokenizer_json, encoding="utf-8") as file:
                    tokenizer_json = json.load(file)
            bpe = Tokenizer.from_str(json.dumps(tokenizer_json))
        except Exception as error:  # the tokenizers library raises the bare class
            raise DataError(say(
                f"published FAST tokenizer {str(tokenizer_json)[:80]}", "a tokenizer.json",
                f"{type(error).__name__}: {error}", "download the file again",
            )) from None
        tokenizer.bpe, tokenizer.min_token = Bpe(bpe, vocabulary, True), int(min_token)
        return tokenizer

    @property
    def fitted(self):
        """If it has coefficients and a BPE to spell them."""
        return self.bpe is not None

    def max_length(self, horizon, action_size):
        """One token a coefficient if nothing merges; two in UTF-8, three beyond 2047."""
        last = chr(min(self.vocabulary_size - 1, LARGEST_CHARACTER))
        return horizon * action_size * (len(last.encode()) if self.byte_level else 1)

    def fit(self, chunks, mask=None):
        """Learn the range of the coefficients and the BPE from chunks (B, H, A).

        Raises ConfigError if the vocabulary cannot hold one token for each coefficient.
        """
        chunks = self.prepare(chunks, mask)
        check_for_fit(chunks)
        coefficients = self._round(chunks)
        low, high = int(coefficients.min()), int(coefficients.max())
        most = min(self.vocabulary_size, LARGEST_CHARACTER)
        if high - low + 1 > most:
            raise ConfigError(say(
                "FastTokenizer.fit", f"at most {most} different coefficients",
                f"{low} to {high} at scale {self.scale}", "lower the scale or raise the vocabulary",
            ))
        bpe = train(coefficients - low, self.vocabulary_size, self.byte_level)
        self.bpe, self.min_token = Bpe(bpe, self.vocabulary_size, self.byte_level), low
        return self

    def coefficients(self, chunks, mask=None):
        """Rounded coefficients (B, H, A), lowest frequency first, before any are clipped."""
        return self._round(self.prepare(chunks, mask))

    def _encode(self, chunks):
        """Chunks (B, H, A) -> B lists of ids, all dimensions' lowest frequencies first."""
        done = in_threads(self._encode_part, chunks)
        self.clipped_coefficients = sum(clipped for _, clipped in done)
        return list(chain.from_iterable(rows for rows, _ in done))

    def _encode_part(self, chunks):
        """Chunks (B, H, A) -> B lists of ids, and how many coefficients were clipped."""
        wanted = self._round(chunks) - self.min_token
        known = self.bpe.nearest.take(wanted, mode="clip")
        rows = known.reshape(len(known), chunks.shape[1] * chunks.shape[2])
        return self.bpe.encode(rows), int((known != wanted).sum())

    def _decode(self, ids, counts, horizon, action_size):
        """Ids -> chunks (B, H, A); missing coefficients are 0, surplus ones dropped, ok False.

        The lowest frequencies come first, so a short sequence gives a smoother chunk.
        """
        ends = np.append(0, np.cumsum(counts))

        def part(rows):
            each = slice(rows.start, rows.stop)
            return self._decode_part(ids[ends[rows.start]:ends[rows.stop]], counts[each],
                                     horizon, action_size)

        chunks, ok = zip(*in_threads(part, range(len(counts))))
        return np.concatenate(chunks), np.concatenate(ok)

    def _decode_part(self, ids, counts, horizon, action_size):
        """The same for a part of the sequences."""
        length = horizon * action_size
        numbers, counts, ok = self.bpe.expand(ids, counts)
        coefficients = to_rows((numbers + self.min_token).astype(np.float32), counts, length)
        inverse = (cosine_matrix(horizon).T / self.scale).astype(np.float32)
        chunks = np.matmul(inverse, coefficients.reshape(-1, horizon, action_size))
        return chunks, ok & (counts == length)

    def places(self, horizon, action_size):
        """H * A coefficients."""
        return horizon * action_size

    @property
    def spans(self):
        """(V,) coefficients in each token."""
        return self.bpe.spans

    def min_length(self, horizon, action_size):
        """The fewest tokens that can spell a whole chunk."""
        if not self.byte_level:
            return super().min_length(horizon, action_size)
        places = self.places(horizon, action_size)
        return int(self.bpe.utf8.fewest(places)[places])

    def may_follow(self, ids, horizon, action_size, limit):
        """(V,) bool: the tokens that may come next so that the chunk is whole in `limit` tokens."""
        if not self.byte_level:
            return super().may_follow(ids, horizon, action_size, limit)
        return self.bpe.utf8.may_follow(ids, self.places(horizon, action_size), limit)

    def describe(self):
        """One line for people: what was clipped and what was malformed in the last calls."""
        return f"{super().describe()}, last encode clipped {self.clipped_coefficients} coefficients"

    def _round(self, chunks):
        """Rounded scaled DCT (B, H, A) of chunks (B, H, A)."""
        frequencies = np.matmul(cosine_matrix(chunks.shape[1]), chunks.astype(np.float64))
        return np.rint(frequencies * self.scale).astype(np.int32)

    def _config(self, folder):
        return {
            "vocabulary": self.vocabulary_size, "scale": self.scale, "byte_level": self.byte_level,
            "clip": self.clip, "min_token": self.min_token,
            "tokenizer": json.loads(self.bpe.tokenizer.to_str()),
        }

    @classmethod
    def _from_config(cls, config, folder):
        names = ("vocabulary", "scale", "byte_level", "clip")
        tokenizer = cls(**{name: config[name] for name in names})
        bpe = Tokenizer.from_str(json.dumps(config["tokenizer"]))
        tokenizer.bpe = Bpe(bpe, tokenizer.vocabulary_size, tokenizer.byte_level)
        tokenizer.min_token = int(config["min_token"])
        return tokenizer


def in_threads(function, rows):
    """What a function gives for rows TOGETHER at a time, on as many processors as there are."""
    parts = [rows[k:k + TOGETHER] for k in range(0, max(1, len(rows)), TOGETHER)]
    if len(parts) == 1:
        return [function(rows)]
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as threads:
        return list(threads.map(function, parts))


@lru_cache(maxsize=32)
def cosine_matrix(horizon):
    """The orthonormal DCT-II (H, H): row k holds a cosine of k half periods; its inverse is .T"""
    k, step = np.arange(horizon)[:, None], np.arange(horizon)[None, :]
    matrix = np.sqrt(2 / horizon) * np.cos(np.pi * (step + 0.5) * k / horizon)
    matrix[0] /= np.sqrt(2)
    matrix.flags.writeable = False
    return matrix
