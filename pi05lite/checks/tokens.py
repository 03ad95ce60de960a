"""Checks of chapter 05, action tokens."""

from collections import Counter

import numpy as np
import torch

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, several
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer, cosine_matrix
from pi05lite.tokens.quantizers import VectorQuantizer


@check("bins_and_back", 3, seals=(BinsTokenizer._encode, BinsTokenizer._decode))
def check_bins_and_back(bins_and_back):
    """bins_and_back(actions, low, high, bins) -> bin numbers, and the actions they stand for."""
    low, high, bins = np.array([-0.3, 1.0]), np.array([0.5, 41.0]), 16
    share = np.array([[0.02, 0.31], [0.47, 0.99], [-0.7, 0.55], [0.83, 1.4], [1.0, 0.0]])
    actions = low + share * (high - low)
    ids, back = several(bins_and_back(actions.copy(), low.copy(), high.copy(), bins), 2,
                        "bin numbers, actions")
    inside = share.clip(0, 1)
    right = np.minimum(np.floor(inside * bins), bins - 1)
    one = (actions - low.min()) / (high.max() - low.min())
    cut = lambda s: np.minimum(np.floor(s.clip(0, 1) * bins), bins - 1)  # noqa: E731
    yield compare("the bin numbers", ids, right, 2, {
        "values beyond the quantiles get bins that do not exist: clip first":
            np.floor(share * bins),
        f"the largest value gets bin {bins}, and there is none: the last bin is {bins - 1}":
            np.floor(inside * bins),
        "the bins are counted from 1": right + 1,
        "the value is rounded to the nearest of as many points, ends included; bins are stretches "
        "of equal length, and a value belongs to the one it lies in": np.rint(inside * (bins - 1)),
        "it is rounded where it must be cut off: bin k holds what lies from k to k + 1":
            np.minimum(np.rint(inside * bins), bins - 1),
        "all dimensions share one range; each has quantiles of its own": cut(one),
        "the actions are not normalised: the quantiles are not used": cut((actions + 1) / 2),
        "only the upper half of the bins is used: [-1, 1] must be spread over all of them":
            cut((inside + 1) / 2),
    }, "Which bin holds the 1 % quantile, which the 99 %, and which the middle?")
    spread = lambda s: low + s * (high - low)  # noqa: E731
    centre = (right + 0.5) / bins
    yield compare("the actions they stand for", back, spread(centre), 1, {
        "this is the lower edge of the bin; its centre is off by half a bin at most":
            spread(right / bins),
        "this is the upper edge of the bin, not its centre": spread((right + 1) / bins),
        "these are still normalised: bring them back to the robot's units": centre * 2 - 1,
        "these are shares of the range, 0 to 1: bring them back to the robot's units": centre,
        "this is the input, which the tokens no longer know": actions,
        "this is the clipped input, which the tokens no longer know": spread(inside),
    }, "A bin stands for its centre, in the robot's units.")


def waves(H, root=True, half=0.5, first=True):
    """The cosine matrix (H, H), right or with one thing wrong."""
    k, t = np.arange(H)[:, None], np.arange(H)[None, :]
    matrix = np.cos(np.pi * (t + half) * k / H) * (np.sqrt(2 / H) if root else 2)
    matrix[0] /= np.sqrt(2) if first and root else 1
    return matrix


@check("fast_numbers", 3, seals=(FastTokenizer._round, FastTokenizer.coefficients,
                                 cosine_matrix.__wrapped__))
