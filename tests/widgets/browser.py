"""A page in a real browser that keeps its errors and the outside hosts it asked."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
# JupyterLab shows a cell's own picture a moment before it has looked it up in the cell.
WITHIN = "attachment:"
# Its server answers the regular question for all kernels with 500 while one of them is being
# started and has no time of a last activity yet; JupyterLab asks again.
STARTING = re.compile(r"status of 500 .* http://127\.0\.0\.1:\d+/api/kernels\?\d+$")
INSIDE = ("file:", "data:", "blob:", "http://127.0.0.1:", "ws://127.0.0.1:", WITHIN)


@contextmanager
def opened(address, scheme="light"):
    """The page of a file or an address; errors: of console and scripts; outside: requests."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1250, "height": 1000}, color_scheme=scheme)
        page.set_default_timeout(120_000)  # a browser that starts cold on a busy machine
        page.errors, page.outside = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda m: page.errors.extend(filter(None, [error_of(m)])))
        page.on("request", lambda r: None if r.url.startswith(INSIDE)
                else page.outside.append(r.url))
        page.goto(address if isinstance(address, str) else address.as_uri())
        yield page
        browser.close()


def error_of(message):
    """What a console message says, with its address, where it is an error of the page; else ""."""
    text = f"{message.text} {message.location['url']}".strip()
    strange = message.type == "error" and not message.location["url"].startswith(WITHIN)
    return text if strange and not STARTING.search(text) else ""


@contextmanager
def jupyterlab(folder, notebook):
    """The address of a notebook in a JupyterLab of its own on a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"JUPYTER_CONFIG_DIR": str(folder / "c"), "HOME": str(folder),
                        "JUPYTER_DATA_DIR": str(folder / "d")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root",
         "--ServerApp.token=t", f"--ServerApp.root_dir={folder}"],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urlopen(f"http://127.0.0.1:{port}/api?token=t", timeout=1)
                break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook}?token=t"
    finally:
        server.terminate()
        server.wait(20)


def run_all(page):
    """Have JupyterLab run the notebook that is open, once its kernel is there."""
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for()
    page.locator(".jp-Notebook").click(position={"x": 300, "y": 60})
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()
