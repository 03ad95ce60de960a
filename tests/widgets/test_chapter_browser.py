"""Chapters in JupyterLab in a real browser, as a reader uses them: run, slide, hover, click."""

import shutil
from pathlib import Path

import pytest

from tests.widgets.browser import jupyterlab, opened, run_all

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SAID = ".pi05-attention .pi05-said"
DRAWN = "() => [...document.querySelectorAll('.pi05-attention canvas')].map(c => c.toDataURL())"
FIGURE = ".js-plotly-plot:has(.slider-rail-touch-rect)"
PLOT = f"() => document.querySelector('{FIGURE} .cartesianlayer').innerHTML"
DONE = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(
    p => /\\d/.test(p.textContent))"""
ERRORS = "[data-mime-type='application/vnd.jupyter.error']"


@pytest.fixture
def chapter(tmp_path, monkeypatch, request):
    """A page with a chapter's notebook open, in a Lab of its own, its training cut short."""
    monkeypatch.setenv("PI05LITE_STEPS", "10")
    monkeypatch.setenv("PI05LITE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PI05LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "none"))
    monkeypatch.delenv("PI05LITE_DATA", raising=False)
    shutil.copy(NOTEBOOKS / f"{request.param}.ipynb", tmp_path)
    with jupyterlab(tmp_path, f"{request.param}.ipynb") as address, opened(address) as page:
        page.set_viewport_size({"width": 1500, "height": 1300})
        yield page


def differs(page, script, before):
    """Wait until what a script finds is another thing than before; returns it."""
    page.wait_for_function(f"(old) => JSON.stringify(({script})()) !== JSON.stringify(old)",
                           arg=before)
    return page.evaluate(script)


def whole(page):
    """Wait until every cell has run; none may have failed."""
    page.wait_for_function(DONE, timeout=300_000)
    assert page.locator(ERRORS).count() == 0


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("chapter", ["12_looking_inside"], indirect=True)
def test_tokens_are_hovered_and_clicked_and_the_step_slides(chapter):
    page = chapter
    run_all(page)
    widget = page.locator(".pi05-attention").first
    widget.wait_for(timeout=300_000)
    page.wait_for_function(f"() => ({DRAWN})().length > 4")
    said = f"() => document.querySelector('{SAID}').textContent"
    word = widget.locator(".pi05-token", has_text="the").first
    word.scroll_into_view_if_needed()
    pictures, told = page.evaluate(DRAWN), page.evaluate(said)

    word.hover()
    told = differs(page, said, told)
    pictures = differs(page, DRAWN, pictures)
    assert "the" in told

    step = widget.locator(".pi05-step").nth(4)
    step.click()
    told = differs(page, said, told)
    assert "action step 5" in told
    widget.get_by_role("button", name="locked").wait_for()

    slider = widget.locator("input[type=range]")
    slider.focus()
    pictures = page.evaluate(DRAWN)
    page.keyboard.press("Home")
    differs(page, DRAWN, pictures)

    whole(page)
    assert page.errors == [] and page.outside == []


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("chapter", ["06_flow_matching"], indirect=True)
def test_the_first_slider_moves_noise_towards_the_data(chapter):
    page = chapter
    run_all(page)
    rail = page.locator(f"{FIGURE} .slider-rail-touch-rect").first
    rail.wait_for(timeout=300_000)
    before = page.evaluate(PLOT)
    for _ in range(10):  # cells that still run push the rail away from under a click
        end = {"x": rail.bounding_box()["width"] - 1, "y": 5}
        rail.click(position=end, force=True)  # the grip that comes there may lie over the rail
        page.wait_for_timeout(2_000)
        if page.evaluate(PLOT) != before:
            break
    assert page.evaluate(PLOT) != before

    whole(page)
    assert set(page.errors) <= {"undefined"} and page.outside == []  # of plotly: test_browser.py
