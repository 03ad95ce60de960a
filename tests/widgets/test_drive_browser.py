"""The drive page in JupyterLab in a real browser: keys and buttons move the robot."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-component-update", "--disable-sync"]
PAGE = Path(__file__).resolve().parents[2] / "notebooks" / "drive_a_home.ipynb"
TEXTS = "() => [...document.querySelectorAll('.widget-html-content')].map(i => i.innerText)"
PICTURES = "() => [...document.querySelectorAll('.widget-image')].slice(0, 4).map(i => i.src)"


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab on a copy of the page."""
    shutil.copy(PAGE, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path / "c"), "HOME": str(tmp_path),
                        "JUPYTER_DATA_DIR": str(tmp_path / "d")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root",
         "--ServerApp.token=t", f"--ServerApp.root_dir={tmp_path}"],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            urlopen(f"http://127.0.0.1:{port}/api?token=t", timeout=1)
            break
        except OSError:
            time.sleep(0.3)
    yield f"http://127.0.0.1:{port}/lab/tree/{PAGE.name}?token=t"
    server.terminate()
    server.wait(10)


@pytest.mark.slow
@pytest.mark.browser
def test_keys_and_buttons_move_the_robot(lab):
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 1300})
        errors, outside = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: None if "127.0.0.1" in r.url or r.url.startswith(
            ("data:", "blob:")) else outside.append(r.url))
        page.goto(lab)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.locator(".jp-Notebook").click(position={"x": 300, "y": 60})
        page.get_by_text("Run", exact=True).first.click()
        page.get_by_text("Run All Cells", exact=True).click()
        pad = page.locator(".pi05-keys").first
        pad.wait_for(timeout=90_000)
        page.wait_for_function("() => document.querySelectorAll('.widget-image').length >= 8")
        before, start = page.evaluate(PICTURES), page.evaluate(TEXTS)[0]
        assert "0.0 s" in start
        pad.click()
        page.keyboard.down("o")
        page.wait_for_timeout(1500)
        page.keyboard.up("o")
        page.wait_for_function(f"() => ({PICTURES})()[0] !== {before[0]!r}")
        page.wait_for_function(f"() => ({TEXTS})()[0] !== {start!r}")
        page.wait_for_timeout(1000)
        driven = page.evaluate(TEXTS)[0]
        page.get_by_role("button", name="let the expert").first.click()
        page.wait_for_function(f"() => ({TEXTS})()[0] !== {driven!r}")
        assert page.evaluate(TEXTS)[1].endswith("0.0 s")  # the other robot stood still
        assert errors == [] and outside == []
        browser.close()
