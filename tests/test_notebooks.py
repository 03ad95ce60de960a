"""The notebooks: equal to their sources, and run top to bottom with few training steps."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(ROOT.glob("*.ipynb"))
SOLUTIONS = sorted(ROOT.glob("solutions/*.ipynb"))
ASSIGNMENTS = sorted(ROOT.glob("assignments/source/*/*.ipynb"))
START = [path for path in NOTEBOOKS if path.stem == "00_start_here"]
CHAPTERS = [path for path in NOTEBOOKS if (ROOT / "solutions" / path.name).is_file()]
TOOL = ROOT.parent / "tools" / "make_notebooks.py"

SOURCE = """# %% [markdown] assign=true
# # A chapter

# %%
x = 1

# %% [markdown] assign=true
# Add one.

# %% exercise="plus"
def plus(x):
    ### BEGIN SOLUTION
    secret = x + 1
    return secret
    ### END SOLUTION

# %% check="plus" points=2
points = 2 * (plus(1) == 2)
### BEGIN HIDDEN TESTS
points *= plus(-1) == 0
### END HIDDEN TESTS
points

# %% [markdown] prose="why" points=3
# Why one?
#
# ### BEGIN MARK SCHEME
# Because it is one more.
# ### END MARK SCHEME
"""


@pytest.fixture
def workshop(tmp_path):
    """A folder with the tool and one source; `make(*args)` runs the tool there."""
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "make.py").write_text(TOOL.read_text())
    (tmp_path / "notebooks" / "src" / "00_x.py").write_text(SOURCE)
    tmp_path.joinpath("notebooks", "own.ipynb").write_text("the reader's own, left alone")

    def make(*args):
        return subprocess.run([sys.executable, tmp_path / "tools" / "make.py", *args],
                              capture_output=True, text=True)
    return tmp_path / "notebooks", make


def source_of(path):
    """All cells of a notebook as one text."""
    return "\n".join(cell.source for cell in nbformat.read(path, 4).cells)


def test_committed_notebooks_equal_their_sources():
    run = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_one_source_makes_three_notebooks(workshop):
    folder, make = workshop
    assert make().returncode == 0
    learner = source_of(folder / "00_x.ipynb")
    assert "raise NotImplementedError" in learner and "your answer here" in learner
    for leak in ("secret", "plus(-1)", "Because", "###"):
        assert leak not in learner
    solution = source_of(folder / "solutions" / "00_x.ipynb")
    assert "    secret = x + 1" in solution and "Because" in solution
    assert "###" not in solution and "plus(-1)" not in solution


def test_the_assignment_is_what_nbgrader_expects(workshop):
    folder, make = workshop
    make()
    cells = nbformat.read(folder / "assignments" / "source" / "00_x" / "00_x.ipynb", 4).cells
    about = [cell.metadata["nbgrader"] for cell in cells]
    assert [a["grade_id"] for a in about] == [
        "given-00-000", "given-00-002", "exercise-plus", "check-plus", "given-00-005-question",
        "prose-why"]
    assert [a.get("points") for a in about] == [None, None, None, 2, None, 3]
    given = (False, False, True)
    assert [(a["solution"], a["grade"], a["locked"]) for a in about] == [
        given, given, (True, False, False), (False, True, True), given, (True, True, False)]
    assert cells[-2].source == "Why one?"
    assert cells[-1].source == "### BEGIN SOLUTION\nBecause it is one more.\n### END SOLUTION"
    text = "\n".join(cell.source for cell in cells)
    assert text.count("### BEGIN HIDDEN TESTS") == text.count("### END HIDDEN TESTS") == 1


@pytest.mark.parametrize("name", ["00_x.ipynb", "solutions/00_x.ipynb",
                                  "assignments/source/00_x/00_x.ipynb"])
def test_check_notices_a_notebook_that_differs(workshop, name):
    folder, make = workshop
    assert make().returncode == 0 and make("--check").returncode == 0
    (folder / name).write_text((folder / name).read_text().replace("A chapter", "Another"))
    found = make("--check")
    assert found.returncode == 1 and name in found.stderr


def test_check_notices_a_left_over_solution_and_never_touches_a_readers_notebook(workshop):
    folder, make = workshop
    make()
    left = folder / "solutions" / "01_gone.ipynb"
    left.write_text("{}")
    assert make("--check").returncode == 1
    make()
    assert not left.exists() and (folder / "own.ipynb").read_text().startswith("the reader's")


@pytest.mark.parametrize("edit, says", [
    (lambda s: s.replace('check="plus"', 'check="minus"'), "exercises ['plus'] but checks"),
    (lambda s: s.replace("### BEGIN SOLUTION", "#"), "go together"),
    (lambda s: s + "\n# %%" + s.split("# %%")[-1], "two prose cells")])
def test_a_source_that_does_not_fit_is_refused(workshop, edit, says):
    folder, make = workshop
    (folder / "src" / "00_x.py").write_text(edit(SOURCE))
    found = make()
    assert found.returncode == 1 and says in found.stderr


@pytest.mark.parametrize("path", NOTEBOOKS + SOLUTIONS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_cells_are_small_and_files_too(path):
    notebook = nbformat.read(path, 4)
    lines = [len(cell.source.splitlines()) for cell in notebook.cells if cell.cell_type == "code"]
    assert max(lines) <= 25 and path.stat().st_size < 1_000_000
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_learner_notebooks_hold_no_solution(path):
    text = source_of(path)
    assert not any(mark in text for mark in ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME"))


@pytest.mark.parametrize("path", ASSIGNMENTS, ids=lambda p: p.stem)
def test_assignments_have_points_for_every_exercise_and_a_question_in_prose(path):
    about = [c.metadata["nbgrader"] for c in nbformat.read(path, 4).cells]
    ids = [a["grade_id"] for a in about]
    assert len(set(ids)) == len(ids)
    assert all(a["points"] > 0 for a in about if a["grade"])
    assert any(i.startswith("prose-") for i in ids)
    assert sum(i.startswith("exercise-") for i in ids) >= 2


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """One cache of decoded pictures for all notebooks, as a reader has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PI05LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run(path, folder, monkeypatch, steps):
    """Execute a notebook as a reader would, in its own folder, with its runs elsewhere."""
    monkeypatch.setenv("PI05LITE_STEPS", str(steps))
    monkeypatch.setenv("PI05LITE_RUNS", str(folder / "runs"))
    for tries_left in (2, 1, 0):
        notebook = nbformat.read(path, 4)
        try:
            NotebookClient(notebook, timeout=180, kernel_name="python3",
                           resources={"metadata": {"path": str(path.parent)}}).execute()
            return notebook
        except RuntimeError as error:  # ports are chosen before they are bound: another took one
            if not tries_left or "Kernel died before replying" not in str(error):
                raise


