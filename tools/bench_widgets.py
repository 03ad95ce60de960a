"""How long each widget takes to open at the preset tiny, and how many updates a second it makes.

    python tools/bench_widgets.py

Opening is from the call to a widget with all its data (median of five; a rollout counts one episode
of the scripted expert, a training none). Updates are counted in Chromium, on the page that
`save_html` writes, each one waited for: what a person gets who drags the slider or points.
"""

import shutil
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import pi05lite  # noqa: F401  # first
from pi05lite import config
from pi05lite.policy import Observation, Policy
from pi05lite.train.setup import prepare

UPDATES = """async (n) => {
  const el = document.querySelector('#widget'), at = el.querySelector('.pi05-at');
  const tokens = [...el.querySelectorAll('.pi05-step')];
  const start = performance.now();
  for (let k = 0; k < n; k++) {
    const before = el.dataset.drawn;
    if (at) { at.value = k % (+at.max + 1) === +at.value ? (k + 1) % (+at.max + 1)
                                                         : k % (+at.max + 1);
              at.dispatchEvent(new Event('input')); }
    else tokens[k % tokens.length].dispatchEvent(new MouseEvent('mouseover', { bubbles: true }));
    while (el.dataset.drawn === before) await new Promise((go) => setTimeout(go, 0));
    await new Promise((go) => requestAnimationFrame(go));
  }
  return 1000 * n / (performance.now() - start);
}"""


def builders():
    """{name: function that opens the widget} on the kit's own data at the preset tiny."""
    import torch

    from pi05lite.model.pi05 import Pi05
    from pi05lite.widgets.attention import attend
    from pi05lite.widgets.codes import codes
    from pi05lite.widgets.denoising import denoise
    from pi05lite.widgets.rollout import rollout
    from pi05lite.widgets.sequence import sequences
    from pi05lite.widgets.training import TrainingWidget

    setup = prepare(["toy"], config.tiny(), words=False)
    torch.manual_seed(0)
    policy = Policy(Pi05(setup.config), setup.processor)
    example = setup.held_out["toy"].example(1, 30)
    moment = Observation("toy", example.images, example.state), "carry: the block"
    chunk = setup.processor.normal_actions(example)

    def training():
        widget = TrainingWidget(*moment, example.actions)
        for step in range(0, 100, 10):
            widget.note(step, {"loss": 1.0, "flow": 1.0})
            widget.sample(step, policy)
        widget.draw()
        return widget

    return {"attention": lambda: attend(policy, *moment, "tidy up", example.actions),
            "denoising": lambda: denoise(policy, *moment, example.actions),
            "sequence": lambda: sequences(policy.model),
            "codes": lambda: codes(setup.processor.actions, chunk),
            "rollout": lambda: rollout(None, "pick"), "training, 10 samples": training}


def updates(page, widget, folder, count=60):
    """Updates a second on the page that a widget writes."""
    page.goto(widget.save_html(Path(folder) / "widget.html").as_uri())
    page.wait_for_selector("[data-ready=yes], .pi05-cell", timeout=120_000)
    page.evaluate(UPDATES, 5)
    return page.evaluate(UPDATES, count)


def main():
    """Print one line a widget."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as play, TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=chromium, args=[
            "--no-sandbox", "--disable-gpu", "--disable-sync", "--no-first-run",
            "--disable-background-networking", "--disable-component-update"])
        page = browser.new_page(viewport={"width": 1250, "height": 1000})
        for name, build in builders().items():
            build()
            times = []
            for _ in range(5):
                start = time.perf_counter()
                widget = build()
                times.append(time.perf_counter() - start)
            rate = updates(page, widget, folder)
            print(f"{name:22} opens in {median(times):5.2f} s   {rate:5.0f} updates a second")
        browser.close()


if __name__ == "__main__":
    main()
