"""What an assignment asks of a student: its exercises with points and minutes."""

import re
from dataclasses import dataclass

import nbformat

from pi05lite.errors import DataError, say

HEAD = re.compile(r"^#+ (?:Exercise \d+|Question) · (.+?) \((?:(\w+), )?(\d+) minutes?\)", re.M)


@dataclass(frozen=True)
class Task:
    """One thing that gives points."""

    name: str  # the grade_id, check-... or prose-...
    title: str
    points: int
    minutes: int
    by_hand: bool


def tasks(notebook):
    """The tasks of an assignment's source, in order; the heading above each has its minutes."""
    found, head = [], None
    for cell in nbformat.read(notebook, 4).cells:
        head = HEAD.search(cell.source) if cell.cell_type == "markdown" and HEAD.search(
            cell.source) else head
        about = cell.metadata.get("nbgrader", {})
        if not about.get("grade"):
            continue
        if head is None:
            raise DataError(say(
                f"{notebook}, {about['grade_id']}", "a heading above it such as `### Exercise 1 · "
                "Its title (easy, 5 minutes)`", "none", "add it in notebooks/src"))
        found.append(Task(about["grade_id"], head[1], int(about["points"]), int(head[3]),
                          about["solution"]))
        head = None
    return found


def table(notebooks):
    """Markdown: one line an assignment, from name -> path of its source."""
    lines = ["| assignment | exercises and their points | points (by hand) | minutes |",
             "|---|---|---|---|"]
    for name, path in notebooks.items():
        asked = tasks(path)
        points, hand = sum(t.points for t in asked), sum(t.points for t in asked if t.by_hand)
        titles = ", ".join(f"{t.title.lower()} {t.points}" for t in asked)
        lines.append(f"| {name} | {titles} | {points} ({hand}) | {sum(t.minutes for t in asked)} |")
    return "\n".join(lines)
