"""What every check is made of: claims about the learner's object, told in words and points.

A check is a generator that takes the object and yields claims. `check` makes of it a function that
prints the verdict and returns the points, a plain int, which is what nbgrader takes. The package's
own answer raises while a check runs, so handing it in earns nothing.
"""

import contextlib
import io
import sys
import traceback
import warnings
from dataclasses import dataclass
from functools import wraps
from types import FunctionType

import numpy as np
import torch

BORROWED = "this exercise is solved without the package's own version"
PASSED = {}  # exercise -> the object that last earned full points


@dataclass
class Claim:
    """One thing that is right or wrong, and what to say about it."""

    ok: bool
    points: int
    said: str


class Wrong(Exception):
    """Ends a check early: what the learner gave cannot be judged further."""


class Borrowed(Exception):
    """The package's own version was called while a check ran."""


def claim(ok, points, right, wrong):
    """A claim about a property: `right` and `wrong` say what was found."""
    return Claim(bool(ok), points, right if ok else wrong)


def compare(what, got, right, points=1, mistakes=None, hint="", tolerance=1e-4):
    """A claim that an array equals the right one; `mistakes`: sentence -> what that mistake gives.

    Shape and finiteness come first. An unknown mistake gets `hint`, a sentence without the answer.
    """
    got, right = as_array(what, got), as_array(what, right)
    if got.shape != right.shape:
        return Claim(False, points, f"{what}: expected the shape {right.shape}, got {got.shape}")
    if not np.isfinite(got).all():
        return Claim(False, points, f"{what}: it holds NaN or infinity. {hint}".rstrip())
    if near(got, right, tolerance):
        return Claim(True, points, what)
    for sentence, wrong in (mistakes or {}).items():
        wrong = as_array(what, wrong)
        if wrong.shape == got.shape and near(got, wrong, tolerance):
            return Claim(False, points, f"{what}: {sentence}")
    return Claim(False, points, f"{what}: not the expected values. {hint}".rstrip())


def near(a, b, tolerance):
    """Whether two arrays agree up to the tolerance, NaN nowhere."""
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))


def as_array(what, value):
    """Tensors, arrays, lists and numbers as a float64 array; Wrong for anything else."""
    if value is None:
        raise Wrong(f"{what}: nothing came back. Is there a `return`?")
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise Wrong(f"{what}: expected numbers, got {type(value).__name__}") from None


def several(value, count, names):
    """The learner's `count` return values; Wrong where there are more or fewer."""
    if not isinstance(value, (tuple, list)) or len(value) != count:
        got = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
        raise Wrong(f"expected {count} values back ({names}), got {got}")
    return value


def check(exercise, points, seals=()):
    """Make a check of a generator of claims; `seals`: package functions that answer the exercise.

    Classes are sealed by their `forward`; a dotted name seals a function without importing it.
    """
    def make(judge):
        @wraps(judge)
        def run(mine):
            claims, note = judged(judge, mine, seals)
            earned = sum(c.points for c in claims if c.ok)
            if earned == points and note is None:
                PASSED[exercise] = mine
            show(exercise, earned, points, claims, note)
            return earned
        run.exercise, run.points = exercise, points
        return run
    return make


def judged(judge, mine, seals):
    """The claims of a check, and what ended it early or None. Warnings and stderr are held back:
    nbgrader takes both for a failure."""
    claims, quiet = [], io.StringIO()
    if str(getattr(mine, "__module__", "")).startswith("pi05lite."):
        return [], BORROWED
    try:
        with (sealed(*[s for s in seals if not isinstance(s, str)]),
              unhelped([s for s in seals if isinstance(s, str)]), warnings.catch_warnings(),
              contextlib.redirect_stderr(quiet)):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            for found in judge(mine):
                claims.append(found)
    except NotImplementedError:
        return [], "not attempted yet"
    except Borrowed as error:
        return [], str(error)
    except Wrong as error:
        return claims, str(error)
    except Exception as error:
        return claims, f"it stopped with {type(error).__name__}: {error}{where(error)}"
    return claims, None


def where(error):
    """The line of the learner's own code that an error came from, as far as it is known."""
    frames = [f for f in traceback.extract_tb(error.__traceback__)
              if "pi05lite" not in f.filename and "site-packages" not in f.filename and f.line]
    return f" (at `{frames[-1].line}`)" if frames else ""


def show(exercise, earned, points, claims, note):
    """Print the verdict: one line a claim, the points in front."""
    if note == "not attempted yet":
        print(f"{exercise}: not attempted yet ({points} points)")
        return
    print(f"{exercise}: {earned} of {points} points")
    for found in claims:
        print(f"  {'right' if found.ok else 'wrong'}  {found.said}")
    if note:
        print(f"  wrong  {note}")


def going_on(exercise, mine, package):
    """What the chapter goes on with: the learner's object if it passed, else the package's."""
    if PASSED.get(exercise) is mine:
        print(f"Going on with your {exercise}.")
        return mine
    print(f"Going on with the package's version of {exercise}.")
    return package


@contextlib.contextmanager
def sealed(*answers):
    """Calls to these package functions (or a class's forward) raise Borrowed while this runs.

    The code itself is changed, so every name that a function was imported under is sealed; it must
    not capture variables.
    """
    functions = [a.forward if isinstance(a, type) else a for a in answers]
    codes = [(f, f.__code__) for f in functions]
    try:
        for f in functions:
            f.__code__ = raises.__code__
        yield
    finally:
        for f, code in codes:
            f.__code__ = code


def raises(*args, **kwargs):
    """What a sealed function does; it runs in that function's module, so it imports by itself."""
    from pi05lite.checks.core import BORROWED, Borrowed
    raise Borrowed(BORROWED)


def named(frame):
    """The dotted name of the function that a frame runs."""
    return f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"


@contextlib.contextmanager
def unhelped(names=()):
    """Borrowed where code from outside calls a function of the chapters' checks, of which some are
    answers, or one of these dotted names; in the call, and at the end where that was caught."""
    helpers = {f.__code__ for name, module in sys.modules.items()
               if name.startswith("pi05lite.checks.") and name != __name__
               for f in vars(module).values()
               if isinstance(f, FunctionType) and f.__module__ == name}
    asked, before = [], sys.getprofile()

    def watch(frame, event, argument):
        if event == "call" and (frame.f_code in helpers or named(frame) in names):
            if not frame.f_back.f_globals.get("__name__", "").startswith("pi05lite."):
                asked.append(frame.f_code.co_name)
                raise Borrowed(BORROWED)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
        if asked:
            raise Borrowed(BORROWED)
