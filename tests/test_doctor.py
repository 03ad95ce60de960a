"""The doctor names what is missing, with a cure, and calls the rest fine."""

import json
import os
import sys
from importlib import metadata

import pytest

from pi05lite import doctor
from pi05lite.data import paths


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A kit with its own sample in data/, and no other data on the machine."""
    monkeypatch.setattr(paths, "KIT", tmp_path / "kit" / "data")
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.delenv("PI05LITE_DATA", raising=False)
    make_dataset(paths.KIT / "sample")
    return paths.KIT


def make_dataset(folder):
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps({"total_episodes": 1}))
    (folder / "big.bin").write_bytes(b"x" * 2_500_000)


def problems():
    return [finding for finding in doctor.report() if finding.level == doctor.PROBLEM]


def texts(area):
    return [finding.text for finding in doctor.report() if finding.area == area]


def installed(monkeypatch, requires, versions):
    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "requires", lambda name: requires)
    monkeypatch.setattr(metadata, "version", version)


def test_this_environment_is_usable(kit, capsys):
    assert doctor.show(), problems()
    out = " ".join(capsys.readouterr().out.split())
    for word in ("Python", "torch 2.", "threads", "sample (2.5 MB)", "plotly", "Hub cache"):
        assert word in out


def test_a_missing_package_is_a_problem_with_a_cure(kit, monkeypatch, capsys):
    installed(monkeypatch, ["torch>=2.4"], {})
    assert [p.text for p in problems()] == ["torch is not installed"]
    assert "make lab" in problems()[0].cure
    assert not doctor.show()
    assert "PROBLEM: torch is not installed" in capsys.readouterr().out


def test_a_missing_test_package_is_only_a_note(kit, monkeypatch):
    installed(monkeypatch, ['ruff>=1; extra == "dev"'], {})
    assert problems() == []
    assert any("ruff is not installed, only the tests need it" in t for t in texts("packages"))


def test_a_missing_extra_says_what_it_is_for_once(kit, monkeypatch):
    stated = ['peft>=0.14; extra == "lora"', 'peft>=0.14; extra == "dev"']
    installed(monkeypatch, stated, {})
    assert problems() == []
    assert [t for t in texts("packages") if "peft" in t] == [
        "peft is not installed, only LoRA needs it"]


def test_worlds_outside_the_kit_are_not_missed(kit, monkeypatch):
    installed(monkeypatch, ['gym-pusht>=0.1; extra == "pusht"'], {})
    assert problems() == [] and not any("pusht" in t for t in texts("packages"))


@pytest.mark.parametrize("version, fine", [("2.4", True), ("2.13.0+cpu", True), ("2.3.1", False),
                                           ("3.0", False)])
def test_versions_are_held_to_the_stated_range(kit, monkeypatch, version, fine):
    installed(monkeypatch, ["torch<3,>=2.4"], {"torch": version})
    assert (problems() == []) is fine
    if not fine:
        assert 'pip install' in problems()[0].cure


def test_an_old_python_is_a_problem(kit, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert any("make lab PYTHON=" in p.cure for p in problems())


def test_data_is_found_where_the_variable_points(kit, tmp_path, monkeypatch):
    make_dataset(tmp_path / "mine" / "arm")
    (tmp_path / "mine" / "vl" / "cards").mkdir(parents=True)
    monkeypatch.setenv("PI05LITE_DATA", str(tmp_path / "mine"))
    listed = next(text for text in texts("data") if str(tmp_path / "mine") in text)
    assert "arm (2.5 MB)" in listed and "vl/cards" in listed


def test_a_wrong_data_variable_is_named(kit, monkeypatch):
    monkeypatch.setenv("PI05LITE_DATA", "/no/such/folder")
    notes = [f for f in doctor.report() if f.area == "data" and f.level == doctor.NOTE]
    assert "/no/such/folder" in notes[0].text and "unset" in notes[0].cure


def test_no_data_at_all_is_a_problem(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "KIT", tmp_path / "empty")
    assert any("sample" in p.text for p in problems())


def test_folders_are_searched_in_order(kit, tmp_path, monkeypatch):
    for name in ("one", "two", "downloads"):
        make_dataset(tmp_path / name / "arm")
    make_dataset(tmp_path / "two" / "hand")
    named = os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")])
    monkeypatch.setenv("PI05LITE_DATA", named)
    assert paths.data_folders() == [tmp_path / "one", tmp_path / "two", tmp_path / "downloads", kit]
    assert paths.find("arm") == tmp_path / "one" / "arm"
    assert paths.find("hand") == tmp_path / "two" / "hand"
    assert paths.find("sample") == kit / "sample"
    assert paths.find("absent") is None


def test_downloads_go_to_the_users_data_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("PI05LITE_DOWNLOADS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert paths.downloads() == tmp_path / "pi05lite" / "datasets"
