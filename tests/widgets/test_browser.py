"""The denoising figure in a real browser: its slider moves the lines, and nothing is fetched."""

from types import SimpleNamespace

import pytest

from pi05lite.widgets import pictures
from tests.widgets.browser import error_of, opened
from tests.widgets.test_pictures import fake


@pytest.mark.slow
@pytest.mark.browser
def test_the_slider_and_the_play_button_move_the_lines(tmp_path):
    pictures.denoising_figure(fake()).write_html(tmp_path / "figure.html", include_plotlyjs=True)
    lines = "() => [...document.querySelectorAll('path.js-line')].map(p => p.getAttribute('d'))"
    with opened(tmp_path / "figure.html") as page:
        rail = page.locator(".slider-rail-touch-rect")
        rail.wait_for()
        page.wait_for_function(f"() => ({lines})().length > 4", timeout=60_000)
        noise = page.evaluate(lines)
        box = rail.bounding_box()  # a plain click: the grip that comes there may lie over the rail
        page.mouse.click(box["x"] + box["width"] - 1, box["y"] + 5)
        other = f"(d) => JSON.stringify(({lines})()) !== JSON.stringify(d)"
        page.wait_for_function(other, arg=noise, timeout=60_000)
        page.wait_for_timeout(500)  # the way there takes a moment
        action = page.evaluate(lines)
        moved = [a != b for a, b in zip(noise, action)]
        assert any(moved) and not all(moved)  # the samples move, what was done stays
        page.locator(".updatemenu-button").first.click()
        page.wait_for_function(other, arg=action, timeout=60_000)
        # plotly drops the promise of an animation that the next one interrupts, with no reason
        assert set(page.errors) <= {"undefined"} and page.outside == []


@pytest.mark.parametrize("kind, text, address, counts", [
    ("error", "Failed to load resource: the server responded with a status of 500 (Internal Server "
     "Error)", "http://127.0.0.1:35993/api/kernels?1795970143688", False),
    ("error", "Failed to load resource: the server responded with a status of 500 (Internal Server "
     "Error)", "http://127.0.0.1:35993/api/contents/a.ipynb?1795970143688", True),
    ("error", "x is not a function", "http://127.0.0.1:35993/static/lab.js", True),
    ("error", "Failed to load resource", "attachment:a.png", False), ("log", "500", "", False)])
def test_what_counts_as_an_error_of_a_page(kind, text, address, counts):
    message = SimpleNamespace(type=kind, text=text, location={"url": address})
    assert error_of(message) == (f"{text} {address}" if counts else "")
