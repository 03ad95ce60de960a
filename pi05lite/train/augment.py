"""Pictures changed a little at every step, so that few episodes go further.

openpi's choice: all cameras get other brightness, contrast and saturation, and those that stand in
the room (not on a wrist) are cropped and turned a little as well. Drawn for each picture.
"""


import torch
import torch.nn.functional as F


def augment(images, cameras, generator, crop=0.95, degrees=5.0, jitter=(0.3, 0.4, 0.5)):
    """images (B, C, 3, px, px) in [-1, 1] -> changed pictures; cameras: the C slots by name."""
    B, C = images.shape[:2]
    room = torch.tensor(["wrist" not in slot for slot in cameras])
    out = images.clone()
    if room.any():
        few = images[:, room]
        out[:, room] = move(few.flatten(0, 1), crop, degrees, generator).view_as(few)
    return jitter_colors(out.flatten(0, 1), jitter, generator).view_as(images)


def move(images, crop, degrees, generator):
    """Crop to a share of the width and turn, at random: (B, 3, px, px)."""
    B = len(images)
    angle = torch.deg2rad((torch.rand(B, generator=generator) * 2 - 1) * degrees)
    shift = (torch.rand(B, 2, generator=generator) * 2 - 1) * (1 - crop)
    cos, sin = angle.cos() * crop, angle.sin() * crop
    grid = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1),
                        torch.stack([sin, cos, shift[:, 1]], 1)], 1).to(images)
    grid = F.affine_grid(grid, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def jitter_colors(images, strength, generator):
    """Brightness, contrast and saturation of each picture times 1 +- strength: (B, 3, px, px)."""
    brightness, contrast, saturation = (
        (1 + (torch.rand(len(images), 1, 1, 1, generator=generator) * 2 - 1) * s).to(images)
        for s in strength)
    x = (images + 1) / 2 * brightness
    grey = x.mean(dim=(1, 2, 3), keepdim=True)
    x = grey + (x - grey) * contrast
    grey = x.mean(dim=1, keepdim=True)
    return (grey + (x - grey) * saturation).clamp(0, 1) * 2 - 1
