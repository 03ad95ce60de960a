"""Words of byte-level BPE: cut where the `tokenizers` library cuts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from pi05lite.tokens.words import DIGIT, LETTER, OTHER, WHITE, kinds, word_starts

LIBRARY = pre_tokenizers.ByteLevel(add_prefix_space=False)


def starts(text):
    """Where the library starts a word."""
    return [begin for _, (begin, _) in LIBRARY.pre_tokenize_str(text)]


@settings(max_examples=300)
@given(st.one_of(st.text("ab'st re1 2\n-vlmd", min_size=1), st.text(" '\t\n\x1c\xa0s", min_size=1),
                 st.text(st.characters(max_codepoint=2047), min_size=1)))
def test_words_start_where_the_library_starts_them(text):
    numbers = np.array([[ord(c) for c in text]] * 2)
    for row in word_starts(numbers):
        assert np.flatnonzero(row).tolist() == starts(text)


def test_every_character_that_a_tokenizer_can_have_is_of_the_librarys_kind():
    table = {(1, 2, 2): LETTER, (2, 1, 2): DIGIT, (2, 2, 1): OTHER, (2, 2, 2): WHITE}
    for k in range(2048):
        words = tuple(len(starts(front + chr(k))) for front in "a1-")
        assert kinds()[k] == table[words], hex(k)
