"""Training live: fed while Lightning trains, and changing nothing of the run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pi05lite.policy import Observation
from pi05lite.train.fit import fit, history
from pi05lite.widgets.page import PLOTLY
from pi05lite.widgets.training import (
    TrainingWidget,
    compare_figure,
    finished,
    samples_figure,
    thinned,
)
from tests.train.toy import Waves, parts, quick


def trained(out, steps=12, **options):
    model, processor, mixture = parts()
    example = Waves()[3]
    live = TrainingWidget(Observation("waves", example.images, example.state), "wave",
                          example.actions, list("xyz"), samples=2, every=0.0)
    callbacks = [live.callback(processor, sample_every=4)] if options.pop("live", True) else []
    fit(model, processor, mixture, quick(), out, until=steps, progress=False, tensorboard=False,
        callbacks=callbacks)
    return live, model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return *trained(out), out


def test_losses_of_every_source_and_samples_on_the_way(run):
    live, _, _ = run
    assert {"loss", "flow", "text", "tokens", "tokens/waves/low",
            "tokens/words", "flow/waves/low"} <= set(live.losses)
    assert "flow/words" not in live.losses  # words have no actions
    assert live.losses["flow/waves/low"][0][1] == pytest.approx(live.losses["flow"][0][1])
    assert [step for step, _ in live.losses["loss"]] == list(range(1, 13))
    assert live.steps == [1, 4, 8, 12] and live.stage.at == 3
    assert all(chunk.shape == (2, 10, 3) for chunk in live.chunks)
    assert np.abs(live.chunks[0] - live.chunks[-1]).max() > 1e-3
    losses, sources, samples = (json.loads(pane["json"]) for pane in live.stage.panes)
    assert [(line["name"], line["line"]["dash"]) for line in sources["data"]] == [
        ("waves/low", "solid"), ("words", "solid"), ("waves/low", "dash")]
    assert [f["name"] for f in samples["frames"]] == ["1", "4", "8", "12"]
    assert {line["name"] for line in losses["data"]} == {"text", "tokens", "flow"}


def test_watching_changes_nothing_of_the_run(run, tmp_path):
    _, watched, _ = run
    _, alone = trained(tmp_path, live=False)
    assert all(torch.equal(a, b) for a, b in zip(watched.state_dict().values(),
                                                 alone.state_dict().values()))


def test_a_finished_run_from_its_logs(run):
    _, _, out = run
    widget = finished(out)
    assert widget.losses == history(out) and "flow" in widget.losses
    assert len(widget.stage.panes) == 2
    assert [line.name for line in compare_figure({"a": out, "b": out}).data] == ["a", "b"]


def test_samples_are_thinned_out_not_forgotten(monkeypatch):
    chunks = np.random.default_rng(0).normal(size=(3, 2, 5, 4)).astype(np.float32)
    figure = samples_figure([0, 50, 100], chunks, chunks[0, 0], list("xyzg"), np.arange(5))
    assert [s.label for s in figure.layout.sliders[0].steps] == ["0", "50", "100"]
    assert [s.args[0] for s in figure.layout.sliders[0].steps] == [("0",), ("50",), ("100",)]
    frame = dict(zip(figure.frames[2].traces, figure.frames[2].data))
    assert np.array_equal(frame[1].y, chunks[2, 0, :, 0])


def test_the_still_has_losses_and_samples(run):
    live, _, _ = run
    figure = live.figure()
    losses, sources, samples = live.figures()
    assert len(figure.data) == 2 + sum(len(part.data) for part in (losses, sources, samples))
    assert [f.name for f in figure.frames] == ["1", "4", "8", "12"]
    frame = dict(zip(figure.frames[1].traces, figure.frames[1].data))
    marks = [line for line in frame.values() if line.x is not None]
    assert [line.x for line in marks] == [(4, 4), (4, 4)]  # in both plots of losses
    moving = {figure.data[i].xaxis for i in frame}  # plotly empties a plot where nothing moves
    assert moving == {line.xaxis for line in figure.data}
    bottoms = [axis.domain[0] for axis in figure.select_yaxes()]
    assert max(bottoms) > max(end.domain[1] for end in list(figure.select_yaxes())[:3])
    assert not finished(run[2]).figure().frames


def test_when_training_ends_the_notebook_keeps_its_last_picture(tmp_path, monkeypatch):
    kept = []
    still = SimpleNamespace(update=lambda bundle, raw: kept.append(bundle[PLOTLY]))
    monkeypatch.setattr(TrainingWidget, "still", still)
    live, _ = trained(tmp_path, steps=4)
    assert len(kept) == 1 and [f["name"] for f in kept[0]["frames"]] == ["1", "4"]


def test_long_histories_are_drawn_in_short():
    rows = [(step, float(step % 7)) for step in range(25_000)]
    few = thinned(rows)
    assert len(few) <= 1000 and thinned(rows[:1000]) == rows[:1000]
    assert np.mean([value for _, value in few]) == pytest.approx(np.mean([v for _, v in rows]))


def test_before_training_it_is_there_already():
    widget = TrainingWidget()
    assert widget.stage.count == 1 and len(widget.stage.panes) == 2
