"""The checks of chapter 05 on right answers, and on wrong ones that they must name."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.fft import dct

from pi05lite.checks import tokens as checks
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer, cosine_matrix
from pi05lite.tokens.quantizers import VectorQuantizer
from tests.checks.tools import verdict


def bins(clip=True, last=True, low=lambda q: q, number=np.floor, place=0.5, units=True):
    """Bins, right or with one thing wrong."""
    def there_and_back(actions, q01, q99, count):
        a, b = low(q01), q99 if low(q01) is q01 else np.full_like(q99, q99.max())
        share = (actions - a) / (b - a)
        share = share.clip(0, 1) if clip else share
        ids = number(share * count)
        ids = np.minimum(ids, count - 1) if last else ids
        back = (ids + place) / count
        return ids, q01 + back * (q99 - q01) if units else back * 2 - 1
    return there_and_back


def by_edges(actions, low, high, count):
    """The same by `digitize`, one dimension after the other, in torch."""
    ids, back = [], []
    for a in range(actions.shape[1]):
        edges = np.linspace(low[a], high[a], count + 1)
        ids.append(np.digitize(actions[:, a], edges[1:-1]))
        back.append(((edges[1:] + edges[:-1]) / 2)[ids[-1]])
    return torch.tensor(np.array(ids).T), torch.tensor(np.array(back).T)


@pytest.mark.parametrize("mine", [bins(), by_edges])
def test_right_bins(mine, capsys):
    assert verdict(checks.check_bins_and_back, mine, capsys)[0] == 3


def packaged_bins(actions, low, high, count):
    x = ((actions - low) / (high - low) * 2 - 1).clip(-1, 1)
    tokenizer = BinsTokenizer(count)
    return (tokenizer.encode(x[None]),) * 2


@pytest.mark.parametrize("mine, points, says", [
    (bins(clip=False, last=False), 0, "clip first"), (bins(last=False), 0, "gets bin 16"),
    (lambda *a: (bins()(*a)[0] + 1, bins()(*a)[1]), 1, "counted from 1"),
    (bins(number=np.rint), 0, "must be cut off"), (bins(low=lambda q: np.full_like(q, q.min())), 0,
                                                   "each has quantiles of its own"),
    (lambda a, low, high, n: (np.rint(((a - low) / (high - low)).clip(0, 1) * (n - 1)), a), 0,
     "ends included"),
    (lambda a, low, high, n: (np.floor((a + 1) / 2 * n).clip(0, n - 1), a), 0, "not normalised"),
    (bins(place=0), 2, "lower edge"), (bins(place=1), 2, "upper edge"),
    (bins(units=False), 2, "still normalised"),
    (lambda *a: (bins()(*a)[0], a[0]), 2, "no longer know"),
    (lambda *a: bins()(*a)[0], 0, "expected 2 values"),
    (packaged_bins, 0, "without the package's own")])
def test_wrong_bins_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_bins_and_back, mine, capsys)
    assert got == points and says in text


def waves(H, root=True, half=0.5, first=True):
    """The cosine matrix (H, H), a row a frequency; right or with one thing wrong."""
    size = np.full((H, 1), (2 / H) ** 0.5 if root else 2.0)
    size[0] *= 0.5 ** 0.5 if root and first else 1
    return size * np.cos(np.outer(np.arange(H), np.arange(H) + half) * np.pi / H)


def fast(matrix=waves, flat=lambda q: q.ravel(), whole=np.rint, scale=lambda q, s: q * s):
    """FAST's numbers, right or with one thing wrong."""
    return lambda chunk, s: flat(whole(scale(matrix(len(chunk)) @ chunk, s)))


def by_scipy(chunk, scale):
    """The same by scipy's transform."""
    return np.round(dct(chunk, axis=0, norm="ortho") * scale).astype(int).flatten().tolist()


@pytest.mark.parametrize("mine", [fast(), by_scipy])
def test_right_fast_numbers(mine, capsys):
    assert verdict(checks.check_fast_numbers, mine, capsys)[0] == 3


