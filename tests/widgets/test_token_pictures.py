"""Pictures of the committed measurements: every row is drawn, and nothing is fetched."""

import re

import numpy as np
import pytest

from pi05lite.evaluate import results
from pi05lite.evaluate.tokens import PAPER
from pi05lite.widgets import tokens as pictures


@pytest.fixture(scope="module")
def committed():
    return results.load(results.FOLDER / "tokens.json")


def test_every_row_of_the_table_is_a_point(committed):
    figure = pictures.rate_distortion_figure(committed["table"])
    points = {(x, y) for line in figure.data for x, y in zip(line.x, line.y)}
    assert points == {(row["tokens"], row["rmse"]) for row in committed["table"]}
    assert sum(len(line.x) for line in figure.data) == len(committed["table"])
    assert len({line.yaxis for line in figure.data}) == len(committed["sets"])
    shown = [line.name for line in figure.data if line.showlegend]
    assert sorted(shown) == ["FAST", "FSQ", "VQ", "bins", "residual VQ"]


def test_one_robot_can_be_chosen(committed):
    figure = pictures.rate_distortion_figure(committed["table"], ["cr5"])
    assert len({line.yaxis for line in figure.data}) == 1


def test_the_curve_has_both_lines_beside_the_published_ones(committed):
    figure = pictures.control_rate_figure(committed["rates"], PAPER)
    published = [line for line in figure.data if line.legendgroup == "paper"]
    assert [list(line.y) for line in published[:2]] == [[35, 105, 140, 700], [20, 29, 28, 53]]
    assert published[2].y == pytest.approx([1.75, 3.62, 5.0, 13.2], abs=0.01)
    robots = {r["robot"] for r in committed["rates"]}
    assert {line.legendgroup for line in figure.data} == robots | {"paper"}
    assert len(figure.data) == 3 * len(robots) + 3


def test_damage_and_learning_are_drawn(committed):
    damage = pictures.damage_figure(committed["table"], "g1")
    assert sum(len(line.x) for line in damage.data) == sum(
        row["robot"] == "g1" for row in committed["table"])
    rows = results.load(results.FOLDER / "token_learning.json")["rows"]
    learning = pictures.learning_figure(rows)
    heights = np.concatenate([bar.y for bar in learning.data])
    assert sorted(heights) == sorted(row["error"][0] for row in rows)


def test_the_figures_are_small_and_fetch_nothing(committed):
    for figure in (pictures.rate_distortion_figure(committed["table"]),
                   pictures.control_rate_figure(committed["rates"], PAPER)):
        text = figure.to_json()
        assert len(text) < 100_000 and not re.findall(r"https?:", text)
