"""Make every notebook from its source: notebooks/src/NN_name.py -> notebooks/NN_name.ipynb.

    python tools/make_notebooks.py           write them
    python tools/make_notebooks.py --check   exit with 1 where a committed one differs
"""

import sys
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def generate(source):
    """The notebook of a percent-format source, as text that is the same every time."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:2]}-{number:03d}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def main():
    stale = []
    for source in sorted(NOTEBOOKS.glob("src/*.py")):
        path, text = NOTEBOOKS / f"{source.stem}.ipynb", generate(source)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"differ from their source: {', '.join(stale)}; run `make notebooks`")
    print(f"{len(stale)} notebooks written" if stale else "all notebooks are up to date")


if __name__ == "__main__":
    main()
