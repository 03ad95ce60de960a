"""Courses: what an assignment asks, what a release holds, and errors that say what to do."""

import nbformat
import pytest

from pi05lite.classroom import course, grading, student_seed
from pi05lite.classroom.table import table, tasks
from pi05lite.errors import Pi05Error

SOURCES = course.sources()


def cells(*pairs):
    """A notebook of (metadata, source) cells; markdown where the metadata is None."""
    made = [nbformat.v4.new_markdown_cell(text) if about is None else
            nbformat.v4.new_code_cell(text, metadata={"nbgrader": about}) for about, text in pairs]
    return nbformat.v4.new_notebook(cells=made)


@pytest.mark.parametrize("name", SOURCES)
def test_every_task_has_a_title_points_and_minutes(name):
    asked = tasks(SOURCES[name])
    assert len(asked) >= 4 and sum(task.by_hand for task in asked) == 1
    assert all(task.points > 0 and 0 < task.minutes <= 20 and task.title for task in asked)
    assert len({task.title for task in asked}) == len(asked)


def test_the_table_adds_up():
    lines = table(SOURCES).splitlines()[2:]
    assert len(lines) == len(SOURCES)
    for line, path in zip(lines, SOURCES.values()):
        asked = tasks(path)
        assert f"| {sum(t.points for t in asked)} (" in line
        assert line.endswith(f"| {sum(t.minutes for t in asked)} |")


def test_a_task_without_minutes_is_refused(tmp_path):
    about = {"grade": True, "solution": False, "locked": True, "points": 2, "grade_id": "check-x"}
    nbformat.write(cells((None, "### Exercise 1 · No minutes"), (about, "2")), tmp_path / "x.ipynb")
    with pytest.raises(Pi05Error, match="check-x"):
        tasks(tmp_path / "x.ipynb")


SECRET = ("def f(x):\n    ### BEGIN SOLUTION\n    answer = x + 41\n    return answer\n"
          "    ### END SOLUTION")
STUB = "def f(x):\n    raise NotImplementedError"


@pytest.mark.parametrize("released, found", [
    (STUB, []), (STUB + "\nanswer = x + 41", ["answer = x + 41"]),
    (STUB + "\n### END SOLUTION", ["### END SOLUTION"])])
def test_a_release_that_gives_something_away_is_noticed(tmp_path, released, found):
    (tmp_path / "release").mkdir()
    nbformat.write(cells(({}, SECRET)), tmp_path / "source.ipynb")
    nbformat.write(cells(({}, released)), tmp_path / "release" / "x.ipynb")
    assert course.leaks(tmp_path / "source.ipynb", tmp_path / "release") == found


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(Pi05Error, match="99_none"):
        course.build(tmp_path / "course", ["99_none"])
    with pytest.raises(Pi05Error, match="pi05lite classroom build"):
        grading.grade(tmp_path, "02_tokens")
    assert list(tmp_path.iterdir()) == []


def test_a_students_seed_is_its_own_and_the_same_everywhere(monkeypatch):
    monkeypatch.setenv("PI05LITE_STUDENT", "ada")
    assert student_seed() == student_seed(student=" Ada") == 781_846_272
    names = [f"student{k}" for k in range(500)]
    assert len({student_seed(student=name) for name in names}) == 500
    assert student_seed("noise") != student_seed("walk")
    monkeypatch.delenv("PI05LITE_STUDENT")
    assert student_seed() == student_seed(student="")
