"""Worked swaps, each a short recipe in a file of its own: from a Variant to another Variant.

    lab.compare({"pi0.5": lab.part(), "diffusion": swaps.diffusion}, base, lab.Budget(seconds=300))
"""

from pi05lite.lab.swaps.diffusion import diffusion
from pi05lite.lab.swaps.frozen import frozen_vision
from pi05lite.lab.swaps.insulation import insulated, joint
from pi05lite.lab.swaps.norms import ada_layer_norm, ada_rms, added_time, concatenated_time
from pi05lite.lab.swaps.one_set import one_set
from pi05lite.lab.swaps.regression import regression
from pi05lite.lab.swaps.state import state_as_text, state_as_token, without_state
from pi05lite.lab.swaps.tokens_only import fast_only, vq_only
from pi05lite.lab.swaps.two_models import two_models
from pi05lite.lab.swaps.uniform_time import uniform_time

__all__ = ["ada_layer_norm", "ada_rms", "added_time", "concatenated_time", "diffusion", "fast_only",
           "frozen_vision", "insulated", "joint", "one_set", "regression", "state_as_text",
           "state_as_token", "two_models", "uniform_time", "vq_only", "without_state"]
