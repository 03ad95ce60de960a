"""The high level against the script, in homes never seen."""

import pytest

from pi05lite.evaluate.subtasks import accuracy, subtasks


class Says:
    """A driver whose high level gives fixed words."""

    def __init__(self, text):
        self.text = text

    def say_subtasks(self, asked):
        assert all(prompt and o.images["base"].shape == (32, 32, 3) for o, prompt in asked)
        return [self.text(k) for k in range(len(asked))]


def test_synonyms_are_right_and_other_words_are_wrong():
    rows = subtasks(Says(lambda k: "shut the drawer"), "long", 2, every=100, size=32,
                    progress=False)
    assert {row["task"] for row in rows} == {"dishes", "drawer"}
    right = [row for row in rows if row["right"]]
    assert right and all(row["expected"] == "close the drawer" for row in right)
    assert all(row["right"] for row in rows if row["expected"] == "close the drawer")
    mean, low, high = accuracy(rows)
    assert 0 <= low <= mean <= high < 1 and mean > 0


def test_accuracy_counts_trials_alike():
    rows = [{"trial": "a", "right": True}] * 9 + [{"trial": "b", "right": False}]
    assert accuracy(rows)[0] == pytest.approx(0.5)
