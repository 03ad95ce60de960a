"""Where byte-level BPE cuts a text into words, for many rows of characters at once.

GPT-2's rule: a run of letters, of digits or of anything else, each with one space in front if there
is one; a run of white space, without that last space; and English endings such as 's.
"""

import unicodedata
from functools import lru_cache

import numpy as np

OTHER, LETTER, DIGIT, WHITE = range(4)
SPACE, APOSTROPHE = ord(" "), ord("'")
WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
               0x202F, 0x205F, 0x3000}
ENDINGS = [("s", ""), ("t", ""), ("m", ""), ("d", ""), ("r", "e"), ("v", "e"), ("l", "l")]


@lru_cache(maxsize=1)
def kinds():
    """Table: character number -> its kind, for the characters below the surrogates."""
    table = np.full(0xD800, OTHER, dtype=np.int8)
    for k in range(len(table)):
        major = unicodedata.category(chr(k))[0]
        table[k] = LETTER if major == "L" else DIGIT if major == "N" else OTHER
    table[list(WHITE_SPACE)] = WHITE
    return table


def word_starts(numbers):
    """Character numbers (B, n) -> bool (B, n), True where a word starts."""
    kind = kinds().take(numbers)
    white = kind == WHITE
    starts = np.ones(numbers.shape, dtype=bool)
    joined = (numbers[:, :-1] == SPACE) & ~white[:, 1:]  # one space belongs to the word behind it
    starts[:, 1:] = (kind[:, 1:] != kind[:, :-1]) & ~joined
    # The last white character of a run stands alone, or goes with the word behind it.
    starts[:, 1:-1] |= white[:, 1:-1] & white[:, :-2] & ~white[:, 2:]
    row, place = np.nonzero((numbers == APOSTROPHE) & starts)
    behind = np.pad(numbers, ((0, 0), (0, 2)))[row[:, None], place[:, None] + [1, 2]].T
    for first, second in ENDINGS:
        found = (behind[0] == ord(first)) & ((behind[1] == ord(second)) if second else True)
        starts[row[found], place[found] + 1] = False
        rest = place[found] + (3 if second else 2)
        inside = rest < numbers.shape[1]
        starts[row[found][inside], rest[inside]] = True
    return starts
