"""The rounds of an assignment: collect what came in, grade it, give feedback, write the marks."""

import csv
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from pi05lite.classroom.course import api, checked, reasons
from pi05lite.errors import DataError, say


@dataclass
class Marks:
    """What one student has in one assignment."""

    student: str
    assignment: str
    scores: dict = field(default_factory=dict)  # task -> points, None: to be read by a person
    most: float = 0.0
    late: float = 0.0
    failed: str = ""  # why there is no grade

    @property
    def score(self):
        return max(0.0, sum(s or 0 for s in self.scores.values()) - self.late)


def collect(course, assignment, folder):
    """Take files or archives of a platform's download in, by nbgrader; returns the students."""
    course, folder = Path(course).resolve(), Path(folder)
    api(course)
    if not folder.is_dir() or not any(folder.iterdir()):
        raise DataError(say(f"submissions {folder}", "a folder with notebooks or archives",
                            "nothing", "name the folder that the platform's download was put in"))
    archive = course / "downloaded" / assignment / "archive"
    if archive.exists():
        shutil.rmtree(archive)
    shutil.copytree(folder, archive)
    run = subprocess.run([sys.executable, "-m", "nbgrader", "zip_collect", assignment, "--force"],
                         cwd=course, capture_output=True, text=True)
    if run.returncode:
        raise DataError(say("nbgrader zip_collect", "success", run.stderr.strip()[-500:],
                            "names like STUDENT_NAME.ipynb, or another named_regexp in "
                            "nbgrader_config.py"))
    return students(course, assignment)


def students(course, assignment):
    """Who has handed in."""
    return sorted(path.parent.name for path in Path(course).glob(f"submitted/*/{assignment}"))


def grade(course, assignment, names=(), say_one=print):
    """Grade the submissions, each in a process of its own; returns the Marks of all."""
    grader, found = api(course), []
    there = students(course, assignment)
    missing = [name for name in names if name not in there]
    if missing or not there:
        raise DataError(say(f"submissions of {assignment}", "some in submitted/STUDENT/"
                            f"{assignment}", f"none of {', '.join(missing) or 'anyone'}",
                            "pi05lite classroom collect"))
    for student in names or there:
        with warnings.catch_warnings():  # of the library behind nbgrader's gradebook
            warnings.simplefilter("ignore")
            result = grader.autograde(assignment, student)
        if result["success"]:
            marks = marks_of(grader, assignment, student)
        else:
            marks = Marks(student, assignment, failed="; ".join(reasons(result)))
        say_one(line(marks))
        found.append(marks)
    return found


def line(marks):
    """One line about a student's marks."""
    if marks.failed:
        return f"{marks.student}: NOT GRADED, {marks.failed}"
    parts = ", ".join(f"{task} {'by hand' if score is None else f'{score:g}'}"
                      for task, score in marks.scores.items())
    return f"{marks.student}: {marks.score:g} of {marks.most:g} ({parts})"


def marks_of(grader, assignment, student):
    """A student's marks from nbgrader's gradebook."""
    with grader.gradebook as book:
        submission = book.find_submission(assignment, student)
        scores = {g.cell.name: None if g.needs_manual_grade else g.score
                  for notebook in submission.notebooks for g in notebook.grades}
        return Marks(student, assignment, scores, submission.max_score,
                     submission.late_submission_penalty)


def feedback(course, assignment):
    """A page for each graded submission, by nbgrader; returns the files."""
    checked(f"feedback of {assignment}", api(course).generate_feedback(assignment))
    return sorted(Path(course).glob(f"feedback/*/{assignment}/*.html"))


def marks(course, out):
    """All marks as a CSV file: a line a student and assignment, a column a task of it."""
    grader = api(course)
    with grader.gradebook as book:
        pairs = [(s.assignment.name, s.student_id) for a in book.assignments
                 for s in a.submissions]
    rows = [marks_of(grader, *pair) for pair in sorted(pairs)]
    part = Path(f"{out}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["student", "assignment", "score", "of", "late", "to read", "tasks"])
        for m in rows:
            tasks = " ".join(f"{t}={'' if s is None else f'{s:g}'}" for t, s in m.scores.items())
            waiting = sum(s is None for s in m.scores.values())
            table.writerow([m.student, m.assignment, f"{m.score:g}", f"{m.most:g}", f"{m.late:g}",
                            waiting, tasks])
    os.replace(part, out)
    return rows


def errors_of(course, assignment, student):
    """The errors that a graded submission shows: (cell, error)."""
    found = []
    for path in sorted(Path(course).glob(f"autograded/{student}/{assignment}/*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            found += [(cell.metadata.get("nbgrader", {}).get("grade_id", ""), o.ename)
                      for o in cell.get("outputs", []) if o.output_type == "error"]
    return found
