"""Uniform in place of beta time sampling: no more weight on the noisy end (pi0, section IV)."""

import torch

from pi05lite.lab.variant import part
from pi05lite.model.flow import FlowMatching


class Uniform(FlowMatching):
    def times(self, count, generator=None):
        return torch.rand(count, generator=generator)


uniform_time = part(objective=Uniform)
