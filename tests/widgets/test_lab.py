"""The widgets in JupyterLab as people use them, and the saved notebook without a kernel."""

import json

import nbformat
import pytest

from tests.widgets.browser import jupyterlab, opened, run_all

CELLS = ["""import torch
import pi05lite
from pi05lite.policy import Observation, Policy
from pi05lite.train.fit import fit
from pi05lite.widgets.attention import attend
from pi05lite.widgets.codes import codes
from pi05lite.widgets.denoising import denoise
from pi05lite.widgets.rollout import rollout
from pi05lite.widgets.sequence import sequences
from pi05lite.widgets.training import TrainingWidget
from tests.train.toy import Waves, parts, quick
model, processor, mixture = parts()
example = Waves()[3]
moment = Observation("waves", example.images, example.state)
policy = Policy(model, processor)""",
         "attend(policy, moment, 'wave')",
         "denoise(policy, moment, 'wave', example.actions)",
         "sequences(model)",
         "codes(processor.actions, processor.normal_actions(example))",
         "rollout(None, 'pick', size=64)",
         "live = TrainingWidget(moment, 'wave', example.actions, every=0.5)\nlive",
         "fit(model, processor, mixture, quick(), 'run', until=12, progress=False,\n"
         "    tensorboard=False, callbacks=[live.callback(processor, sample_every=4)]);"]
STAGES = range(2, 7)  # the cells whose widget has a slider
CELL = '.jp-Notebook [data-windowed-list-index="{}"]'
LOOKS = """(n) => [...document.querySelectorAll(`.jp-Notebook [data-windowed-list-index="${n}"] ` +
  ':is(path.js-line, .pi05-picture img, .hm image, .pi05-words)')].map(
    (x) => x.getAttribute('d') || x.src || x.getAttribute('href') || x.textContent).join()"""
STILLS = "() => [...document.querySelectorAll('.jp-RenderedPlotly')].filter(n => n.offsetParent)"


def cell(page, n):
    """A cell of the notebook, scrolled to: the page holds those in sight alone."""
    page.wait_for_function("""(cell) => {
        const found = document.querySelector(cell);
        if (found) found.scrollIntoView();
        else document.querySelector('.jp-WindowedPanel-outer').scrollBy(0, 200);
        return found;
    }""", arg=CELL.format(n), timeout=120_000)
    return page.locator(CELL.format(n))


def changed(page, n, before):
    """Wait until the pictures of a cell look otherwise than they did."""
    page.wait_for_function(f"([n, before]) => ({LOOKS})(n) !== before", arg=[n, before],
                           timeout=120_000)


def run_to_the_end(page):
    """Run the notebook and wait for its end."""
    run_all(page)
    cell(page, len(CELLS) - 1).get_by_text(f"[{len(CELLS)}]:").wait_for(timeout=240_000)
    page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)")


def point_at_a_token(page):
    """Hover a token of the attention widget, then click it."""
    said = "() => document.querySelector('.pi05-said').textContent"
    step = cell(page, 1).locator(".pi05-step").nth(4)
    step.wait_for(timeout=120_000)
    before = page.evaluate(said)
    step.hover()
    page.wait_for_function(f"(s) => ({said})() !== s", arg=before)
    step.click()


def scrub(page, n):
    """Move a stage's slider with keys: from wherever it is to one end, then to the other."""
    cell(page, n).locator("[data-ready=yes]").wait_for(timeout=120_000)
    slider = cell(page, n).locator(".pi05-at")
    slider.focus()
    for key in ("Home", "End") if slider.input_value() != "0" else ("End", "Home"):
        before = page.evaluate(LOOKS, n)
        page.keyboard.press(key)
        changed(page, n, before)


def press(page, n, slider):
    """Move a slider that the kernel hears of, by a key; the widget computes and draws anew."""
    handle = cell(page, n).locator(".widget-slider", has_text=slider).locator("[role=slider]")
    before = page.evaluate(LOOKS, n)
    handle.focus()
    page.keyboard.press("ArrowRight")
    changed(page, n, before)


def run_another(page, n):
    """Run another episode in the rollout widget."""
    before = page.evaluate(LOOKS, n)
    cell(page, n).locator("select").nth(1).select_option("go")
    cell(page, n).get_by_text("run again").click()
    changed(page, n, before)


@pytest.mark.slow
@pytest.mark.browser
def test_live_then_saved_then_without_a_kernel(tmp_path, monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3",
                                   "language": "python"}
    nbformat.write(book, tmp_path / "page.ipynb")
    with jupyterlab(tmp_path, "page.ipynb") as address, opened(address) as page:
        run_to_the_end(page)
        point_at_a_token(page)
        for n in STAGES:
            scrub(page, n)
        press(page, 2, "samples")
        press(page, 4, "to id")
        run_another(page, 5)
        assert page.evaluate(STILLS + ".length") == 0  # they hide behind what lives
        cell(page, 6).get_by_text("sample after step").wait_for()
        page.keyboard.press("Control+s")
        page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')", timeout=30_000)
        page.wait_for_timeout(1000)
        assert page.errors == [] and page.outside == []
        saved = json.loads((tmp_path / "page.ipynb").read_text())
        assert (tmp_path / "page.ipynb").stat().st_size < 6 * 200_000
        kept = [out["data"]["application/vnd.plotly.v1+json"] for row in saved["cells"]
                for out in row["outputs"] if "application/vnd.plotly.v1+json" in out["data"]]
        assert len(kept) == 6 and all(still["frames"] for still in kept)
        for row in saved["cells"]:
            row.pop("id", None)
        (tmp_path / "again.ipynb").write_text(json.dumps(
            {**saved, "metadata": {"kernelspec": {"name": "none", "display_name": "none"}}}))
        page.goto(address.replace("page.ipynb", "again.ipynb"))
        page.locator(".jp-Dialog-button.jp-mod-reject").click(timeout=120_000)
        for n in range(1, 7):
            still = cell(page, n).locator(".jp-RenderedPlotly >> visible=true")
            still.wait_for(timeout=120_000)
            if n == 6:
                still.click(force=True)  # a picture at first, alive when it is touched
                rail = still.locator(".slider-rail-touch-rect")
                rail.wait_for(timeout=120_000)
                before = page.evaluate(LOOKS, n)
                rail.click(position={"x": rail.bounding_box()["width"] / 3, "y": 20})
                changed(page, n, before)
                assert page.evaluate(LOOKS, n).count("M") == before.count("M")  # none vanished
        assert page.outside == []
