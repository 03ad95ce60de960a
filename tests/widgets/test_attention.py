"""Token attention: rows, parts and heads as the trace has them, alive in a page without kernel."""

import re

import numpy as np
import pytest

from pi05lite.errors import ConfigError
from pi05lite.widgets import attention
from pi05lite.widgets.attention import FULL, Attention, AttentionWidget, attend, attention_figure
from tests.widgets.browser import opened


@pytest.fixture
def widget(toy_policy, toy_observation, toy_setup):
    truth = toy_setup.held_out["toy"].example(1, 30).actions
    return attend(toy_policy, toy_observation, "carry: the block", "tidy up", truth)


def test_rows_are_shares_of_what_may_be_seen(widget):
    a = widget.attention
    words = [i for i in range(a.T) if a.parts[i] != "padding"]
    for token in [words[0], words[-1], a.T, a.T + a.H - 1]:
        for view in ({}, {"layer": 1}, {"layer": 0, "head": 2}, {"layer": "rollout"}):
            row = a.row(token, **view)
            assert row.sum() == pytest.approx(1, abs=1e-5)
            assert sum(a.mass(token, **view).values()) == pytest.approx(1, abs=1e-5)
            assert a.mass(token, **view).get("padding", 0) == 0
    assert a.mass(a.T)["tokens"] == 0 and a.mass(a.T)["flow"] > 0  # the flow never sees tokens
    assert a.row(a.T, 0, 1, 2) == pytest.approx(a.trace.flow_attention[0, 1, 2, 0])


def test_the_browser_gets_the_same_rows(widget):
    a, R = widget.attention, widget.attention.layers * widget.attention.heads + 1
    assert len(widget.rows) == a.size == sum(a.packed(key).nbytes for key in range(a.keys))
    h, step = 3, 5
    packed = a.packed(a.T + step * a.H + h)
    assert packed.shape == (R, a.T + a.H) and packed.dtype == np.uint16
    assert packed[:-1] / FULL == pytest.approx(
        a.trace.flow_attention[step][:, :, h].reshape(R - 1, -1), abs=1 / FULL)
    hidden = np.array(a.parts) == "tokens"
    assert (packed[:, hidden] == 0).all() and (packed[:, ~hidden & (np.array(a.parts) != "padding")]
                                               > 0).all()


def test_a_large_model_sends_rows_as_they_are_asked_for(widget, monkeypatch):
    monkeypatch.setattr(attention, "MOST", 1000)
    large, sent = AttentionWidget(widget.attention.trace), []
    assert large.rows == b""
    large.send = lambda content, buffers: sent.append((content, buffers))
    large._answer(large, {"need": 9}, [])
    assert sent[0][0] == {"row": 9}
    assert sent[0][1][0] == large.attention.packed(9).tobytes()


def test_a_saved_notebook_may_leave_the_rows_out_and_a_file_has_them(widget, tmp_path):
    light = AttentionWidget(widget.attention.trace, most=0)
    assert light.rows == b"" and widget.rows
    pages = [w.save_html(tmp_path / f"{i}.html").read_text() for i, w in enumerate((light, widget))]
    assert len(pages[0]) == len(pages[1]) > len(widget.rows)


def test_python_sees_what_is_selected(widget):
    a = widget.attention
    widget.selected, widget.step, widget.layer, widget.head = a.T + 2, 1, 0, 3
    assert np.array_equal(widget.reading(), a.trace.flow_attention[1, 0, 3, 2])
    widget.layer, widget.head = -2, -1
    assert np.array_equal(widget.reading(), a.row(a.T + 2, 1, "rollout"))


def test_tokens_that_are_not_there_are_refused(widget):
    padding = widget.attention.parts.index("padding")
    for token in (-1, padding, 10_000):
        with pytest.raises(ConfigError, match="not padding"):
            widget.attention.row(token)


