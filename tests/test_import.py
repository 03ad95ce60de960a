"""`import pi05lite` is quick and light, and fetches its parts when they are named."""

import subprocess
import sys
import time

import pytest

import pi05lite

HEAVY = ["torch", "torchvision", "timm", "lightning", "plotly", "pyarrow", "numpy", "av",
         "huggingface_hub", "tokenizers"]


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_brings_nothing_heavy_and_takes_under_a_second():
    code = f"import sys, pi05lite; print([m for m in {HEAVY} if m in sys.modules])"
    start = time.perf_counter()
    assert run(code).strip() == "[]"
    assert time.perf_counter() - start < 1 + starting_python()


def starting_python():
    """Seconds that Python itself takes to start here."""
    start = time.perf_counter()
    run("pass")
    return time.perf_counter() - start


def test_the_command_line_starts_light_too():
    code = f"""
import sys
from pi05lite import cli
try: cli.main(['--version'])
except SystemExit: pass
print([m for m in {HEAVY} if m in sys.modules])
"""
    assert run(code).splitlines() == [f"pi05lite {pi05lite.__version__}", "[]"]


def test_submodules_come_when_they_are_named():
    assert run("import pi05lite; print(pi05lite.errors.DataError.__name__)").strip() == "DataError"
    assert run("import pi05lite; print(pi05lite.doctor.show.__name__)").strip() == "show"


def test_load_comes_from_the_policy(monkeypatch):
    import types

    policy = types.ModuleType("pi05lite.policy")
    policy.load = lambda path: f"loaded {path}"
    monkeypatch.setitem(sys.modules, "pi05lite.policy", policy)
    assert pi05lite.load("here") == "loaded here"


@pytest.mark.parametrize("name", ["no_such_part", "_private", "__wrapped__"])
def test_unknown_names_are_attribute_errors(name):
    with pytest.raises(AttributeError, match=name):
        getattr(pi05lite, name)
