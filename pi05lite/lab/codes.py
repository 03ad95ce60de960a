"""What an action tokenizer promises: chunks to ids and back, whatever the ids.

B chunks, H horizon, A action size.
"""

import tempfile

import numpy as np

from pi05lite.errors import Pi05Error
from pi05lite.lab.parts import name_of
from pi05lite.lab.promise import must
from pi05lite.tokens.actions import load

B, H, A = 64, 10, 4


class Case:
    """A tokenizer fitted on smooth chunks (B, H, A)."""

    def __init__(self, part, seed):
        self.part, self.seed, self.name = part, seed, name_of(part)

    def make(self):
        """A fitted tokenizer, the same each time."""
        tokenizer = self.part() if callable(self.part) else self.part
        return tokenizer if tokenizer.fitted and not callable(self.part) else (
            tokenizer.fit(self.chunks) or tokenizer)

    def start(self):
        """Draw chunks and fit."""
        rng = np.random.default_rng(self.seed)
        t = np.arange(H)[None, :, None] / H
        phase, speed = rng.uniform(-3, 3, (2, B, 1, A))
        self.chunks = (0.9 * np.sin(speed * t + phase)).astype(np.float32)
        self.tokenizer = self.make()
        self.ids = self.tokenizer.encode(self.chunks)


def shapes(case):
    t = case.tokenizer
    must(len(case.ids) == B, "encode", f"a list of ids for each of {B} chunks", len(case.ids),
         "return one list a chunk")
    flat = [int(i) for ids in case.ids for i in ids]
    must(bool(flat) and min(flat) >= 0 and max(flat) < t.vocabulary_size, "ids of encode",
         f"0 to {t.vocabulary_size - 1} (vocabulary_size)", (min(flat), max(flat)),
         "set vocabulary_size to the number of ids, or count ids from 0")
    longest, most = max(map(len, case.ids)), t.max_length(H, A)
    must(longest <= most, "length of a chunk in ids", f"at most max_length(H, A) = {most}", longest,
         "give the true maximum: it sizes the sequence")
    chunks, ok = t.decode(case.ids, H, A)
    must(chunks.shape == (B, H, A) and len(ok) == B, "decode", f"chunks {(B, H, A)} and ok ({B},)",
         (chunks.shape, np.shape(ok)), "return both")


def determinism(case):
    again = case.make().encode(case.chunks)
    must([list(a) for a in again] == [list(a) for a in case.ids], "fit and encode, done twice",
         "the same ids", "other ids", "seed what is drawn in fit, draw nothing in encode")


def decoding(case):
    chunks, ok = case.tokenizer.decode(case.ids, H, A)
    must(bool(np.all(ok)), "decode of what encode wrote", "well formed", f"{int((~ok).sum())} of "
         f"{B} are not", "accept every sequence that encode can write")
    spread = float(np.square(case.chunks - case.chunks.mean(0)).mean())
    share = float(np.square(chunks - case.chunks).mean()) / spread
    must(share < 0.5, "squared error of decode(encode(chunks)), as a share of the mean chunk's",
         "below 0.5", f"{share:.2g}", "check that decode undoes encode step by step")


def padding(case):
    mask = np.ones((B, H), dtype=bool)
    mask[:, 7:] = False
    other = case.chunks.copy()
    other[:, 7:] = 0.3
    a, b = (case.tokenizer.encode(c, mask) for c in (case.chunks, other))
    must([list(x) for x in a] == [list(x) for x in b], "encode with a mask", "ids that do not "
         "depend on what stands behind the end", "other ids",
         "let ActionTokenizer.encode call your _encode: it fills the padding first")


def broken(case):
    """Ids that a model might write: too few, too many, any at all."""
    rng, size = np.random.default_rng(1), case.tokenizer.vocabulary_size
    rows = [[], case.ids[0][:-1], [*case.ids[0], *case.ids[0]],
            rng.integers(size, size=7).tolist()]
    try:
        chunks, ok = case.tokenizer.decode(rows, H, A)
    except Exception as error:  # whatever somebody's own decode raises
        must(False, "decode of broken sequences", "some chunk, and ok = False",
             f"{type(error).__name__}: {error}", "fill up or cut, and say so in ok")
    must(chunks.shape == (len(rows), H, A) and np.isfinite(chunks).all(), "decode of broken "
         "sequences", f"finite chunks {(len(rows), H, A)}", chunks.shape, "fill up or cut")
    must(not ok[0] and not ok[1], "ok of a sequence that is too short", "False", list(ok[:2]),
         "say which sequences spell a whole chunk: policies rely on it")


def following(case):
    """Written id by id, choosing among may_follow at random, every chunk becomes whole."""
    t, rng = case.tokenizer, np.random.default_rng(2)
    limit = t.max_length(H, A)
    for _ in range(3):
        ids = []
        while (may := t.may_follow(ids, H, A, limit)).any() and len(ids) <= limit:
            ids.append(int(rng.choice(np.flatnonzero(may))))
        whole = len(ids) <= limit and bool(t.decode([ids], H, A)[1][0])
        must(whole, "a chunk written by may_follow", f"whole within {limit} ids",
             f"{len(ids)} ids that are not", "write `places` and `spans`: how much of a chunk each "
             "id fills")


def saves(case):
    with tempfile.TemporaryDirectory() as folder:
        case.tokenizer.save(folder)
        try:
            again = load(folder)
        except Pi05Error as error:
            must(False, "load of what save wrote", "the same tokenizer", str(error),
                 "set `kind`, write _config and _from_config")
    ids = again.encode(case.chunks)
    must([list(a) for a in ids] == [list(a) for a in case.ids], "a saved tokenizer",
         "the same ids", "other ids", "write all that fit learned in _config")


PROMISES = {"shapes": shapes, "determinism": determinism, "decoding": decoding, "padding": padding,
            "broken": broken, "following": following, "saves": saves}
