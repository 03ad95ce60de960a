"""The example of the README's section runs as it stands, at nano size."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def section():
    text = (ROOT / "README.md").read_text()
    return text.split("\n## The lab\n")[1].split("\n## ")[0]


def test_the_table_names_every_swap():
    from pi05lite.lab import swaps

    named = set(re.findall(r"`(\w+)`", section().split("**Ten swaps**")[1]))
    assert set(swaps.__all__) <= named
    assert len(re.findall(r"^\| .+ \| `", section(), re.M)) == 10


@pytest.mark.slow
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.+?)```", section(), re.S)[1]
    small = {"config.tiny()": "__import__('dataclasses').replace(config.nano(), max_tokens=96)",
             "lab.Budget(seconds=300)": "lab.Budget(steps=2)",
             'out="runs/lab"': 'out=OUT, progress=False, accelerator="cpu"'}
    for was, now in small.items():
        assert code.count(was) == 1, was
        code = code.replace(was, now)
    monkeypatch.setenv("PI05LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "none"))
    monkeypatch.delenv("PI05LITE_DATA", raising=False)
    names = {"OUT": tmp_path / "lab", "__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert "NormedKeys (attention) keeps shapes" in out and "normed keys" in out
    assert names["found"].names == ["pi0.5", "normed keys", "diffusion"]
