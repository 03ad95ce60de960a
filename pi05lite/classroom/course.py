"""A course folder: nbgrader's settings, instructor versions, and releases that give nothing away.

    source/NAME/     the instructor's: solutions, hidden tests, rubrics
    release/NAME/    the students'
    solution/NAME/   the same by nbgrader, locked, to show when all have handed in
    versions.json    what was released: version of the kit, sha256 of the source, points, minutes
    gradebook.db, nbgrader_config.py
"""

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat

from pi05lite import __version__
from pi05lite.classroom.table import tasks
from pi05lite.errors import ConfigError, DataError, say

CONFIG = "nbgrader_config.py"
SOURCES = Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / "source"
REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END", re.S)
SETTINGS = '''"""nbgrader's settings for this course. `pi05lite classroom build` wrote them once."""

from pi05lite.classroom.execute import steps

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = {name!r}
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc*", "__pycache__", ".DS_Store", "*.tmp"]
c.ClearSolutions.code_stub = {{"python": "raise NotImplementedError  # your code here"}}
c.ClearSolutions.text_stub = "*your answer here*"
c.GenerateSolution.preprocessors = [
    f"nbgrader.preprocessors.{{step}}" for step in ("LockCells", "ClearOutput")]

# How submissions are run.
c.Autograde.sanitize_preprocessors, c.Autograde.autograde_preprocessors = steps()
c.OverwriteCells.add_missing_cells = True  # a check that was taken out comes back
c.Limited.timeout = 60              # seconds a cell
c.Limited.submission_timeout = 600  # seconds a submission
c.Limited.memory_mb = 4096
c.Limited.file_mb = 256             # size of a file that it may write
c.Limited.output_kb = 100           # what a cell may print
c.Limited.wrap = []                 # a command in front of the process, to shut it in further

# Files as a learning platform gives them out: STUDENT_NAME.ipynb, anything between the two.
c.FileNameCollectorPlugin.named_regexp = (
    r".*[/\\\\](?P<student_id>[^/\\\\_]+)_(?:.*_)?(?P<file_id>\\d\\d_[a-z_]+)\\.ipynb")
'''


def sources():
    """The assignments that the kit carries: name -> notebook with solutions and hidden tests."""
    return {path.stem: path for path in sorted(SOURCES.glob("*/*.ipynb"))}


def chosen(names, known):
    """The assignments of that name, all where none is named."""
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ConfigError(say("assignments", ", ".join(known) or "none", ", ".join(wrong),
                              "name those that are there, or none for all"))
    return {name: known[name] for name in names or known}


def build(course, names=(), known=None):
    """Make or renew a course folder; all of it is there at the end, or nothing has changed.

    Returns name -> what is new about it ("new", "changed", "as it was").
    """
    course = Path(course)
    wanted = chosen(names, sources() if known is None else known)
    found = {name: entry(path) for name, path in wanted.items()}
    course.mkdir(parents=True, exist_ok=True)
    versions = read_versions(course)
    news = {name: "new" if name not in versions else "as it was"
            if versions[name]["sha256"] == found[name]["sha256"] else "changed" for name in found}
    with tempfile.TemporaryDirectory(dir=course, prefix=".build-") as work:
        work = Path(work)
        settings = course / CONFIG
        write(work / CONFIG, settings.read_text() if settings.is_file()
              else SETTINGS.format(name=course.resolve().name))
        if (course / "gradebook.db").is_file():
            shutil.copy(course / "gradebook.db", work)
        for name, path in wanted.items():
            generate(work, name, path)
        for name in wanted:
            for kind in ("source", "release", "solution"):
                put(work / kind / name, course / kind / name)
        for file in (CONFIG, "gradebook.db"):
            os.replace(work / file, course / file)
        write(work / "versions.json", json.dumps(versions | found, indent=1) + "\n")
        os.replace(work / "versions.json", course / "versions.json")
    return news


