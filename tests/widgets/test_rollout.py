"""The rollout widget: other episodes, instructions and drivers on demand."""

import json

import pytest

from pi05lite.evaluate.drivers import PolicyDriver
from pi05lite.homes.tasks import Request
from pi05lite.widgets.played import plans_figure
from pi05lite.widgets.rollout import rollout
from tests.evaluate.test_rollout import home_policy  # noqa: F401
from tests.widgets.browser import opened


def test_another_instruction_is_what_the_policy_reads(home_policy, monkeypatch):  # noqa: F811
    widget = rollout(home_policy, "pick", seconds=1, execute=25, size=28)
    read = []
    ask = PolicyDriver._example
    monkeypatch.setattr(PolicyDriver, "_example", lambda self, o, text, level: (
        read.append((level, text)), ask(self, o, text, level))[1])
    widget.words.value, widget.driver.value = "dance", "own"
    widget.run.click()
    assert ("high", "dance") in read and widget.played.prompt == "dance"
    assert set(widget.played.pictures) == {"room", "head", "wrist"}  # what this policy sees
    assert len(widget.played.actions) == 50 and widget.stage.count == 6
    assert json.loads(widget.stage.panes[-1]["json"])["frames"]


def test_words_count_where_they_are_read(home_policy):  # noqa: F811
    widget = rollout(home_policy, "go", seconds=1, execute=25, size=28)
    widget.words.value = "lift the cup"
    assert widget.driver.value == "none"  # a skill needs no other words; a long task does
    assert not widget.words.disabled
    widget.run.click()
    assert set(widget.played.texts) == {"lift the cup"}  # taken for the subtask as it is
    widget.driver.value = "expert"
    assert widget.words.disabled
    widget.run.click()
    assert widget.played.prompt != "lift the cup" and widget.played.plans[0][1] is None
    assert "without chunks" in plans_figure(widget.played).layout.title.text


def test_what_cannot_be_is_said():
    widget = rollout(None, "pick", size=28)
    assert widget.played.success and "✓" in widget.said.value
    widget.home.value, widget.task.value = 8, "go"
    widget.run.click()
    assert widget.played.prompt in widget.said.value and not widget.run.disabled
    widget.base = Request("pick", 7, "new", 3, "arm")
    widget.run.click()
    assert "expected" in widget.said.value and not widget.run.disabled


SOURCES = "() => [...document.querySelectorAll('.pi05-picture img')].map(i => i.src)"


@pytest.mark.slow
@pytest.mark.browser
def test_one_file_plays(tmp_path):
    widget = rollout(None, "pick", size=28)
    with opened(widget.save_html(tmp_path / "rollout.html")) as page:
        page.wait_for_selector("[data-ready=yes]", timeout=60_000)
        start = page.evaluate(SOURCES)
        page.locator(".pi05-play").click()
        page.wait_for_function(f"() => ({SOURCES})()[0] !== {start[0]!r}", timeout=60_000)
        page.locator(".pi05-at").focus()
        page.keyboard.press("End")
        page.wait_for_function("(t) => document.querySelector('.pi05-words').textContent === t",
                               arg=widget.stage.panes[1]["frames"][-1])
        assert page.errors == [] and page.outside == []