def test_the_still_has_frames_and_fetches_nothing(widget):
    figure = attention_figure(widget.attention.trace)
    names = [frame.name for frame in figure.frames]
    assert len(set(names)) == len(names) > 10 and any("action step" in name for name in names)
    bars = [frame.data[-1].x for frame in figure.frames]
    assert np.sum(bars, axis=1) == pytest.approx(1, abs=1e-4)
    text = figure.to_json()
    assert len(text) < 300_000 and not re.findall(r"https?:", text)


def test_a_picture_is_heated_patch_by_patch():
    image = np.full((6, 6, 3), 100, np.uint8)
    out = attention.heated(image, np.array([[0, 1], [0.5, 0]]))
    assert (out[:3, :3] == 60).all() and (out[3:, 3:] == 60).all()
    assert out[0, 5, 0] > out[5, 0, 0] > 60


def test_a_trace_without_action_tokens_or_padding(toy_policy, toy_observation):
    widget = attend(toy_policy, toy_observation, "go", tokens=False, pad=1)
    a = Attention(widget.attention.trace)
    assert not {"tokens", "padding"} & set(a.parts) and a.row(a.T).sum() == pytest.approx(1)


DRAWN = "() => document.querySelector('#widget').dataset.drawn"
PIXELS = "() => [...document.querySelectorAll('canvas')].map(c => c.toDataURL())"
SAID = "() => document.querySelector('.pi05-said').textContent"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("large", [False, True])
def test_hover_previews_click_locks_and_keys_move(widget, tmp_path, large, monkeypatch):
    if large:  # the export of a model whose rows do not all fit
        monkeypatch.setattr(attention, "MOST", widget.attention.size // 2)
        widget = AttentionWidget(widget.attention.trace)
    file, T = widget.save_html(tmp_path / "attention.html"), widget.attention.T
    with opened(file) as page:
        page.wait_for_selector(".pi05-cell")
        start, pixels = page.evaluate(SAID), page.evaluate(PIXELS)
        assert start.startswith("action step 1 ")
        page.locator(f"[data-token='{T + 4}']").hover()
        assert page.evaluate(SAID).startswith("action step 5 ")
        assert page.evaluate(PIXELS) != pixels
        page.mouse.move(2, 2)
        assert page.evaluate(SAID) == start and page.evaluate(PIXELS) == pixels  # a preview only
        page.locator(f"[data-token='{T + 6}']").click()
        page.mouse.move(2, 2)
        assert page.evaluate(SAID).startswith("action step 7 ")
        page.locator(".pi05-body canvas").first.hover(position={"x": 4, "y": 4})
        assert page.evaluate(SAID).startswith("patch 0 of base")
        page.locator(".pi05-blocks").focus()
        page.keyboard.press("ArrowLeft")
        page.mouse.move(2, 2)
        before = page.evaluate(SAID)
        page.keyboard.press("ArrowDown")
        assert "rollout" in page.evaluate(SAID) and page.evaluate(SAID) != before
        page.locator(".pi05-cell").nth(1).click()
        assert ("layer 1, mean" if large else "layer 1, head 2") in page.evaluate(SAID)
        page.evaluate("() => { const r = document.querySelector('input[type=range]'); r.value = 0; "
                      "r.dispatchEvent(new Event('input')); }")
        assert "flow time 0.00" in page.inner_text(".pi05-time") or large
        assert page.errors == [] and page.outside == []


@pytest.mark.slow
@pytest.mark.browser
def test_twenty_tokens_a_second(widget, tmp_path):
    """Lenient, for busy machines: `tools/bench_widgets.py` gives the figure."""
    with opened(widget.save_html(tmp_path / "attention.html")) as page:
        page.wait_for_selector(".pi05-cell")
        seconds = page.evaluate("""() => { const start = performance.now();
          for (let k = 0; k < 20; k++) document.querySelectorAll('.pi05-step')[k % 10]
            .dispatchEvent(new MouseEvent('mouseover', { bubbles: true }));
          return (performance.now() - start) / 1000; }""")
        assert int(page.evaluate(DRAWN)) >= 20 and seconds < 5
