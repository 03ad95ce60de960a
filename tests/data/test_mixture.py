"""A mixture is a pure function of its seed and the number of the example."""

import pickle
from collections import Counter

import pytest

from pi05lite.data.mixture import Mixture
from pi05lite.errors import DataError


class Numbers:
    """A source of `length` tuples (name, index)."""

    def __init__(self, name, length):
        self.name, self.length = name, length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        assert 0 <= i < self.length
        return self.name, i


def sources():
    return [Numbers("a", 1000), Numbers("b", 10), Numbers("c", 3)]


def mixed(weights=None, seed=0):
    return Mixture(sources(), weights or {"a": 5, "b": 3, "c": 2}, seed)


def test_an_example_depends_on_the_seed_and_its_number_only():
    one, two = mixed(), mixed()
    backwards = {i: two[i] for i in reversed(range(50))}
    assert [one[i] for i in range(50)] == [backwards[i] for i in range(50)]
    assert [one[i] for i in range(50)] != [mixed(seed=1)[i] for i in range(50)]


def test_a_run_that_stopped_goes_on_as_it_would_have():
    whole = [mixed()[i] for i in range(40)]
    first = [mixed()[i] for i in range(25)]
    assert first + [mixed()[i] for i in range(25, 40)] == whole


def test_a_worker_process_gets_the_same_examples():
    one = mixed()
    two = pickle.loads(pickle.dumps(one))
    assert [one[i] for i in range(20)] == [two[i] for i in range(20)]


def test_proportions_follow_the_weights():
    n, mixture = 8000, mixed()
    counts = Counter(mixture[i][0] for i in range(n))
    for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
        deviation = (share * (1 - share) / n) ** 0.5
        assert abs(counts[name] / n - share) < 4 * deviation


def test_only_the_ratio_of_weights_counts():
    one, two = mixed(), mixed({"c": 0.02, "b": 0.03, "a": 0.05})
    assert [one[i] for i in range(200)] == [two[i] for i in range(200)]


def test_all_examples_of_a_source_come_equally_often():
    n, mixture = 6000, Mixture([Numbers("b", 10)])
    counts = Counter(mixture[i][1] for i in range(n))
    assert set(counts) == set(range(10))
    assert max(abs(count / n - 0.1) for count in counts.values()) < 4 * (0.09 / n) ** 0.5


def test_successive_examples_are_unrelated():
    n, mixture = 4000, Mixture([Numbers("x", 1), Numbers("y", 1)], {"x": 1, "y": 1})
    names = [mixture[i][0] for i in range(n)]
    same = sum(a == b for a, b in zip(names, names[1:])) / (n - 1)
    assert abs(same - 0.5) < 4 * 0.5 / n**0.5


def test_without_weights_large_sources_are_held_back():
    shares = Mixture(sources()).shares
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[1] == pytest.approx(100**0.43)


def test_the_report_counts_what_is_drawn():
    mixture = mixed()
    drawn = Counter(mixture[i][0] for i in range(30, 80))
    assert mixture.report(30, 80) == dict(drawn)
    assert Mixture(sources(), {"a": 1, "b": 1e-9, "c": 1}).report(0, 20)["b"] == 0


@pytest.mark.parametrize("weights", [
    {"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 1, "b": 0, "c": 1},
    {"a": 1, "b": -1, "c": 1}, {}])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(DataError, match="mixture weights"):
        Mixture(sources(), weights)


def test_sources_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="mixture sources"):
        Mixture([])
    with pytest.raises(DataError, match="mixture sources"):
        Mixture([Numbers("a", 1), Numbers("a", 2)])
    with pytest.raises(DataError, match="source empty"):
        Mixture([Numbers("a", 1), Numbers("empty", 0)])
