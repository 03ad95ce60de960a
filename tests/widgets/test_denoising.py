"""The denoising widget follows its controls, and every picture shows what the trace holds."""

import json

import numpy as np
import pytest

from pi05lite.homes.sight import Sight, gripper_places
from pi05lite.policy import Policy
from pi05lite.widgets import paths
from pi05lite.widgets.denoising import DenoisingWidget, denoise
from pi05lite.widgets.pictures import denoising_figure
from tests.widgets.browser import opened
from tests.widgets.test_pictures import fake

A, STEPS = 4, 10


@pytest.fixture
def widget(toy_policy, toy_observation, toy_setup):
    truth = toy_setup.held_out["toy"].example(1, 30).actions
    return denoise(toy_policy, toy_observation, "go", truth, samples=3)


def moving(trace):
    """A trace of a mobile robot with known cameras."""
    rng = np.random.default_rng(0)
    trace.path = (trace.path * 0.1).astype(np.float32)
    trace.places = gripper_places("mobile", trace.path, np.array([0.4, 0, 1, 0, 0, 0, 0]))
    trace.true_places = trace.places[-1, 0]
    trace.images = {"base": rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)}
    trace.sights = {"base": Sight(np.array([0.4, 0, 2.0]), np.eye(3), 60.0)}
    return trace


def shown(widget):
    """The figures of the panes of a stage."""
    return [json.loads(pane["json"]) for pane in widget.stage.panes]


def test_a_frame_for_every_flow_time(widget):
    assert (widget.stage.count, widget.at) == (STEPS + 1, 0)
    assert widget.stage.labels[0].startswith("flow time 0.00")
    for figure in shown(widget):
        assert [f["name"] for f in figure["frames"]] == [f"{k / 10:.4g}" for k in range(11)]


def test_another_seed_gives_other_samples(widget):
    before = widget.trace.path
    widget.at = 4
    widget.seed.value = 8
    assert np.abs(widget.trace.path - before).max() > 0.01 and widget.at == 4
    widget.seed.value = 0
    assert np.array_equal(widget.trace.path, before)


def test_fewer_steps_shorten_the_slider(widget):
    widget.at = STEPS
    widget.steps.value = 5
    assert widget.stage.count == 6 and widget.at == 5 and len(widget.trace.tau) == 6


def test_the_solver_is_a_choice(widget):
    euler = widget.trace.path
    widget.solver.value = dict(widget.solver.options)["heun"]
    assert np.array_equal(widget.trace.path[0], euler[0])
    assert np.abs(widget.trace.path[-1] - euler[-1]).max() > 1e-3


def test_one_sample_has_no_ways_to_part(widget):
    assert len(widget.stage.panes) == 2
    widget.samples.value = 1
    assert len(widget.stage.panes) == 1 and widget.trace.path.shape[1] == 1


def test_any_policy_is_shown(toy_model, toy_setup, toy_observation):
    def own(velocity, noise, steps):
        return [noise, noise + velocity(noise, noise.new_zeros(len(noise)))]

    policy = Policy(toy_model, toy_setup.processor, steps=4)
    assert len(DenoisingWidget(policy, toy_observation, "go").trace.tau) == 5
    policy = Policy(toy_model, toy_setup.processor, steps=1, solver=own)
    found = DenoisingWidget(policy, toy_observation, "go", names=list("xyzg"))
    assert "policy's own" in dict(found.solver.options) and found.trace.truth is None
    assert [a.text for a in found.figure().layout.annotations[:A]] == list("xyzg")


def test_arrows_lead_to_the_next_point(widget):
    trace = widget.trace
    figure = denoising_figure(trace)
    arrow = [i for i, line in enumerate(figure.data) if line.legendgroup == "velocity"]
    assert len(arrow) == A
    for n in (0, 6):
        frame = dict(zip(figure.frames[n].traces, figure.frames[n].data))
        for a, i in enumerate(arrow):
            start, end, gap = np.reshape(frame[i].y, (-1, 3)).T
            at = np.arange(10)
            assert start == pytest.approx(trace.path[n, :, at, a].T.ravel())
            assert end == pytest.approx(trace.path[n + 1, :, at, a].T.ravel(), abs=1e-4)
            assert np.isnan(gap).all()


def test_paths_in_space_and_in_the_picture():
    trace = moving(fake(names=7, samples=2, horizon=10))
    space, seen = paths.path_figure(trace), paths.camera_figure(trace)
    for n in (0, 10):
        for k in range(2):
            line = space.frames[n].data[k]
            assert np.stack([line.x, line.y, line.z], 1) == pytest.approx(
                trace.places[n, k, :, 0], abs=1e-5)
            uv = trace.sights["base"].project(trace.places[n, k, :, 0])
            line = seen.frames[n].data[k]
            assert np.stack([line.x, line.y], 1) == pytest.approx(uv, abs=1e-5)
    assert len(seen.layout.images) == 1


def test_two_modes_are_two_bundles():
    trace = fake(names=2, samples=8, horizon=6)
    way = np.ones((6, 2), np.float32)
    for k in range(8):
        end = (1 if k % 2 else -1) * way
        for n, tau in enumerate(trace.tau):
            trace.path[n, k] = (1 - tau) * trace.path[0, k] + tau * end
    figure = paths.modes_figure(trace)
    ends = np.array([figure.data[k].y[-1] for k in range(8)])
    assert "100%" in figure.layout.title.text
    assert np.ptp(ends[::2]) < 1e-3 and np.ptp(ends[1::2]) < 1e-3
    assert abs(ends[0] - ends[1]) == pytest.approx(2 * np.sqrt(12), rel=1e-3)


LINES = "() => [...document.querySelectorAll('path.js-line')].map(p => p.getAttribute('d'))"
AT = "(n) => document.querySelector('.pi05-label').textContent.startsWith('flow time ' + n)"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_file_scrubs_by_mouse_and_by_keys(widget, tmp_path, scheme):
    with opened(widget.save_html(tmp_path / "denoising.html"), scheme) as page:
        page.wait_for_selector("[data-ready=yes]", timeout=60_000)
        noise = page.evaluate(LINES)
        page.locator(".pi05-at").focus()
        for _ in range(STEPS):
            page.keyboard.press("ArrowRight")
        page.wait_for_function(AT, arg="1.00")
        page.wait_for_timeout(1000)
        action = page.evaluate(LINES)
        moved = [a != b for a, b in zip(noise, action)]
        assert any(moved) and not all(moved)  # the samples move, what was done stays
        page.locator(".pi05-play").click()  # from the start again
        page.wait_for_function(AT, arg="0.30", timeout=60_000)
        ink = page.evaluate("() => getComputedStyle(document.querySelector('.gtitle')).fill")
        assert ink == ("rgb(0, 0, 0)" if scheme == "light" else "rgb(255, 255, 255)")
        assert page.errors == [] and page.outside == []
