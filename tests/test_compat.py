"""torchvision, timm and lightning import after pi05lite, whatever build of torch is here."""

import subprocess
import sys
from importlib.machinery import ModuleSpec, PathFinder

import pytest
import torch

from pi05lite import compat


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def needs_cure():
    spec = PathFinder.find_spec("torchvision")
    cpu_only = not (torch.version.cuda or torch.version.hip)
    return bool(spec) and cpu_only and not compat.library_loads(spec.submodule_search_locations[0])


def test_everything_imports_and_box_operators_say_what_is_wrong():
    done = run("""
import pi05lite, torchvision, timm, lightning, torch
from torchvision.transforms import v2
print(tuple(v2.Resize((4, 4))(torch.rand(1, 3, 8, 8)).shape))
boxes, scores = torch.tensor([[0., 0., 1., 1.]]), torch.ones(1)
try:
    print('kept', torchvision.ops.nms(boxes, scores, 0.5).tolist())
except Exception as error:
    print(type(error).__name__, str(error)[:80])
""")
    assert done.returncode == 0, done.stderr
    shape, boxes = done.stdout.splitlines()
    assert shape == "(1, 3, 4, 4)"
    expected = "RuntimeError Couldn't load custom C++ ops" if needs_cure() else "kept [0]"
    assert boxes.startswith(expected)


@pytest.mark.skipif(not needs_cure(), reason="torch and torchvision fit together here")
def test_it_cures_also_after_a_failed_import():
    assert "torchvision::nms does not exist" in run("import torchvision").stderr
    done = run("""
try: import torchvision
except RuntimeError: pass
import pi05lite, timm, torchvision
""")
    assert done.returncode == 0, done.stderr


def test_looking_for_torchvision_does_not_import_torch():
    code = """
import sys, pi05lite
from importlib.util import find_spec
find_spec('torchvision')
print('torch' in sys.modules)
"""
    assert run(code).stdout.strip() == "False"


def test_installing_twice_gives_one_finder():
    done = run("""
import sys, pi05lite
from pi05lite import compat
compat.install(); compat.install()
print(sum(isinstance(finder, compat.CureTorchvision) for finder in sys.meta_path))
""")
    assert done.stdout.strip() == ("1" if sys.platform.startswith("linux") else "0")


def test_nothing_is_installed_once_torchvision_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", object())
    monkeypatch.setattr(sys, "meta_path", [])
    compat.install()
    assert sys.meta_path == []


def test_other_names_and_an_absent_torchvision_are_left_alone(monkeypatch):
    finder = compat.CureTorchvision()
    assert finder.find_spec("torch") is None
    monkeypatch.setattr(PathFinder, "find_spec", lambda *_: None)
    assert finder.find_spec("torchvision") is None


@pytest.mark.parametrize("cuda, loads", [("12.8", False), (None, True)])
def test_no_cure_where_torch_has_cuda_or_the_library_loads(monkeypatch, cuda, loads):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(compat, "library_loads", lambda folder: loads)
    monkeypatch.setattr(torch.library, "Library", lambda *_: pytest.fail("declared something"))
    assert compat.cure("folder") is False


def test_the_cure_runs_before_the_module(monkeypatch):
    order = []
    loader = type("Loader", (), {})()
    loader.exec_module = lambda module: order.append("module")
    spec = ModuleSpec("torchvision", loader, is_package=True)
    spec.submodule_search_locations = ["here"]
    monkeypatch.setattr(PathFinder, "find_spec", lambda *_: spec)
    monkeypatch.setattr(compat, "cure", lambda folder: order.append(f"cure {folder}"))
    compat.CureTorchvision().find_spec("torchvision").loader.exec_module(object())
    assert order == ["cure here", "module"]


def test_a_folder_without_library_does_not_load(tmp_path):
    assert not compat.library_loads(tmp_path)
    (tmp_path / "_C.so").write_bytes(b"not a library")
    assert not compat.library_loads(tmp_path)
