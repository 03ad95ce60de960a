"""The public datasets that `pi05lite data get` knows by a short name (data/manifest.json)."""

import json
from dataclasses import dataclass

from pi05lite.data.paths import KIT
from pi05lite.errors import DataError, say


@dataclass(frozen=True)
class Entry:
    """One dataset on the Hugging Face Hub: `revision` is a tag, a branch or a commit."""

    name: str
    repo: str
    revision: str
    license: str | None
    about: str = ""


def entries():
    """Read the manifest; raises DataError where it is missing."""
    path = KIT / "manifest.json"
    if not path.is_file():
        raise DataError(say(
            path, "the list of public datasets", "no such file",
            "run pi05lite from a clone of the repository, installed with pip install -e .",
        ))
    return [Entry(name, **fields) for name, fields in json.loads(path.read_text()).items()]


def lookup(name):
    """Give the entry for a short name or a Hub id "owner/name"; raises DataError for others."""
    known = entries()
    for entry in known:
        if name in (entry.name, entry.repo):
            return entry
    owner, slash, repo = name.partition("/")
    if slash and owner and repo and "/" not in repo:
        return Entry(f"{owner}--{repo}", name, "main", None)
    raise DataError(say(
        f"dataset {name!r}",
        "one of " + ", ".join(entry.name for entry in known) + ", or a Hub id owner/name",
        name, "`pi05lite data list` describes the known ones",
    ))
