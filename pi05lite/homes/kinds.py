"""The kinds of things in a home: what each looks like, weighs, and is called.

Parts are in centimetres, heights counted from the surface the thing stands on: (shape, size, place,
colour[, turn]). Shapes: b box, c cylinder, s sphere, e ellipsoid, k capsule, with MuJoCo's half
sizes; turn: "x" or "y" lays a cylinder or capsule along that axis, a number turns it about z by
degrees. Colour: main (its own), dark, light, or a colour's name. The solid body fits between
the fingers of every gripper of the kit, whichever way the thing lies (cloth gives way).
"""

from dataclasses import dataclass

from pi05lite.homes.colors import KNOWN_COLORS

ANY = tuple(c for c in KNOWN_COLORS if c not in ("brown", "black"))


@dataclass(frozen=True)
class Kind:
    """One kind: name, synonyms, family, half sizes of its box (cm), mass (g), colours, parts."""

    name: str
    also: tuple
    family: str
    half: tuple
    mass: float
    colors: tuple
    parts: tuple
    held_out: bool = False  # never in robot training data; named and boxed in WD

    @property
    def names(self):
        """The name and its synonyms."""
        return (self.name, *self.also)

    @property
    def round(self):
        """Whether it is round seen from above: then its body is a cylinder, else a box."""
        return self.half[0] == self.half[1] and self.parts[0][0] == "c"

    @property
    def size(self):
        """Half sizes of its box in metres."""
        return tuple(v / 100 for v in self.half)


def _k(name, also, family, half, mass, colors, *parts, held_out=False):
    also, colors = tuple(filter(None, also.split("/"))), tuple(colors)
    return Kind(name, also, family, half, mass, colors, parts, held_out)


