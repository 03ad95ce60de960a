"""State bins, prompt strings and scaling are openpi's, on its own examples (tests/golden)."""

import json
from pathlib import Path

import numpy as np
import pytest

from pi05lite.data.robots import Robot
from pi05lite.data.stats import DatasetStats
from pi05lite.errors import DataError
from pi05lite.tokens.prompt import question_prompt, robot_prompt, sequence
from pi05lite.tokens.state import state_bins

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
EXAMPLES = json.loads((GOLDEN / "prompts.json").read_text(encoding="utf-8"))


def stub(text):
    """openpi's examples were made with this tokenizer: id = byte + 3."""
    return [b + 3 for b in text.encode()]


@pytest.mark.parametrize("example", EXAMPLES["state_bins"], ids=lambda e: e["name"])
def test_state_bins(example):
    state = np.array(example["state"], dtype=example["dtype"])
    # openpi digitises without clipping: below the range it gives -1, we give the lowest bin.
    np.testing.assert_array_equal(state_bins(state), np.maximum(example["bins"], 0))


@pytest.mark.parametrize("example", EXAMPLES["pi05"])
def test_pi05_prompts_and_ids(example):
    text = robot_prompt(example["text"], np.array(example["state"]), "low")
    assert text == example["encode_calls"][0]["text"].replace("State: -1 -1 ", "State: 0 0 ")
    if "-1" not in example["encode_calls"][0]["text"] and example["length"] > example["mask_sum"]:
        ids = sequence(stub(text)).tokens
        assert ids == example["tokens"][:example["mask_sum"]]


@pytest.mark.parametrize("example", EXAMPLES["pi0"])
def test_pi0_prompts_and_ids(example):
    text = question_prompt(example["text"])
    assert text == "".join(call["text"] for call in example["encode_calls"])
    if example["length"] > example["mask_sum"]:
        assert sequence(stub(text)).tokens == example["tokens"][:example["mask_sum"]]


@pytest.fixture
def stats(tmp_path):
    """Statistics of a checkpoint in openpi's form, padded to 32 as its files are."""
    chunks = np.load(GOLDEN / "quantiles.npz")
    padded = {k: [*chunks[k].tolist(), *[0.0] * 25] for k in ("q01", "q99")}
    content = {"state": {**padded, "mean": [0.0] * 32, "std": [1.0] * 32}}
    content["actions"] = content["state"]
    (tmp_path / "norm_stats.json").write_text(json.dumps({"norm_stats": content}))
    return DatasetStats.from_openpi(tmp_path / "norm_stats.json", "arm", 7, 7)


def test_quantile_scaling_and_back(stats):
    chunks = np.load(GOLDEN / "quantiles.npz")
    ours = stats.action.normalize(chunks["raw"])
    inside = np.abs(chunks["norm"]) <= 1  # openpi does not clip
    np.testing.assert_allclose(ours[inside], chunks["norm"][inside], atol=2e-6)
    np.testing.assert_array_equal(ours[~inside], np.sign(chunks["norm"][~inside]))
    np.testing.assert_allclose(stats.action.unnormalize(chunks["norm"]), chunks["unnorm_back"],
                               atol=1e-6)


def test_actions_counted_from_the_current_state(stats):
    example = EXAMPLES["delta_actions"]
    relative = tuple((i, i) for i, on in enumerate(example["mask"]) if on)
    robot = Robot("arm", stats, {}, 15.0, relative)
    start = robot.origin(np.array(example["state"]))
    np.testing.assert_allclose(np.array(example["actions"]) - start, example["delta"], atol=1e-6)
    np.testing.assert_allclose(np.array(example["delta"]) + start, example["absolute_again"],
                               atol=1e-6)


def test_a_file_without_quantiles_is_refused(tmp_path):
    z_score = {"mean": [0.0], "std": [1.0], "q01": None, "q99": None}
    for content in ({"norm_stats": {"state": z_score, "actions": z_score}}, {"other": 1}):
        (tmp_path / "norm_stats.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match="q01"):
            DatasetStats.from_openpi(tmp_path / "norm_stats.json", "arm")