def check_fast_numbers(fast_numbers):
    """fast_numbers(chunk, scale) -> H * A whole numbers, lowest frequencies first."""
    step = np.arange(11)[:, None]
    chunk = np.concatenate([np.sin(0.4 * step), 0.6 * np.cos(0.7 * step + 1), 0.05 * step - 0.3], 1)
    plain = waves(11) @ chunk
    got = fast_numbers(chunk.copy(), 10.0)
    if np.shape(got) == chunk.shape:
        raise Wrong("the numbers: they come as one row of H * A, and not as a table (H, A)")
    yield compare("the numbers", got, np.rint(plain * 10).ravel(), 2, {
        "one dimension follows the other; all dimensions' lowest frequency come first, so that a "
        "sequence that breaks off early still is a chunk": np.rint(plain * 10).T.ravel(),
        "the highest frequency comes first": np.rint(plain * 10)[::-1].ravel(),
        "it runs over the dimensions of one step; the waves run over time":
            np.rint(chunk @ waves(3).T * 10).ravel(),
        "this goes from frequencies to time: row k of the matrix is one wave":
            np.rint(waves(11).T @ chunk * 10).ravel(),
        "frequency 0 is not divided by the root of 2, so it weighs too much":
            np.rint(waves(11, first=False) @ chunk * 10).ravel(),
        "the root of 2 / H is missing, so the numbers grow with the length of the chunk":
            np.rint(waves(11, root=False) @ chunk * 10).ravel(),
        "the root of 2 / H is missing": np.rint(waves(11, root=False) / 2 @ chunk * 10).ravel(),
        "the half step is missing: a step's wave is read in its middle, at t + 1/2":
            np.rint(waves(11, half=0) @ chunk * 10).ravel(),
        "it was rounded before it was scaled": (np.rint(plain) * 10).ravel(),
        "it was divided by the scale; a larger scale must keep more": np.rint(plain / 10).ravel(),
        "it was not scaled: almost all is rounded away": np.rint(plain).ravel(),
        "it was not rounded: these are no whole numbers yet": (plain * 10).ravel(),
        "the digits were cut off (towards 0): round to the nearest whole number":
            np.trunc(plain * 10).ravel(),
        "it was rounded down: round to the nearest whole number": np.floor(plain * 10).ravel(),
        "this is the chunk itself, scaled and rounded: no frequencies":
            np.rint(chunk * 10).ravel(),
    }, "A chunk that does not move has one number that is not 0 in each dimension.")
    other = np.stack([np.linspace(-0.7, 1, 6)] * 2, 1) * [1.0, 0.37]
    right = np.rint(waves(6) @ other * 25).ravel()
    yield compare("another length and scale", fast_numbers(other.copy(), 25.0), right, 1, {
        "the scale is always 10": np.rint(waves(6) @ other * 10).ravel()})


def pairs_of(rows):
    """How often each pair of neighbours occurs in the rows."""
    return Counter(pair for row in rows for pair in zip(row, row[1:]))


def best(count):
    """The most frequent, of equals the smallest."""
    return min(count, key=lambda pair: (-count[pair], pair))


def merged(row, pair, new):
    """The row with the pair's token in place of it, from the left."""
    out, i = [], 0
    while i < len(row):
        hit = tuple(row[i:i + 2]) == tuple(pair)
        out.append(new if hit else row[i])
        i += 2 if hit else 1
    return out


def merged_slips(row, pair, new):
    """Mistakes of merging one row: sentence -> what they give."""
    turned = lambda r, p: merged(r[::-1], p[::-1], new)[::-1]  # noqa: E731
    stay = [new if tuple(row[i:i + 2]) == pair else row[i] for i in range(len(row))]
    first = next((i for i in range(len(row)) if tuple(row[i:i + 2]) == pair), None)
    once = row if first is None else [*row[:first], new, *row[first + 2:]]
    either, i = [], 0
    while i < len(row):
        hit = tuple(row[i:i + 2]) in (pair, pair[::-1])
        either.append(new if hit else row[i])
        i += 2 if hit else 1
    return {
        "in a run like 0 0 0 the left pair merges first, not the right one": turned(row, pair),
        "the second token of a pair is still there: two tokens become one": stay,
        "only the first pair of each row was merged": once,
        "the pair was also merged the other way round: (a, b) is not (b, a)": either,
        "every token of the pair was replaced, also where it stands alone":
            [new if t in pair else t for t in row],
        "nothing was merged": row,
    }


