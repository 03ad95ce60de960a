"""Which part of a model a class is, and how a model is built with it."""

import inspect
from functools import partial

from pi05lite.errors import ConfigError, say
from pi05lite.model.expert import ActionExpert
from pi05lite.model.pi05 import Pi05

KINDS = ("attention", "norm", "feed_forward", "time", "expert", "vision", "objective", "actions",
         "model")


def build(base=Pi05, *, attention=None, feed_forward=None, norm=None, time=None, state_token=None,
          expert=None, vision=None, objective=None):
    """A function of the config that builds a model of `base` with these parts swapped.

    attention and feed_forward go into both transformers, time and state_token into the expert, norm
    into the VLM, or into the expert where it takes something from the flow time (`reads` > 0).
    """
    both = given(attention=attention, feed_forward=feed_forward)
    if norm is not None and norm.reads:
        time, norm = time_with(norm), None
    inner = both | given(time=time, state_token=state_token)
    if inner:
        before = getattr(base, "keywords", {}).get("expert", ActionExpert)
        expert = partial(expert or before, **inner)
    parts = both | given(norm=norm, expert=expert, vision=vision, objective=objective)
    return partial(base, **parts) if parts else base


def given(**parts):
    """Those that are not None."""
    return {name: part for name, part in parts.items() if part is not None}


def time_with(adaptive):
    """pi0.5's time conditioning with another adaptive norm."""
    from pi05lite.model.expert import AdaptiveTime

    return type(f"TimeFor{adaptive.__name__}", (AdaptiveTime,), {"norm": adaptive})


def name_of(part):
    """A name for a class, a partial of one, or an object."""
    part = getattr(part, "func", part)
    return getattr(part, "__name__", type(part).__name__)


def kind_of(part):
    """Which of KINDS a class or a partial of one is, told by what it has to offer."""
    of = getattr(part, "func", part)
    of = of if inspect.isclass(of) else type(of)
    has = lambda *names: all(hasattr(of, n) for n in names)  # noqa: E731
    if has("encode", "decode", "max_length"):
        return "actions"
    if has("prefix", "flow_losses"):
        return "model"
    if has("path", "solve"):
        return "objective"
    if has("kinds", "forward"):
        return "expert"
    if has("tokens_per_image"):
        return "vision"
    if has("norm"):
        return "time"
    if has("reads"):
        return "norm"
    names = list(inspect.signature(of.forward).parameters) if has("forward") else []
    if has("project") or "bias" in names:
        return "attention"
    if len(names) == 2:
        return "feed_forward"
    raise ConfigError(say(f"part {name_of(part)}", "something that is known by its methods as one "
                          f"of {', '.join(KINDS)}", f"forward({', '.join(names[1:])})",
                          'say what it is: lab.check(part, kind="attention"), or take the class '
                          "that it replaces as its base"))
