"""Gets public LeRobot datasets from the Hugging Face Hub: only the episodes that are asked for.

A download can be stopped and started again: files that are complete stay, and every file is held
to the checksum that the Hub publishes. `.pi05lite-download.json` in the dataset folder says what
is there: the repository, the exact commit, the finished episodes, the checksums of the files, and
whether the download is complete.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pi05lite.data.hub_files import needed_files, parse_episodes, read_info
from pi05lite.data.manifest import lookup
from pi05lite.data.paths import downloads
from pi05lite.errors import DataError, say

RECORD = ".pi05lite-download.json"
NETWORK_LIBRARIES = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}


def get(name, episodes=None, out=None, endpoint=None, revision=None, progress=True):
    """Download episodes of a public dataset and return its folder, `out`/`name`.

    `name` is a short name from data/manifest.json or a Hub id "owner/name"; `episodes` is None
    (all), "0:20", "3", "0,4,7" or whole numbers; `out` defaults to the downloads folder;
    `endpoint` to HF_ENDPOINT; `revision` to the manifest's. What is already there and intact is
    not fetched again. Raises DataError where something is wrong, with the way out.
    """
    entry = lookup(name)
    entry = replace(entry, revision=revision or entry.revision)
    folder = Path(out or downloads()).expanduser() / entry.name
    record = read_record(folder)
    if record and _all_here(folder, record, entry, episodes):
        _tell(progress, f"{entry.name}: already in {folder}, checksums are right")
        return folder
    remote = _connect(entry, folder, endpoint, progress)
    with _hub_errors(remote):
        _download(remote, record, episodes)
    return folder


@dataclass(frozen=True)
class _Remote:
    """One commit of one Hub repository and the folder that it goes to."""

    api: object
    entry: object
    commit: str
    folder: Path
    progress: bool


def _connect(entry, folder, endpoint, progress):
    """Find the commit behind the revision, and say what is fetched under which licence."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint or os.environ.get("HF_ENDPOINT") or None)
    remote = _Remote(api, entry, "", folder, progress)
    with _hub_errors(remote):
        found = api.dataset_info(entry.repo, revision=entry.revision, timeout=20)
    license = entry.license or getattr(found.card_data, "license", None) or "not stated"
    _tell(progress, f"{entry.name}: {entry.repo} at {entry.revision} ({found.sha[:8]}) -> {folder}")
    _tell(progress, f"licence: {license}" + (f"; {entry.about}" if entry.about else ""))
    return replace(remote, entry=replace(entry, license=license), commit=found.sha)


def _download(remote, record, episodes):
    """Fetch meta/ first, then the files of the episodes; keep the record up to date throughout."""
    record = _start_record(remote, record)
    meta = _list_meta(remote)
    _fetch_all(remote, meta, "meta")
    info = read_info(remote.folder)
    asked = parse_episodes(episodes, info["total_episodes"])
    files = _list_files(remote, needed_files(remote.folder, info, asked))
    write_record(remote.folder, {**record, "asked": asked})
    _fetch_all(remote, files, remote.entry.name)
    checks = {**record["files"], **{file.path: _check(file) for file in meta + files}}
    done = sorted({*record["episodes"], *asked})
    write_record(remote.folder, {**record, "complete": True, "episodes": done, "files": checks})


# ------------------------------------------------------------------------------- the record


def read_record(folder):
    """Read what a download left in `folder`; None where nothing has been downloaded.

    Raises DataError where the folder holds something else, so that nothing is overwritten.
    """
    path = folder / RECORD
    if path.is_file():
        return json.loads(path.read_text())
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(say(
            folder, f"an empty folder, or a download with its {RECORD}", "other files",
            "choose another folder with out= (--out), or move these files away",
        ))
    return None