@pytest.mark.parametrize("mine, points, says", [
    (fast(flat=lambda q: q.T.ravel()), 0, "lowest frequency come first"),
    (fast(flat=lambda q: q[::-1].ravel()), 0, "highest frequency"),
    (fast(flat=lambda q: q), 0, "not as a table"), (fast(whole=np.trunc), 0, "cut off"),
    (fast(whole=np.floor), 0, "rounded down"), (fast(whole=lambda q: q), 0, "not rounded"),
    (fast(scale=lambda q, s: q / s), 0, "divided by the scale"),
    (fast(scale=lambda q, s: q), 0, "not scaled"),
    (fast(scale=lambda q, s: q * 10), 2, "always 10"),
    (fast(scale=lambda q, s: np.rint(q) * s), 0, "before it was scaled"),
    (lambda c, s: np.rint(dct(c, axis=0) * s).ravel(), 0, "grow with the length"),
    (lambda c, s: np.rint(dct(c, axis=1, norm="ortho") * s).ravel(), 0, "run over time"),
    (fast(lambda H: waves(H).T), 0, "from frequencies to time"),
    (fast(lambda H: waves(H, first=False)), 0, "frequency 0"),
    (fast(lambda H: waves(H, half=0)), 0, "half step"),
    (lambda c, s: np.rint(c * s).ravel(), 0, "no frequencies"),
    (lambda c, s: np.rint(cosine_matrix(len(c)) @ c * s).ravel(), 0, "without the package's own"),
    (lambda c, s: FastTokenizer(scale=s).coefficients(c[None]).ravel(), 0,
     "without the package's own")])
def test_wrong_fast_numbers_are_named(mine, points, says, capsys):
    cosine_matrix.cache_clear()
    got, text = verdict(checks.check_fast_numbers, mine, capsys)
    assert got == points and says in text


def test_no_number_of_the_check_is_near_a_half():
    """A right answer may be computed in another order."""
    step = np.arange(11)[:, None]
    chunk = np.concatenate([np.sin(0.4 * step), 0.6 * np.cos(0.7 * step + 1), 0.05 * step - 0.3], 1)
    other = np.stack([np.linspace(-0.7, 1, 6)] * 2, 1) * [1.0, 0.37]
    for x in (waves(11) @ chunk * 10, waves(6) @ other * 25):
        assert np.abs(x - np.floor(x) - 0.5).min() > 1e-3


def count_pairs(rows):
    return Counter(p for row in rows for p in zip(row, row[1:]))


def smallest(count):
    return min(count, key=lambda p: (-count[p], p))


def replace(row, pair, new, both=False, stay=False, most=99):
    """Merging a row, right or with one thing wrong."""
    out, i, done = [], 0, 0
    while i < len(row):
        here = tuple(row[i:i + 2])
        hit = done < most and (here == pair or both and here == pair[::-1])
        out.append(new if hit else row[i])
        i, done = i + (2 if hit and not stay else 1), done + hit
    return out


def merge(choose=lambda rows: smallest(count_pairs(rows)), put=replace):
    """One step of BPE."""
    def once(rows, new):
        pair = choose(rows)
        return pair, [put(row, pair, new) for row in rows]
    return once


def in_text(rows, new):
    """The same with strings."""
    count = {}
    for row in rows:
        for a, b in zip(row[:-1], row[1:]):
            count[a, b] = count.get((a, b), 0) + 1
    pair = max(sorted(count), key=count.get)
    texts = ["".join(map(chr, row)).replace(chr(pair[0]) + chr(pair[1]), chr(new)) for row in rows]
    return list(pair), [np.array([ord(c) for c in text]) for text in texts]


def in_place(rows, new):
    pair, out = merge()(rows, new)
    rows[:] = out
    return pair, rows


@pytest.mark.parametrize("mine", [merge(), in_text])
def test_right_merges(mine, capsys):
    assert verdict(checks.check_merge_once, mine, capsys)[0] == 3


def across(rows):
    tokens = [t for row in rows for t in row]
    return smallest(Counter(zip(tokens, tokens[1:])))


def unordered(rows):
    return smallest(Counter(tuple(sorted(p)) for row in rows for p in zip(row, row[1:])))


def most_tokens(rows):
    count = Counter(t for row in rows for t in row)
    return tuple(sorted(count, key=lambda t: (-count[t], t))[:2])


def from_the_right(row, pair, new):
    return replace(row[::-1], pair[::-1], new)[::-1]


