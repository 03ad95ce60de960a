"""pi05lite: pi0.5, small enough to train on a laptop, faithful enough to run the real weights.

Importing the package imports nothing heavy: submodules (`pi05lite.config`, `pi05lite.doctor`, ...)
and `pi05lite.load` are fetched when they are first named.
"""

from pi05lite import compat

__version__ = "0.1.0"

compat.install()


def __getattr__(name):
    """Import a submodule, or `load`, when it is first named (PEP 562)."""
    from importlib import import_module
    from importlib.util import find_spec

    if name == "load":
        return import_module("pi05lite.policy").load
    if not name.startswith("_") and find_spec(f"pi05lite.{name}"):
        return import_module(f"pi05lite.{name}")
    raise AttributeError(f"module 'pi05lite' has no attribute {name!r}")
