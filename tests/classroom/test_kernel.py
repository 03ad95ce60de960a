"""The process that judges: what a check's last line is worth, and what is put back before it."""

import builtins
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("nbgrader")

from pi05lite.checks import core, sequence
from pi05lite.classroom.guard import Guard
from pi05lite.classroom.kernel import last_value, number


def test_the_last_line_is_the_points():
    assert last_value("a = 2\na + 1", {}) == 3
    assert last_value("a = 2\nassert a", {}) is None and last_value("", {}) is None
    with pytest.raises(NameError):
        last_value("b", {"a": 1})


@pytest.mark.parametrize("value, points", [
    (2, 2), (1.5, 1.5), (np.float64(3), 3), (np.int64(2), 2)])
def test_points_are_plain_numbers(value, points):
    assert repr(number(value)) == repr(points)


@pytest.mark.parametrize("value", [True, "2", torch.tensor(2), [2], None])
def test_anything_else_is_no_points(value):
    with pytest.raises(TypeError, match="must end in its points"):
        number(value)


@pytest.fixture(scope="module")
def guard():
    return Guard()


def everything_right(*args):
    return 4


@pytest.mark.parametrize("owner, name", [
    (sequence, "check_count"), (core, "claim"), (core, "near"), (core.Claim, "__init__"),
    (np, "allclose"), (torch, "equal"), (torch.Tensor, "tolist"), (builtins, "abs"),
    (torch.nn.functional, "relu")])
def test_changed_names_are_put_back(guard, owner, name):
    own, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, everything_right)
    try:
        changed = guard.put_back()
        assert getattr(owner, name) is before
    finally:
        if own:
            setattr(owner, name, before)
        elif name in vars(owner):
            delattr(owner, name)
    assert owner is builtins or changed == [f"{owner.__name__}.{name}"]
    assert guard.put_back() == []


def test_changed_code_and_modules_are_put_back(guard, monkeypatch):
    code = core.claim.__code__
    monkeypatch.setitem(sys.modules, "pi05lite.checks.sequence", core)
    core.claim.__code__ = everything_right.__code__
    try:
        assert set(guard.put_back()) == {"pi05lite.checks.sequence", "pi05lite.checks.core.claim"}
        assert sys.modules["pi05lite.checks.sequence"] is sequence and core.claim.__code__ is code
    finally:
        core.claim.__code__ = code


def test_an_untouched_process_has_nothing_to_put_back(guard):
    core.check("x", 1)(lambda mine: iter([core.claim(True, 1, "yes", "no")]))(None)
    torch.manual_seed(0)
    torch.zeros(2, requires_grad=True).sum().backward()
    assert guard.put_back() == []