@pytest.mark.parametrize("mine, points, says", [
    (merge(across), 2, "across the end of a row"),
    (merge(lambda rows: count_pairs(rows).most_common(1)[0][0]), 2, "the smallest was asked for"),
    (merge(lambda rows: max(count_pairs(rows), key=lambda p: (count_pairs(rows)[p], p))), 2,
     "this is the largest"),
    (merge(unordered), 2, "counted as one pair"),
    (merge(most_tokens), 2, "how often they stand side by side"),
    (merge(lambda rows: smallest(Counter(p for r in rows for p in zip(r[::2], r[1::2])))), 2,
     "every other pair"),
    (merge(put=from_the_right), 1, "the left pair merges first"),
    (merge(put=lambda *a: replace(*a, both=True)), 1, "the other way round"),
    (merge(put=lambda *a: replace(*a, stay=True)), 1, "still there"),
    (merge(put=lambda *a: replace(*a, most=1)), 1, "only the first"),
    (merge(put=lambda row, pair, new: row), 1, "nothing was merged"),
    (merge(put=lambda row, pair, new: row[:-1]), 1, "cannot be"),
    (in_place, 1, "have been changed"),
    (lambda rows, new: merge()(rows, new)[1], 0, "expected 2 values")])
def test_wrong_merges_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_merge_once, mine, capsys)
    assert got == points and says in text


def vq(codes=lambda z, book: torch.cdist(z, book).argmin(1),
       through=lambda z, q: z + (q - z).detach(), uses=None):
    """The nearest code, right or with one thing wrong."""
    def quantize(z, book):
        found = codes(z, book)
        share = torch.bincount(found, minlength=len(book)) / len(z)
        if uses is not None:
            return through(z, book[found]), found, uses(share)
        return through(z, book[found]), found, (-torch.xlogy(share, share).sum()).exp()
    return quantize


def squares(z, book):
    """The same without cdist and with lists."""
    far = (z[:, None] - book[None]).square().sum(-1)
    found = far.min(1).indices
    parts = found.unique(return_counts=True)[1] / len(found)
    with torch.no_grad():
        jump = book.index_select(0, found) - z
    return [z + jump, found.tolist(), float(np.exp(-(parts * parts.log()).sum()))]


def entropy(share):
    return -torch.xlogy(share, share).sum()


@pytest.mark.parametrize("mine", [vq(), squares])
def test_right_quantisers(mine, capsys):
    assert verdict(checks.check_quantize, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (vq(lambda z, book: torch.cdist(z, book).argmax(1)), 1, "farthest"),
    (vq(lambda z, book: (z @ book.T).argmax(1)), 1, "dot product"),
    (vq(lambda z, book: torch.cdist(z, book, p=1).argmin(1)), 1, "absolute values"),
    (vq(through=lambda z, q: q.detach()), 3, "no gradient comes back"),
    (vq(through=lambda z, q: q), 3, "ends at the codebook"),
    (vq(through=lambda z, q: q + (z - q).detach()), 2, "round the difference"),
    (vq(through=lambda z, q: z + q - z.detach()), 3, "codes get the gradient too"),
    (vq(through=lambda z, q: 2 * z + (q - 2 * z).detach()), 3, "must pass unchanged"),
    (vq(uses=entropy), 3, "this is the entropy; "),
    (vq(uses=lambda s: entropy(s) / np.log(2)), 3, "in bits; "),
    (vq(uses=lambda s: 2 ** entropy(s)), 3, "use one base"),
    (vq(uses=lambda s: (s > 0).sum()), 3, "however rarely"),
    (vq(uses=lambda s: (-(s * s.log()).sum()).exp()), 3, "NaN"),
    (vq(uses=lambda s: (-entropy(s)).exp()), 3, "sign is missing"),
    (lambda z, book: vq()(z, book)[0], 0, "expected 3 values"),
    (lambda z, book: vq(lambda z, b: VectorQuantizer(6, 3).nearest(z))(z, book), 0,
     "without the package's own")])
def test_wrong_quantisers_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_quantize, mine, capsys)
    assert got == points and says in text


def test_the_quantisers_check_leaves_a_code_unused():
    """So that an entropy that fails on unused codes is found."""
    found = {}

    def spy(z, book):
        passed, found["codes"], perplexity = vq()(z, book)
        return passed, found["codes"], perplexity
    checks.check_quantize(spy)
    assert len(found["codes"].unique()) < 6
