"""How the flow time comes in: adaRMS (pi0.5), adaLN (DiT, arXiv 2212.09748), concatenated (pi0),
or added once to every action token (chapter 13)."""

import torch
import torch.nn.functional as F

from pi05lite.lab.variant import part
from pi05lite.model.expert import AdaptiveTime, MixedTime
from pi05lite.model.layers import AdaptiveRMSNorm, RMSNorm
from pi05lite.model.linear import Linear


class AdaptiveLayerNorm(AdaptiveRMSNorm):
    """Takes the mean away too; scale, shift and gate from the time, as adaRMS."""

    def forward(self, x, scale, shift, gate):
        normed = F.layer_norm(x.float(), x.shape[-1:], eps=1e-6).type_as(x)
        return torch.addcmul(shift, normed, 1 + scale), gate


class AdaLN(AdaptiveTime):
    norm = AdaptiveLayerNorm


class AddedTime(torch.nn.Module):
    norm = RMSNorm

    def __init__(self, width):
        super().__init__()
        self.read = Linear(width, width)

    def forward(self, tokens, wave):
        return tokens + self.read(wave)[:, None], None


ada_rms = part(time=AdaptiveTime)
ada_layer_norm = part(time=AdaLN)
concatenated_time = part(time=MixedTime)
added_time = part(time=AddedTime)
