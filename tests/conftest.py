"""Fixtures shared by all tests."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import pi05lite  # noqa: F401  # first: it lets torchvision import next to a CPU-only torch


@pytest.fixture(scope="session")
def real_data():
    """The folder of real robot subsets named by PI05LITE_DATA; skips where there is none."""
    folder = os.environ.get("PI05LITE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real data: set PI05LITE_DATA to the folder that holds it")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def toy_setup(tmp_path_factory):
    """The kit's own robot data at nano size: mixture, processor, held-out episodes."""
    from pi05lite import config
    from pi05lite.tokens.fast import FastTokenizer
    from pi05lite.train.setup import prepare

    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PI05LITE_CACHE", str(folder / "cache"))
        patch.setenv("PI05LITE_DOWNLOADS", str(folder / "none"))
        patch.delenv("PI05LITE_DATA", raising=False)
        c = replace(config.nano(), horizon=10, max_tokens=96)
        return prepare(["toy"], c, FastTokenizer(320), words=False)


@pytest.fixture(scope="session")
def toy_model(toy_setup):
    """An untrained nano model for the toy data, its adaptive norms opened: at the start of training
    they are closed, and the expert would look at nothing."""
    import torch

    from pi05lite.model.pi05 import Pi05

    torch.manual_seed(0)
    model = Pi05(toy_setup.config).eval()
    with torch.no_grad():
        for name, p in model.expert.named_parameters():
            if "modulation" in name:
                p.normal_(0, 0.5)
    return model


@pytest.fixture
def toy_policy(toy_model, toy_setup):
    """A fresh policy round the untrained model."""
    from pi05lite.policy import Policy

    return Policy(toy_model, toy_setup.processor)


@pytest.fixture(scope="session")
def toy_observation(toy_setup):
    """What the toy robot senses in the middle of a held-out episode."""
    from pi05lite.policy import Observation

    example = toy_setup.held_out["toy"].example(1, 30)
    return Observation("toy", example.images, example.state)
