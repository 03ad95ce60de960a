"""What a notebook gets of a widget: the widget itself, then its still."""

import pytest

from pi05lite.widgets import page
from pi05lite.widgets.attention import attend
from pi05lite.widgets.sequence import sequences
from tests.widgets.browser import opened

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.mark.parametrize("kind", ["anywidget", "box"])
def test_a_widget_is_followed_by_its_still(toy_policy, toy_observation, monkeypatch, kind):
    widget = (attend(toy_policy, toy_observation, "go") if kind == "anywidget"
              else sequences(toy_policy.model))
    shown = []
    monkeypatch.setattr(page, "display", lambda data, metadata=None, **_: shown.append(
        (data, metadata)))
    widget._ipython_display_()
    (live, notes), (still, _) = shown
    assert isinstance(live, dict) and isinstance(notes, dict)
    assert live[VIEW]["model_id"] == widget.model_id
    assert list(still) == [page.PLOTLY] and still[page.PLOTLY]["frames"]


def test_a_file_has_no_address_outside(toy_policy, toy_observation, tmp_path):
    widget = attend(toy_policy, toy_observation, "go")
    text = widget.save_html(tmp_path / "a.html").read_text()
    assert "http:" not in text and "https:" not in text
    assert text.count("export default") == 0 and "widget.render" in text


@pytest.mark.slow
@pytest.mark.browser
def test_figures_that_are_replaced_while_they_move_still_move(toy_policy, tmp_path):
    file = sequences(toy_policy.model).save_html(tmp_path / "a.html")
    file.write_text(file.read_text().replace("widget.render(", "window.m = model; widget.render("))
    heat = "() => document.querySelector('.hm image')?.getAttribute('href')"
    with opened(file) as page_:
        page_.wait_for_selector("[data-ready=yes]")
        page_.evaluate("""async () => {
            for (let k = 0; k < 20; k++) {
                m.set("at", k % 4);
                if (k % 3 === 0) m.set("panes", structuredClone(m.get("panes")));
                await new Promise((go) => setTimeout(go, 7 * (k % 5)));
            }
            m.set("at", 0);
        }""")
        page_.wait_for_timeout(1000)
        before = page_.evaluate(heat)
        page_.evaluate("m.set('at', 3)")
        page_.wait_for_function(f"(before) => ({heat})() !== before", arg=before)
