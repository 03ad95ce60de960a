"""A regression head: one answer in one pass, the mean of all chunks that could follow.

The same expert is shown nothing at flow time 0 and asked for the chunk itself.
"""

import torch

from pi05lite.lab.variant import part
from pi05lite.model.flow import FlowMatching


class Regression(FlowMatching):
    linear = False

    def times(self, count, generator=None):
        return torch.zeros(count)

    def path(self, noise, actions, tau):
        return torch.zeros_like(noise), actions

    def solve(self, answer, noise, steps):
        nothing = torch.zeros_like(noise)
        return [noise, answer(nothing, noise.new_zeros(len(noise)))]


regression = part(objective=Regression)
