"""What all checks share: points, verdicts, the seal, and errors of the learner's code."""

import sys
import warnings

import pytest
import torch

from pi05lite.checks import core, going_on
from pi05lite.checks.core import check, claim, compare


def answer(x):
    """What the package holds."""
    return x + 1


@check("plus_one", 2, seals=(answer,))
def check_plus_one(mine):
    yield compare("the sum", mine(torch.ones(2)), torch.full((2,), 2.0), 1, {
        "one less, not one more": torch.zeros(2)})
    yield claim(mine(3) == 4, 1, "numbers too", "fails for a number")


def test_a_right_answer_gets_a_plain_int(capsys):
    points = check_plus_one(lambda x: x + 1)
    assert points == 2 and type(points) is int
    assert "2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("mine, says", [
    (lambda x: x - 1, "one less, not one more"), (lambda x: None, "return"),
    (lambda x: "two", "expected numbers"), (lambda x: torch.ones(3), "expected the shape (2,)"),
    (lambda x: x * float("nan"), "NaN"), (lambda: 1, "TypeError"),
    (lambda x: 1 / 0, "ZeroDivision"), (lambda x: x + 5, "not the expected values"),
    (7, "TypeError")])
def test_a_wrong_answer_is_told_what_is_wrong(mine, says, capsys):
    assert check_plus_one(mine) < 2
    assert says in capsys.readouterr().out


def test_an_untouched_stub_is_not_a_failure(capsys):
    def stub(x):
        raise NotImplementedError

    assert check_plus_one(stub) == 0
    assert "not attempted yet" in capsys.readouterr().out


def test_the_packages_own_answer_earns_nothing_under_any_name(capsys):
    alias = answer
    assert check_plus_one(answer) == 0 and check_plus_one(lambda x: alias(x)) == 0
    assert "without the package's own version" in capsys.readouterr().out
    assert answer(1) == 2  # whole again afterwards


def test_classes_are_sealed_by_their_forward():
    class Own(torch.nn.Module):
        def forward(self, x):
            return x

    built = Own()
    with core.sealed(Own):
        with pytest.raises(core.Borrowed):
            built(1)
    assert built(1) == 1


def test_warnings_and_stderr_do_not_reach_nbgrader(capsys):
    def noisy(x):
        warnings.warn("careful")
        print("careful", file=sys.stderr)
        return x + 1

    assert check_plus_one(noisy) == 2
    assert capsys.readouterr().err == ""


def test_going_on_takes_the_learners_object_only_after_it_passed(capsys):
    mine, other = (lambda x: x + 1), (lambda x: x + 2)
    check_plus_one(mine)
    assert going_on("plus_one", mine, answer) is mine
    check_plus_one(other)
    assert going_on("plus_one", other, answer) is answer
    assert "package's version" in capsys.readouterr().out
