"""The sizes of the golden toy models (tests/golden), and where their differences are kept."""

import pytest

from pi05lite.config import Config, TransformerConfig, VisionConfig
from pi05lite.tokens.vocabulary import Vocabulary

SIZES = dict(depth=3, heads=4, kv_heads=1, head_dim=16)
CONFIG = Config(
    vision=VisionConfig(image_size=28, patch=14, width=48, depth=2, heads=4, mlp=96),
    vlm=TransformerConfig(width=64, mlp=128, **SIZES),
    expert=TransformerConfig(width=32, mlp=64, **SIZES),
    vocabulary=Vocabulary(text=512, actions=0), horizon=10, action_size=8, max_tokens=16)

PARITY = pytest.StashKey()  # (what, which model) -> largest difference, printed after the run
