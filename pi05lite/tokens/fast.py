"""FAST: frequencies of a chunk, rounded and compressed with BPE (arXiv 2501.09747)."""

import json
from functools import lru_cache

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pi05lite.errors import ConfigError, DataError, say
from pi05lite.tokens.actions import ActionTokenizer, check_for_fit, check_ids, unfitted

LARGEST_CHARACTER = 0xD7FF  # characters above it include the surrogates, which are not text


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
        self._bpe = None

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
        tokenizer._use(bpe, min_token)
        return tokenizer

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
        texts = _characters(coefficients - low)
        self._use(_train(texts, high - low + 1, self.vocabulary_size, self.byte_level), low)
        return self

    def coefficients(self, chunks, mask=None):
        """Rounded coefficients (B, H, A), lowest frequency first, before any are clipped."""
        return self._round(self.prepare(chunks, mask))

    def encode(self, chunks, mask=None):
        """Chunks (B, H, A) -> B lists of ids, all dimensions' lowest frequencies first."""
        if self._bpe is None:
            raise unfitted(self)
        wanted = self.coefficients(chunks, mask) - self.min_token
        known = self._nearest[np.clip(wanted, 0, len(self._nearest) - 1)]
        self.clipped_coefficients = int((known != wanted).sum())
        encodings = self._bpe.encode_batch(_characters(known), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, tokens, horizon, action_size):
        """Ids -> chunks (B, H, A); missing coefficients are 0, surplus ones dropped, ok False.

        The lowest frequencies come first, so a short sequence gives a smoother chunk.
        """
        if self._bpe is None:
            raise unfitted(self)
        tokens = check_ids(tokens, self.vocabulary_size)
        length = horizon * action_size
        coefficients = np.zeros((len(tokens), length), dtype=np.float64)
        ok = np.zeros(len(tokens), dtype=bool)
        for i, ids in enumerate(tokens):
            row, ok[i] = self._expand(ids, length)
            coefficients[i, : len(row)] = row
        coefficients = coefficients.reshape(-1, horizon, action_size)
        chunks = np.matmul(cosine_matrix(horizon).T, coefficients) / self.scale
        return chunks.astype(np.float32), ok

    def _round(self, chunks):
        """Rounded scaled DCT (B, H, A) of chunks (B, H, A)."""
        frequencies = np.matmul(cosine_matrix(chunks.shape[1]), chunks.astype(np.float64))
        return np.rint(frequencies * self.scale).astype(np.int64)

    def _expand(self, ids, length):
        """(At most length coefficients of a list of ids, whether the ids are well formed)."""
        pieces = [self._pieces[i] for i in ids]
        data, complete = b"".join(pieces), all(pieces)
        if self.byte_level:
            text = data.decode("utf-8", errors="ignore")
            complete = complete and len(text.encode()) == len(data)
            data = text.encode("utf-32-le")
        characters = np.frombuffer(data, dtype="<u4").astype(np.int64)
        ok = complete and len(characters) == length
        if self.byte_level and len(characters):
            ok = ok and characters.max() < self.vocabulary_size
            characters = np.minimum(characters, self.vocabulary_size - 1)
        return characters[:length] + self.min_token, ok

    def _use(self, bpe, min_token):
        """Take a trained BPE: what each id stands for, and which coefficients it can spell."""
        vocabulary = bpe.get_vocab()
        if max(vocabulary.values()) >= self.vocabulary_size:
            raise ConfigError(say(
                "FastTokenizer", f"ids below its vocabulary of {self.vocabulary_size}",
                f"ids up to {max(vocabulary.values())}", "state the tokenizer's real vocabulary",
            ))
        to_bytes = _byte_level_piece if self.byte_level else _plain_piece
        # Ids without a token stay empty: they decode to nothing and mark the sequence malformed.
        self._pieces = [b""] * self.vocabulary_size
        for token, i in vocabulary.items():
            self._pieces[i] = to_bytes(token)
        known = _spellable(vocabulary, self.vocabulary_size, self.byte_level)
        self._nearest = _nearest(known)
        self._bpe, self.min_token = bpe, int(min_token)

    def _config(self, folder):
        if self._bpe is None:
            raise unfitted(self)
        return {
            "vocabulary": self.vocabulary_size, "scale": self.scale, "byte_level": self.byte_level,
            "clip": self.clip, "min_token": self.min_token,
            "tokenizer": json.loads(self._bpe.to_str()),
        }

    @classmethod
    def _from_config(cls, config, folder):
        names = ("vocabulary", "scale", "byte_level", "clip")
        tokenizer = cls(**{name: config[name] for name in names})
        tokenizer._use(Tokenizer.from_str(json.dumps(config["tokenizer"])), config["min_token"])
        return tokenizer


@lru_cache(maxsize=32)
def cosine_matrix(horizon):
    """The orthonormal DCT-II (H, H): row k holds a cosine of k half periods; its inverse is .T"""
    k, step = np.arange(horizon)[:, None], np.arange(horizon)[None, :]
    matrix = np.sqrt(2 / horizon) * np.cos(np.pi * (step + 0.5) * k / horizon)
    matrix[0] /= np.sqrt(2)
    matrix.flags.writeable = False
    return matrix


def _train(texts, characters, vocabulary, byte_level):
    """A BPE of at most `vocabulary` tokens that can spell every character below `characters`."""
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
    bpe.train_from_iterator(texts, trainer=trainer)
    return bpe


def _characters(numbers):
    """One string per chunk from character numbers (B, H, A)."""
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
