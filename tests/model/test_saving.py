"""Weights can be read by whoever can read the other files of their folder."""

import sys

import pytest
import torch
from safetensors import safe_open

from pi05lite.model.saving import save_file


@pytest.mark.skipif(sys.platform == "win32", reason="rights are other things there")
@pytest.mark.parametrize("there_already", [False, True])
def test_a_file_of_weights_has_the_rights_of_any_new_file(tmp_path, there_already):
    other, file = tmp_path / "config.json", tmp_path / "model.safetensors"
    other.touch()
    if there_already:
        file.touch()
    save_file({"w": torch.arange(3.0)}, file, {"what": "numbers"})
    assert file.stat().st_mode == other.stat().st_mode
    with safe_open(file, "pt") as weights:
        assert weights.metadata() == {"what": "numbers"}
        assert weights.get_tensor("w").tolist() == [0, 1, 2]
