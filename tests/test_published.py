"""From published weights, statistics and a tokenizer to actions, as the README says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pi05lite
from pi05lite.data.robots import Robot
from pi05lite.data.stats import DatasetStats
from pi05lite.policy import Observation, Policy
from pi05lite.processor import Processor
from pi05lite.tokens.text import TextTokenizer

from .model.toy import CONFIG

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["pi05", "pi0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_statistics_and_tokenizer_make_a_policy(name, dtype, tmp_path):
    config = replace(CONFIG, max_tokens=128)
    model = pi05lite.load_openpi(GOLDEN / f"{name}_model.safetensors", config, dtype)
    numbers = {k: np.linspace(low, low + 2, 8).tolist() for k, low in
               (("q01", -2), ("q99", 1), ("mean", 0), ("std", 1))}
    stats = tmp_path / "norm_stats.json"
    stats.write_text(json.dumps({"norm_stats": {"state": numbers, "actions": numbers}}))
    robot = Robot("droid", DatasetStats.from_openpi(stats, "droid", 7, 7),
                  {"base": "exterior", "left_wrist": "wrist"}, fps=15)
    text = TextTokenizer.train(["pick up the cup"], 300)
    policy = Policy(model, Processor(config, text, None, {"droid": robot}))
    rng = np.random.default_rng(0)
    images = {slot: rng.integers(0, 256, (28, 28, 3), dtype=np.uint8) for slot in robot.cameras}

    def chunk(state):
        observation = Observation("droid", images, state)
        if name == "pi05":
            return policy.follow(observation, "pick up the cup").actions
        batch = policy.batch(observation, "pick up the cup", "words")  # pi0's prompt: bare text
        path = policy.denoise(batch, "droid")
        return policy.processor.physical_actions(path[-1][0], "droid", state)

    actions = chunk(np.zeros(7))
    assert actions.shape == (10, 7) and np.isfinite(actions).all()
    assert not np.allclose(actions, chunk(np.ones(7)), atol=1e-3)  # the state is heard
