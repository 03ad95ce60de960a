"""Pictures to tokens: a timm tower, then one linear layer to the VLM's width."""

from functools import partial

import torch
from torch import nn

from pi05lite.errors import ConfigError, say
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
        if c.stem is not None:
            sizes["embed_layer"] = partial(Stem, c.stem, c.stem_blocks, c.stem_pool)
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


class Stem(nn.Module):
    """Convolutions in place of a ViT's one linear layer per patch (arXiv 2106.14881).

    Each halves the picture; behind all but the first come residual blocks. What is smaller than a
    patch is found by the blocks (data/results/homes_log.md), not by the convolutions alone.
    """

    def __init__(self, widths, blocks, pool, img_size, patch_size, in_chans=3, embed_dim=768, **_):
        super().__init__()
        if 2 ** len(widths) != patch_size:
            raise ConfigError(say("vision.stem", f"as many widths as it takes halvings to "
                                  f"vision.patch = {patch_size}", widths, "add or leave out some"))
        self.patch_size, self.grid_size = (patch_size,) * 2, (img_size // patch_size,) * 2
        self.num_patches = self.grid_size[0] ** 2
        layers = []
        for i, (before, after) in enumerate(zip((in_chans, *widths), widths)):
            largest = i >= len(widths) - pool
            layers += [nn.Conv2d(before, after, 3, 1 if largest else 2, 1),
                       nn.GroupNorm(1, after), nn.GELU(), *[nn.MaxPool2d(2)] * largest]
            if before != in_chans:  # at full width the first ones would cost most and see least
                layers += [Block(after) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], embed_dim, 1))

    def forward(self, images):
        """images (B, 3, px, px) -> (B, P, width)."""
        # A pixel's numbers beside each other: a step of the tower took two thirds of its time.
        images = images.contiguous(memory_format=torch.channels_last)
        return self.layers(images).flatten(2).transpose(1, 2)


class Block(nn.Module):
    """Two convolutions beside a straight way, before activation (arXiv 1603.05027)."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(*(layer for _ in range(2) for layer in (
            nn.GroupNorm(1, width), nn.GELU(), nn.Conv2d(width, width, 3, 1, 1))))

    def forward(self, x):
        """x (B, width, h, w) -> the same shape."""
        return x + self.layers(x)
