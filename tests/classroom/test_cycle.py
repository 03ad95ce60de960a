"""The whole round of an assignment with real nbgrader: nine submissions get what they deserve."""

import csv
import re

import nbformat
import pytest

pytest.importorskip("nbgrader")

from pi05lite import cli
from pi05lite.classroom import course, grading

NAME = "02_tokens"
NONE = {"patchify": 0, "write_prompt": 0, "lay_out": 0, "count": 0}
FULL = {"patchify": 3, "write_prompt": 4, "lay_out": 4, "count": 4}
HALF = NONE | {"patchify": 3, "count": 4}

CRASH = {
    "patchify": "1 / 0\ndef patchify(image, size):\n    return image",
    "write_prompt": "def write_prompt(task, values):\n    import os\n    os._exit(0)",
    "lay_out": "def lay_out(*parts):\n    big = bytearray(2**42)",
}
LOOP = {
    "patchify": "def patchify(image, size):\n    while True:\n        pass",
    "write_prompt": """def write_prompt(task, values):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass""",
}
BORROW = {
    "patchify": "from pi05lite.checks.sequence import cut as patchify",
    "write_prompt": """from pi05lite.tokens.prompt import robot_prompt as mine
def write_prompt(task, values):
    return mine(task, values, 'low')""",
    "lay_out": """from pi05lite.tokens import prompt
def lay_out(*parts):
    made = prompt.sequence(*parts)
    return made.tokens, made.kinds, made.target""",
}
TAMPER = {  # everything that a few assignments in a cell can change, and points that are only said
    "patchify": """import sys, types, builtins
import pi05lite.checks.core as core, pi05lite.checks.sequence as checks

yes = lambda *args, **kwargs: True
full = {'patchify': 3, 'write_prompt': 4, 'lay_out': 4, 'count': 4}
for name, most in full.items():
    setattr(checks, 'check_' + name, lambda mine, most=most: most)
core.claim = core.compare = lambda *args, **kwargs: core.Claim(True, 9, '')
core.near = np.allclose = np.array_equal = torch.equal = yes
core.judged.__code__ = (lambda judge, mine, seals: ([core.Claim(True, 4, '')], None)).__code__
sys.modules['pi05lite.checks.sequence'] = types.SimpleNamespace(**vars(checks))
builtins.abs = builtins.round = yes
points, list, float, torch.Tensor.__eq__ = 4, yes, yes, yes
shell = get_ipython()
shell.display_formatter.formatters['text/plain'].for_type(int, lambda x, p, c: p.text('4'))
shell.events.register('pre_run_cell', lambda info: None)

def patchify(image, size):
    print('patchify: 3 of 3 points')
    sys.displayhook(3)""",
    "lay_out": "def lay_out(*parts):\n    get_ipython().displayhook(4)\n    return 4",
}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A course with one assignment of the kit, and limits that a test can wait for."""
    folder = tmp_path_factory.mktemp("classroom") / "course"
    assert cli.main(["classroom", "build", str(folder), NAME]) == 0
    settings = folder / course.CONFIG
    text = settings.read_text()
    settings.write_text(text + "c.Limited.timeout, c.Limited.grace = 25, 3\n")
    return folder


def released(room):
    return nbformat.read(room / "release" / NAME / f"{NAME}.ipynb", 4)


def answers():
    """The right answers, name -> source."""
    cells = nbformat.read(course.sources()[NAME], 4).cells
    ids = {cell.metadata["nbgrader"]["grade_id"]: cell.source for cell in cells}
    return {name.split("-", 1)[1]: re.sub(r"[ \t]*### (BEGIN|END) SOLUTION\n?", "", text)
            for name, text in ids.items() if name.startswith("exercise-")}


def hand_in(room, student, mine, edit=lambda cells: cells):
    """A platform's file with these answers in place of the stubs."""
    notebook = released(room)
    for cell in notebook.cells:
        name = cell.metadata["nbgrader"]["grade_id"].partition("exercise-")[2]
        cell.source = mine.get(name, cell.source)
    notebook.cells = edit(notebook.cells)
    folder = room.parent / "downloads"
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{student}_{NAME}.ipynb")


def forged(cells):
    """Locked cells edited, unlocked and taken out; a check of one's own that gives everything."""
    for cell in cells:
        if cell.metadata["nbgrader"]["grade_id"].startswith("check-"):
            cell.source = "4"
            cell.metadata["nbgrader"] |= {"locked": False, "points": 99}
    own = nbformat.v4.new_code_cell("4", metadata={"nbgrader": {
        "grade": True, "solution": False, "locked": True, "task": False, "points": 99,
        "schema_version": 3, "grade_id": "check-mine"}})
    gone = "check-lay_out"
    return [c for c in cells if c.metadata["nbgrader"]["grade_id"] != gone] + [own]


