"""Words: what things and places are called, and subtasks said in several ways.

The first of several words is the usual one. `understand` reads a subtask back, whatever synonyms it
uses, so that a policy's words can be judged and followed.
"""

from dataclasses import dataclass

from pi05lite.homes.colors import SYNONYMS
from pi05lite.homes.furniture import DRAWER, NAMES
from pi05lite.homes.kinds import KINDS

VERBS = {
    "pick": ("pick up", "grab", "take"),
    "put": ("put", "place"),
    "open": ("open", "pull open"),
    "close": ("close", "shut"),
    "wipe": ("wipe", "clean"),
    "go": ("go to", "drive to", "move to"),
}
STAINS = "stains"
FURNITURE = sorted(((word, names[0]) for names in NAMES.values() for word in names),
                   key=lambda pair: -len(pair[0]))  # long words first: a toy chest is no chest
PROMPTS = {  # long tasks, as a person would ask for them
    "dishes": ("put the dishes in the sink", "clean up the dishes", "bring the dishes to the sink"),
    "drawer": ("put the items in the drawer", "tidy up the top of the {piece}",
               "put everything away into the drawer"),
    "laundry": ("put the laundry in the basket", "collect the laundry",
                "pick up the clothes and put them in the laundry basket"),
    "toys": ("tidy up the toys", "put the toys in the toy box", "clean up the toys"),
    "table": ("clear the table", "clean the table", "tidy and wipe the table"),
    "tray": ("put the items in the tray", "sort everything into the tray", "load the tray"),
}


@dataclass(frozen=True)
class Subtask:
    """A skill with what it is about: numbers of a thing and of a piece of furniture."""

    skill: str
    thing: int | None = None
    piece: int | None = None
    drawer: bool = False  # in the piece's drawer, not on the piece


def where(piece, drawer=False, name=None):
    """"in the sink", "on the table"."""
    if drawer:
        return f"in the {name or DRAWER[0]}"
    return f"{'in' if piece.inside else 'on'} the {name or piece.names[0]}"


class Speaker:
    """Says subtasks for one episode with the synonyms it has chosen (draw=None: the usual)."""

    def __init__(self, home, things, draw=None):
        self.home, self.things = home, things
        pick = draw.one if draw else lambda words: words[0]
        self.verbs = {skill: pick(words) for skill, words in VERBS.items()}
        self.pieces = [pick(piece.names) for piece in home.pieces]
        self.drawer = DRAWER[0]

    def say(self, task):
        """A subtask in words."""
        verb = self.verbs[task.skill]
        thing = f"the {self.things[task.thing].name}" if task.thing is not None else None
        if task.skill == "pick":
            return f"{verb} {thing}"
        if task.skill in ("open", "close"):
            return f"{verb} the {self.drawer}"
        name = self.pieces[task.piece]
        if task.skill == "put":
            place = where(self.home.pieces[task.piece], task.drawer,
                          self.drawer if task.drawer else name)
            return f"{verb} {thing} {place}"
        if task.skill == "wipe":
            return f"{verb} the {STAINS} off the {name}"
        return f"{verb} the {name}"


def called(kind, color, draw=None, colored=False):
    """What a thing is called: its kind, perhaps by a synonym, with its colour where needed."""
    kind = KINDS[kind]
    name = draw.one(kind.names) if draw and draw.chance(0.35) else kind.name
    if not colored:
        return name
    return f"{draw.one(SYNONYMS.get(color, (color,))) if draw else color} {name}"


def understand(text, home, things):
    """The Subtask that a text means in a room with things; None where it means nothing here.

    A thing counts as named by any synonym; its colour must fit where the text gives one.
    """
    text = " ".join(text.lower().strip(" .").split())
    text = text.removeprefix("now ").removeprefix("please ").removesuffix(" please")
    for skill, verbs in VERBS.items():
        for verb in verbs:
            if text.startswith(verb + " the "):
                found = _rest(skill, text[len(verb) + 5:], home, things)
                if found is not None:
                    return found
    return None


def skill_of(text):
    """The skill that a subtask asks for ("grab the mug": "pick"), None where it is none of them."""
    return next((skill for skill, verbs in VERBS.items()
                 if text.startswith(tuple(f"{verb} " for verb in verbs))), None)


def furniture_in(text):
    """{usual name: as the text calls it} of the furniture that a text names, "basket" or not."""
    left, found = f" {text} ", {}
    for word, usual in FURNITURE:
        if f" {word} " in left:
            found.setdefault(usual, word)
            left = left.replace(f" {word} ", " ; ")
    return found


def _rest(skill, rest, home, things):
    if skill in ("open", "close"):
        pieces = [p for p, piece in enumerate(home.pieces) if piece.drawer]
        return Subtask(skill, piece=pieces[0]) if rest in DRAWER and pieces else None
    if skill == "pick":
        thing = _thing(rest, things)
        return None if thing is None else Subtask(skill, thing)
    if skill == "put":
        for joint in (" in the ", " on the "):
            name, found, place = rest.rpartition(joint)
            thing = _thing(name, things) if found else None
            if thing is None:
                continue
            for p, piece in enumerate(home.pieces):
                if piece.drawer and place in DRAWER and joint == " in the ":
                    return Subtask(skill, thing, p, True)
                if place in piece.names and where(piece, name=place) == joint[1:] + place:
                    return Subtask(skill, thing, p)
        return None
    rest = rest.removeprefix(f"{STAINS} off the ") if skill == "wipe" else rest
    pieces = [p for p, piece in enumerate(home.pieces) if rest in piece.names]
    return Subtask(skill, piece=pieces[0]) if pieces else None


def _thing(name, things):
    """The first thing that a name fits."""
    for t, thing in enumerate(things):
        for word in KINDS[thing.kind].names:
            colors = SYNONYMS.get(thing.color, (thing.color,))
            if name == word or name in [f"{color} {word}" for color in colors]:
                return t
    return None


def same(a, b, home, things):
    """Whether two texts mean the same subtask here (synonyms allowed)."""
    meant = understand(a, home, things)
    return a == b or (meant is not None and meant == understand(b, home, things))
