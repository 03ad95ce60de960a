"""Decoded frames kept on disk: decoding a video costs seconds, mapping an array costs nothing.

One entry is one .npy file (T, size, size, 3) for one episode, camera and size. Its name is a hash
of what it was made from (the bytes of the video or table, the frames taken, the size), so a
changed video can never be answered with old frames. A checksum at the end finds damaged files.
"""

import errno
import math
import os
import zlib
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

import numpy as np

from pi05lite.errors import DataError, say

VERSION = 1  # raise it when the same inputs would give other pixels
CHECKSUM_BYTES = 4


def cache_folder(folder=None):
    """The folder of the cache: the argument, else PI05LITE_CACHE, else ~/.cache/pi05lite."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(folder or os.environ.get("PI05LITE_CACHE") or f"{base}/pi05lite").expanduser()


def key_of(*parts):
    """A short hash of anything printable; equal parts give equal keys, on any machine."""
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def content_hash(path):
    """Hash of a file's bytes; read once per process for as long as size and time stay the same."""
    status = os.stat(path)
    return _hash_bytes(str(path), status.st_size, status.st_mtime_ns)


@cache
def _hash_bytes(path, size, mtime_ns):
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_path(path):
    """Give a temporary name in the same folder; it becomes `path` only if the block succeeds.

    Two processes may do this for one path at once: each has its own temporary file, and the later
    rename wins. Raises DataError if the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        way_out = "free some space, or name another folder (for the cache: PI05LITE_CACHE)"
        raise DataError(say(f"file {path}", "to write it", error, way_out)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


class FrameCache:
    """Frames on disk by key; `get` reads them, or makes them first."""

    def __init__(self, folder=None):
        self.folder = cache_folder(folder) / "frames"

    def get(self, key, shape, build):
        """Return the frames `key` as a read-only, memory-mapped uint8 array of `shape`.

        build(out) fills the array when there is no entry yet, or a damaged one. Raises DataError if
        the folder cannot be written to, and whatever `build` raises.
        """
        path = self.folder / key[:2] / f"{key}.npy"
        frames = _load(path, shape)
        if frames is None:
            frames = np.zeros(shape, np.uint8)
            build(frames)
            _store(path, frames)
            frames = _load(path, shape)
        if frames is None:
            raise DataError(say(f"frames in {path}", "the bytes that were just written", "others",
                                "check the disk, or name another folder by PI05LITE_CACHE"))
        return frames


def _store(path, frames):
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, frames)
        file.write(zlib.crc32(frames).to_bytes(CHECKSUM_BYTES, "little"))
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the name without the bytes


def _load(path, shape):
    """The entry, or None if it is not there or not whole; reads every byte once to make sure."""
    try:
        with open(path, "rb") as file:
            found, start = _header(file), file.tell()
            file.seek(-CHECKSUM_BYTES, os.SEEK_END)
            end, stored = file.tell(), int.from_bytes(file.read(), "little")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # shorter than a checksum
            return None
        raise DataError(say(f"frames in {path}", "to read them", error, "see that this file can "
                            "be read, or name another folder by PI05LITE_CACHE")) from error
    size = math.prod(shape)
    if found != (tuple(shape), False, np.dtype(np.uint8)) or start + size != end:
        return None
    frames = _mapped(path, end)[start:].reshape(shape)
    return frames if zlib.crc32(frames) == stored else None


def _header(file):
    """(shape, whether in Fortran's order, dtype) of a .npy file; ValueError for another file."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"version {version}")
    return np.lib.format.read_array_header_1_0(file)


def _mapped(path, size):
    """The first bytes of a file as a read-only array, uint8 (size,).

    numpy's own maps each keep their file open, and a data set has more episodes and cameras than a
    process may have files: often 1,024, on macOS 256.
    """
    import torch  # here, since a look at the cache needs none of it

    try:
        array = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
    except RuntimeError as error:
        raise DataError(say(f"frames in {path}", "to map them into memory", error, "raise "
                            "vm.max_map_count, or choose fewer episodes or cameras")) from error
    array.flags.writeable = False
    return array
