"""Byte pair encoding of rows of character numbers: frequent neighbours become one token.

The plain form works on the characters; the byte-level form is the published FAST processor's, which
spells them in UTF-8 and cuts the text at characters that look like spaces.
"""

import json

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pi05lite.errors import ConfigError, DataError, say
from pi05lite.tokens.merging import LARGEST, Merger
from pi05lite.tokens.spelling import Utf8Spelling
from pi05lite.tokens.words import word_starts

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
        self._letters = np.concatenate(letters).astype(np.int32)
        self._first = np.cumsum(self.spans) - self.spans
        self._merger = _merger(tokenizer, size, byte_level)
        self._symbols = np.zeros(256 if byte_level else known[-1] + 1, dtype=np.int32)
        for token, i in vocabulary.items():  # the id that each letter starts as
            if len(token) == 1 and (not byte_level or token in CHARACTER_BYTES):
                self._symbols[CHARACTER_BYTES[token] if byte_level else ord(token)] = i

    def encode(self, numbers):
        """Character numbers (B, n), known ones -> B lists of ids, as `encode_singly` gives them."""
        if self._merger is None or not len(numbers):
            return self.encode_singly(numbers)
        ids = self._merger(self._spell_bytes(numbers) if self.byte_level else self._spell(numbers))
        if self.byte_level:
            ids = ids[ids != self.size]  # the marks between words
        ends, ids = np.flatnonzero(ids > self.size).tolist(), ids.tolist()
        return [ids[start:end] for start, end in zip([0, *(e + 1 for e in ends)], ends)]

    def encode_singly(self, numbers):
        """The same by the `tokenizers` library."""
        encodings = self.tokenizer.encode_batch_fast(_texts(numbers), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _spell(self, numbers):
        """Character numbers (B, n) -> ids with the mark size + 1 behind every row."""
        ids = np.full((len(numbers), numbers.shape[1] + 1), self.size + 1, dtype=np.int32)
        ids[:, :-1] = self._symbols.take(numbers)
        return ids.ravel()

    def _spell_bytes(self, numbers):
        """The same in UTF-8, with the mark `size` between words."""
        starts, flat = word_starts(numbers).ravel(), numbers.ravel()
        text = flat.astype("<u4").tobytes().decode("utf-32-le").encode()
        ids = self._symbols.take(np.frombuffer(text, np.uint8))
        more = (flat > 0x7F).astype(np.int32) + (flat > 0x7FF)  # bytes of a character but the first
        begin = np.arange(len(flat)) + np.cumsum(more) - more
        word = np.flatnonzero(starts)
        marks = np.where(word % numbers.shape[1] == 0, self.size + 1, self.size)
        return np.append(np.insert(ids, begin[word], marks)[1:], self.size + 1)

    def expand(self, ids, counts):
        """Ids of all rows (N,), counts (B,) -> character numbers, their counts, well formed (B,)"""
        spans = self.spans.take(ids)
        place = np.repeat(self._first.take(ids) - (np.cumsum(spans) - spans), spans)
        place += np.arange(len(place))
        letters = self._letters.take(place)
        ok = totals(spans == 0, counts) == 0
        counts = totals(spans, counts)
        if not self.byte_level:
            return letters, counts, ok
        numbers, counts, whole = _read_bytes(letters, counts)
        ok &= whole & (totals(numbers >= self.size, counts) == 0)
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


def totals(values, counts):
    """Sums (B,) over rows of counts (B,) values each, values (N,) one row after the other."""
    sums = np.append(0, np.cumsum(values))
    ends = np.cumsum(counts)
    return sums[ends] - sums[ends - counts]


def _read_bytes(letters, counts):
    """UTF-8 of all rows (N,), counts (B,) -> characters, their counts, valid (B,).

    What is no UTF-8 is left out.
    """
    data, begins = letters.astype(np.uint8), (letters & 0xC0) != 0x80
    first = (np.cumsum(counts) - counts)[counts > 0]
    try:
        if not begins[first].all():
            raise ValueError("a character across two rows")
        text, valid = data.tobytes().decode(), np.ones(len(counts), dtype=bool)
        counts = totals(begins, counts)
    except ValueError:  # somewhere it is broken: row by row, to know where
        rows = np.split(data, np.cumsum(counts)[:-1])
        texts = [row.tobytes().decode("utf-8", errors="ignore") for row in rows]
        valid = np.array([len(text.encode()) for text in texts]) == counts
        text, counts = "".join(texts), np.array([len(text) for text in texts])
    return np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.int32), counts, valid


def _merger(tokenizer, size, byte_level):
    """The Merger of a BPE, or None where it has something that only `tokenizers` knows."""
    content = json.loads(tokenizer.to_str())
    model, cut = content["model"], content["pre_tokenizer"] or {}
    plain = (cut.get("type"), cut.get("add_prefix_space"), cut.get("use_regex")) == (
        ("ByteLevel", False, True) if byte_level else (None, None, None))
    most = 2048 if byte_level else LARGEST  # letters newer than some Python's tables come later
    extras = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
    if (not plain or content["normalizer"] or content["added_tokens"] or size > most
            or any(model.get(name) for name in extras)):
        return None
    ids = model["vocab"]
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    return Merger([(ids[a], ids[b], ids[a + b]) for a, b in pairs], size)


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
    return np.where(nearer_below, known[below], known[above]).astype(np.int32)


def _byte_characters():
    """The visible character by which byte-level BPE (GPT-2) writes each of the 256 bytes."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    return {**{b: chr(b) for b in visible}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


BYTE_CHARACTERS = _byte_characters()
CHARACTER_BYTES = {character: byte for byte, character in BYTE_CHARACTERS.items()}
