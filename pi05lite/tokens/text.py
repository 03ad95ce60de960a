"""Text to ids and back: a byte-level BPE trained here, or a tokenizer.json from elsewhere."""

import json
import os
import re
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pi05lite.errors import ConfigError, DataError, Pi05Error, say
from pi05lite.tokens.sentencepiece import SentencePiece

SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>")  # ids 0 to 3, as in PaliGemma
NUMBERS = 256  # the state is written with the numbers 0 to 255
SPACE = "Ġ"  # how byte-level BPE spells the space


class TextTokenizer:
    """Byte-level BPE (or any tokenizers file with the four specials at ids 0 to 3)."""

    def __init__(self, tokenizer, limit=None):
        """Wrap a `tokenizers.Tokenizer`; raises ConfigError if its specials are elsewhere.

        limit: ids from here on are not text, whatever the tokenizer has there.
        """
        self._tokenizer, self._limit = tokenizer, limit
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
        size = self._tokenizer.get_vocab_size()
        return size if self._limit is None else min(size, self._limit)

    def limited(self, limit):
        """The same tokenizer with the ids from `limit` on given up to other kinds of token."""
        return TextTokenizer(self._tokenizer, limit)

    def encode(self, text):
        """The ids of a string, without specials; raises DataError if it is not proper text."""
        try:
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        except (TypeError, UnicodeError):
            raise DataError(say(
                "text to encode", "a string of valid Unicode", repr(text), "fix the text"
            )) from None
        rare = [self._tokenizer.id_to_token(i) for i in ids if i >= self.size]
        if rare:
            raise DataError(say(
                "text to encode", "words whose ids belong to the text", f"{rare} in {text!r}",
                "say it in other words: those ids stand for actions, boxes or segments"))
        return ids

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
        return self._content() == other._content()

    def save(self, path):
        """Write the tokenizers library's JSON, whole or not at all."""
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(self._content(), encoding="utf-8")
        os.replace(partial, path)

    def _content(self):
        if self._limit is None:
            return self._tokenizer.to_str()
        return json.dumps({"limit": self._limit, "tokenizer": json.loads(self._tokenizer.to_str())})

    @classmethod
    def load(cls, path):
        """Read a saved tokenizer, a Hugging Face tokenizer.json or a SentencePiece file.

        Raises DataError if it is none of them.
        """
        try:
            data = Path(path).read_bytes()
            if not data.lstrip().startswith(b"{"):
                return cls(SentencePiece(data))
            content, limit = json.loads(data), None
            if "limit" in content:
                content, limit = content["tokenizer"], content["limit"]
            if "sentencepiece" in content:
                return cls(SentencePiece.from_json(content), limit)
            return cls(Tokenizer.from_str(json.dumps(content)), limit)
        except Pi05Error:
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