def pair_slips(rows):
    """Mistakes of choosing the pair: sentence -> the pair they choose."""
    count, every = pairs_of(rows), [token for row in rows for token in row]
    single = Counter(every)
    common = sorted(single, key=lambda t: (-single[t], t))
    unordered = Counter(tuple(sorted(p)) for row in rows for p in zip(row, row[1:]))
    apart = Counter(p for row in rows for p in zip(row[::2], row[1::2]))
    most = max(count.values())
    return {
        "pairs across the end of a row were counted: a chunk's last token has no neighbour":
            best(Counter(zip(every, every[1:]))),
        "this is a pair of the two most frequent tokens; count how often they stand side by side":
            (common[0], common[1]),
        "this is the most frequent token twice; count pairs": (common[0], common[0]),
        "(a, b) and (b, a) were counted as one pair": best(unordered),
        "only every other pair was looked at: a token has a neighbour on either side": best(apart),
        "of equally frequent pairs the smallest was asked for": next(
            pair for pair in count if count[pair] == most),
        "of equally frequent pairs the smallest was asked for, and this is the largest":
            max(pair for pair in count if count[pair] == most),
        "this is the rarest pair": min(count, key=lambda p: (count[p], p)),
    }


CORPUS = (
    [[3, 7, 7, 1, 3], [5, 3], [5, 2, 7, 1, 3], [5, 7, 3, 3]],  # 3 | 5 meets across rows
    [[0, 0, 0, 4, 0, 0], [4, 0, 9, 9, 0, 0, 0], [9, 0, 4]],  # runs
    [[6, 5, 6, 5, 1], [2, 1, 2, 1, 6], [8, 6, 8, 6, 1]],  # a tie of (6, 5), (2, 1) and (8, 6)
    [[1, 2, 1, 2, 2, 2, 1], [3, 2, 1, 1, 2, 1]],  # both orders of one pair
)


@check("merge_once", 3)
def check_merge_once(merge_once):
    """merge_once(rows, new) -> the most frequent pair, and the rows with it merged."""
    pairs, rows_back, kept = [], [], True
    for rows in CORPUS:
        given = [list(row) for row in rows]
        pair, out = several(merge_once(given, 50), 2, "pair, rows")
        pair = as_array("the pair", pair).astype(int)
        if pair.shape != (2,):
            raise Wrong(f"the pair: expected two tokens, got {pair.tolist()}")
        kept &= given == rows
        pairs.append(tuple(pair.tolist()))
        rows_back.append([[int(token) for token in row] for row in out])
    right = [best(pairs_of(rows)) for rows in CORPUS]
    yield claim(pairs == right, 1, "the pair", "the pair: " + choice(pairs, right))
    if not kept:
        raise Wrong("the rows that were handed in have been changed: build new ones")
    wanted = [[merged(row, pair, 50) for row in rows] for rows, pair in zip(CORPUS, pairs)]
    yield claim(rows_back == wanted, 2, "the merged rows",
                "the merged rows: " + merging(rows_back, pairs))


def choice(pairs, right):
    """Why the pairs chosen are wrong."""
    slips = [pair_slips(rows) for rows in CORPUS]
    for sentence in slips[0]:
        if pairs == [slip[sentence] for slip in slips]:
            return sentence
    k = next((k for k in range(len(pairs)) if pairs[k] != right[k]), 0)
    return (f"in {CORPUS[k]} it chose {pairs[k]}, which is not the most frequent pair (of equals "
            "the smallest)")


def merging(out, pairs):
    """Why the merged rows are wrong, for the pairs that were chosen."""
    slips = [[merged_slips(row, pair, 50) for row in rows] for rows, pair in zip(CORPUS, pairs)]
    for sentence in slips[0][0]:
        if out == [[slip[sentence] for slip in rows] for rows in slips]:
            return sentence
    k = next((k for k in range(len(out)) if out[k] != [
        merged(row, pairs[k], 50) for row in CORPUS[k]]), 0)
    return f"{CORPUS[k]} with {pairs[k]} merged into 50 cannot be {out[k]}"


