"""Pictures to tokens: a timm tower, then one linear layer to the VLM's width."""

import torch
from torch import nn

from pi05lite.model import linear


class VisionTower(nn.Module):
    """Any timm model as a source of patch tokens (SigLIP So400m/14 in the real pi0.5)."""

    def __init__(self, c, width):
        super().__init__()
        import timm  # here, so that `import pi05lite.model` stays quick

        sizes = dict(patch_size=c.patch, embed_dim=c.width, depth=c.depth, num_heads=c.heads,
                     mlp_ratio=c.mlp / c.width if c.mlp else None, act_layer=c.act)
        sizes = {name: value for name, value in sizes.items() if value is not None}
        if c.name.startswith("vit"):
            sizes["img_size"] = c.image_size
        # The head of a timm classifier is not used: no classes, no pooling.
        self.tower = linear.use_in(
            timm.create_model(c.name, pretrained=c.pretrained, num_classes=0, **sizes))
        self.channels_last = getattr(self.tower, "output_fmt", "NCHW") == "NHWC"
        self.projector = linear.Linear(self.tower.num_features, width)

    def forward(self, images):
        """images (B, 3, px, px) in [-1, 1] -> tokens (B, P, D). They are not scaled by sqrt(D)."""
        return self.projector(self.patches(images))

    def patches(self, images):
        """The tower's own features, one per patch: (B, P, width of the tower)."""
        x = self.tower.forward_features(images.to(self.projector.weight.dtype))
        if x.ndim == 4:  # a convolutional or windowed tower gives a map instead of a list
            return x.flatten(1, 2) if self.channels_last else x.flatten(2).transpose(1, 2)
        return x[:, getattr(self.tower, "num_prefix_tokens", 0):]  # without class tokens

    @torch.no_grad()
    def tokens_per_image(self, image_size):
        """How many tokens one picture becomes."""
        blank = self.projector.weight.new_zeros(1, 3, image_size, image_size)
        return self.patches(blank).shape[1]
