"""Who may look at whom and where each token stands: all of it follows from one Layout.

    keys ->      pictures+prompt   text     action tokens   state   flow
    prompt       all               -        -               -       -
    text         all               causal   -               -       -
    action       all               all      causal          -       -
    state        all               all      never           own     -
    flow         all               all      never           all     all (one block)

Nothing sees the expert's tokens (state, flow) but themselves, so a prefix's keys and values never
depend on them. pi0.5 section IV; openpi's `make_attn_mask` gives the same for what it knows of.
"""

from dataclasses import dataclass
from itertools import groupby

import torch

from pi05lite.tokens.kind import Kind


@dataclass(frozen=True)
class Layout:
    """A batch of sequences, told by the kind of each token and whether it is one at all."""

    kinds: torch.Tensor  # (B, T) Kind
    valid: torch.Tensor  # (B, T) bool, False = padding

    def append(self, kinds):
        """The same sequences with valid tokens of these kinds (a list of Kind) behind them."""
        B = len(self.kinds)
        new = torch.tensor(kinds, dtype=self.kinds.dtype, device=self.kinds.device)
        return Layout(torch.cat([self.kinds, new.expand(B, -1)], dim=1),
                      torch.cat([self.valid, self.valid.new_ones(B, len(kinds))], dim=1))

    def mask(self, last=None):
        """(B, Q, T) bool, True where a token may look; Q: all tokens, or only the `last` ones.

        Rows and columns of padding are all False.
        """
        rows = slice(None) if last is None else slice(-last, None)
        causal = (self.kinds == Kind.TEXT) | (self.kinds == Kind.ACTION)
        opens = causal | (self.kinds == Kind.STATE) | self._first_flow()
        block = opens.cumsum(dim=1)  # each token sees its own and all earlier blocks
        mask = block[:, None, :] <= block[:, rows, None]
        tokens = (self.kinds == Kind.ACTION)[:, None, :]
        mask = mask & ~(tokens & self._expert()[:, rows, None])
        return mask & self.valid[:, None, :] & self.valid[:, rows, None]

    def positions(self, last=None):
        """(B, Q) how many tokens that it could see came before each one.

        The expert's tokens do not count the action tokens, which they never see.
        """
        seen = self.valid.long().cumsum(dim=1)
        without = (self.valid & (self.kinds != Kind.ACTION)).long().cumsum(dim=1)
        places = torch.where(self._expert(), without, seen) - 1
        return places if last is None else places[:, -last:]

    def describe(self, row=0):
        """The block picture of one sequence as text: which block looks at which."""
        return block_picture(self.kinds[row].tolist(), self.valid[row].tolist(),
                             self.mask()[row].cpu())

    def _expert(self):
        return (self.kinds == Kind.FLOW) | (self.kinds == Kind.STATE)

    def _first_flow(self):
        flow = self.kinds == Kind.FLOW
        return flow & (flow.cumsum(dim=1) == 1)


def block_picture(kinds, valid, mask):
    """One line a block of equal tokens: "all", "causal", "-" or "some" for each block it may see.

    kinds, valid: lists of T; mask (T, T) bool.
    """
    names = [Kind(k).label if v else "padding" for k, v in zip(kinds, valid)]
    blocks, first = [], 0
    for name, run in groupby(names):
        count = len(list(run))
        blocks.append((f"{name} x{count}", slice(first, first + count)))
        first += count
    wide = max(len(name) for name, _ in blocks) + 2
    lines = [" " * wide + "".join(name.ljust(wide) for name, _ in blocks)]
    for name, rows in blocks:
        lines.append(name.ljust(wide) + "".join(
            look(mask[rows, columns]).ljust(wide) for _, columns in blocks))
    return "\n".join(line.rstrip() for line in lines)


def look(mask):
    """One word for a block (Q, K) of a mask."""
    if mask.all():
        return "all"
    if not mask.any():
        return "-"
    return "causal" if torch.equal(mask, torch.ones_like(mask).tril()) else "some"
