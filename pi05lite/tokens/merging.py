"""Byte pair encoding of many words at once, in numpy: the same tokens as one word after the other.

The plain algorithm merges the pair with the lowest rank, the leftmost first, and looks again. Two
facts let whole blocks of ranks go in one pass: a merge makes only pairs of higher rank than its
own, and as long as no merge of a block uses what another one of it makes, all that counts within
the block is which of two overlapping pairs has the lower rank.
"""

import numpy as np

NONE = 32767  # the rank of a pair that never merges
LARGEST = 4096  # ids for which a table of all pairs is still small (33 MB)


class Merger:
    """Merges given as (left id, right id, product id) by rank, for ids below `size`."""

    def __init__(self, merges, size):
        self.base = size + 2  # the two ids behind are marks that never merge
        self.product = np.array([product for _, _, product in merges] or [0], dtype=np.int32)
        self.ranks = np.full(self.base**2, NONE, dtype=np.int16)
        self.blocks, made = [], set()  # the rank at which each block ends
        for rank, (left, right, product) in enumerate(merges):
            self.ranks[left * self.base + right] = rank
            if {left, right} & made:
                self.blocks.append(rank)
                made = set()
            made.add(product)
        self.blocks.append(len(merges))

    def rank(self, left, right):
        """Ranks of pairs of ids."""
        return self.ranks.take(left * self.base + right)

    def __call__(self, ids):
        """Ids (N,) of words with marks between them -> the ids that are left, marks included.

        The last id must be a mark.
        """
        ids = ids.astype(np.int32)
        ranks = np.append(self.rank(ids[:-1], ids[1:]), np.int16(NONE))  # of each id with the next
        for end in self.blocks:
            found = np.flatnonzero(ranks < end)
            if len(found):
                ids, ranks = self.merge(ids, ranks, without_overlap(found, ranks.take(found)))
        return ids

    def merge(self, ids, ranks, places):
        """Merge the id at each place with the one behind it."""
        ids[places] = self.product.take(ranks.take(places))
        keep = np.ones(len(ids), dtype=bool)
        keep[places + 1] = False
        stay = np.flatnonzero(keep)  # taking by number is quicker than by mask
        ids, ranks = ids.take(stay), ranks.take(stay)
        places = places - np.arange(len(places))  # where they are now
        middle = ids.take(places)
        ranks[places] = self.rank(middle, ids.take(places + 1))
        before = places - 1  # -1 is the last one, a mark, which merges with nothing
        ranks[before] = self.rank(ids.take(before), middle)
        return ids, ranks


def without_overlap(places, ranks):
    """Of pairs that touch (places one apart) the lower rank stays, of equal ones the left one.

    places (M,) ascending, ranks (M,) -> the places that stay, ascending.
    """
    chosen = []
    while True:
        touch = places[1:] == places[:-1] + 1
        if not touch.any():
            chosen.append(places)
            return np.sort(np.concatenate(chosen)) if len(chosen) > 1 else places
        # Runs of touching pairs of one rank; a run next to a lower one has to wait for it.
        first = np.append(True, ~(touch & (ranks[1:] == ranks[:-1])))
        start = np.flatnonzero(first)
        rank, joined = ranks.take(start), touch.take(start[1:] - 1)  # joined: to the run before
        waits = np.zeros(len(start), dtype=bool)
        waits[1:] |= joined & (rank[:-1] < rank[1:])
        waits[:-1] |= joined & (rank[1:] < rank[:-1])
        odd = np.arange(len(places)) - np.repeat(start, np.diff(start, append=len(places))) & 1
        take = (odd == 0) & ~np.repeat(waits, np.diff(start, append=len(places)))
        chosen.append(places[take])
        if not waits.any():
            return chosen[0] if len(chosen) == 1 else np.sort(np.concatenate(chosen))
        gone = take.copy()
        gone[1:] |= take[:-1] & touch
        gone[:-1] |= take[1:] & touch
        places, ranks = places[~gone], ranks[~gone]
