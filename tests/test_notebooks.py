"""The notebooks: equal to their sources, and run top to bottom with few training steps."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.stem[:2].isdigit()]
TOOL = NOTEBOOKS[0].parents[1] / "tools" / "make_notebooks.py"


def test_committed_notebooks_equal_their_sources():
    run = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_check_notices_a_notebook_that_differs(tmp_path):
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "make.py").write_text(TOOL.read_text())
    (tmp_path / "notebooks" / "src" / "00_x.py").write_text("# %%\nx = 1\n")
    make = [sys.executable, tmp_path / "tools" / "make.py"]
    assert subprocess.run(make).returncode == 0
    assert subprocess.run([*make, "--check"]).returncode == 0
    notebook = tmp_path / "notebooks" / "00_x.ipynb"
    notebook.write_text(notebook.read_text().replace("x = 1", "x = 2"))
    assert subprocess.run([*make, "--check"], capture_output=True).returncode == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_small_and_files_too(path):
    notebook = nbformat.read(path, 4)
    lines = [len(cell.source.splitlines()) for cell in notebook.cells if cell.cell_type == "code"]
    assert max(lines) <= 25 and path.stat().st_size < 1_000_000
    assert not any(cell.get("outputs") for cell in notebook.cells)


def run(path, folder, monkeypatch, steps):
    """Execute a notebook as a reader would, in its own folder, with its runs elsewhere."""
    monkeypatch.setenv("PI05LITE_STEPS", str(steps))
    monkeypatch.setenv("PI05LITE_RUNS", str(folder / "runs"))
    monkeypatch.setenv("PI05LITE_CACHE", str(folder / "cache"))
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=180, kernel_name="python3",
                   resources={"metadata": {"path": str(path.parent)}}).execute()
    return notebook


def outputs(notebook, kind):
    """All outputs of a mime type."""
    return [o["data"][kind] for cell in notebook.cells for o in cell.get("outputs", [])
            if kind in o.get("data", {})]


def printed(notebook):
    return "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_runs_on_the_kits_own_data(path, tmp_path, monkeypatch):
    monkeypatch.delenv("PI05LITE_DATA", raising=False)
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "none"))
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    figures = outputs(notebook, "application/vnd.plotly.v1+json")
    assert len(figures) >= 6 and any(f.get("frames") for f in figures)
    assert printed(notebook).count("using the kit's own toy table") == 1
    assert outputs(notebook, "application/vnd.jupyter.widget-view+json")


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_runs_on_real_episodes(path, tmp_path, monkeypatch, real_data):
    monkeypatch.setenv("PI05LITE_DATA", str(real_data))
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    text = printed(notebook)
    assert "toy" not in text.split("doctor")[-1].split("held out")[-1]
    for name in ("cr5", "droid", "droid_new"):
        assert f"{name}:" in text


@pytest.mark.slow
def test_the_drive_page_runs(tmp_path, monkeypatch):
    path = next(path for path in NOTEBOOKS if path.stem == "drive_a_home")
    notebook = run(path, tmp_path, monkeypatch, steps=10)
    assert len(outputs(notebook, "application/vnd.jupyter.widget-view+json")) == 2
    assert "progress 0%" in printed(notebook)
