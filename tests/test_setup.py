"""The three lists of packages agree, and the Makefile does what `make help` says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pi05lite.data import manifest

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def ranges():
    """Direct dependencies, the tests' included: name -> range."""
    lines = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    return {r.name: r.specifier for r in map(Requirement, lines)}


def pins(python):
    """The pins of constraints.txt that hold for a version of Python: a list of (name, version)."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [r for r in found if not r.marker or r.marker.evaluate({"python_version": python})]
    return [(r.name, re.fullmatch(r"==([\w.]+)", str(r.specifier))[1]) for r in here]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_direct_dependency_has_one_pin_inside_its_range(python):
    names = [name for name, _ in pins(python)]
    assert sorted(names) == sorted(ranges())
    outside = [(n, v) for n, v in pins(python) if not ranges()[n].contains(v)]
    assert outside == []


def test_the_tests_install_every_extra_but_the_outside_worlds():
    extras = PROJECT["optional-dependencies"]
    # ALOHA wants an old MuJoCo.
    assert set(extras) == {"real", "lora", "sweep", "classroom", "pusht", "aloha", "dev"}
    inside = [p for name in ("real", "lora", "sweep", "classroom") for p in extras[name]]
    assert set(inside) < set(extras["dev"])


def test_every_range_has_a_lower_bound():
    assert [name for name, range_ in ranges().items() if ">=" not in str(range_)] == []


def test_environment_yml_is_the_same_set():
    text = (ROOT / "environment.yml").read_text()
    entries = re.findall(r"^ +- (.+)$", text.split("dependencies:")[1], re.MULTILINE)
    python = entries.pop(0)
    assert entries == ["pip", "pip:", "-c constraints.txt", "-e .[dev]"]
    assert python.startswith("python=") and python[7:] in PYTHONS


def test_the_supported_pythons_are_those_that_are_tested():
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert [v for v in ["3.9", *PYTHONS, "3.14"] if allowed.contains(v)] == PYTHONS


def test_the_manifest_pins_a_revision_and_states_a_licence():
    entries = manifest.entries()
    assert {e.name for e in entries} == {
        "so101", "droid_100", "jaco", "pusht", "aloha_coffee", "libero",
    }
    assert all(re.fullmatch(r"v\d\.\d|[0-9a-f]{40}", e.revision) and e.license for e in entries)


def test_ci_is_executable_bash():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


# ----------------------------------------------------- the Makefile, with a stand-in for Python

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="no make here")
STUB = """#!/bin/sh
echo "$@" >> log
case "$*" in *"not slow"*) exit ${FAST:-0};; *"-m slow"*) exit ${SLOW:-0};; esac
"""


@pytest.fixture
def project(tmp_path):
    """A folder with the Makefile and a finished set-up whose Python only writes down its calls."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for tool in ("python", "jupyter", "ruff"):
        (tmp_path / ".venv" / "bin" / tool).write_text(STUB)
        (tmp_path / ".venv" / "bin" / tool).chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def make(project, *words, **codes):
    plain = {k: v for k, v in os.environ.items()  # not what an outer `make test ARGS=...` was told
             if k != "ARGS" and not k.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory", *words], cwd=project, text=True, capture_output=True,
        env={**plain, **{k: str(v) for k, v in codes.items()}},
    )
    log = project / "log"
    return done, log.read_text().splitlines() if log.exists() else []


@needs_make
def test_make_alone_lists_every_target(project):
    done, _ = make(project)
    for target in ("lab", "test", "lint", "notebooks", "assignments", "doctor", "clean"):
        assert f"make {target} " in done.stdout
    assert 'ARGS="-k masks"' in done.stdout


@needs_make
def test_a_second_run_installs_nothing_and_opens_the_first_notebook(project):
    done, log = make(project, "lab")
    assert done.returncode == 0
    assert log == ["-m pi05lite.allocator .venv/bin/jupyter lab "
                   "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]


@needs_make
@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_list_installs_again_torch_first(project, changed):
    os.utime(project / changed, (9e9, 9e9))
    _, log = make(project, "lint", f"PYTHON={sys.executable}")
    installs = [line for line in log if "pip install" in line]
    assert len(installs) == 2 and installs[0].endswith("-c constraints.txt torch")
    assert installs[1].endswith("-c constraints.txt -e .[dev]")


@needs_make
@pytest.mark.parametrize("fast, slow, passes", [
    (0, 0, True), (0, 5, True), (5, 0, True), (5, 5, False), (1, 0, False), (0, 1, False),
])
def test_fast_tests_run_before_slow_ones_and_failures_count(project, fast, slow, passes):
    done, log = make(project, "test", "ARGS=-k masks", FAST=fast, SLOW=slow)
    assert (done.returncode == 0) is passes
    workers = "--numprocesses auto --maxprocesses 8 --dist loadscope"
    expected = [f"-m pytest -m {half} {workers} -k masks" for half in ("not slow", "slow")]
    assert log == (expected[:1] if fast == 1 else expected)


@needs_make
@pytest.mark.parametrize("version, refused", [("3, 9", True), ("3, 14", True), ("3, 12", False)])
def test_another_python_is_refused_with_a_clear_message(project, version, refused):
    (project / ".venv" / ".installed").unlink()
    fake = project / "fakepython"
    code = f"import sys; sys.version_info = ({version}, 0); exec(sys.argv[2])"
    fake.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    fake.chmod(0o755)
    done, log = make(project, "lint", f"PYTHON={fake}")
    assert (done.returncode != 0) is refused
    assert ("pi05lite needs Python 3.10 to 3.13" in done.stderr) is refused
    assert bool(log) is not refused
