"""The command line: help for everything, one-line errors, and exit codes that scripts can trust."""

from __future__ import annotations

import socket

import pytest

from bellwether.config.recipe import RECIPES
from bellwether.errors import ConfigError, DataError
from pipelines import cli
from pipelines.serve import _check_free

COMMANDS = (
    *("ingest", "features", "train", "leaderboard", "promote", "rollback"),
    *("serve", "signal", "score", "demo", "sql"),
)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    return int(stop.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    assert run(command, "--help") == 0
    assert f"bellwether {command}" in capsys.readouterr().out.split("Example")[1]


def test_the_list_of_commands_is_complete():
    assert sorted(c.callback.__name__ for c in cli.app.registered_commands) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("train",), ("train", "index-hourly", "--trials", "0"), ("train", "no-such-recipe")],
)
def test_wrong_use_exits_with_2(arguments, home):
    assert run(*arguments) == 2


def test_a_failure_is_one_line_and_exits_with_1(home, monkeypatch, capsys):
    def fail(*_):
        raise DataError("the source\nis broken")

    monkeypatch.setattr(cli.Workspace, "open", fail)
    assert run("ingest", "index-hourly") == 1
    assert capsys.readouterr().err == "error: the source is broken\n"


def test_debug_shows_where(home):
    with pytest.raises(Exception, match="no recipe"):
        cli.main(["train", "no-such-recipe", "--debug"])


def test_nothing_to_show_says_what_to_do(home, capsys):
    assert run("leaderboard", "index-hourly") == 1
    assert "bellwether train index-hourly" in capsys.readouterr().err


def test_no_server_says_what_to_do(home, capsys):
    assert run("signal", "index-hourly", "--url", "http://127.0.0.1:9") == 1
    assert "bellwether serve" in capsys.readouterr().err


def test_names_in_no_table_are_refused_before_anything_is_started(home, tmp_path, capsys):
    text = (RECIPES / "index-hourly.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("lightgbm", "lightgmb"), encoding="utf-8")
    assert run("ingest", str(path)) == 2
    assert "no model family 'lightgmb'; known: " in " ".join(capsys.readouterr().err.split())


def test_a_port_that_is_taken_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another --port"):
            _check_free("127.0.0.1", taken.getsockname()[1])


def test_a_recipe_that_names_no_app_is_not_served(home, tmp_path, capsys):
    text = (RECIPES / "ticks.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("app: ticks", "app: null"), encoding="utf-8")
    assert run("serve", str(path)) == 2
    assert "ticks names no app to serve it" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["score", "ticks"], "ticks makes no index signal to score"),
        (["demo", "ticks"], "ticks serves no index signal, so it has no demo"),
        (["train", "price-forecast", "--families", "logistic"], "logistic cannot regress"),
    ],
)
def test_what_a_recipe_cannot_do_is_said_before_anything_is_started(command, said, home, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code in (1, 2)
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert not (home / "lake").exists()