@pytest.fixture(scope="module")
def graded(room):
    """All submissions collected and graded: student -> Marks."""
    right = answers()
    half = {name: right[name] for name in ("patchify", "count")}
    hand_in(room, "perfect", right)
    hand_in(room, "half", half)
    hand_in(room, "empty", {})
    hand_in(room, "forged", half, forged)
    hand_in(room, "tampered", TAMPER | {"count": right["count"]})
    hand_in(room, "crashing", right | CRASH)
    hand_in(room, "looping", right | LOOP)
    hand_in(room, "borrowing", right | BORROW)
    assert cli.main(["classroom", "collect", str(room), NAME, str(room.parent / "downloads")]) == 0
    return {marks.student: marks for marks in grading.grade(room, NAME)}


@pytest.mark.slow
def test_a_release_holds_neither_solution_nor_hidden_test_nor_rubric(room):
    source = nbformat.read(room / "source" / NAME / f"{NAME}.ipynb", 4)
    text = "\n".join(cell.source for cell in released(room).cells)
    assert text.count("raise NotImplementedError") == 4 and "*your answer here*" in text
    assert "Name what the first does to training" in text  # the question stays
    for secret in ("### BEGIN", "1 point:", "grid.permute", "wide = torch.arange", "np.minimum("):
        assert secret not in text
        assert any(secret in cell.source for cell in source.cells)
    assert course.leaks(room / "source" / NAME / f"{NAME}.ipynb", room / "release" / NAME) == []


@pytest.mark.slow
@pytest.mark.parametrize("student, points", [
    ("perfect", FULL), ("half", HALF), ("empty", NONE), ("forged", HALF),
    ("tampered", NONE | {"count": 4}), ("crashing", NONE | {"count": 4}),
    ("looping", FULL | {"patchify": 0, "write_prompt": 0}),
    ("borrowing", NONE | {"count": 4})])
def test_every_submission_gets_what_it_deserves(graded, student, points):
    marks = graded[student]
    assert not marks.failed and marks.most == 18
    got = {task.split("-")[1]: score for task, score in marks.scores.items() if "check" in task}
    assert got == points
    assert marks.scores["prose-eos"] == 0  # nothing was answered
    assert marks.score == sum(points.values())


@pytest.mark.slow
@pytest.mark.parametrize("student, errors", [
    ("perfect", []), ("borrowing", []),
    ("empty", [(f"check-{name}", "NotImplementedError") for name in NONE]),
    ("half", [(f"check-{name}", "NotImplementedError") for name in ("write_prompt", "lay_out")]),
    ("crashing", [("exercise-patchify", "ZeroDivisionError"), ("check-patchify", "NameError"),
                  ("check-write_prompt", "DeadKernelError"), ("check-lay_out", "MemoryError")]),
    ("looping", [("check-patchify", "CellTimeoutError"),
                 ("check-write_prompt", "CellTimeoutError")])])
def test_what_went_wrong_is_shown(room, graded, student, errors):
    found = set(grading.errors_of(room, NAME, student))
    assert {(cell, name) for cell, name in found if name != "KeyboardInterrupt"} == set(errors)


@pytest.mark.slow
def test_feedback_tells_what_was_put_back_and_what_ran_out(room, graded):
    pages = {path.parts[-3]: path.read_text() for path in grading.feedback(room, NAME)}
    assert set(pages) == set(graded)
    assert "put back before this check" in pages["tampered"]
    assert "put back" not in pages["perfect"]
    assert "MemoryError" in pages["crashing"]


@pytest.mark.slow
def test_marks_are_a_table(room, graded):
    assert cli.main(["classroom", "marks", str(room)]) == 0
    rows = list(csv.DictReader((room / "marks.csv").open()))
    assert {row["student"]: float(row["score"]) for row in rows} == {
        student: marks.score for student, marks in graded.items()}
    assert all(float(row["of"]) == 18 and row["assignment"] == NAME for row in rows)


@pytest.mark.slow
def test_an_answer_in_words_waits_for_a_reader(room, graded):
    notebook = room / "submitted" / "half" / NAME / f"{NAME}.ipynb"
    text = notebook.read_text()
    notebook.write_text(text.replace("*your answer here*", "It copies the prompt."))
    marks = grading.grade(room, NAME, ["half"])[0]
    assert marks.scores["prose-eos"] is None and marks.score == 7


@pytest.mark.slow
def test_the_same_sources_build_to_the_same_releases(room, graded):
    before = (room / "release" / NAME / f"{NAME}.ipynb").read_bytes()
    assert course.build(room, [NAME]) == {NAME: "as it was"}
    assert (room / "release" / NAME / f"{NAME}.ipynb").read_bytes() == before
    assert "grace = 25, 3" in (room / course.CONFIG).read_text()  # the settings are the course's
    assert not list(room.glob(".build-*"))
