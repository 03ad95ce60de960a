"""Which tokens may come next, so that a chunk written token by token always decodes.

A chunk has a number of places (coefficients, values or codes), and every token fills some of them.
A token may follow if it does not overfill the chunk and the tokens that are left can fill the rest.
"""

from functools import lru_cache

import numpy as np

NEVER = 1 << 30  # more tokens than anything takes


@lru_cache(maxsize=64)
def fewest_tokens(spans, places):
    """(places + 1,) how few tokens fill exactly n places, given the spans (a tuple) that exist."""
    fewest = np.full(places + 1, NEVER)
    fewest[0] = 0
    steps = np.array([span for span in spans if 0 < span <= places], dtype=int)
    for n in range(1, places + 1):
        fits = steps[steps <= n]
        if len(fits):
            fewest[n] = min(fewest[n - fits].min() + 1, NEVER)
    fewest.flags.writeable = False
    return fewest


def may_follow(spans, fewest, left, tokens_left):
    """(V,) bool: tokens of `spans` (V,) places that keep a chunk with `left` places to fill whole.

    `fewest` is the table of `fewest_tokens`. None may follow where nothing is left to fill.
    """
    after = left - spans
    fits = (spans > 0) & (after >= 0)
    return fits & (fewest[np.where(fits, after, 0)] < tokens_left)


class Utf8Spelling:
    """The same for tokens that are pieces of UTF-8, which may end inside a character.

    pieces: the bytes of every token; known: the character numbers that single bytes can spell.
    """

    def __init__(self, pieces, known):
        self.pieces = pieces
        spelled = [chr(k).encode() for k in known]
        # How many bytes a character that begins so still lacks; only known characters begin.
        self.missing = {s[:n]: len(s) - n for s in spelled for n in range(1, len(s))}
        self.largest = max(known)
        self.after = {}  # bytes of an unfinished character -> what each token does behind them
        spans, missing = self._effect(b"")
        self.spans = tuple(sorted({int(s) for s, m in zip(spans, missing) if s > 0 and m == 0}))

    def fewest(self, places):
        """The table of `fewest_tokens`, of tokens that hold whole characters."""
        return fewest_tokens(self.spans, places)

    def may_follow(self, ids, places, limit):
        """(V,) bool: tokens that may follow `ids` in a chunk of `places` characters."""
        data = b"".join(self.pieces[i] for i in ids)
        written = len(data.decode("utf-8", errors="ignore"))
        unfinished = next((data[-n:] for n in (1, 2, 3) if data[-n:] in self.missing), b"")
        spans, missing = self._effect(unfinished)
        after = places - written - spans - (missing > 0)
        fits = (spans + missing > 0) & (after >= 0)
        need = missing + self.fewest(places)[np.where(fits, after, 0)]
        return fits & (need < limit - len(ids))

    def _effect(self, unfinished):
        """Behind an unfinished character: characters each token completes, bytes it then lacks."""
        if unfinished not in self.after:
            pairs = [self._read(unfinished + piece) if piece else (0, 0) for piece in self.pieces]
            self.after[unfinished] = tuple(np.array(pairs).T)
        return self.after[unfinished]

    def _read(self, data):
        """(Characters, bytes lacking at the end) of UTF-8 data; (0, 0) if it cannot be right."""
        cut = next((n for n in (1, 2, 3) if data[-n:] in self.missing), 0)
        whole, rest = data[:len(data) - cut], data[len(data) - cut:]
        try:
            text = whole.decode("utf-8")
        except UnicodeDecodeError:
            return 0, 0
        if text and ord(max(text)) > self.largest:
            return 0, 0
        return len(text), self.missing.get(rest, 0)
