"""A variant that trains in seconds: sine chunks and words at nano size."""

import pytest

from pi05lite import lab
from pi05lite.train import recipe
from tests.train import toy


@pytest.fixture(scope="session")
def base():
    _, processor, mixture = toy.parts()
    return lab.Variant(processor, mixture, recipe.posttrain(steps=30, batch_size=8))
