"""Settings lead to absolute places, and what is given nearest wins."""

from pathlib import Path

import pytest

from bellwether.config import Settings


def test_everything_goes_below_home(home):
    settings = Settings()
    assert settings.lake == str(home / "lake")
    assert settings.runs == str(home / "runs")
    assert settings.ledger == str(home / "promotions.jsonl")
    assert settings.tracking_uri == f"sqlite:///{home / 'mlflow.db'}"


def test_the_environment_wins_over_home_and_an_argument_over_both(home, monkeypatch):
    monkeypatch.setenv("BELLWETHER_LAKE", "s3://desk/lake")
    assert Settings().lake == "s3://desk/lake"
    assert Settings(lake="/elsewhere").lake == "/elsewhere"


def test_relative_paths_are_made_absolute_where_the_process_starts(home, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BELLWETHER_HOME")
    assert Settings().home == tmp_path / ".bellwether"
    assert Settings(lake="lake").lake == str(tmp_path / "lake")
    assert Settings(market_data="files").market_data == tmp_path / "files"


def test_settings_cannot_change(home):
    with pytest.raises(ValueError, match="frozen"):
        Settings().home = Path("/")
