"""A SentencePiece file (PaliGemma's tokenizer.model) behind the interface of `tokenizers`.

Only what TextTokenizer asks for. The sentencepiece library is an optional extra: pi05lite[real].
"""

import base64
import json
from dataclasses import dataclass

from pi05lite.errors import ConfigError, DataError, say


@dataclass
class Encoding:
    """What `encode` returns."""

    ids: list


class SentencePiece:
    """Encodes and decodes with a SentencePiece model given as bytes."""

    def __init__(self, data):
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError:
            raise ConfigError(say(
                "a SentencePiece file", "the sentencepiece library", "none",
                "pip install 'pi05lite[real]', or use a tokenizer.json")) from None
        self._data, self._model = data, SentencePieceProcessor()
        try:
            self._model.LoadFromSerializedProto(data)
        except RuntimeError as error:
            raise DataError(say("SentencePiece file", "a SentencePiece model", error,
                                "download the file again")) from None

    def get_vocab_size(self):
        """Number of ids."""
        return self._model.GetPieceSize()

    def id_to_token(self, i):
        """The piece of an id, None out of range."""
        return self._model.IdToPiece(i) if 0 <= i < self.get_vocab_size() else None

    def encode(self, text, add_special_tokens=False):
        """The ids of a string, without specials."""
        return Encoding(self._model.EncodeAsIds(text))

    def decode(self, ids, skip_special_tokens=False):
        """The string of a list of ids."""
        return self._model.DecodeIds(ids)

    def to_str(self):
        """JSON text that `from_json` reads."""
        return json.dumps({"sentencepiece": base64.b64encode(self._data).decode()})

    @classmethod
    def from_json(cls, content):
        """The tokenizer of `to_str`, its JSON parsed."""
        return cls(base64.b64decode(content["sentencepiece"]))