def write_record(folder, record):
    """Write the record in one step, so that a crash leaves the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (RECORD + ".part")
    part.write_text(json.dumps(record, indent=1))
    part.replace(folder / RECORD)


def _start_record(remote, record):
    """Write the record of a download under way; refuse to mix two commits in one folder."""
    if record and (record["repo"], record["commit"]) != (remote.entry.repo, remote.commit):
        raise DataError(say(
            remote.folder, f"files of {record['repo']} at commit {record['commit']}",
            f"{remote.entry.repo} at {remote.entry.revision}, which is commit {remote.commit}",
            f"add to the old one with revision={record['commit']!r} (--revision), get the new one "
            "into another folder with out= (--out), or delete this folder",
        ))
    before = record or {"episodes": [], "files": {}}
    started = {
        "complete": False, "repo": remote.entry.repo, "revision": remote.entry.revision,
        "commit": remote.commit, "license": remote.entry.license,
        "episodes": before["episodes"], "files": before["files"],
    }
    write_record(remote.folder, started)
    return started


def _all_here(folder, record, entry, episodes):
    """Say whether the asked episodes lie there complete and undamaged; needs no connection."""
    same = record["repo"] == entry.repo and entry.revision in (record["revision"], record["commit"])
    if not (record["complete"] and same):
        return False
    if not all(_intact(folder / path, check) for path, check in record["files"].items()):
        return False
    asked = parse_episodes(episodes, read_info(folder)["total_episodes"])
    return set(asked) <= set(record["episodes"])


# -------------------------------------------------------------------------- files, checksums


def _list_meta(remote):
    """List every file in meta/, and the README (licence, citation) where there is one."""
    tree = remote.api.list_repo_tree(
        remote.entry.repo, "meta", recursive=True, repo_type="dataset", revision=remote.commit
    )
    return [file for file in tree if hasattr(file, "blob_id")] + _paths_info(remote, ["README.md"])


def _list_files(remote, paths):
    """Ask for size and checksum of `paths`; raises DataError if the repository lacks one."""
    files = []
    for start in range(0, len(paths), 200):
        files += _paths_info(remote, paths[start : start + 200])
    missing = sorted(set(paths) - {file.path for file in files})
    if missing:
        raise DataError(say(
            f"{remote.entry.repo} at {remote.entry.revision}", f"{len(paths)} files",
            f"{len(missing)} of them are not in the repository, for example {missing[0]}",
            "leave these episodes out, or choose another revision",
        ))
    return files


def _paths_info(remote, paths):
    """Ask the Hub for size and checksum of those of `paths` that exist."""
    return remote.api.get_paths_info(
        remote.entry.repo, paths, repo_type="dataset", revision=remote.commit
    )


def _fetch_all(remote, files, label):
    """Fetch the files that are not there intact, with one progress bar over all bytes."""
    from tqdm.auto import tqdm

    total, quiet = sum(file.size for file in files), not remote.progress
    with tqdm(total=total, unit="B", unit_scale=True, desc=label, disable=quiet) as bar:
        for file in files:
            bar.set_postfix_str(Path(file.path).name, refresh=True)
            _fetch(remote, file)
            bar.update(file.size)


def _fetch(remote, file):
    """Fetch one file unless it is there intact; fetch a damaged one once more, then refuse it."""
    path = remote.folder / file.path
    if not path.resolve().is_relative_to(remote.folder.resolve()):
        raise DataError(say(
            file.path, "a path inside the dataset folder", "a path outside of it",
            "do not use this repository",
        ))
    for attempt in range(2):
        if _intact(path, _check(file)):
            return
        path.unlink(missing_ok=True)
        _hub_download(remote, file.path, force=attempt > 0)
    if not _intact(path, _check(file)):
        path.unlink(missing_ok=True)
        raise DataError(say(
            path, f"the content with the Hub's checksum {_check(file)}",
            "other content, twice", "run the same command again later, or over another network",
        ))


def _hub_download(remote, path, force):
    """Let huggingface_hub fetch one file; a short file is left to the checksum to judge."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        remote.api.hf_hub_download(
            remote.entry.repo, path, repo_type="dataset", revision=remote.commit,
            local_dir=remote.folder, force_download=force,
        )
    except OSError as error:
        if "Consistency check failed" not in str(error):
            raise
    finally:
        if shown:
            enable_progress_bars()


def _check(file):
    """Give size and checksum as the Hub publishes them: sha256 for large files, else git's."""
    if file.lfs:
        return {"size": file.size, "sha256": file.lfs.sha256}
    return {"size": file.size, "git": file.blob_id}


def _intact(path, check):
    """Compare size and checksum of a file on disk; git's is a sha1 over a header and the bytes."""
    if not path.is_file() or path.stat().st_size != check["size"]:
        return False
    digest = hashlib.sha256() if "sha256" in check else hashlib.sha1(b"blob %d\0" % check["size"])
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == check.get("sha256", check.get("git"))


# ----------------------------------------------------------------------------------- errors


@contextmanager
def _hub_errors(remote):
    """Turn the Hub's errors into DataErrors that say what to do; let all others through."""
    from huggingface_hub import errors

    repo, revision = remote.entry.repo, remote.entry.revision
    try:
        yield
    except errors.RevisionNotFoundError as error:
        refs = remote.api.list_repo_refs(repo, repo_type="dataset")
        known = ", ".join(ref.name for ref in [*refs.tags, *refs.branches])
        way_out = "choose one of these with revision= (--revision)"
        raise DataError(say(repo, f"revision {revision}", known, way_out)) from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(say(
            repo, "a public dataset on the Hub", "none of that name, or a private or gated one",
            "check the name; for a gated one accept its terms and log in with `hf auth login`",
        )) from error
    except Exception as error:
        if not _is_network(error):
            raise
        raise DataError(say(
            f"{repo} at {remote.api.endpoint}", "an answer from the Hub", str(error).split("\n")[0],
            "check the connection and run the same command again (finished files are kept); "
            "without a connection set PI05LITE_DATA to a folder of datasets, or use the kit's "
            "own sample",
        )) from error


def _is_network(error):
    """Say whether an error comes from the connection or the server rather than from this code."""
    from huggingface_hub import errors

    known = (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, ConnectionError)
    libraries = {parent.__module__.split(".")[0] for parent in type(error).__mro__}
    return isinstance(error, known) or bool(libraries & NETWORK_LIBRARIES)


def _tell(progress, text):
    """Print one line unless the caller wants quiet."""
    if progress:
        print(text)
