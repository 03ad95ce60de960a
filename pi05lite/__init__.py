"""pi05lite: pi0.5, small enough to train on a laptop, faithful enough to run the real weights.

Importing the package imports nothing heavy: submodules (`pi05lite.config`, `pi05lite.doctor`, ...)
and `pi05lite.load`, `load_openpi`, `describe` are fetched when they are first named.
"""

from pi05lite import compat

__version__ = "0.1.0"

compat.install()

FUNCTIONS = {"load": "policy", "load_openpi": "model.importing", "describe": "model.describe"}


def __getattr__(name):
    """Import a submodule, or a function of one, when it is first named (PEP 562)."""
    from importlib import import_module
    from importlib.util import find_spec

    if name in FUNCTIONS:
        return getattr(import_module(f"pi05lite.{FUNCTIONS[name]}"), name)
    if not name.startswith("_") and find_spec(f"pi05lite.{name}"):
        return import_module(f"pi05lite.{name}")
    raise AttributeError(f"module 'pi05lite' has no attribute {name!r}")
