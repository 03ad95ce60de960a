"""Byte pair encoding of rows of character numbers: frequent neighbours become one token.

The plain form works on the characters; the byte-level form is the published FAST processor's, which
spells them in UTF-8 and cuts the text at characters that look like spaces.
"""

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pi05lite.errors import ConfigError, DataError, say
from pi05lite.tokens.spelling import Utf8Spelling

LARGEST_CHARACTER = 0xD7FF  # characters above it include the surrogates, which are not text


class Bpe:
    """A trained `tokenizers` BPE as maps between rows of character numbers and ids below `size`."""

    def __init__(self, tokenizer, size, byte_level):
        vocabulary = tokenizer.get_vocab()
        if max(vocabulary.values()) >= size:
            raise ConfigError(say(
                "FastTokenizer", f"ids below its vocabulary of {size}",
                f"ids up to {max(vocabulary.values())}", "state the tokenizer's real vocabulary",
            ))
        self.tokenizer, self.size, self.byte_level = tokenizer, size, byte_level
        known = _spellable(vocabulary, size, byte_level)
        self.nearest = _nearest(known)
        # Ids without a token stay empty: they decode to nothing and mark the sequence malformed.
        pieces = [b""] * size
        to_bytes = _byte_level_piece if byte_level else _plain_piece
        for token, i in vocabulary.items():
            pieces[i] = to_bytes(token)
        self.utf8 = Utf8Spelling(pieces, known) if byte_level else None
        letters = [np.frombuffer(p, np.uint8 if byte_level else "<u4") for p in pieces]
        self.spans = np.array([len(p) for p in letters])  # (V,) characters, or bytes
        self._letters = np.concatenate(letters).astype(np.int64)
        self._first = np.cumsum(self.spans) - self.spans

    def encode(self, numbers):
        """Character numbers (B, ...), known ones -> B lists of ids."""
        encodings = self.tokenizer.encode_batch_fast(_texts(numbers), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def expand(self, ids, counts):
        """Ids of all rows (N,), counts (B,) -> character numbers, their counts, well formed (B,)"""
        spans = self.spans[ids]
        place = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        letters = self._letters[np.repeat(self._first[ids], spans) + place]
        row = np.repeat(np.arange(len(counts)), counts)
        ok = np.bincount(row, spans == 0, len(counts)) == 0
        counts = np.bincount(row, spans, len(counts)).astype(int)
        if not self.byte_level:
            return letters, counts, ok
        rows = np.split(letters.astype(np.uint8), np.cumsum(counts)[:-1])
        texts = [r.tobytes().decode("utf-8", errors="ignore") for r in rows]
        ok &= np.array([len(t.encode()) for t in texts]) == counts
        counts = np.array([len(t) for t in texts])
        numbers = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4").astype(np.int64)
        ok &= np.bincount(np.repeat(np.arange(len(counts)), counts), numbers >= self.size,
                          len(counts)) == 0
        return np.minimum(numbers, self.size - 1), counts, ok


def train(numbers, vocabulary, byte_level):
    """A BPE of at most `vocabulary` tokens from character numbers (B, ...).

    It can spell every character up to the largest. Raises ConfigError where there is no room.
    """
    characters = int(numbers.max()) + 1
    alphabet = {chr(k) for k in range(characters)}
    bpe = Tokenizer(models.BPE())
    if byte_level:
        # The published alphabet is the bare characters; the bytes that spell them must be in too.
        alphabet |= {BYTE_CHARACTERS[b] for b in "".join(alphabet).encode()}
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
    if len(alphabet) > vocabulary:
        raise ConfigError(say(
            "FastTokenizer.fit", f"an alphabet within the vocabulary of {vocabulary}",
            f"{len(alphabet)} characters", "lower the scale or raise the vocabulary",
        ))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2, show_progress=False, special_tokens=[],
        initial_alphabet=sorted(alphabet), max_token_length=10000,
    )
    bpe.train_from_iterator(_texts(numbers), trainer=trainer)
    return bpe


def _texts(numbers):
    """One string per row of character numbers (B, ...)."""
    return [row.astype("<u4").tobytes().decode("utf-32-le") for row in numbers]


def _plain_piece(token):
    """A token as the numbers of its characters, four bytes each."""
    return token.encode("utf-32-le")


def _byte_level_piece(token):
    """A token of byte-level BPE as the bytes it stands for."""
    if all(character in CHARACTER_BYTES for character in token):
        return bytes(CHARACTER_BYTES[character] for character in token)
    return token.encode()  # a bare character of the published alphabet, which no text produces


def _spellable(vocabulary, size, byte_level):
    """The character numbers that single tokens can spell, in order."""
    if not byte_level:
        return sorted(ord(token) for token in vocabulary if len(token) == 1)
    return [
        k for k in range(min(size, LARGEST_CHARACTER))
        if all(BYTE_CHARACTERS[b] in vocabulary for b in chr(k).encode())
    ]


def _nearest(known):
    """Table: character number -> the nearest known one, the lower of two equally near."""
    if not known:
        raise DataError(say(
            "FAST tokenizer", "tokens for single coefficients", "none",
            "check that it was trained with the same byte_level",
        ))
    known = np.array(known)
    numbers = np.arange(known[-1] + 1)
    above = np.searchsorted(known, numbers)
    below = np.maximum(above - 1, 0)
    nearer_below = np.abs(numbers - known[below]) <= np.abs(known[above] - numbers)
    return np.where(nearer_below, known[below], known[above])


def _byte_characters():
    """The visible character by which byte-level BPE (GPT-2) writes each of the 256 bytes."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    return {**{b: chr(b) for b in visible}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


BYTE_CHARACTERS = _byte_characters()
CHARACTER_BYTES = {character: byte for byte, character in BYTE_CHARACTERS.items()}
