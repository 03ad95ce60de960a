"""Long commands run with a quicker allocator where there is one, and as they are elsewhere."""

import os
import subprocess
import sys

import pytest

from pi05lite import allocator, cli

HERE = allocator.found()
MAPPED = "print(sorted({line.split()[-1] for line in open('/proc/self/maps') if 'malloc' in line}))"


@pytest.fixture
def plain(monkeypatch):
    """A program that was started without an allocator, on a machine with none so far."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(allocator, "find_library", lambda name: None)
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    return monkeypatch


@pytest.fixture
def started(monkeypatch):
    """What is started in place of this program."""
    calls = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    return calls


def test_without_one_all_goes_on_as_it_is(plain, started):
    allocator.start_again()
    assert started == [] and allocator.found() is None
    assert allocator.environment() == dict(os.environ)


def test_the_quickest_is_taken_and_what_was_named_before_stays(plain, started):
    here = {"jemalloc": "libjemalloc.so.2", "tcmalloc_minimal": "libtcmalloc_minimal.so.4"}
    plain.setattr(allocator, "find_library", here.get)
    plain.setenv("LD_PRELOAD", "libmine.so")
    allocator.start_again()
    (program, command, variables), = started
    assert program == sys.executable and command == sys.orig_argv
    assert variables["LD_PRELOAD"] == "libtcmalloc_minimal.so.4 libmine.so"


def test_a_program_that_has_it_is_not_started_again(plain, started):
    plain.setattr(allocator, "find_library", {"jemalloc": "libjemalloc.so.2"}.get)
    plain.setenv("LD_PRELOAD", "/opt/libjemalloc.so.2")
    allocator.start_again()
    assert started == []


def test_condas_own_library_is_found(plain, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libtcmalloc.so").touch()
    plain.setattr(sys, "prefix", str(tmp_path))
    assert allocator.found() == str(tmp_path / "lib" / "libtcmalloc.so")


def test_elsewhere_than_on_linux_there_is_none(plain):
    plain.setattr(allocator, "find_library", lambda name: f"lib{name}.dylib")
    plain.setattr(sys, "platform", "darwin")
    assert allocator.found() is None


def test_only_long_commands_are_started_again_and_never_a_call_from_python(plain, started):
    plain.setattr(allocator, "find_library", lambda name: f"lib{name}.so.4")
    train = ["train", "pretrain", "--data", "/none", "--out", "/none"]
    assert cli.main(train) == 2 and started == []
    plain.setattr(sys, "argv", ["pi05lite", *train])
    assert cli.main() == 2 and len(started) == 1
    plain.setattr(sys, "argv", ["pi05lite", "data", "list"])
    assert cli.main() == 0 and len(started) == 1


@pytest.mark.skipif(HERE is None, reason="neither tcmalloc nor jemalloc on this machine")
def test_a_command_runs_with_it():
    command = [sys.executable, "-m", "pi05lite.allocator", sys.executable, "-c", MAPPED]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert os.path.basename(HERE) in out.stdout and out.stderr == ""