_LIST = (
    # -------------------------------------------------------------------------------------- dishes
    _k("mug", "cup/coffee mug", "dishes", (4.2, 4.2, 4.5), 250, ANY,
       ("c", (4.2, 4.5), (0, 0, 4.5), "main"), ("c", (3.4, 0.1), (0, 0, 9), "dark"),
       ("b", (1.3, 0.7, 0.6), (5.3, 0, 7), "main"), ("b", (1.3, 0.7, 0.6), (5.3, 0, 2.6), "main"),
       ("b", (0.6, 0.7, 2.8), (6.4, 0, 4.8), "main")),
    _k("plate", "dish/dinner plate", "dishes", (6.5, 6.5, 0.8), 250, ANY,
       ("c", (6.6, 0.7), (0, 0, 0.8), "main"), ("c", (4.4, 0.1), (0, 0, 1.5), "light")),
    _k("bowl", "cereal bowl/soup bowl", "dishes", (5.8, 5.8, 2.6), 250, ANY,
       ("c", (4.2, 1.2), (0, 0, 1.2), "main"), ("c", (6.0, 1.5), (0, 0, 3.7), "main"),
       ("c", (5.1, 0.1), (0, 0, 5.2), "dark")),
    _k("glass", "tumbler/drinking glass", "dishes", (3.4, 3.4, 5.5), 200, ("white", "blue"),
       ("c", (3.4, 5.5), (0, 0, 5.5), (0.75, 0.87, 0.93)),
       ("c", (2.9, 0.1), (0, 0, 11), (0.5, 0.66, 0.75))),
    _k("pan", "frying pan/skillet", "dishes", (6.2, 3.9, 1.5), 400, ("black", "red"),
       ("c", (4.5, 1.4), (-2.0, 0, 1.5), "main"), ("c", (3.8, 0.1), (-2, 0, 3.0), "dark"),
       ("b", (2.6, 0.8, 0.6), (4.6, 0, 2.2), "black")),
    _k("pot", "saucepan/cooking pot", "dishes", (5.4, 5.4, 4.2), 450, ("grey", "red", "blue"),
       ("c", (5.0, 4), (0, 0, 4), "main"), ("c", (5.2, 0.4), (0, 0, 8.2), "light"),
       ("s", (0.9,), (0, 0, 9.2), "black"), ("b", (0.8, 1.6, 0.5), (5.6, 0, 6.4), "black"),
       ("b", (0.8, 1.6, 0.5), (-5.6, 0, 6.4), "black")),
    _k("teapot", "tea pot", "dishes", (5.0, 4.6, 4.6), 400, ANY,
       ("e", (4.8, 4.8, 4.2), (0, 0, 4.2), "main"), ("s", (1.0,), (0, 0, 9), "dark"),
       ("k", (0.9, 2.0), (5.2, 0, 5.6), "main", "x"),
       ("b", (0.5, 0.7, 2.4), (-5.9, 0, 4.6), "main"), held_out=True),
    # ------------------------------------------------------------------------------------- cutlery
    _k("fork", "table fork", "cutlery", (6.6, 1.3, 0.8), 80, ("grey",),
       ("b", (3.8, 0.6, 0.6), (-2.8, 0, 0.8), "main"),
       ("b", (1.0, 1.4, 0.6), (1.8, 0, 0.8), "main"),
       ("b", (1.9, 0.25, 0.5), (4.6, -1.15, 0.8), "main"),
       ("b", (1.9, 0.25, 0.5), (4.6, 0, 0.8), "main"),
       ("b", (1.9, 0.25, 0.5), (4.6, 1.15, 0.8), "main")),
    _k("spoon", "tablespoon", "cutlery", (6.6, 1.6, 0.8), 80, ("grey",),
       ("b", (4.2, 0.6, 0.6), (-2.4, 0, 0.8), "main"),
       ("e", (2.5, 1.8, 0.8), (4.1, 0, 0.8), "main")),
    _k("knife", "table knife", "cutlery", (6.7, 1.2, 0.8), 90, ("black", "brown"),
       ("b", (2.9, 0.9, 0.7), (-3.8, 0, 0.8), "main"),
       ("b", (3.7, 1.1, 0.4), (2.9, 0, 0.8), (0.8, 0.82, 0.85))),
    _k("spatula", "turner", "cutlery", (6.7, 2.3, 0.8), 100, ("red", "green", "blue"),
       ("b", (4.0, 0.7, 0.6), (-2.6, 0, 0.8), "black"),
       ("b", (2.7, 2.4, 0.5), (4.0, 0, 0.8), "main")),
    _k("ladle", "soup ladle", "cutlery", (6.6, 2.4, 1.4), 110, ("grey",),
       ("b", (4.2, 0.6, 0.5), (-2.4, 0, 1.6), "main"), ("s", (2.5,), (4.1, 0, 2.0), "main"),
       ("c", (2.0, 0.1), (4.1, 0, 3.6), "black"), held_out=True),
    _k("whisk", "egg whisk", "cutlery", (6.6, 2.0, 1.5), 100, ("black", "red"),
       ("k", (0.8, 2.2), (-3.6, 0, 1.5), "main", "x"),
       ("e", (3.4, 2.1, 1.5), (3.2, 0, 1.5), (0.78, 0.8, 0.83)), held_out=True),
    # ---------------------------------------------------------------------------------------- food
    _k("apple", "", "food", (3.6, 3.6, 3.5), 180, ("red", "green"),
       ("s", (3.7,), (0, 0, 3.6), "main"), ("b", (0.3, 0.3, 0.9), (0, 0, 7.6), "brown")),
    _k("banana", "", "food", (6.4, 2.0, 1.6), 150, ("yellow",),
       ("k", (1.6, 1.9), (0, -0.6, 1.6), "main", "x"),
       ("k", (1.4, 1.5), (4.0, 0.5, 1.5), "main", "x"),
       ("k", (1.4, 1.5), (-4.0, 0.5, 1.5), "main", "x"), ("s", (0.8,), (6.2, 1.0, 1.5), "brown")),
    _k("orange", "", "food", (3.7, 3.7, 3.6), 200, ("orange",),
       ("s", (3.8,), (0, 0, 3.7), "main"), ("c", (0.6, 0.1), (0, 0, 7.5), "green")),
    _k("carrot", "", "food", (6.4, 1.7, 1.5), 110, ("orange",),
       ("e", (4.6, 1.7, 1.6), (-1.4, 0, 1.6), "main"),
       ("e", (2.2, 1.7, 1.2), (4.6, 0, 1.6), "green")),
    _k("bread", "loaf of bread/loaf", "food", (6.2, 3.6, 3.4), 300, ("brown",),
       ("b", (5.6, 3.4, 2.0), (0, 0, 2.0), (0.74, 0.52, 0.28)),
       ("k", (2.9, 3.3), (0, 0, 3.8), (0.6, 0.38, 0.18), "x")),
    _k("tomato", "", "food", (3.4, 3.4, 2.9), 150, ("red",),
       ("e", (3.5, 3.5, 2.9), (0, 0, 2.9), "main"), ("e", (1.7, 1.7, 0.5), (0, 0, 5.7), "green")),
    _k("lemon", "", "food", (4.2, 2.8, 2.7), 120, ("yellow",),
       ("e", (3.8, 2.8, 2.8), (0, 0, 2.8), "main"), ("s", (0.8,), (3.9, 0, 2.8), "main"),
       ("s", (0.8,), (-3.9, 0, 2.8), "main")),
    _k("cheese", "piece of cheese/block of cheese", "food", (4.4, 3.4, 2.2), 220, ("yellow",),
       ("b", (4.4, 3.4, 2.2), (0, 0, 2.2), "main"), ("c", (0.9, 0.1), (1.5, 1.0, 4.4), "orange"),
       ("c", (0.6, 0.1), (-2, -1.2, 4.4), "orange"), ("c", (0.7, 0.1), (-1, 1.7, 4.4), "orange")),
    _k("pear", "", "food", (3.2, 3.2, 4.4), 180, ("green", "yellow"),
       ("s", (3.4,), (0, 0, 3.3), "main"), ("s", (2.2,), (0, 0, 6.7), "main"),
       ("b", (0.3, 0.3, 0.8), (0, 0, 9.3), "brown"), held_out=True),
    _k("corn", "corn cob/cob of corn", "food", (6.3, 2.1, 2.0), 200, ("yellow",),
       ("k", (2.0, 3.2), (-0.8, 0, 2.0), "main", "x"),
       ("e", (2.6, 2.3, 1.7), (4.4, 0, 2.0), "green"), held_out=True),
    # ------------------------------------------------------------------------------------- bottles
    _k("bottle", "water bottle/drinking bottle", "bottles", (3.3, 3.3, 7.4), 250,
       ("green", "blue", "red", "white"),
       ("c", (3.4, 4.8), (0, 0, 4.8), "main"), ("c", (1.5, 2.0), (0, 0, 11.4), "main"),
       ("c", (1.7, 0.8), (0, 0, 14.0), "white"), ("c", (3.5, 1.4), (0, 0, 5.0), "light")),
    _k("milk carton", "carton of milk/milk", "bottles", (3.5, 3.5, 7.0), 300, ("white",),
       ("b", (3.6, 3.6, 5.2), (0, 0, 5.2), "white"), ("b", (3.6, 1.6, 1.3), (0, 0, 11.6), "blue"),
       ("b", (3.7, 3.7, 1.5), (0, 0, 5.0), "blue")),
    _k("can", "tin/soda can", "bottles", (3.3, 3.3, 5.0), 220, ("red", "green", "blue", "orange"),
       ("c", (3.4, 4.4), (0, 0, 5.0), "main"), ("c", (3.1, 0.5), (0, 0, 9.8), "grey"),
       ("c", (3.1, 0.5), (0, 0, 0.5), "grey")),
    _k("jar", "jam jar", "bottles", (3.9, 3.9, 4.6), 280, ("red", "orange", "brown"),
       ("c", (3.9, 3.6), (0, 0, 3.6), "main"), ("c", (4.0, 0.9), (0, 0, 8.2), "white")),
    _k("shampoo", "shampoo bottle/bottle of shampoo", "bottles", (3.9, 2.6, 7.0), 260,
       ("pink", "green", "blue", "white"),
       ("b", (3.8, 2.4, 5.0), (0, 0, 5.0), "main"), ("c", (2.0, 1.5), (0, 0, 11.6), "light"),
       ("b", (2.6, 2.5, 1.6), (0, 0, 4.6), "white")),
    _k("soap dispenser", "hand soap/soap pump", "bottles", (3.4, 3.4, 6.6), 260,
       ("white", "pink", "green"),
       ("c", (3.4, 4.0), (0, 0, 4.0), "main"), ("c", (0.7, 2.2), (0, 0, 10), "grey"),
       ("b", (2.6, 0.7, 0.6), (1.6, 0, 12.4), "grey"), held_out=True),
    _k("pill bottle", "medicine bottle/bottle of pills", "bottles", (3.0, 3.0, 4.6), 120,
       ("orange",),
       ("c", (2.9, 3.4), (0, 0, 3.4), "main"), ("c", (3.2, 1.3), (0, 0, 8.0), "white"),
       ("c", (3.0, 1.2), (0, 0, 3.4), "white"), held_out=True),
    # ------------------------------------------------------------------------------------- laundry
    _k("shirt", "t-shirt/tee", "laundry", (5.0, 5.2, 1.6), 180, ANY,
       ("b", (4.4, 3.6, 1.5), (-0.8, 0, 1.5), "main"),
       ("b", (2.0, 6.4, 1.3), (2.2, 0, 1.5), "main"), ("c", (1.3, 0.1), (3.6, 0, 3.0), "dark")),
    _k("trousers", "pants/jeans", "laundry", (6.0, 3.8, 1.6), 250,
       ("blue", "grey", "green", "brown"),
       ("b", (4.8, 1.5, 1.5), (-1.4, 2.1, 1.5), "main", 4),
       ("b", (4.8, 1.5, 1.5), (-1.4, -2.1, 1.5), "main", -4),
       ("b", (1.4, 3.6, 1.6), (4.6, 0, 1.6), "dark")),
    _k("sock", "stocking", "laundry", (5.0, 3.4, 1.4), 80, ANY,
       ("b", (4.0, 1.8, 1.3), (-0.8, 1.4, 1.3), "main"),
       ("b", (1.8, 3.2, 1.3), (3.2, -0.2, 1.3), "main"),
       ("b", (0.9, 1.9, 1.4), (-4.4, 1.4, 1.4), "white")),
    _k("towel", "hand towel/bath towel", "laundry", (5.6, 4.4, 1.7), 250, ANY,
       ("b", (6.4, 4.8, 1.6), (0, 0, 1.6), "main"),
       ("b", (0.5, 4.9, 1.65), (4.6, 0, 1.65), "white"),
       ("b", (0.5, 4.9, 1.65), (-4.6, 0, 1.65), "white")),
    _k("cap", "hat/baseball cap", "laundry", (5.8, 4.0, 2.6), 120,
       ("red", "blue", "black", "green"),
       ("e", (4.0, 4.0, 4.4), (-1.6, 0, 0.8), "main"),
       ("b", (2.4, 3.0, 0.5), (3.9, 0, 0.9), "dark")),
    _k("scarf", "shawl", "laundry", (5.6, 4.4, 1.3), 150, ANY,
       ("b", (0.85, 4.8, 1.2), (-5.4, 0, 1.2), "main"),
       ("b", (0.85, 4.8, 1.2), (-3.6, 0, 1.2), "white"),
       ("b", (0.85, 4.8, 1.2), (-1.8, 0, 1.2), "main"),
       ("b", (0.85, 4.8, 1.2), (0, 0, 1.2), "white"),
       ("b", (0.85, 4.8, 1.2), (1.8, 0, 1.2), "main"),
       ("b", (0.85, 4.8, 1.2), (3.6, 0, 1.2), "white"),
       ("b", (0.85, 4.8, 1.2), (5.4, 0, 1.2), "main"), held_out=True),
    _k("glove", "mitten", "laundry", (5.2, 4.4, 1.4), 80, ("red", "blue", "black", "green"),
       ("b", (3.0, 2.8, 1.3), (-1.6, 0, 1.3), "main"),
       ("k", (1.1, 1.4), (-0.6, 3.4, 1.3), "main", "x"),
       ("k", (0.75, 1.6), (2.6, -2.1, 1.3), "main", "x"),
       ("k", (0.75, 1.6), (2.6, -0.7, 1.3), "main", "x"),
       ("k", (0.75, 1.6), (2.6, 0.7, 1.3), "main", "x"),
       ("k", (0.75, 1.6), (2.6, 2.1, 1.3), "main", "x"), held_out=True),
    # ---------------------------------------------------------------------------------------- toys
    _k("ball", "toy ball", "toys", (4.2, 4.2, 4.1), 120, ANY,
       ("s", (4.3,), (0, 0, 4.2), "main"), ("c", (4.32, 0.8), (0, 0, 4.2), "white")),
    _k("toy car", "car/little car", "toys", (5.6, 3.2, 2.8), 180,
       ("red", "blue", "yellow", "green"),
       ("b", (5.6, 2.7, 1.3), (0, 0, 2.3), "main"), ("b", (2.8, 2.4, 1.3), (-0.6, 0, 4.6), "light"),
       ("c", (1.4, 0.5), (-3.4, -2.9, 1.4), "black", "y"),
       ("c", (1.4, 0.5), (-3.4, 2.9, 1.4), "black", "y"),
       ("c", (1.4, 0.5), (3.4, -2.9, 1.4), "black", "y"),
       ("c", (1.4, 0.5), (3.4, 2.9, 1.4), "black", "y")),
    _k("block", "toy block/building block/brick", "toys", (3.2, 3.2, 3.2), 150, ANY,
       ("b", (3.2, 3.2, 3.2), (0, 0, 3.2), "main"), ("b", (2.0, 2.0, 0.1), (0, 0, 6.4), "light")),
    _k("duck", "rubber duck/toy duck", "toys", (4.4, 3.4, 4.0), 100, ("yellow",),
       ("e", (4.5, 3.4, 2.7), (-0.4, 0, 2.7), "main"), ("s", (2.3,), (2.0, 0, 6.4), "main"),
       ("b", (1.1, 1.0, 0.4), (4.6, 0, 6.2), "orange"), ("s", (0.45,), (3.7, 1.2, 7.2), "black"),
       ("s", (0.45,), (3.7, -1.2, 7.2), "black")),
    _k("teddy bear", "teddy/stuffed bear", "toys", (4.2, 4.4, 5.6), 150, ("brown", "white"),
       ("e", (3.2, 3.6, 3.6), (0, 0, 3.6), "main"), ("s", (2.7,), (0.3, 0, 8.4), "main"),
       ("s", (1.1,), (0, 2.2, 10.6), "dark"), ("s", (1.1,), (0, -2.2, 10.6), "dark"),
       ("s", (1.3,), (3.0, 2.4, 1.4), "dark"), ("s", (1.3,), (3.0, -2.4, 1.4), "dark"),
       ("s", (1.0,), (2.6, 0, 7.9), (0.85, 0.72, 0.55))),
    _k("toy train", "train/locomotive", "toys", (6.0, 2.8, 3.6), 200, ("red", "green", "blue"),
       ("b", (5.6, 2.3, 1.0), (0, 0, 1.9), "black"), ("k", (1.9, 2.2), (1.6, 0, 4.2), "main", "x"),
       ("b", (1.8, 2.3, 2.8), (-3.6, 0, 5.0), "main"), ("c", (0.8, 1.2), (4.0, 0, 6.6), "black"),
       ("b", (2.1, 2.6, 0.3), (-3.6, 0, 8.0), "black")),
    _k("toy boat", "boat/little ship", "toys", (6.0, 2.8, 4.6), 140, ("red", "blue", "white"),
       ("e", (6.0, 2.8, 2.4), (0, 0, 2.4), "main"), ("b", (0.3, 0.3, 3.2), (0, 0, 6.0), "brown"),
       ("b", (2.2, 0.3, 2.2), (1.2, 0, 7.0), "white"), held_out=True),
    # --------------------------------------------------------------------------------------- tools
    _k("hammer", "claw hammer", "tools", (6.6, 3.4, 1.4), 300, ("brown", "red", "yellow"),
       ("k", (0.9, 4.2), (-1.4, 0, 1.4), "main", "x"),
       ("b", (1.2, 3.4, 1.3), (4.8, 0, 1.4), (0.3, 0.31, 0.34))),
    _k("screwdriver", "", "tools", (6.6, 1.5, 1.4), 150, ("red", "yellow", "blue", "orange"),
       ("k", (1.5, 1.9), (-3.4, 0, 1.5), "main", "x"),
       ("k", (0.55, 3.4), (3.0, 0, 1.5), (0.7, 0.72, 0.75), "x")),
    _k("wrench", "spanner", "tools", (6.6, 2.0, 0.9), 220, ("grey",),
       ("b", (3.8, 0.9, 0.7), (0, 0, 0.9), "main"), ("c", (2.1, 0.8), (-4.4, 0, 0.9), "main"),
       ("b", (1.2, 2.0, 0.8), (4.6, 0, 0.9), "main"), ("c", (1.0, 0.9), (-4.4, 0, 0.9), "black"),
       ("b", (1.0, 0.7, 0.85), (5.2, 0, 0.9), "black")),
    _k("tape", "roll of tape/sticky tape", "tools", (3.8, 3.8, 1.6), 120,
       ("brown", "grey", "yellow"),
       ("c", (3.9, 1.5), (0, 0, 1.6), "main"), ("c", (2.2, 0.1), (0, 0, 3.2), "white"),
       ("c", (1.6, 0.12), (0, 0, 3.25), "black")),
    _k("flashlight", "torch", "tools", (6.4, 2.2, 2.0), 180, ("black", "red", "blue"),
       ("k", (1.4, 3.4), (-1.6, 0, 2.0), "main", "x"),
       ("c", (2.2, 1.4), (4.4, 0, 2.1), "dark", "x"),
       ("c", (1.9, 0.1), (5.9, 0, 2.1), "yellow", "x")),
    _k("funnel", "", "tools", (5.0, 5.0, 4.6), 100, ("orange", "blue", "green", "white"),
       ("c", (5.0, 1.0), (0, 0, 8.0), "main"), ("c", (3.6, 1.2), (0, 0, 5.8), "main"),
       ("c", (2.2, 1.2), (0, 0, 3.6), "main"), ("c", (1.0, 1.3), (0, 0, 1.3), "main"),
       ("c", (4.2, 0.1), (0, 0, 9.0), "dark"), held_out=True),
    _k("grill lighter", "barbecue lighter", "tools", (6.7, 1.4, 1.2), 100, ("red", "black"),
       ("b", (2.8, 1.4, 1.1), (-3.8, 0, 1.2), "main"),
       ("k", (0.6, 3.2), (2.4, 0, 1.3), "grey", "x"),
       ("b", (0.6, 0.5, 0.5), (-2.6, 1.7, 1.2), "yellow"), held_out=True),
    _k("lighter", "cigarette lighter", "tools", (3.6, 1.6, 1.0), 60,
       ("red", "green", "blue", "yellow"),
       ("b", (2.6, 1.6, 1.0), (-0.8, 0, 1.0), "main"),
       ("b", (1.0, 1.4, 0.9), (2.7, 0, 0.9), "grey"), held_out=True),
    _k("goggles", "safety goggles/safety glasses", "tools", (3.2, 6.2, 2.2), 110,
       ("black", "blue", "orange"),
       ("c", (2.6, 1.4), (0, 3.0, 2.4), "main"), ("c", (2.6, 1.4), (0, -3.0, 2.4), "main"),
       ("c", (1.9, 0.1), (0, 3.0, 3.9), (0.72, 0.88, 0.93)),
       ("c", (1.9, 0.1), (0, -3.0, 3.9), (0.72, 0.88, 0.93)),
       ("b", (0.5, 1.0, 0.6), (0, 0, 2.8), "main"), held_out=True),
    # -------------------------------------------------------------------------------------- papers
    _k("book", "novel", "papers", (6.0, 4.0, 1.5), 250, ANY,
       ("b", (6.0, 4.0, 1.5), (0, 0, 1.5), "main"), ("b", (5.8, 0.4, 1.1), (0, 3.8, 1.5), "white"),
       ("b", (3.2, 2.2, 0.1), (0.8, 0, 3.0), "light")),
    _k("scissors", "pair of scissors", "papers", (6.4, 2.6, 0.9), 110,
       ("red", "blue", "orange", "black"),
       ("b", (3.8, 0.5, 0.6), (2.4, 0.3, 0.9), "grey", 6),
       ("b", (3.8, 0.5, 0.6), (2.4, -0.3, 0.9), "grey", -6),
       ("c", (1.5, 0.7), (-3.8, 1.4, 0.9), "main"), ("c", (1.5, 0.7), (-3.8, -1.4, 0.9), "main"),
       ("c", (0.7, 0.75), (-3.8, 1.4, 0.95), "white"),
       ("c", (0.7, 0.75), (-3.8, -1.4, 0.95), "white")),
    _k("pencil case", "pen case", "papers", (6.0, 2.6, 1.8), 140, ANY,
       ("k", (1.9, 4.0), (0, 0, 1.9), "main", "x"), ("b", (5.2, 0.25, 0.2), (0, 0, 3.8), "black")),
    # --------------------------------------------------------------------------------- electronics
    _k("phone", "mobile phone/cell phone", "electronics", (5.6, 2.9, 0.8), 160, ("black", "white"),
       ("b", (5.6, 2.9, 0.7), (0, 0, 0.7), "main"),
       ("b", (4.9, 2.4, 0.08), (0, 0, 1.4), (0.2, 0.3, 0.45))),
    _k("remote control", "remote/tv remote", "electronics", (6.4, 2.0, 1.0), 120, ("black", "grey"),
       ("b", (6.4, 2.0, 1.0), (0, 0, 1.0), "main"), ("c", (0.6, 0.12), (4.8, 0, 2.0), "red"),
       ("c", (0.5, 0.12), (2.0, -0.9, 2.0), "white"), ("c", (0.5, 0.12), (2.0, 0.9, 2.0), "white"),
       ("c", (0.5, 0.12), (0, -0.9, 2.0), "white"), ("c", (0.5, 0.12), (0, 0.9, 2.0), "white"),
       ("c", (0.5, 0.12), (-2.0, -0.9, 2.0), "white"),
       ("c", (0.5, 0.12), (-2.0, 0.9, 2.0), "white")),
    _k("camera", "photo camera", "electronics", (3.2, 5.2, 3.2), 300, ("black", "grey"),
       ("b", (2.0, 5.2, 3.0), (-0.8, 0, 3.0), "main"),
       ("c", (2.3, 1.6), (2.4, 0, 3.0), "dark", "x"),
       ("b", (1.2, 1.4, 0.7), (-0.8, 2.6, 6.6), "grey"), held_out=True),
    # ---------------------------------------------------------------------------------------- bath
    _k("sponge", "kitchen sponge", "bath", (4.6, 3.2, 1.9), 50, ("yellow", "pink", "blue"),
       ("b", (4.6, 3.2, 1.2), (0, 0, 1.2), "main"), ("b", (4.6, 3.2, 0.6), (0, 0, 3.0), "green")),
    _k("soap", "bar of soap", "bath", (4.2, 2.8, 1.5), 100, ("pink", "white", "green"),
       ("e", (4.4, 3.0, 1.6), (0, 0, 1.5), "main"), ("b", (1.8, 1.0, 0.1), (0, 0, 3.0), "light")),
    _k("toothbrush", "", "bath", (6.6, 1.2, 1.2), 50, ("red", "blue", "green", "pink"),
       ("k", (0.7, 5.4), (-0.4, 0, 0.8), "main", "x"),
       ("b", (1.5, 0.8, 0.8), (5.0, 0, 1.9), "white")),
    _k("hairbrush", "brush", "bath", (6.6, 2.4, 1.6), 130, ("brown", "pink", "black"),
       ("k", (0.9, 2.2), (-3.6, 0, 1.4), "main", "x"),
       ("e", (3.4, 2.4, 1.2), (3.0, 0, 1.4), "main"),
       ("b", (2.2, 1.5, 0.5), (3.0, 0, 2.7), "black")),
    _k("toilet roll", "toilet paper/roll of toilet paper", "bath", (4.4, 4.4, 4.4), 120, ("white",),
       ("c", (4.4, 4.4), (0, 0, 4.4), "white"), ("c", (1.6, 0.1), (0, 0, 8.85), "brown")),
    _k("comb", "hair comb", "bath", (6.2, 1.8, 0.8), 50, ("black", "brown", "red"),
       ("b", (6.2, 0.6, 0.6), (0, 1.2, 0.8), "main"),
       ("b", (0.3, 1.3, 0.5), (-5, -0.5, 0.8), "main"),
       ("b", (0.3, 1.3, 0.5), (-3, -0.5, 0.8), "main"),
       ("b", (0.3, 1.3, 0.5), (-1, -0.5, 0.8), "main"),
       ("b", (0.3, 1.3, 0.5), (1, -0.5, 0.8), "main"),
       ("b", (0.3, 1.3, 0.5), (3, -0.5, 0.8), "main"),
       ("b", (0.3, 1.3, 0.5), (5, -0.5, 0.8), "main"), held_out=True),
)

KINDS = {kind.name: kind for kind in _LIST}
HELD_OUT_KINDS = tuple(k.name for k in _LIST if k.held_out)
KNOWN_KINDS = tuple(k.name for k in _LIST if not k.held_out)
FAMILIES = tuple(dict.fromkeys(k.family for k in _LIST))


def family(name, held_out=False):
    """The kinds of a family, known ones or (held_out=True) those kept for testing."""
    return tuple(k.name for k in _LIST if k.family == name and k.held_out is held_out)
