"""Where data is looked for on this machine."""

import os
from pathlib import Path

KIT = Path(__file__).resolve().parents[2] / "data"  # what the repository itself carries


def downloads():
    """Give the folder that `pi05lite data get` writes to (PI05LITE_DOWNLOADS overrides it)."""
    chosen = os.environ.get("PI05LITE_DOWNLOADS")
    if chosen:
        return Path(chosen).expanduser()
    share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(share).expanduser() / "pi05lite" / "datasets"


def data_folders():
    """List the folders to search, in order: PI05LITE_DATA, the downloads, the kit's own data.

    PI05LITE_DATA may name several folders, separated as in PATH. Folders that do not exist are
    left out.
    """
    named = os.environ.get("PI05LITE_DATA", "").split(os.pathsep)
    folders = [Path(name).expanduser() for name in named if name] + [downloads(), KIT]
    return [folder for folder in folders if folder.is_dir()]


def find(name):
    """Give the first folder called `name` (such as "droid_subset"), or None where there is none."""
    candidates = (folder / name for folder in data_folders())
    return next((folder for folder in candidates if folder.is_dir()), None)


def datasets(folder):
    """List the robot datasets directly inside `folder`: those that hold a meta/info.json."""
    return sorted(info.parent.parent for info in Path(folder).glob("*/meta/info.json"))


def vision_language(folder):
    """List the folders of images with text inside `folder`/vl."""
    return sorted(path for path in Path(folder).glob("vl/*") if path.is_dir())