@check("quantize", 4, seals=(VectorQuantizer, VectorQuantizer.nearest, VectorQuantizer.encode))
def check_quantize(quantize):
    """quantize(z, codebook) -> the codes' vectors, gradient straight through; codes; perplexity."""
    generator = torch.Generator().manual_seed(6)
    book = torch.randn(6, 3, generator=generator) * torch.tensor([[.5], [1], [2], [.3], [1], [9]])
    z = torch.randn(40, 3, generator=generator).requires_grad_()
    codebook = book.clone().requires_grad_()
    passed, codes, perplexity = several(quantize(z, codebook), 3, "vectors, codes, perplexity")
    far = torch.cdist(z.detach(), book)
    right = far.argmin(1)
    yield compare("the codes", codes, right, 1, {
        "these are the farthest codes": far.argmax(1),
        "a large dot product is not nearness: long codes win. Take the distance":
            (z.detach() @ book.T).argmax(1),
        "this compares directions (cosine); take the distance": (
            z.detach() @ (book / book.norm(dim=1, keepdim=True)).T).argmax(1),
        "distances are summed without their sign being removed":
            (z.detach()[:, None] - book).sum(-1).argmin(1),
        "these are distances summed as absolute values; take the squared ones":
            (z.detach()[:, None] - book).abs().sum(-1).argmin(1),
    }, "Of six codes, which lies closest to each z?")
    yield compare("the vectors", passed, book[right], 1, {
        "this is z, not rounded to its code: the detach belongs round the difference "
        "(code - z)": z, "these are the codes' numbers, not their vectors": right,
        "each vector stands halfway: z + (code - z) is the code":
            (z.detach() + book[right]) / 2,
    }, "Each z is replaced by the vector of its code.")
    yield straight(passed, z, codebook)
    share = torch.bincount(right, minlength=6) / len(z)
    used = share[share > 0]
    entropy = -(used * used.log()).sum()
    yield compare("the perplexity", perplexity, entropy.exp(), 1, {
        "this is the entropy; the perplexity is its exponential": entropy,
        "this is the entropy in bits; the perplexity is exp of the entropy in nats":
            entropy / np.log(2),
        "2 to the power of an entropy in nats: use one base for both": 2**entropy,
        "e to the power of an entropy in bits: use one base for both": (entropy / np.log(2)).exp(),
        "this counts the codes that occur, however rarely": len(used),
        "the sign is missing: this is one over it": (-entropy).exp(),
        "this is the inverse of the largest share": 1 / share.max(),
    }, "Two codes in even use have a perplexity of 2. Code that nothing uses gives 0 log 0, which "
        "counts as 0.")


def straight(passed, z, codebook):
    """The claim about the gradient."""
    weight = torch.linspace(-1, 2, z.numel()).view_as(z)
    right = "the gradient goes straight through"
    if not isinstance(passed, torch.Tensor) or not passed.requires_grad:
        return claim(False, 1, right, "no gradient comes back: choosing a code has none. Give it "
                     "that of z: z + (code - z) with the bracket detached")
    if passed.shape != z.shape:
        return claim(False, 1, right, f"the vectors: expected the shape {tuple(z.shape)}")
    to_z, to_codes = torch.autograd.grad((passed * weight).sum(), [z, codebook], allow_unused=True)
    if to_z is None or not to_z.any():
        return claim(False, 1, right, "the gradient ends at the codebook: the encoder would learn "
                     "nothing. z + (code - z), the bracket detached")
    if to_codes is not None and to_codes.any():
        return claim(False, 1, right, "the codes get the gradient too: detach the whole bracket. "
                     "Here the codes follow by a moving average")
    return claim(torch.allclose(to_z, weight), 1, right,
                 "z gets another gradient than its code's vector: it must pass unchanged")
