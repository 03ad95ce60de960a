"""Named colours, shared by things, furniture and language; some are kept for testing."""

COLORS = {
    "red": (0.78, 0.13, 0.12), "orange": (0.93, 0.5, 0.1), "yellow": (0.92, 0.79, 0.16),
    "green": (0.2, 0.58, 0.24), "blue": (0.15, 0.31, 0.72), "pink": (0.93, 0.55, 0.68),
    "brown": (0.43, 0.26, 0.14), "white": (0.93, 0.93, 0.91), "black": (0.1, 0.1, 0.11),
    "grey": (0.53, 0.54, 0.56), "purple": (0.46, 0.2, 0.58), "turquoise": (0.14, 0.68, 0.68),
}
HELD_OUT_COLORS = ("purple", "turquoise")  # no thing in a training home has them
KNOWN_COLORS = tuple(c for c in COLORS if c not in HELD_OUT_COLORS)
SYNONYMS = {"grey": ("grey", "gray")}

# Colours of rooms and furniture, by name.
USUAL_SHADES = {
    "oak": (0.72, 0.55, 0.36), "walnut": (0.4, 0.27, 0.18), "pine": (0.83, 0.69, 0.48),
    "chalk": (0.9, 0.89, 0.86), "stone": (0.62, 0.61, 0.58), "slate": (0.34, 0.37, 0.4),
    "cream": (0.92, 0.87, 0.76), "sage": (0.68, 0.74, 0.63), "sky": (0.7, 0.79, 0.87),
    "rose": (0.87, 0.73, 0.71), "sand": (0.82, 0.74, 0.61),
}
# Training homes have these too: with the usual ones alone, which are nearly all pale, a policy is
# lost in rooms of any other shade (data/results/homes_log.md).
RARE_SHADES = {
    "ebony": (0.18, 0.14, 0.12), "charcoal": (0.25, 0.26, 0.28), "navy": (0.18, 0.24, 0.4),
    "denim": (0.34, 0.47, 0.63), "forest": (0.2, 0.36, 0.24), "olive": (0.42, 0.43, 0.22),
    "mint": (0.58, 0.8, 0.7), "lavender": (0.68, 0.62, 0.8), "wine": (0.42, 0.14, 0.18),
    "brick": (0.58, 0.27, 0.2), "terracotta": (0.75, 0.45, 0.32), "copper": (0.66, 0.4, 0.25),
}
HELD_OUT_SHADES = {
    "teal": (0.2, 0.45, 0.45), "plum": (0.42, 0.25, 0.38), "mustard": (0.76, 0.6, 0.2),
}
SHADES = USUAL_SHADES | RARE_SHADES | HELD_OUT_SHADES


def shade(rgb, factor):
    """A lighter (> 1) or darker (< 1) version of a colour, within [0, 1]."""
    return tuple(min(1.0, max(0.0, round(c * factor, 4))) for c in rgb)
