"""The contract of a part: what any replacement has to keep so that the rest of pi0.5 stays true.

A part is tried alone first, then inside a nano model. All of it takes about a second.
"""

import time
from dataclasses import dataclass

import torch

from pi05lite import config as configs
from pi05lite.errors import ConfigError, say
from pi05lite.lab import aims, alone, attending, codes, inside
from pi05lite.lab.parts import KINDS, build, kind_of, name_of
from pi05lite.lab.promise import Broken, keep


@dataclass(frozen=True)
class Kept:
    """What a part keeps; print it or let a notebook show it."""

    part: str
    kind: str
    promises: tuple
    seconds: float

    def __str__(self):
        return (f"{self.part} ({self.kind.replace('_', '-')}) keeps {', '.join(self.promises)} "
                f"({self.seconds:.1f} s)")

    __repr__ = __str__


def check(part, kind=None, without=(), seed=0):
    """Try a replacement part against the contract; returns what it keeps, or raises Broken.

    part: a class (or partial) of an attention, norm, feed-forward, time conditioning, expert,
    picture tower or objective, a function of the config that builds a whole model, or an action
    tokenizer; kind: which of these, where it cannot be told; without: promises that it is not meant
    to keep, by name.
    """
    begin, kind = time.perf_counter(), kind or kind_of(part)
    if kind not in KINDS:
        raise ConfigError(say("kind of part", f"one of {', '.join(KINDS)}", repr(kind),
                              "choose one, or leave it out"))
    stages = list(trials(part, kind, seed))
    known = {name for promises, _ in stages for name in promises}
    if not set(without) <= known:
        raise ConfigError(say("without", f"some of {', '.join(known)}", sorted(without),
                              "name promises of this kind of part"))
    kept = []
    with torch.random.fork_rng():
        for promises, make in stages:
            broken = keep({"builds": lambda case: case.start()} | promises, make, without)
            if broken:
                raise Broken(name_of(part), broken)
            kept += [name for name in promises if name not in kept and name not in without]
    return Kept(name_of(part), kind, tuple(kept), time.perf_counter() - begin)


def trials(part, kind, seed):
    """The stages of a trial: promises (name -> function of a case) and the case."""
    config = configs.nano()
    if kind == "actions":
        yield codes.PROMISES, codes.Case(part, seed)
        return
    if kind == "attention":
        yield attending.PROMISES, attending.Case(part, config, seed)
    elif kind == "objective":
        yield aims.PROMISES, aims.Case(part, config, seed)
    elif kind in alone.PROMISES:
        yield alone.PROMISES[kind], alone.Case(part, config, seed)
    maker = part if kind == "model" else build(**{kind: part})
    yield inside.PROMISES, inside.Case(name_of(part), maker, config, seed)
