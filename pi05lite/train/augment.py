"""Pictures changed a little at every step, so that few episodes go further.

openpi's choice: all cameras get other brightness, contrast and saturation, and those that stand in
the room (not on a wrist) are cropped and turned a little as well. Drawn for each picture.
"""

import torch
import torch.nn.functional as F


def augment(images, cameras, draws, crop=0.95, degrees=5.0, jitter=(0.3, 0.4, 0.5), moved=True):
    """images (B, C, 3, px, px) in [-1, 1] -> changed pictures; cameras: the C slots by name.

    draws: the `Draws` of the B examples; moved=False: other light alone, everything in its place.
    """
    room = torch.tensor([moved and "wrist" not in slot for slot in cameras])
    out = images.clone()
    if room.any():
        few = images[:, room]
        chance = draws.rand(few.shape[1], 3).flatten(0, 1)
        out[:, room] = move(few.flatten(0, 1), crop, degrees, chance).view_as(few)
    chance = draws.rand(images.shape[1], 3).flatten(0, 1)
    return jitter_colors(out.flatten(0, 1), jitter, chance).view_as(images)


def move(images, crop, degrees, chance):
    """Crop to a share of the width and turn, by chance (B, 3) in [0, 1): (B, 3, px, px)."""
    angle = torch.deg2rad((chance[:, 0] * 2 - 1) * degrees)
    shift = (chance[:, 1:] * 2 - 1) * (1 - crop)
    cos, sin = angle.cos() * crop, angle.sin() * crop
    grid = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1),
                        torch.stack([sin, cos, shift[:, 1]], 1)], 1).to(images)
    grid = F.affine_grid(grid, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def jitter_colors(images, strength, chance):
    """Brightness, contrast and saturation of each picture times 1 +- strength, by chance (B, 3)."""
    factors = 1 + (chance * 2 - 1) * torch.tensor(strength)
    brightness, contrast, saturation = factors.to(images).T[..., None, None, None]
    x = (images + 1) / 2 * brightness
    grey = x.mean(dim=(1, 2, 3), keepdim=True)
    x = grey + (x - grey) * contrast
    grey = x.mean(dim=1, keepdim=True)
    return (grey + (x - grey) * saturation).clamp(0, 1) * 2 - 1
