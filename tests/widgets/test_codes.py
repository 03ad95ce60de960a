"""The codebook and FAST widget: prefixes, changes and usage as the tokenizers give them."""

import json

import numpy as np
import pytest

from pi05lite.tokens import vq
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.widgets.codes import (
    codes,
    codes_figure,
    prefixes,
    tokens_figure,
    usage,
    usage_figure,
)
from tests.widgets.browser import opened


@pytest.fixture(scope="module")
def chunks():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 50)[:, None]
    return np.sin(6 * t * rng.uniform(0, 1, (20, 1, 7)) + rng.uniform(0, 6, (20, 1, 7)))


@pytest.fixture(scope="module")
def fast(chunks):
    return FastTokenizer(256, scale=2.5).fit(chunks)


@pytest.fixture(params=["fast", "vq", "bins"])
def tokenizer(request, fast):
    return {"fast": lambda: fast, "vq": vq.default, "bins": lambda: BinsTokenizer()}[
        request.param]()


def test_all_tokens_give_what_decoding_gives(tokenizer, chunks):
    own = tokenizer.encode(chunks[:1])[0]
    counts, decoded = prefixes(tokenizer, own, (50, 7))
    assert counts[0] == 0 and counts[-1] == len(own) and len(counts) <= 48
    assert decoded[-1] == pytest.approx(tokenizer.decode([own], 50, 7)[0][0], abs=1e-5)
    figure = codes_figure(chunks[0], counts, decoded)
    last = dict(zip(figure.frames[-1].traces, figure.frames[-1].data))
    blue = [last[i] for i, line in enumerate(figure.data) if line.name == "first tokens"]
    assert np.stack([line.y for line in blue], 1) == pytest.approx(decoded[-1])


def test_each_token_takes_away_its_part_of_the_error(fast, chunks):
    own = fast.encode(chunks[:1])[0]
    counts, decoded = prefixes(fast, own, (50, 7))
    figure = tokens_figure(chunks[0], own, counts, decoded, chosen=1)
    error = np.sqrt(np.square(decoded - chunks[0]).mean((1, 2)))
    assert figure.data[0].y.sum() == pytest.approx(error[0] - error[-1], abs=1e-4)
    assert error[-1] < error[0] / 5
    colors = figure.data[0].marker.color
    assert colors[1] not in (colors[0], colors[2])


def test_a_changed_token_changes_the_chunk(tokenizer, chunks):
    widget = codes(tokenizer, chunks[0])
    assert widget.changed == widget.tokens and widget.stage.at == widget.stage.count - 1
    names = lambda: {line["name"] for line in json.loads(widget.stage.panes[0]["json"])["data"]}  # noqa: E731
    assert "with the token changed" not in names()
    widget.place.value = 2
    assert widget.id.value == widget.tokens[1]
    widget.id.value = (widget.tokens[1] + 1) % tokenizer.vocabulary_size
    assert widget.changed[1] == widget.id.value and widget.changed[2:] == widget.tokens[2:]
    assert "with the token changed" in names() and "RMSE with the change" in widget.said.value
    spelled = tokenizer.decode([widget.changed], 50, 7)[0][0]
    assert np.array_equal(widget.other, spelled)
    widget.back.click()
    assert widget.changed == widget.tokens and "with the token changed" not in names()


def test_a_click_on_its_bar_chooses_a_token(fast, chunks):
    widget = codes(fast, chunks[0])
    widget.stage.clicked = {"pane": 1, "curve": 0, "x": 3, "y": 0.1, "count": 1}
    assert widget.place.value == 3 and widget.id.value == widget.tokens[2]
    widget.stage.clicked = {"pane": 0, "curve": 0, "x": 0.4, "y": 0.1, "count": 2}
    assert widget.place.value == 3


def test_usage_and_perplexity(fast, chunks):
    counts, perplexity = usage(fast, chunks)
    ids = [i for row in fast.encode(chunks) for i in row]
    assert counts.sum() == len(ids) and 1 < perplexity <= (counts > 0).sum()
    even = BinsTokenizer()
    same = np.zeros((2, 50, 7))
    assert usage(even, same)[1] == pytest.approx(1)
    assert "perplexity" in usage_figure(counts, perplexity).layout.title.text
    assert len(codes(fast, chunks[0], chunks=chunks).stage.panes) == 3


@pytest.mark.slow
@pytest.mark.browser
def test_one_file_scrubs_the_tokens(fast, chunks, tmp_path):
    widget = codes(fast, chunks[0])
    widget.stage.at = 0
    lines = "() => [...document.querySelectorAll('path.js-line')].map(p => p.getAttribute('d'))"
    with opened(widget.save_html(tmp_path / "codes.html"), "dark") as page:
        page.wait_for_selector("[data-ready=yes]", timeout=60_000)
        before = page.evaluate(lines)
        page.locator(".pi05-at").focus()
        page.keyboard.press("End")
        page.wait_for_function(f"(d) => JSON.stringify(({lines})()) !== JSON.stringify(d)",
                               arg=before, timeout=60_000)
        page.wait_for_function(  # they stay: drawn again, a moment after the lines
            "(n) => document.querySelectorAll('.barlayer path').length === n",
            arg=len(widget.tokens), timeout=60_000)
        assert page.errors == [] and page.outside == []
