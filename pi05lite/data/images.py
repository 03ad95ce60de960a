"""Images as the model takes them: square, aspect kept, black bars, values in [-1, 1]."""

import numpy as np
from PIL import Image

from pi05lite.errors import DataError, say


def fit(image, size):
    """Resize a uint8 image (h, w, 3) into a square (size, size, 3): aspect kept, black bars.

    Centred, bilinear with antialiasing, as openpi's resize_with_pad. Raises DataError for anything
    that is not a uint8 image with three channels.
    """
    check_image(image)
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    longest = max(height, width)
    # Whole numbers, so that no rounding of a ratio can lose a row of pixels.
    new_height, new_width = (max(1, side * size // longest) for side in (height, width))
    small = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BILINEAR)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top : top + new_height, left : left + new_width] = small
    return square  # (size, size, 3)


def to_float(image):
    """Map uint8 values 0..255 to float32 in [-1, 1]; any shape; raises DataError if not uint8."""
    image = np.asarray(image)
    if image.dtype != np.uint8:
        way_out = "pass the pixels as integers 0..255"
        raise DataError(say("image", "dtype uint8", f"dtype {image.dtype}", way_out))
    return image.astype(np.float32) / np.float32(127.5) - np.float32(1)


def check_image(image):
    """Raise DataError unless `image` is a uint8 array (h, w, 3) with at least one pixel."""
    good = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    if not good or image.shape[2] != 3 or image.size == 0:
        shape = getattr(image, "shape", type(image).__name__)
        received = f"{shape}, dtype {getattr(image, 'dtype', None)}"
        raise DataError(
            say("image", "uint8 (h, w, 3)", received, "convert to RGB with values 0..255 first")
        )
