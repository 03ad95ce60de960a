"""Cached frames are the frames that were built, also after damage and with two writers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pi05lite.data.cache import FrameCache, atomic_path, cache_folder, content_hash, key_of
from pi05lite.errors import DataError

SHAPE = (5, 8, 8, 3)
KEY = "0123456789abcdef"


def counting(value=7):
    calls = []

    def build(out):
        calls.append(1)
        out[:] = np.arange(out.size, dtype=np.int64).reshape(out.shape) % 251 + value % 5
    return build, calls


def only_file(folder):
    [path] = [path for path in Path(folder).rglob("*") if path.is_file()]
    return path


def test_built_once_then_mapped_read_only(tmp_path):
    build, calls = counting()
    first = FrameCache(tmp_path).get(KEY, SHAPE, build)
    second = FrameCache(tmp_path).get(KEY, SHAPE, build)
    assert len(calls) == 1 and np.array_equal(first, second)
    assert not second.flags.writeable


def test_what_is_mapped_costs_neither_memory_nor_open_files(tmp_path):
    """More entries than a process may open files, and together more than its memory grew by."""
    pytest.importorskip("resource")
    code = """
import resource, sys
from pi05lite.data.cache import FrameCache
shape, entries = (16, 64, 64, 3), []
cache = FrameCache(sys.argv[1])
cache.get("00", shape, lambda out: out.fill(1))  # what is loaded at the first is loaded
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = lambda: [int(line.split()[1]) for line in open("/proc/self/status") if "RssAnon" in line]
before = held() if sys.platform == "linux" else None
for k in range(150):
    entries.append(cache.get(f"{k:02x}key", shape, lambda out: out.fill(k)))
assert all((entry == k).all() for k, entry in enumerate(entries))
if before:
    assert held()[0] - before[0] < 10_000, (before, held())  # KiB; entries: 28,800
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_an_entry_that_cannot_be_read_back_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("pi05lite.data.cache._store", lambda path, frames: None)
    with pytest.raises(DataError, match="PI05LITE_CACHE"):
        FrameCache(tmp_path).get(KEY, SHAPE, counting()[0])


def test_an_entry_that_cannot_be_opened_is_an_error_and_not_built_again(tmp_path):
    build, calls = counting()
    FrameCache(tmp_path).get(KEY, SHAPE, build)
    path = only_file(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="to read them"):
        FrameCache(tmp_path).get(KEY, SHAPE, build)
    assert len(calls) == 1


def damage(path, how):
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1:]
    kinds = {"cut": data[:middle], "empty": b"", "flipped": flipped, "garbage": b"x" * len(data),
             "longer": data + b"1234", "header only": data[:128]}
    path.write_bytes(kinds[how])


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "garbage", "longer", "header only"])
def test_a_damaged_entry_is_built_again(tmp_path, how):
    build, calls = counting()
    good = np.array(FrameCache(tmp_path).get(KEY, SHAPE, build))
    damage(only_file(tmp_path), how)
    again = FrameCache(tmp_path).get(KEY, SHAPE, build)
    assert len(calls) == 2 and np.array_equal(again, good)
    FrameCache(tmp_path).get(KEY, SHAPE, build)
    assert len(calls) == 2


def test_a_failed_build_leaves_nothing(tmp_path):
    def build(out):
        raise RuntimeError("stop")
    with pytest.raises(RuntimeError):
        FrameCache(tmp_path).get(KEY, SHAPE, build)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_writer_that_stops_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("stop")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_processes_may_write_the_same_entry(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from pi05lite.data.cache import FrameCache\n"
        "for i in range(30):\n"
        "    key = f'{i:02d}-entry'\n"
        "    frames = FrameCache(sys.argv[1]).get(key, (40, 16, 16, 3), lambda out: out.fill(i))\n"
        "    assert (frames == i).all()\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path}
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=env) for _ in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(list(tmp_path.rglob("*.npy"))) == 30 and not list(tmp_path.rglob("*.part"))


def test_content_hash_follows_the_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = content_hash(path)
    path.write_bytes(b"two!")
    assert content_hash(path) != first
    other = tmp_path / "b"
    other.write_bytes(b"one")
    assert content_hash(other) == first


def test_keys_differ_with_every_part():
    keys = [key_of("a", 1, 2.5), key_of("a", 1, 2.0), key_of("a", 2, 2.5), key_of("b", 1, 2.5)]
    assert len(set(keys)) == 4 and key_of("a", 1, 2.5) == keys[0]


def test_the_folder_is_the_argument_then_the_variable_then_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("PI05LITE_CACHE", "/one")
    assert cache_folder("/two") == Path("/two")
    assert cache_folder() == Path("/one")
    monkeypatch.delenv("PI05LITE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/three")
    assert cache_folder() == Path("/three/pi05lite")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/pi05lite"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="PI05LITE_CACHE"):
        FrameCache(tmp_path / "file").get(KEY, SHAPE, lambda out: out.fill(0))
