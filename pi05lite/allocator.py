"""A memory allocator that stays quick over a long training, where the machine has one.

Batches differ in length, so tensors of ever new sizes come and go, and the C library's allocator
searches longer and longer for room (figures in data/results/homes_log.md). Another one must be
named before a program starts, so a command is started again with it. For scripts:

    python -m pi05lite.allocator python my_training.py
"""

import os
import sys
from ctypes.util import find_library
from pathlib import Path

LIBRARIES = ("tcmalloc_minimal", "tcmalloc", "jemalloc")  # the quickest first


def found():
    """The first of LIBRARIES that is here, as LD_PRELOAD takes it, or None; only on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    for name in LIBRARIES:
        conda = Path(sys.prefix, "lib", f"lib{name}.so")
        if library := str(conda) if conda.exists() else find_library(name):
            return library
    return None


def preloaded():
    """Whether this program was started with one of them."""
    return any(f"lib{name}" in os.environ.get("LD_PRELOAD", "") for name in LIBRARIES)


def environment():
    """The variables for a program that shall have it: today's, where there is none."""
    library, before = None if preloaded() else found(), os.environ.get("LD_PRELOAD")
    if library is None:
        return dict(os.environ)
    return {**os.environ, "LD_PRELOAD": f"{library} {before}" if before else library}


def start_again():
    """Start the command that runs anew with it; returns where it has it, or there is none."""
    variables = environment()
    if variables != dict(os.environ):
        os.execve(sys.executable, sys.orig_argv, variables)


if __name__ == "__main__":
    os.execvpe(sys.argv[1], sys.argv[1:], environment())