def entry(path):
    """What versions.json says of an assignment."""
    asked = tasks(path)
    return {"kit": __version__, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "points": sum(t.points for t in asked), "minutes": sum(t.minutes for t in asked),
            "tasks": {t.name: t.points for t in asked}}


def read_versions(course):
    """What was released here before."""
    path = course / "versions.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def generate(work, name, path):
    """Source, release and solution of one assignment, by nbgrader; a release that leaks is none."""
    (work / "source" / name).mkdir(parents=True)
    for file in path.parent.iterdir():
        if file.is_file():
            shutil.copy(file, work / "source" / name)
    grader = api(work)
    checked(f"nbgrader's release of {name}", grader.generate_assignment(name))
    checked(f"nbgrader's solution of {name}", generate_solution(grader, name))
    found = leaks(work / "source" / name / f"{name}.ipynb", work / "release" / name)
    if found:
        raise DataError(say(f"release of {name}", "no line of a solution, hidden test or rubric",
                            "; ".join(found[:3]), "look at the markers in the source"))


def generate_solution(grader, name):
    """`nbgrader generate_solution`, which its API leaves out."""
    from nbgrader.converters import GenerateSolution
    from nbgrader.utils import capture_log, temp_attrs

    with temp_attrs(grader.coursedir, assignment_id=name):
        app = GenerateSolution(coursedir=grader.coursedir, parent=grader)
        app.force = True
        return capture_log(app)


def leaks(source, release):
    """Lines of the source's secret regions, and markers, that stand anywhere in the release."""
    text = "\n".join(cell.source for cell in nbformat.read(source, 4).cells)
    public = REGION.sub("", text)
    kept = {line.strip() for line in public.splitlines()}
    secret = [line.strip() for _, region in REGION.findall(text) for line in region.splitlines()]
    out = "\n".join(cell.source for file in sorted(release.glob("*.ipynb"))
                    for cell in nbformat.read(file, 4).cells)
    there = {line.strip() for line in out.splitlines()}
    found = [line for line in secret if len(line) > 4 and line in there and line not in kept]
    return found + [line for line in there if line.startswith(("### BEGIN", "### END"))]


def put(new, old):
    """A folder in the place of another."""
    old.parent.mkdir(exist_ok=True)
    if old.exists():
        old.rename(new.with_name(f"{new.name}.old"))
    new.rename(old)


def write(path, text):
    path.write_text(text, encoding="utf-8")


def api(course):
    """nbgrader on a course folder, with its settings."""
    try:
        from nbgrader.apps import NbGraderAPI
        from nbgrader.coursedir import CourseDirectory
    except ImportError:
        way_out = 'pip install -c constraints.txt -e ".[classroom]"'
        raise ConfigError(say("nbgrader", "installed", "not there", way_out)) from None
    from traitlets.config.loader import PyFileConfigLoader

    course = Path(course).resolve()
    if not (course / CONFIG).is_file():
        raise ConfigError(say(f"course {course}", f"a folder with {CONFIG}", "none",
                              f"pi05lite classroom build {course}"))
    tools = str(Path(sys.executable).parent)  # nbgrader calls alembic by its name
    if tools not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = tools + os.pathsep + os.environ["PATH"]
    config = PyFileConfigLoader(CONFIG, str(course)).load_config()
    config.CourseDirectory.root = str(course)
    return NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)


def checked(thing, result):
    """nbgrader's result, its log as an error where it failed."""
    if not result["success"]:
        raise DataError(say(thing, "success", "\n            ".join(reasons(result)),
                            "see the message; a task with grades cannot change its points or name"))
    return result


def reasons(result):
    """The lines of nbgrader's log that say why it failed."""
    lines = (result.get("log") or result["error"]).splitlines()
    return [line.strip() for line in lines if re.search(r"Error\b|\[ERROR\] (?!Please|There was)",
                                                        line)][-4:] or lines[-1:]
