"""Keys and values of prefixes, kept while an expert learns alone, and trained on again and again.

A frozen VLM says the same of a picture each time, and saying it costs several times what the
expert's step on it does. So each step puts a few new prefixes in the place of the oldest, and the
expert learns from many, drawn at random from all that are kept.
"""

from collections import deque
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from pi05lite.model.batch import OF_PICTURES, OF_TEXT, Batch
from pi05lite.model.masks import Layout
from pi05lite.model.pi05 import Prefix

EMPTY = {"places": -1, "docks": torch.nan}  # where there is no token; 0 of all others


@dataclass
class Row:
    """One prefix, without padding, and what belongs to it in its batch."""

    cameras: tuple  # which the robot has
    cache: torch.Tensor  # (T, layers, 2, N', K) keys and values, in float16
    dtype: torch.dtype  # ... and what they were in
    layout: torch.Tensor  # (T, 2) kind and validity
    batch: dict  # name in Batch -> its tensor, without the pictures


class Kept:
    """The newest `size` Rows; draws batches of them."""

    def __init__(self, size):
        self.rows = deque(maxlen=size)

    def __len__(self):
        return len(self.rows)

    def add(self, rows):
        """Keep Rows, the newest last; the oldest leave where there are too many."""
        self.rows.extend(rows)

    def draw(self, count, generator=None):
        """`count` rows at random, any of them twice if so drawn: [(Prefix, Batch)] by cameras."""
        groups = {}
        for i in torch.randint(len(self.rows), (count,), generator=generator).tolist():
            groups.setdefault(self.rows[i].cameras, []).append(self.rows[i])
        return [together(rows) for rows in groups.values()]


def rows_of(prefix, batch):
    """The Rows that have actions, of a Prefix and its Batch (without action tokens)."""
    images = prefix.valid.shape[1] - batch.tokens.shape[1]
    cache = torch.stack([torch.stack(pair, 1) for pair in prefix.cache], 1).movedim(-2, 1)
    half = cache.to(torch.float16)  # (B, T, layers, 2, N', K)
    layout = torch.stack([prefix.kinds, prefix.valid.to(prefix.kinds)], -1)
    made = []
    for b in batch.action_mask.flatten(1).any(1).nonzero()[:, 0].tolist():
        length = int(batch.valid[b].sum())
        rest = {name: x[b, :length] if name in OF_TEXT else x[b]
                for name, x in vars(batch).items() if x is not None and name not in OF_PICTURES}
        made.append(Row(tuple(batch.image_mask[b].tolist()), half[b, :images + length].clone(),
                        cache.dtype, layout[b, :images + length], rest))
    return made


def together(rows):
    """(Prefix, Batch) of rows that have the same cameras."""
    cache = pad([row.cache for row in rows]).to(rows[0].dtype)
    cache = cache.movedim(1, -2)  # (B, layers, 2, N', T, K)
    kinds, valid = pad([row.layout for row in rows]).unbind(-1)
    columns = {name: [row.batch[name] for row in rows] for name in rows[0].batch}
    values = {name: pad(column, EMPTY.get(name, 0)) if name in OF_TEXT
              else torch.stack(column) for name, column in columns.items()}
    prefix = Prefix(None, [layer.unbind(1) for layer in cache.unbind(1)],
                    Layout(kinds, valid.bool()), values.get("state"))
    return prefix, Batch(images=cache.new_empty(len(rows), 0), **values)


def pad(parts, value=0):
    """Tensors of unlike lengths as one, the short ones filled up at the end."""
    return pad_sequence(parts, batch_first=True, padding_value=value)
