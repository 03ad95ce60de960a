"""Change the architecture in a cell: check a part against its contract, compare variants fairly.

Everything is fetched when it is first named, so that importing the lab imports nothing heavy.
"""

NAMES = {"check": "contract", "build": "parts", "Broken": "promise",
         "Variant": "variant", "part": "variant", "numbers": "variant", "tokens": "variant",
         "Budget": "budget", "compare": "comparison", "read": "results", "Comparison": "results",
         "chunk_error": "evaluations", "success": "evaluations", "flow_error": "evaluations",
         "spread": "launch"}


def __getattr__(name):
    """Import a function or class of the lab when it is first named (PEP 562)."""
    from importlib import import_module

    if name not in NAMES:
        raise AttributeError(f"module 'pi05lite.lab' has no attribute {name!r}")
    return getattr(import_module(f"pi05lite.lab.{NAMES[name]}"), name)
