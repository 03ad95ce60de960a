"""Text to ids and back: a byte-level BPE trained here, or a tokenizer.json from elsewhere."""

import json
import os
import re
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pi05lite.errors import ConfigError, DataError, say

SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>")  # ids 0 to 3, as in PaliGemma
NUMBERS = 256  # the state is written with the numbers 0 to 255
SPACE = "Ġ"  # how byte-level BPE spells the space


class TextTokenizer:
    """Byte-level BPE (or any tokenizers file with the four specials at ids 0 to 3)."""

    def __init__(self, tokenizer):
        """Wrap a `tokenizers.Tokenizer`; raises ConfigError if its specials are elsewhere."""
        self._tokenizer = tokenizer
        found = tuple(tokenizer.id_to_token(i) for i in range(len(SPECIALS)))
        if found != SPECIALS:
            raise ConfigError(say(
                "text tokenizer, ids 0 to 3", " ".join(SPECIALS), " ".join(map(str, found)),
                "use a tokenizer of the PaliGemma family or train one with TextTokenizer.train",
            ))

    @classmethod
    def train(cls, corpus, size):
        """Learn at most `size` ids from an iterable of strings, the same ones for the same corpus.

        All 256 bytes are ids, so that every string comes back exactly. From 516 ids on, " 0" to
        " 255" are ids too (one token a state value), from 762 on also "0" to "255".
        Raises ConfigError if size cannot hold the specials and the bytes.
        """
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        room = size - len(SPECIALS) - len(alphabet)
        if room < 0:
            raise ConfigError(say(
                "TextTokenizer.train, size", f"at least {len(SPECIALS) + len(alphabet)}",
                str(size), "ask for a larger vocabulary",
            ))
        merges = _number_merges(room)
        merges += _learn_merges(corpus, room - len(merges), without_numbers=bool(merges))
        tokens = [*SPECIALS, *alphabet, *(a + b for a, b in merges)]
        # dict.fromkeys: two merges may spell the same token, which is one id.
        vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return cls(tokenizer)

    @property
    def size(self):
        """Number of ids."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text):
        """The ids of a string, without specials; raises DataError if it is not proper text."""
        try:
            return self._tokenizer.encode(text, add_special_tokens=False).ids
        except (TypeError, UnicodeError):
            raise DataError(say(
                "text to encode", "a string of valid Unicode", repr(text), "fix the text"
            )) from None

    def decode(self, ids):
        """The string of a list of ids, specials skipped; raises DataError out of range."""
        ids = [int(i) for i in ids]
        wrong = [i for i in ids if not 0 <= i < self.size]
        if wrong:
            raise DataError(say(
                "text ids to decode", f"0 to {self.size - 1}", f"{wrong[:5]}",
                "keep action and location ids out of the text (Vocabulary.kind tells them apart)",
            ))
        kept = [i for i in ids if i >= len(SPECIALS)]
        return self._tokenizer.decode(kept, skip_special_tokens=False)

    def __eq__(self, other):
        if not isinstance(other, TextTokenizer):
            return NotImplemented
        return self._tokenizer.to_str() == other._tokenizer.to_str()

    def save(self, path):
        """Write the tokenizers library's JSON, whole or not at all."""
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(self._tokenizer.to_str(), encoding="utf-8")
        os.replace(partial, path)

    @classmethod
    def load(cls, path):
        """Read a saved tokenizer, or a Hugging Face tokenizer.json; DataError if unreadable."""
        try:
            return cls(Tokenizer.from_str(Path(path).read_text(encoding="utf-8")))
        except ConfigError:
            raise
        except Exception as error:  # the tokenizers library raises the bare class
            raise DataError(say(
                str(path), "a tokenizer in the JSON form of the tokenizers library",
                f"{type(error).__name__}: {error}", "save it again, or download the file again",
            )) from None


def _number_merges(room):
    """At most `room` merges that make " 0" to " 255", then "0" to "255", one token each."""
    ranks = {}
    for before in (SPACE, ""):
        longer = dict(ranks)
        for number in range(NUMBERS):
            pieces = _apply_merges([*before, *str(number)], longer)
            while len(pieces) > 1:
                # A new merge ranks last, so it cannot change how the numbers before it are built.
                longer[pieces[0], pieces[1]] = len(longer)
                pieces = _apply_merges(pieces, longer)
        ranks = longer if len(longer) <= room else ranks
    return list(ranks)


def _apply_merges(pieces, ranks):
    """BPE itself: join the neighbouring pair with the lowest rank until none is known."""
    while True:
        pairs = list(zip(pieces, pieces[1:]))
        best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)), default=None)
        if best not in ranks:
            return pieces
        i = pairs.index(best)
        pieces = [*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2:]]


def _learn_merges(corpus, count, without_numbers):
    """The `count` first BPE merges of a corpus, numbers left out if they have merges already."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + count, min_frequency=2, show_progress=False,
        special_tokens=[], initial_alphabet=sorted(alphabet),
    )
    # Byte-level BPE never merges a number with letters, so cutting numbers out loses nothing.
    parts = (re.split(r" ?[0-9]+", text) if without_numbers else [text] for text in corpus)
    tokenizer.train_from_iterator(parts, trainer=trainer)
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
