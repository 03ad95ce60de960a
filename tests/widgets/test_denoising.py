"""The live widget follows its controls."""

import numpy as np
import pytest

from pi05lite.policy import Policy
from pi05lite.widgets.denoising import DenoisingWidget

A, STEPS = 4, 10


@pytest.fixture
def widget(toy_policy, toy_observation, toy_setup):
    truth = toy_setup.held_out["toy"].example(1, 30).actions
    return DenoisingWidget(toy_policy, toy_observation, "go", truth, samples=3)


def shown(widget):
    """The y values of all moving lines that are on the screen, (lines, H)."""
    live = widget.picture.children[0]
    return np.array([line.y for line in live.data if line.legendgroup != "truth"])


def expected(widget, n):
    return widget.trace.path[n].transpose(2, 0, 1).reshape(-1, widget.trace.path.shape[2])


def test_it_starts_at_the_noise(widget):
    assert np.array_equal(shown(widget), expected(widget, 0))
    assert (widget.at.min, widget.at.max) == (0, STEPS) and "0.00" in widget.said.value


@pytest.mark.parametrize("n", [1, 5, STEPS])
def test_the_slider_moves_the_lines_and_leaves_the_truth(widget, n):
    truth = [line.y.copy() for line in widget.live.data if line.legendgroup == "truth"]
    before = shown(widget)
    widget.at.value = n
    assert np.array_equal(shown(widget), expected(widget, n))
    assert np.abs(shown(widget) - before).max() > 0.01
    assert f"{n / STEPS:.2f}" in widget.said.value
    after = [line.y for line in widget.live.data if line.legendgroup == "truth"]
    assert len(after) == A and all(np.array_equal(a, b) for a, b in zip(truth, after))


def test_another_seed_gives_other_samples_at_the_same_step(widget):
    widget.at.value = 4
    before = shown(widget)
    widget.seed.value = 8
    assert np.abs(shown(widget) - before).max() > 0.01
    assert np.array_equal(shown(widget), expected(widget, 4))
    widget.seed.value = 0
    assert np.array_equal(shown(widget), before)


def test_fewer_steps_shorten_the_slider(widget):
    widget.at.value = STEPS
    widget.steps.value = 5
    assert widget.at.max == 5 and len(widget.trace.tau) == 6
    assert np.array_equal(shown(widget), expected(widget, 5))
    widget.steps.value = 20
    widget.at.value = 20
    assert np.array_equal(shown(widget), expected(widget, 20))


def test_the_number_of_samples_is_the_number_of_lines(widget):
    assert len(shown(widget)) == 3 * A
    widget.samples.value = 2
    assert len(shown(widget)) == 2 * A
    assert np.array_equal(shown(widget), expected(widget, 0))


def test_the_plain_figure_shows_the_same_without_a_kernel(widget):
    widget.seed.value = 3
    figure = widget.figure()
    assert len(figure.frames) == STEPS + 1 and len(figure.layout.sliders) == 1
    moving = [line.y for line in figure.data if line.legendgroup != "truth"]
    assert np.array_equal(moving, expected(widget, 0))
    assert "go" in figure.layout.title.text


def test_the_live_picture_has_no_controls_of_its_own(widget):
    assert not widget.live.layout.sliders and not widget.live.layout.updatemenus


def test_without_truth_only_samples_are_shown(toy_policy, toy_observation):
    widget = DenoisingWidget(toy_policy, toy_observation, "go", names=list("xyzg"), samples=1)
    assert len(widget.live.data) == A
    assert [a.text for a in widget.live.layout.annotations[:A]] == list("xyzg")


def test_any_number_of_steps_of_the_policy_is_shown(toy_model, toy_setup, toy_observation):
    policy = Policy(toy_model, toy_setup.processor, steps=4)
    assert len(DenoisingWidget(policy, toy_observation, "go").trace.tau) == 5