def outputs(notebook, kind):
    """All outputs of a mime type."""
    return [o["data"][kind] for cell in notebook.cells for o in cell.get("outputs", [])
            if kind in o.get("data", {})]


def printed(notebook):
    return "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """A machine without real data."""
    monkeypatch.delenv("PI05LITE_DATA", raising=False)
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "none"))


@pytest.mark.slow
@pytest.mark.parametrize("path", START, ids=lambda p: p.stem)
def test_runs_on_the_kits_own_data(path, tmp_path, monkeypatch, no_data):
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    figures = outputs(notebook, "application/vnd.plotly.v1+json")
    assert len(figures) >= 6 and any(f.get("frames") for f in figures)
    assert printed(notebook).count("using the kit's own toy table") == 1
    assert outputs(notebook, "application/vnd.jupyter.widget-view+json")


@pytest.mark.slow
@pytest.mark.parametrize("path", START, ids=lambda p: p.stem)
def test_runs_on_real_episodes(path, tmp_path, monkeypatch, real_data):
    monkeypatch.setenv("PI05LITE_DATA", str(real_data))
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    text = printed(notebook)
    assert "toy" not in text.split("doctor")[-1].split("held out")[-1]
    for name in ("cr5", "droid", "droid_new"):
        assert f"{name}:" in text


def judged(notebook):
    """The verdicts of all checks that ran, one first line each."""
    return [line for line in printed(notebook).splitlines()
            if line.endswith((" points", " points)")) and not line.startswith(" ")]


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_runs_with_every_exercise_unsolved(path, tmp_path, monkeypatch, no_data):
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    verdicts = judged(notebook)
    assert len(verdicts) >= 2 and all("not attempted yet" in line for line in verdicts)
    assert outputs(notebook, "application/vnd.plotly.v1+json")
    assert len(nbformat.writes(notebook)) < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_the_solutions_get_full_points(path, tmp_path, monkeypatch):
    verdicts = judged(run(path, tmp_path, monkeypatch, steps=10))
    assert len(verdicts) >= 2
    for line in verdicts:
        got, of = line.split(": ")[1].split(" of ")
        assert got == of.split()[0], line


@pytest.mark.slow
@pytest.mark.parametrize("path", ASSIGNMENTS, ids=lambda p: p.stem)
def test_an_assignment_runs_by_itself_and_ends_each_check_in_its_points(path, tmp_path,
                                                                        monkeypatch):
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    for cell in notebook.cells:
        about = cell.metadata["nbgrader"]
        if about["grade"] and cell.cell_type == "code":
            last = [o for o in cell.outputs if o.output_type == "execute_result"][-1]
            assert int(last["data"]["text/plain"]) == about["points"]


@pytest.mark.slow
def test_the_drive_page_runs(tmp_path, monkeypatch):
    path = next(path for path in NOTEBOOKS if path.stem == "drive_a_home")
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    assert len(outputs(notebook, "application/vnd.jupyter.widget-view+json")) == 2
    assert "progress 0%" in printed(notebook)
