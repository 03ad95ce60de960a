"""Commands print what they found, and known errors come without a traceback."""

import pytest

from pi05lite import cli, doctor
from pi05lite.data import hub


def test_data_list_names_every_public_dataset_with_its_licence(capsys):
    assert cli.main(["data", "list"]) == 0
    out = capsys.readouterr().out
    for name in ("so101", "droid_100", "jaco", "pusht", "aloha_coffee", "libero"):
        assert f"\n  {name} " in out
    assert "lerobot/svla_so101_pickplace v3.0, licence Apache-2.0" in out


def test_data_get_passes_the_choice_on(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(hub, "get", lambda *a, **k: asked.append((a, k)) or "/there/pusht")
    assert cli.main(["data", "get", "pusht", "--episodes", "0:20", "--out", "/there"]) == 0
    assert asked == [(("pusht", "0:20", "/there"), {"revision": None})]
    assert "/there/pusht" in capsys.readouterr().out


def test_tokens_writes_the_table_and_the_curve(monkeypatch, capsys, tmp_path):
    from pi05lite.evaluate import results, tokens

    monkeypatch.setattr(tokens, "rate_distortion", lambda: ([{"robot": "r"}], [{"rmse": 0.123456}]))
    monkeypatch.setattr(tokens, "control_rates", lambda: [{"rate": 5}])
    path = tmp_path / "tokens.json"
    assert cli.main(["tokens", "measure", "--out", str(path)]) == 0
    content = results.load(path)
    assert content["table"] == [{"rmse": 0.1235}] and content["rates"] == [{"rate": 5}]
    assert content["command"] == "pi05lite tokens measure"
    assert str(path) in capsys.readouterr().out


def test_tokens_learn_replaces_the_row_of_the_same_tokenizer(monkeypatch, tmp_path):
    from pi05lite.evaluate import results, token_learning

    monkeypatch.setattr(token_learning, "measure", lambda name, seconds, horizon: {
        "tokenizer": name, "robot": "cr5", "horizon": horizon, "seconds": seconds})
    path = str(tmp_path / "learning.json")
    for seconds, name in ((5, "FAST"), (7, "FAST"), (7, "VQ")):
        assert cli.main(["tokens", "learn", name, "--seconds", str(seconds), "--out", path]) == 0
    rows = results.load(path)["rows"]
    assert [(r["tokenizer"], r["seconds"]) for r in rows] == [("FAST", 7), ("VQ", 7)]
    assert rows[0]["command"] == "pi05lite tokens learn FAST --seconds 7 --horizon 10"


def test_known_errors_print_their_message_only(capsys):
    assert cli.main(["data", "get", "no_such_name"]) == 2
    err = capsys.readouterr().err
    assert "no_such_name" in err and "way out" in err and "Traceback" not in err


def test_unknown_errors_are_not_hidden(monkeypatch):
    monkeypatch.setattr(doctor, "show", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


@pytest.mark.parametrize("usable, code", [(True, 0), (False, 1)])
def test_doctor_gives_its_verdict_as_exit_code(monkeypatch, usable, code):
    monkeypatch.setattr(doctor, "show", lambda: usable)
    assert cli.main(["doctor"]) == code


def test_stopping_with_control_c_is_quiet(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "show", stop)
    assert cli.main(["doctor"]) == 130
    assert "stopped" in capsys.readouterr().err


def test_a_bare_command_explains_itself(capsys):
    with pytest.raises(SystemExit):
        cli.main([])
    assert "usage: pi05lite" in capsys.readouterr().err
