"""Draw the pictures at the heads of the chapters: notebooks/figures/NN_name.png.

    python tools/draw_figures.py [NN ...]        needs Chromium and the dev extra

Each is what `draw()` of tools/figures/NN_name.py returns, a plotly Figure.
"""

import runpy
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import pi05lite  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks" / "figures"


def main():
    files = [file for file in sorted((ROOT / "tools" / "figures").glob("[0-9]*.py"))
             if not sys.argv[1:] or file.name[:2] in sys.argv[1:]]
    FOLDER.mkdir(exist_ok=True)
    shoot({FOLDER / f"{file.stem}.png": runpy.run_path(str(file))["draw"]() for file in files})


def shoot(figures):
    """Write plotly Figures as PNG, path -> Figure."""
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"),
                                       args=["--no-sandbox", "--disable-gpu"])
        for path, figure in figures.items():
            html = Path(folder) / "figure.html"
            figure.write_html(html, include_plotlyjs=True, config={"staticPlot": True})
            page = browser.new_page(viewport={"width": 1000, "height": 700})
            page.goto(html.as_uri())
            page.locator(".main-svg").first.wait_for(timeout=120_000)
            page.locator(".svg-container").screenshot(path=path, omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
