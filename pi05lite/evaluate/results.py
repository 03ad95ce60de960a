"""Small result files: what was measured, and the command and seed that give it again."""

import json
import subprocess
from pathlib import Path

import numpy as np

from pi05lite.data.cache import atomic_path
from pi05lite.errors import DataError, say

FOLDER = Path(__file__).resolve().parents[2] / "data" / "results"


def commit():
    """The commit of this checkout, or "" outside of one."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def save(content, path):
    """Write a result as JSON with four significant digits; the file appears whole. Returns path."""
    with atomic_path(path) as temporary:
        temporary.write_text(compact(rounded(content)) + "\n", encoding="utf-8")
    return path


def compact(content):
    """JSON text with a line for each entry and each row of it: differences stay readable."""
    lines = {key: "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
             if isinstance(value, list) else json.dumps(value) for key, value in content.items()}
    return "{\n " + ",\n ".join(f"{json.dumps(k)}: {v}" for k, v in lines.items()) + "\n}"


def add_row(path, row, key):
    """Put a row into the "rows" of a result file, in place of one with the same `key` names."""
    rows = load(path)["rows"] if Path(path).is_file() else []
    rows = [old for old in rows if any(old[name] != row[name] for name in key)]
    return save({"rows": sorted([*rows, rounded(row)], key=lambda r: [str(r[n]) for n in key])},
                path)


def load(path):
    """Read a result file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(say(str(path), "a result file", f"{type(error).__name__}: {error}",
                            "make it again with the command that data/README.md names")) from None


def rounded(value):
    """The same nested value as plain JSON, numbers to four significant digits."""
    if isinstance(value, dict):
        return {str(k): rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [rounded(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.4g}")
    return int(value) if isinstance(value, np.integer) else value
