"""The denoising figure in a real browser: its slider moves the lines, and nothing is fetched."""

import shutil

import pytest

from pi05lite.widgets import pictures
from tests.widgets.test_pictures import fake

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-component-update", "--disable-sync"]


@pytest.fixture
def page(tmp_path):
    """A page that shows the figure, with the lists of console errors and outside requests."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    pictures.denoising_figure(fake()).write_html(tmp_path / "figure.html", include_plotlyjs=True)
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.errors, page.outside = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:"))
                else page.outside.append(r.url))
        page.goto((tmp_path / "figure.html").as_uri())
        page.wait_for_selector(".slider-container")
        yield page
        browser.close()


@pytest.mark.slow
@pytest.mark.browser
def test_the_slider_and_the_play_button_move_the_lines(page):
    lines = "() => [...document.querySelectorAll('path.js-line')].map(p => p.getAttribute('d'))"
    noise = page.evaluate(lines)
    assert len(noise) > 4
    rail = page.locator(".slider-rail-touch-rect").bounding_box()
    page.mouse.click(rail["x"] + rail["width"] - 1, rail["y"] + rail["height"] / 2)
    page.wait_for_timeout(500)
    action = page.evaluate(lines)
    moved = [a != b for a, b in zip(noise, action)]
    assert any(moved) and not all(moved)  # the samples move, what was done stays
    page.locator(".updatemenu-button").first.click()
    page.wait_for_timeout(700)
    assert page.evaluate(lines) != action
    # plotly drops the promise of an animation that the next one interrupts, with no reason given
    assert set(page.errors) <= {"undefined"} and page.outside == []
