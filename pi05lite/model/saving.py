"""Safetensors files with the rights of any other new file.

The library gives a file to its owner alone, and a class or a team would share folders of
checkpoints whose weights nobody else can read.
"""

import os
import stat
from pathlib import Path

from safetensors import torch as safetensors


def save_file(tensors, path, about=None):
    """Write name -> tensor to a file; about: name -> text, kept in its head."""
    Path(path).touch()
    rights = stat.S_IMODE(os.stat(path).st_mode)
    safetensors.save_file(tensors, path, about)
    os.chmod(path, rights)
