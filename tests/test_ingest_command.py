"""`bellwether ingest`, of a recipe or of a source: what it takes, what it prints, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bellwether.config import Settings
from data.lake import Lake
from pipelines import cli

TICKS = "symbol,ts_event,price,volume\nA,2025-03-03 10:00,10,5\nA,2025-03-03 10:20,-10,5\nB,2025-03-03 10:00,7,5\n"


@pytest.fixture
def ticks(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of ticks in the working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "ticks.csv").write_text(TICKS)
    return tmp_path / "work"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(["ingest", *arguments])
    found = capsys.readouterr()
    return int(stop.value.code or 0), " ".join((found.out + found.err).split())


def test_a_source_is_ingested_and_every_row_accounted_for(ticks, capsys):
    code, text = run(capsys, "tick-files", "ticks.csv", "--set", "timezone=UTC")
    assert code == 0
    assert "ingest ticks: 3 rows in, 2 kept (2 new, 0 revised, 0 unchanged), 1 quarantined, 0 gaps (silences" in text
    assert "2 symbols" in text
    assert "quarantined 1: non_positive_price" in text
    lake = Lake(Settings().lake)
    before = lake.version("ticks"), lake.version("quarantine/ticks")
    assert "(0 new, 0 revised, 2 unchanged)" in run(capsys, "tick-files", "ticks.csv", "--set", "timezone=UTC")[1]
    assert (lake.version("ticks"), lake.version("quarantine/ticks")) == before


def test_the_lake_the_files_and_the_record_kinds_may_be_chosen(ticks, capsys, tmp_path):
    (ticks / "more.csv").write_text(TICKS.replace("-03 10", "-04 10"))
    lake = str(tmp_path / "other")
    options = ("--record", "ticks", "--set", "timezone=UTC", "--lake", lake)
    assert "6 rows in, 4 kept" in run(capsys, "tick-files", "ticks.csv", "more.csv", *options)[1]
    assert Lake(lake).kinds() == ("quarantine/ticks", "ticks")
    assert "(0 new, 0 revised, 4 unchanged)" in run(capsys, "tick-files", "*.csv", *options)[1]


def test_a_source_without_files_is_told_its_options(home, capsys):
    options = ("--set", "sessions=2", "--set", "events=20", "--interval", "1h")
    code, text = run(capsys, "simulator", *options)
    assert code == 0
    assert [
        name for name in ("bars/1h", "factors/1h", "ticks", "books", "deltas") if f"ingest {name}: " not in text
    ] == []


def test_books_that_are_sampled_have_an_interval_and_yaml_options(ticks, capsys):
    (ticks / "books.csv").write_text("time,best_bid,best_ask,bid_volume,ask_volume\n2025-03-03 10:05,9,11,5,5\n")
    options = ("--set", "timezone=UTC", "--set", "columns={ts_event: time}", "--interval", "5min")
    code, text = run(capsys, "book-files", "books.csv", *options)
    assert (code, "ingest books/5min: 1 rows in, 1 kept" in text) == (0, True)


def test_the_session_is_that_of_the_market(ticks, capsys):
    bars = [f"A,2025-03-03 {hour:02}:15,10,12,9,11,100" for hour in (10, 12, 15)]
    (ticks / "bars.csv").write_text("\n".join(["symbol,time,open,high,low,close,volume", *bars]) + "\n")
    files = ("ohlcv", "bars.csv", "--set", "timezone=Asia/Kolkata", "--set", "stamped=close", "--interval", "1h")
    assert "look like another zone's" in run(capsys, *files)[1]
    code, text = run(capsys, *files, "--timezone", "Asia/Kolkata", "--hours", "09:15-15:30")
    assert (code, "3 kept" in text) == (0, True)


REFUSED = {
    "no such source": (("tape", "a.csv"), "no source 'tape'; known: binance, "),
    "neither": (("tape",), "no recipe or source 'tape'; known: "),
    "a recipe with files": (
        ("index-hourly", "a.csv"),
        "index-hourly is a recipe, .*: leave PATHS out, or name a source",
    ),
    "a recipe with options": (("index-hourly", "--record", "ticks"), "leave --record out"),
    "a source without its files": (("lobster",), "say which files, as in bellwether ingest lobster PATH"),
    "files for one that has none": (("simulator", "a.csv"), "source 'simulator' reads no files: leave a.csv out"),
    "a record it has not": (("tick-files", "a.csv", "--record", "bars"), "has no bars; it has: ticks"),
    "an unknown option": (("tick-files", "a.csv", "--set", "colour=red"), "source 'tick-files': colour: Extra inputs"),
    "no value": (("tick-files", "a.csv", "--set", "colour"), "'colour': write name=value"),
    "no YAML": (("tick-files", "a.csv", "--set", "columns={a"), "write name=value, the value in YAML"),
    "an interval of events": (("tick-files", "a.csv", "--interval", "1h"), "ticks are events and have no interval"),
    "an interval of books after every change": (
        ("simulator", "--record", "books", "--interval", "5min"),
        "has the book after every change, not one every 5min.*kind: snapshots",
    ),
    "no interval": (("ohlcv", "a.csv", "--set", "stamped=start"), "bars have an interval; say it"),
    "not an interval": (("ohlcv", "a.csv", "--interval", "hourly"), "'hourly': write a number and s, min, h or d"),
    "no such zone": (("tick-files", "a.csv", "--timezone", "Mars"), "no time zone 'Mars'"),
    "no hours": (("tick-files", "a.csv", "--hours", "9"), "'9': write two times of day"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line_before_anything_is_written(ticks, capsys, name):
    arguments, message = REFUSED[name]
    code, text = run(capsys, *arguments)
    assert code == 2
    assert text.startswith("error: ")
    assert re.search(message, text), text
    assert Lake(Settings().lake).kinds() == ()


def test_real_files_of_each_source_are_taken_whole(home, capsys, market_data):
    for source, path, options in (
        ("lobster", "lobster/AMZN*", ["--record", "ticks"]),
        ("tick-files", "ticks/ticks_2601.parquet", ["--set", "timezone=UTC"]),
        ("book-files", "books/compute_price_5min.csv", ["--set", "timezone=UTC", "--interval", "5min"]),
        (
            "ohlcv",
            "bars/us_1h.parquet",
            ["--set", "stamped=start", "--set", "columns={time: timestamp}", "--interval", "1h"],
        ),
    ):
        first, again = (run(capsys, source, str(market_data / path), *options) for _ in range(2))
        assert (first[0], again[0]) == (0, 0)
        assert ", 0 quarantined" in first[1]
        assert "(0 new, 0 revised, " in again[1]


def test_bars_that_come_quicker_than_their_interval_are_refused(home, tmp_path, capsys):
    lines = [f"AAA,2025-03-03 {10 + k // 12:02}:{k % 12 * 5:02},10,11,9,10,1" for k in range(60)]
    (tmp_path / "bars.csv").write_text("\n".join(["symbol,time,open,high,low,close,volume", *lines]) + "\n")
    source = ["ingest", "ohlcv", str(tmp_path / "bars.csv"), "--set", "stamped=close", "--timezone", "America/New_York"]
    with pytest.raises(SystemExit):
        cli.main([*source, "--interval", "15min"])
    assert "59 of 60 bars close less than their interval" in capsys.readouterr().err.replace("\n", " ")
    assert not (home / "lake").exists()
    with pytest.raises(SystemExit) as ended:
        cli.main([*source, "--interval", "5min"])
    assert not ended.value.code
    with pytest.raises(SystemExit) as ended:
        cli.main([*source, "--interval", "5min", "--set", "ignore=[]"])
    assert not ended.value.code
