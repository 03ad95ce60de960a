"""What is handed on: small, whole, the same policy, and never over something that is there."""

import json

import pytest
import torch

import pi05lite
from pi05lite.errors import DataError
from pi05lite.train.ship import halved, ship
from tests.train import toy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    toy.run(out)
    return out


def test_it_is_the_same_policy_without_the_optimiser(run, tmp_path):
    size = ship(run, tmp_path / "small", about="Made of waves.")
    files = {file.name for file in (tmp_path / "small").rglob("*") if file.is_file()}
    assert not any(name.startswith("training") for name in files)
    assert size == sum(f.stat().st_size for f in (tmp_path / "small").rglob("*") if f.is_file())
    rights = {f.stat().st_mode for f in (tmp_path / "small").rglob("*") if f.is_file()}
    assert len(rights) == 1  # weights are for whoever may read the card
    there, here = pi05lite.load(run), pi05lite.load(tmp_path / "small")
    for name, weight in there.model.state_dict().items():
        assert torch.allclose(here.model.state_dict()[name], weight, rtol=1e-3, atol=1e-6), name
    assert here.processor.text.encode("wave") == there.processor.text.encode("wave")


def test_the_card_tells_what_it_is_and_what_it_reached(run, tmp_path):
    row = {"n": 20, "success": [0.5, 0.3, 0.7], "progress": [0.6, 0.5, 0.7]}
    results = tmp_path / "short.json"
    results.write_text(json.dumps({"rows": [], "summary": {"all": row},
                                   "about": {"suite": "short", "high": "none", "seed": 3}}))
    ship(run, tmp_path / "small", [results], "Made of waves.")
    card = (tmp_path / "small" / "README.md").read_text()
    assert "Made of waves." in card and "waves/low" in card and "posttrain" in card
    assert "| short | the prompt alone | 20 | 50 [30, 70] | 60 [50, 70] | 3 |" in card


def test_what_is_there_stays_and_nothing_is_left_half_written(run, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="one"):
        ship(run, tmp_path / "mine")
    with pytest.raises(DataError, match="MB"):
        ship(run, tmp_path / "small", most=1000)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_weight_too_large_for_half_precision_stays_whole():
    assert halved(torch.tensor([1e-3, 2.0])).dtype == torch.float16
    assert halved(torch.tensor([1e6])).dtype == torch.float32
    assert halved(torch.tensor([3])).dtype == torch.int64
