"""The sequence widget: its pictures are the masks that the model uses."""

import json

import numpy as np
import pytest

from pi05lite.model.expert import Pi0Expert
from pi05lite.model.pi05 import Pi05
from pi05lite.widgets.sequence import Mode, batch_mode, blocks, masks_figure, modes, sequences
from tests.widgets.browser import opened


def look(mode, rows, columns):
    """The part of the mask where one part looks at another."""
    mask, parts = mode.layout.mask()[0].numpy(), np.array(mode.tokens)
    return mask[parts == rows][:, parts == columns]


def test_who_sees_whom_in_each_mode(toy_model):
    high, low, pre, post = modes(toy_model)
    assert look(high, "prompt", "pictures").all() and not look(high, "prompt", "text").any()
    assert np.array_equal(look(high, "text", "text"), np.tri(6, dtype=bool))
    assert look(low, "flow", "flow").all() and not look(low, "prompt", "flow").any()
    assert look(pre, "action", "text").all() and not look(pre, "text", "action").any()
    assert not look(post, "flow", "action").any() and look(post, "flow", "text").all()
    for mode in (pre, post):
        for name, _ in mode.parts:
            assert not look(mode, name, "padding").any()


def test_a_batch_is_drawn_as_the_model_sees_it(toy_model, toy_setup):
    source = toy_setup.held_out["toy"]
    batch = toy_setup.processor.collate([source[0], source[30]])
    mode = batch_mode(toy_model, batch)
    layout = toy_model.embed(batch)[1].append(toy_model.expert.kinds(10))
    assert np.array_equal(mode.layout.mask()[0], layout.mask()[0])
    names = [name for name, _ in mode.parts]
    assert names[:3] == ["pictures", "prompt", "action"] and names[-1] == "flow"


def test_the_words_of_a_batch_are_named(toy_model, toy_setup):
    source, text = toy_setup.held_out["toy"], toy_setup.processor.text
    batch = toy_setup.processor.collate([source[0]])
    widget = sequences(toy_model, batch, text)
    mode = widget.modes[-1]
    assert len(mode.labels) == len(mode.tokens)
    words = [i for part, drawn, _ in blocks(mode) if part == "prompt" for i in drawn]
    ids = batch.tokens[0][:len(words)].tolist()
    assert [mode.labels[i] for i in words] == [text.decode([i]) for i in ids]
    names = widget.figure().frames[-1].data[0].x
    assert any(f"“{mode.labels[words[3]]}”" in name for name in names)
    assert len(set(names)) == len(names)  # equal names would fall together on the axis


def test_pi0_has_a_state_token(toy_setup):
    model = Pi05(toy_setup.config, expert=Pi0Expert)
    post = modes(model)[-1]
    assert ("state", 1) in post.parts
    assert not look(post, "state", "flow").any() and look(post, "flow", "state").all()


def test_colours_say_what_is_looked_at(toy_model):
    widget = sequences(toy_model)
    figure = widget.figure()
    assert [f.name for f in figure.frames] == [mode.name for mode in widget.modes]
    assert len(figure.to_json()) < 900_000 and widget.stage.count == 4
    mode, cells = widget.modes[3], figure.frames[3].data[0]
    shown = [i for _, drawn, _ in blocks(mode) for i in drawn]
    mask = mode.layout.mask()[0].numpy()[np.ix_(shown, shown)]
    heat, parts = np.asarray(cells.z), np.array(mode.tokens)[shown]
    assert np.array_equal(heat > 0, mask) and np.array_equal(np.asarray(cells.text) == "yes", mask)
    for part, _ in mode.parts:
        assert len(set(heat[:, parts == part][mask[:, parts == part]])) == (part != "padding")
    places = mode.layout.positions()[0].tolist()
    assert cells.y[-1] == f"action steps (flow) 10 of 10, position {places[-1]}"
    assert figure.frames[3].layout.xaxis.ticktext[-1] == "action steps (flow) 10"
    assert json.loads(widget.stage.panes[1]["json"])["frames"]


def test_the_full_size_is_drawn_in_short():
    """768 picture tokens: 24 of them say the same, and positions stay those of all."""
    mode = Mode("real", "", (("pictures", 768), ("prompt", 200), ("flow", 50)))
    figure = masks_figure([mode])
    assert np.shape(figure.data[0].z) == (72, 72) and len(figure.to_json()) < 150_000
    assert "pictures 768 (24 drawn)" in figure.layout.xaxis.ticktext
    assert figure.data[0].x[-24] == "action steps (flow) 1 of 50, position 968"


@pytest.mark.slow
@pytest.mark.browser
def test_one_file_moves_from_mode_to_mode(toy_model, tmp_path):
    widget = sequences(toy_model)
    ticks = "() => [...document.querySelectorAll('.xtick')].map(t => t.textContent).join()"
    with opened(widget.save_html(tmp_path / "sequence.html")) as page:
        page.wait_for_selector("[data-ready=yes]", timeout=60_000)
        page.locator(".pi05-at").focus()
        page.keyboard.press("End")
        page.wait_for_function(f"() => ({ticks})().includes('flow')", timeout=60_000)
        assert page.inner_text(".pi05-words").startswith("post-training")
        assert page.errors == [] and page.outside == []
