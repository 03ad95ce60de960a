"""PaliGemma's own text tokenizer, which the published weights were trained with.

Its licence does not let us ship it: it is read from a file that the user has.
"""

import os
from pathlib import Path

from pi05lite.config import pi05
from pi05lite.errors import ConfigError, say
from pi05lite.tokens.text import TextTokenizer

HUB = "google/paligemma-3b-pt-224"


def paligemma(path=None, vocabulary=None):
    """PaliGemma's tokenizer: a tokenizer.json, or a SentencePiece file (*.model).

    path: the file; None: PI05LITE_TOKENIZER, else the Hugging Face cache, else openpi's cache.
    vocabulary: where action ids begin (None: the full model's): rarer words have no ids then.
    Raises ConfigError that says how to get it where there is none.
    """
    vocabulary = vocabulary or pi05().vocabulary
    places = [path] if path else [os.environ.get("PI05LITE_TOKENIZER"), *_caches()]
    for place in places:
        if place and Path(place).is_file():
            return TextTokenizer.load(place).limited(vocabulary.text)
    raise ConfigError(say(
        "PaliGemma's tokenizer", "a tokenizer.json or a SentencePiece file",
        f"none at {path}" if path else "none in PI05LITE_TOKENIZER, nor in the caches",
        f"accept the licence of {HUB} on the Hub, then `hf download {HUB} tokenizer.json`; or "
        "fetch gs://big_vision/paligemma_tokenizer.model as openpi does, and name it in "
        "PI05LITE_TOKENIZER"))


def _caches():
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(HUB, "tokenizer.json")
    openpi = Path(os.environ.get("OPENPI_DATA_HOME", Path.home() / ".cache" / "openpi"))
    return [found if isinstance(found, str) else None,
            openpi / "big_vision" / "paligemma_tokenizer.model"]
