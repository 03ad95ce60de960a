"""How a promise is stated and how a broken one is reported, in the words of every other error."""

from pi05lite.errors import Pi05Error, say


class Broken(Pi05Error):
    """A part breaks its contract; `promises`: name of each broken promise -> what happened."""

    def __init__(self, part, promises):
        self.promises = promises
        names = ", ".join(promises)
        super().__init__("\n".join([f"{part} breaks {names}", *promises.values()]))


class Breach(Exception):
    """One promise is broken: the four facts that every error states."""


def must(ok, thing, expected, received, way_out):
    """Raise a Breach unless `ok`."""
    if not ok:
        raise Breach(say(thing, expected, received, way_out))


def same(a, b, thing, expected, way_out, within=1e-5):
    """Raise a Breach unless two tensors are equal up to rounding."""
    gap = float((a - b).detach().abs().max()) if a.numel() else 0.0
    must(gap <= within * (1 + float(b.detach().abs().max())) if a.numel() else True, thing,
         expected, f"a difference of {gap:.2g}", way_out)


def shape(x, expected, thing, way_out="return a tensor of that shape"):
    """Raise a Breach unless x is a finite tensor of a shape."""
    received = tuple(getattr(x, "shape", ())) if hasattr(x, "shape") else type(x).__name__
    must(received == tuple(expected), thing, f"shape {tuple(expected)}", received, way_out)
    must(bool(x.isfinite().all()), thing, "finite numbers", "NaN or infinity",
         "look for a division by 0 or a softmax over nothing")


def keep(promises, case, without=()):
    """Try promises (name -> function of the case) in order; name -> what broke.

    Without right shapes or the same answer twice nothing after them can be told apart, so a breach
    of these two ends the trial.
    """
    broken = {}
    for name, promise in promises.items():
        if name in without:
            continue
        try:
            promise(case)
        except Breach as breach:
            broken[name] = str(breach)
        except Exception as error:  # whatever a part of somebody's own raises
            broken[name] = say(f"{name} of {case.name}", "a part that runs",
                               f"{type(error).__name__}: {error}", "call it by hand on this input")
        if name in ("shapes", "determinism") and name in broken:
            break
    return broken
