"""Fixtures shared by all tests."""

import os
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
