"""One id space for text, actions, boxes and segments: four disjoint ranges, in that order."""

from dataclasses import dataclass

from pi05lite.errors import ConfigError, DataError, say

# The four special text ids, where PaliGemma has them.
PAD, EOS, BOS, UNK = 0, 1, 2, 3


@dataclass(frozen=True)
class Vocabulary:
    """Sizes of the id ranges: text, then actions, then locations, then segments.

    The full model is Vocabulary(253952, 2048, 1024, 128), 257152 ids. PaliGemma's location ids stay
    where they are and the actions take the rarest text ids just below them. Published openpi puts
    FAST on the location ids themselves, so that a box and an action cannot be told apart.
    Every method takes an int, a NumPy array or a torch tensor and raises DataError out of range.
    """

    text: int
    actions: int
    locations: int = 0
    segments: int = 0

    def __post_init__(self):
        for name in ("text", "actions", "locations", "segments"):
            size = getattr(self, name)
            least = UNK + 1 if name == "text" else 0
            if not isinstance(size, int) or size < least:
                raise ConfigError(say(
                    f"Vocabulary.{name}", f"a whole number, at least {least}", repr(size),
                    "give the number of ids of this kind",
                ))

    @property
    def size(self):
        """Number of ids in all."""
        return self.text + self.actions + self.locations + self.segments

    def span(self, kind):
        """The range (first, end) of ids of one kind: text, action, location or segment."""
        first = 0
        sizes = (self.text, self.actions, self.locations, self.segments)
        for name, size in zip(("text", "action", "location", "segment"), sizes):
            if name == kind:
                return first, first + size
            first += size
        raise ConfigError(say(
            "Vocabulary.span", "text, action, location or segment", repr(kind), "use one of these"
        ))

    def kind(self, id):
        """The name of the range that holds one id (int)."""
        _check("id", id, 0, self.size)
        for kind in ("text", "action", "location"):
            if id < self.span(kind)[1]:
                return kind
        return "segment"

    def action_id(self, token):
        """Action token -> id, counted downward: token 0 has the highest id of its range."""
        _check("action token", token, 0, self.actions)
        return self.text + self.actions - 1 - token

    def action_token(self, id):
        """Id -> action token, the inverse of `action_id`."""
        _check("id of an action token", id, *self.span("action"))
        return self.text + self.actions - 1 - id

    def location_id(self, k):
        """Location bin -> id, counted upward as in PaliGemma."""
        _check("location", k, 0, self.locations)
        return self.text + self.actions + k

    def location(self, id):
        """Id -> location bin, the inverse of `location_id`."""
        _check("id of a location", id, *self.span("location"))
        return id - self.text - self.actions


def _check(thing, value, first, end):
    """Raise DataError unless every number of value lies in [first, end)."""
    if 0 in getattr(value, "shape", ()):
        return
    low, high = (value.min(), value.max()) if hasattr(value, "min") else (value, value)
    if low < first or high >= end:
        raise DataError(say(
            thing,
            f"{first} to {end - 1}" if end > first else "nothing: this vocabulary has none",
            f"{int(low)}" if low == high else f"{int(low)} to {int(high)}",
            "check that the tokenizer and the vocabulary have the same sizes",
        ))
