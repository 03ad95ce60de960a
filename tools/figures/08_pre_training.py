"""The picture at the head of chapter 08."""

from figures.shapes import arrow, box, canvas, write

from pi05lite.widgets import pictures

BLUE, ORANGE, GREEN, PINK, SKY, RED = pictures.COLORS
# Source, what it is, colour, ink, share of the circle, and what its row of a batch holds.
SOURCES = (
    ("MM", "the robot itself, few homes", BLUE, "white", 0.18, (3, 6, 0, 9)),
    ("ME", "other arms, many homes", SKY, "black", 0.26, (2, 5, 0, 6)),
    ("CE", "laboratory robots", GREEN, "white", 0.12, (3, 5, 0, 8)),
    ("HL", "long tasks, told in subtasks", ORANGE, "black", 0.22, (3, 5, 4, 0)),
    ("WD", "pictures with words", PINK, "black", 0.22, (1, 3, 5, 0)))


def draw():
    """Sources with their shares, one batch of their rows, one loss."""
    figure = canvas(360, 36)
    write(figure, 14, 34, "sources", size=15)
    write(figure, 36.5, 34, "shares", size=15)
    write(figure, 63, 34, "one batch", size=15)
    for k, (name, about, color, ink, share, tokens) in enumerate(SOURCES):
        y = 28.5 - 6 * k
        box(figure, 3.5, y, 5, 4, name, color, ink, 15)
        write(figure, 6.8, y, about, anchor="left")
        box(figure, 32 + 18 * share, y, 36 * share, 2.6, "", color)
        write(figure, 32.6 + 36 * share, y, f"{share:.0%}", anchor="left")
        arrow(figure, (45.5, y), (48.8, y))
        row(figure, 50, y, tokens)
        arrow(figure, (76.3, y), (83, 16.5 + (y - 16.5) * 0.25))
    box(figure, 89, 16.5, 11, 8, "one loss:<br>the next token", "#7a7a7a")
    for x, text, color in ((51, "pictures", SKY), (59, "prompt", "#9a9a9a"),
                           (66.5, "words", ORANGE), (73.5, "actions", BLUE)):
        write(figure, x, 0.8, text, color)
    return figure


def row(figure, x, y, tokens):
    """A row of a batch: pictures, then tokens of prompt, words and actions as small squares."""
    pictures_, *text = tokens
    for k in range(3):
        if k < pictures_:
            box(figure, x + 1.9 * k, y, 1.6, 3.4, "", SKY)
    place = x + 6.2
    for count, color in zip(text, ("#9a9a9a", ORANGE, BLUE)):
        for _ in range(count):
            box(figure, place, y, 0.9, 2.2, "", color)
            place += 1.15
