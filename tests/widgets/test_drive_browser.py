"""The drive page in JupyterLab in a real browser: keys and buttons move the robot."""

import shutil
from pathlib import Path

import pytest

from tests.widgets.browser import jupyterlab, opened, run_all

PAGE = Path(__file__).resolve().parents[2] / "notebooks" / "drive_a_home.ipynb"
TEXTS = "() => [...document.querySelectorAll('.widget-html-content')].map(i => i.innerText)"
PICTURES = "() => [...document.querySelectorAll('.widget-image')].slice(0, 4).map(i => i.src)"


@pytest.mark.slow
@pytest.mark.browser
def test_keys_and_buttons_move_the_robot(tmp_path):
    shutil.copy(PAGE, tmp_path)
    with jupyterlab(tmp_path, PAGE.name) as address, opened(address) as page:
        page.set_viewport_size({"width": 1500, "height": 1300})
        run_all(page)
        pad = page.locator(".pi05-keys").first
        pad.wait_for(timeout=240_000)
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
        assert page.errors == [] and page.outside == []
