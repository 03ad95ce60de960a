"""Make every notebook from its source, notebooks/src/NN_name.py, in the percent format.

    python tools/make_notebooks.py           write them
    python tools/make_notebooks.py --check   exit with 1 where a committed one differs

A source without exercises makes one notebook. One with exercises makes three:

    notebooks/NN_name.ipynb                              the learner's, stubs in place of solutions
    notebooks/solutions/NN_name.ipynb                    with the solutions
    notebooks/assignments/source/NN_name/NN_name.ipynb   for nbgrader, with hidden tests

What marks a cell, behind `# %%`:

    exercise="name"           the learner's answer; its solution stands between ### BEGIN SOLUTION
                              and ### END SOLUTION
    check="name" points=2     judges it; its last line is the points, a plain number. ### BEGIN
                              HIDDEN TESTS to ### END HIDDEN TESTS is for nbgrader alone
    prose="name" points=2     a question answered in words; ### BEGIN MARK SCHEME to ### END MARK
                              SCHEME (in a [markdown] cell) is the rubric
    assign=true               goes into the assignment too, as it is (set-up, the exercise's text)

Pictures, ![...](figures/name.png), are put into the notebook itself.
"""

import base64
import copy
import re
import sys
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
MARKS = ("exercise", "check", "prose")
STUB = "raise NotImplementedError  # your code here"
ANSWER = "*your answer here*"
PICTURE = re.compile(r"!\[([^]]*)\]\(figures/([\w.-]+\.png)\)")


def region(name):
    """The pattern of a marked region, its first line's indent included."""
    return re.compile(rf"^([ \t]*)### BEGIN {name}\n(.*?)^[ \t]*### END {name}\n?", re.M | re.S)


def without(text, name, stub=None):
    """The text with each region of that name gone, or a stub in its place."""
    put = "" if stub is None else rf"\g<1>{stub}\n"
    return region(name).sub(put, text + "\n").rstrip("\n")


def kept(text, name):
    """The text with the markers of that name gone and what stands between them kept."""
    return region(name).sub(r"\2", text + "\n").rstrip("\n")


def learner(cell):
    """The cells that the learner gets for one."""
    cell.source = without(cell.source, "SOLUTION", STUB)
    cell.source = without(cell.source, "HIDDEN TESTS")
    cell.source = without(cell.source, "MARK SCHEME", ANSWER)
    return [cell]


def solution(cell):
    """The cells of the solution notebook; rubrics show what an answer should hold."""
    cell.source = without(kept(cell.source, "SOLUTION"), "HIDDEN TESTS")
    cell.source = kept(cell.source, "MARK SCHEME")
    return [cell]


def assignment(cell):
    """The cells of the assignment's source as nbgrader knows them, none where it does not belong.

    A question in prose is two: nbgrader empties a cell that is answered, question and all. The
    rubric stands where the answer goes, as its solution.
    """
    mark = next((m for m in MARKS if m in cell.metadata), None)
    if mark is None and not cell.metadata.get("assign"):
        return []
    if mark != "prose":
        return [graded(cell, mark)]
    question, answer = copy.deepcopy(cell), cell
    rubric = region("MARK SCHEME").search(cell.source + "\n")[2]
    question.source = without(cell.source, "MARK SCHEME").rstrip()
    question["id"] += "-question"
    answer.source = f"### BEGIN SOLUTION\n{rubric}### END SOLUTION"
    return [graded(question, None), graded(answer, mark)]


def graded(cell, mark):
    """A cell with nbgrader's metadata for what it is; None: given, and locked."""
    about = dict(grade=mark in ("check", "prose"), solution=mark in ("exercise", "prose"),
                 locked=mark not in ("exercise", "prose"), task=False, schema_version=3,
                 grade_id=f"{mark}-{cell.metadata[mark]}" if mark else f"given-{cell['id']}")
    if about["grade"]:
        about["points"] = cell.metadata["points"]
    cell.metadata = {"nbgrader": about}
    return cell


def embed(cell):
    """Pictures of a markdown cell, put into the cell."""
    if cell.cell_type == "markdown":
        names = [name for _, name in PICTURE.findall(cell.source)]
        if names:
            cell["attachments"] = {name: {"image/png": base64.b64encode(
                (NOTEBOOKS / "figures" / name).read_bytes()).decode()} for name in names}
        cell.source = PICTURE.sub(r"![\1](attachment:\2)", cell.source)
    return cell


def read(source):
    """The cells of a source with ids that are the same every time; checked."""
    notebook = jupytext.read(source, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:2]}-{number:03d}"
    named = {mark: [c.metadata[mark] for c in notebook.cells if mark in c.metadata]
             for mark in MARKS}
    for mark, names in named.items():
        if len(set(names)) < len(names):
            sys.exit(f"{source.name}: two {mark} cells have one name: {sorted(names)}")
    if set(named["exercise"]) != set(named["check"]):
        sys.exit(f"{source.name}: exercises {named['exercise']} but checks {named['check']}")
    for cell in notebook.cells:
        if ("exercise" in cell.metadata) != ("### BEGIN SOLUTION" in cell.source):
            sys.exit(f"{source.name}, cell {cell['id']}: an exercise and its solution go together")
    return notebook


def write(notebook, edit, keep_metadata=False):
    """A notebook whose cells went through `edit`, as text that is the same every time."""
    made = copy.deepcopy(notebook)
    made.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    made.cells = [embed(part) for cell in made.cells for part in edit(cell)]
    for cell in made.cells:
        if not keep_metadata:
            cell.metadata = {k: v for k, v in cell.metadata.items()
                             if k not in (*MARKS, "points", "assign")}
    made.nbformat, made.nbformat_minor = 4, 5
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def products(source):
    """All that is made of a source: path -> text."""
    notebook, name = read(source), source.stem
    made = {NOTEBOOKS / f"{name}.ipynb": write(notebook, learner)}
    if any("exercise" in cell.metadata for cell in notebook.cells):
        made[NOTEBOOKS / "solutions" / f"{name}.ipynb"] = write(notebook, solution)
        made[NOTEBOOKS / "assignments" / "source" / name / f"{name}.ipynb"] = write(
            notebook, assignment, keep_metadata=True)
    return made


def main():
    wanted = {}
    for source in sorted(NOTEBOOKS.glob("src/*.py")):
        wanted |= products(source)
    there = [*NOTEBOOKS.glob("solutions/*.ipynb"), *NOTEBOOKS.glob("assignments/source/*/*.ipynb")]
    stale = [path for path, text in wanted.items()
             if not path.is_file() or path.read_text(encoding="utf-8") != text]
    extra = [path for path in there if path not in wanted]
    names = ", ".join(str(path.relative_to(NOTEBOOKS)) for path in stale + extra)
    if names and "--check" in sys.argv:
        sys.exit(f"differ from their source: {names}; run `make notebooks`")
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    for path in extra:
        path.unlink()
    print(f"written or removed: {names}" if names else "all notebooks are up to date")


if __name__ == "__main__":
    main()
