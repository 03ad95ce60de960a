"""Lets torchvision (and so timm and lightning) import next to a CPU-only torch.

On Linux the registry's torchvision is built for CUDA. Next to a CPU-only torch its compiled library
cannot be loaded, because that library wants `libtorch_cuda.so`. torchvision shrugs that off, but a
moment later it describes the shapes of `torchvision::nms` to torch and fails with "operator
torchvision::nms does not exist". The cure: tell torch the two signatures first. Everything that
does not need the compiled library then works; box operators still say that it is missing.

`install()` puts a finder on `sys.meta_path` that applies the cure at the moment torchvision is
imported, so `import pi05lite` itself imports neither torch nor torchvision.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared = []  # torch forgets a declaration when its Library object is collected


class CureTorchvision(MetaPathFinder):
    """Finds torchvision where Python finds it anyway, and cures torch just before it runs."""

    def find_spec(self, name, path=None, target=None):
        """Give the ordinary spec of torchvision with the cure in front; None for other names."""
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not spec.submodule_search_locations:
            return None
        run, folder = spec.loader.exec_module, Path(spec.submodule_search_locations[0])

        def cure_then_run(module):
            cure(folder)
            run(module)

        spec.loader.exec_module = cure_then_run
        return spec


def install():
    """Put the finder first on `sys.meta_path`, once; only Linux has the mismatch."""
    installed = any(isinstance(finder, CureTorchvision) for finder in sys.meta_path)
    needed = sys.platform.startswith("linux") and "torchvision" not in sys.modules
    if needed and not installed:
        sys.meta_path.insert(0, CureTorchvision())


def cure(folder):
    """Declare torchvision's two signatures if torch is CPU-only and the library does not load."""
    import torch

    if torch.version.cuda or torch.version.hip or _declared or library_loads(folder):
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")
    for signature in SIGNATURES:
        if not hasattr(torch.ops.torchvision, signature.partition("(")[0]):
            library.define(signature)
    _declared.append(library)
    return True


def library_loads(folder):
    """Say whether torch can load the compiled library in torchvision's folder."""
    import torch

    libraries = sorted(Path(folder).glob("_C*.so"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)
