"""What works on this machine, what does not, and the one-line cure.

`pi05lite doctor` on the command line, `pi05lite.doctor.show()` in a notebook.
"""

import os
import platform
import sys
import textwrap
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from pi05lite import __version__, allocator, compat
from pi05lite.data import paths

OK, NOTE, PROBLEM = "ok", "note", "PROBLEM"
SETUP = 'pip install -c constraints.txt -e ".[dev]"   (or: make lab)'
ONLY = {"real": ", only SentencePiece files need it", "lora": ", only LoRA needs it",
        "sweep": ", only lab.spread needs it", "classroom": ", only grading needs it",
        "dev": ", only the tests need it"}  # by extra
OUTSIDE = ("pusht", "aloha")  # extras that few have: each says itself how to get it


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `level` is OK, NOTE (works without it) or PROBLEM."""

    area: str
    text: str
    level: str = OK
    cure: str = ""


def report():
    """Look at everything and return the list of Findings, in the order in which they are shown."""
    return [*_python(), *_packages(), *_device(), *_data(), *_renderers()]


def show():
    """Print the report; return True where nothing that is needed is missing."""
    findings = report()
    for area in dict.fromkeys(finding.area for finding in findings):
        here = [finding for finding in findings if finding.area == area]
        fine = [finding.text for finding in here if finding.level == OK]
        for text in [", ".join(fine)] if area == "packages" else fine:
            _print(area, text)
        for finding in here:
            if finding.level != OK:
                _print(area, f"{finding.level}: {finding.text}")
                _print("", f"  cure: {finding.cure}")
    usable = all(finding.level != PROBLEM for finding in findings)
    print("Everything that is needed is here." if usable else "Something needed is missing.")
    return usable


def _print(area, text):
    """Print text beside its area, wrapped to lines that fit under a notebook cell."""
    wrapped = textwrap.wrap(text, 86, subsequent_indent="  ", break_on_hyphens=False)
    for number, line in enumerate(wrapped):
        print(f"{area if number == 0 else '':<9} {line}")


def _python():
    yield Finding("kit", f"pi05lite {__version__} in {paths.KIT.parent}")
    fits = (3, 10) <= sys.version_info[:2] <= (3, 13)
    cure = "make clean, then make lab PYTHON=python3.12 (any of 3.10 to 3.13)"
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("kit", text, OK if fits else PROBLEM, "" if fits else cure)


def _packages():
    """Hold every installed version to the range that the kit states."""
    from packaging.requirements import Requirement

    try:
        stated = metadata.requires("pi05lite") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "pi05lite itself is not installed", PROBLEM, SETUP)
        return
    seen = set()  # LoRA's package is stated for the tests as well
    for requirement in map(Requirement, stated):
        if requirement.name not in seen:
            seen.add(requirement.name)
            marker = str(requirement.marker or "")
            if any(f'"{extra}"' in marker for extra in OUTSIDE):
                continue
            yield _package(requirement, next((ONLY[e] for e in ONLY if f'"{e}"' in marker), ""))


def _package(requirement, only):
    name, wanted = requirement.name, requirement.specifier
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        level = NOTE if only else PROBLEM
        return Finding("packages", f"{name} is not installed{only}", level, SETUP)
    if not wanted.contains(version, prereleases=True):
        text = f"{name} {version} is outside the range {wanted}"
        cure = f'pip install -c constraints.txt "{name}{wanted}"'
        return Finding("packages", text, NOTE if only else PROBLEM, cure)
    return Finding("packages", f"{name} {version}")


def _device():
    """Say where torch computes and with how many threads, and how much memory there is."""
    if not find_spec("torch"):
        return  # already reported with the packages
    import torch

    if torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name(0)})"
    elif torch.backends.mps.is_available():
        device = "mps (Apple GPU)"
    else:
        device = "cpu (enough for every notebook)"
    memory = f", {_memory_gib():.1f} GiB of memory" if _memory_gib() else ""
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    yield Finding("device", f"{device}, {threads}{memory}")
    if library := allocator.found():
        yield Finding("device", f"{library}: `make lab` and `pi05lite train` take memory from it")
    elif device.startswith("cpu") and sys.platform.startswith("linux"):
        cure = "sudo apt-get install libtcmalloc-minimal4   (conda: gperftools of conda-forge)"
        text = "neither tcmalloc nor jemalloc is here: training takes up to 1.7 times as long"
        yield Finding("device", text, NOTE, cure)
    vision = find_spec("torchvision")
    cpu_only = not (torch.version.cuda or torch.version.hip)
    if vision and sys.platform.startswith("linux") and cpu_only:
        if not compat.library_loads(vision.submodule_search_locations[0]):
            text = "torchvision's compiled library wants CUDA: cured (box operators are missing)"
            yield Finding("device", text)


def _memory_gib():
    """Give the memory of the machine where the system tells it cheaply, else None."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


def _data():
    """Say which datasets lie where; the kit's own sample is enough to go on."""
    if named := os.environ.get("PI05LITE_DATA"):
        for name in named.split(os.pathsep):
            if not os.path.isdir(os.path.expanduser(name)):
                cure = "set PI05LITE_DATA to a folder that holds dataset folders, or unset it"
                yield Finding("data", f"PI05LITE_DATA names {name}, no such folder", NOTE, cure)
    else:
        cure = "export PI05LITE_DATA=/your/datasets, or: pi05lite data get so101 --episodes 0:20"
        yield Finding("data", "PI05LITE_DATA is not set", NOTE, cure)
    found = 0
    for folder in paths.data_folders():
        here = [*paths.datasets(folder), *paths.vision_language(folder)]
        sizes = [f"{d.relative_to(folder).as_posix()} ({_size_mb(d):.1f} MB)" for d in here]
        found += len(here)
        yield Finding("data", f"in {folder}: {', '.join(sizes) or 'no dataset'}")
    if not paths.datasets(paths.KIT):
        cure = f"git checkout -- data   (in {paths.KIT.parent})"
        text = "the kit's own sample is not in data/"
        yield Finding("data", text, NOTE if found else PROBLEM, cure)
    if cache := _hub_cache():
        yield Finding("data", f"Hub cache {cache}")


def _size_mb(folder):
    """Add up the bytes of the files under `folder`, in MB."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files) / 1e6


def _hub_cache():
    """Give the cache folder of huggingface_hub where the library is installed."""
    if not find_spec("huggingface_hub"):
        return None
    from huggingface_hub.constants import HF_HUB_CACHE

    return HF_HUB_CACHE + ("" if os.path.isdir(HF_HUB_CACHE) else " (nothing in it yet)")


def _renderers():
    """Say what can draw: plotly with anywidget for the notebooks, MuJoCo for the small world."""
    missing = [name for name in ("plotly", "anywidget", "ipywidgets") if not find_spec(name)]
    if missing:
        text = f"the widgets need {' and '.join(missing)}"
        cure = "pip install -c constraints.txt " + " ".join(missing)
        yield Finding("pictures", text, PROBLEM, cure)
    else:
        yield Finding("pictures", "plotly with anywidget: figures and widgets work in JupyterLab")
    if find_spec("mujoco"):
        yield Finding("pictures", "MuJoCo: homes with their software camera, no OpenGL needed")
    else:
        cure = "pip install -c constraints.txt mujoco gymnasium"
        yield Finding("pictures", "homes need MuJoCo", PROBLEM, cure)
