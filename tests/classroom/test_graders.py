"""Every grader, hidden tests included, on the right and wrong answers that tests/checks holds."""

import contextlib
import importlib
import inspect
import io
import warnings
from pathlib import Path

import nbformat
import pytest

from pi05lite.classroom.course import sources
from pi05lite.classroom.kernel import last_value

TESTS = Path(__file__).parents[1] / "checks"


def answers():
    """check_... -> (right answers, wrong answers), from the parameters of the checks' own tests."""
    found = {}
    for path in sorted(TESTS.glob("test_*.py")):
        module = importlib.import_module(f"tests.checks.{path.stem}")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            check = next((n for n in test.__code__.co_names if n.startswith("check_")), None)
            kind = 0 if name.startswith("test_right") else 1 if name.startswith("test_wrong") else 2
            if check and kind < 2:
                values = [v for mark in test.pytestmark for v in mark.args[1]]
                found.setdefault(check, ([], []))[kind].extend(
                    v[0] if isinstance(v, tuple) else v for v in values)
    return found


def graders():
    """check_... -> (exercise, points, names given, source of the check with its hidden tests)."""
    found = {}
    for path in sources().values():
        given = ""
        for cell in nbformat.read(path, 4).cells:
            about = cell.metadata["nbgrader"]
            if cell.cell_type == "code" and about["locked"] and not about["grade"]:
                given += cell.source + "\n"
            elif about["grade_id"].startswith("check-"):
                name = next(w for w in cell.source.split() if w.startswith("check_"))
                found[name] = (about["grade_id"][6:], about["points"], given, cell.source)
    return found


GRADERS, ANSWERS = graders(), answers()


def points(check, mine):
    """What the grader gives for an answer; an error costs all."""
    exercise, _, given, source = GRADERS[check]
    names = {}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exec(given, names)
        try:
            return last_value(source, names | {exercise: mine})
        except Exception:
            return 0


@pytest.mark.parametrize("check", GRADERS)
def test_right_answers_get_all_points_and_wrong_ones_do_not(check):
    right, wrong = ANSWERS[check]
    assert len(right) >= 2 and len(wrong) >= 5
    assert [points(check, mine) for mine in right] == [GRADERS[check][1]] * len(right)
    assert max(points(check, mine) for mine in wrong) < GRADERS[check][1]
