"""Files of bars, in the forms they come in."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.intake.quality import screen, screen_rows
from data.options import checked
from data.sources import files
from data.sources.base import SourceContext
from data.sources.ohlcv import OHLCV
from data.sources.times import to_utc

HOUR = 3_600_000_000_000
HEADER = "symbol,time,open,high,low,close,volume"
NEW_YORK = "America/New_York"


def read(root: Path, session: Session | None = None, interval_ns: int = HOUR, **options: Any) -> pa.Table:
    context = SourceContext(root=root, session=session or Session(), interval_ns=interval_ns)
    given = {"stamped": "start", "timezone": NEW_YORK, "path": "bars.csv"} | options
    return pa.concat_tables(OHLCV.read(checked("ohlcv", OHLCV.options, given), context))


def write(path: Path, *lines: str, header: str = HEADER) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def bar(time: str = "2025-03-05 10:30", symbol: str = "A") -> str:
    return f"{symbol},{time},10,12,9,11,500"


def closes(table: pa.Table) -> list[str]:
    return [t.strftime("%Y-%m-%d %H:%M") for t in table["ts_event"].cast(pa.timestamp("us", tz="UTC")).to_pylist()]


def test_a_csv_file_is_read_with_where_each_row_is_from(tmp_path):
    write(tmp_path / "bars.csv", bar(), "", "B ,2025-03-05 10:30:00, 1.5 ,2,1e0,1.25,0")
    rows = read(tmp_path).to_pylist()
    assert [r["symbol"] for r in rows] == ["A", "B"]
    assert [(r["file"], r["row"]) for r in rows] == [("bars.csv", 1), ("bars.csv", 2)]
    assert [rows[1][n] for n in ("open", "high", "low", "close", "volume")] == [1.5, 2.0, 1.0, 1.25, 0.0]
    assert closes(read(tmp_path)) == ["2025-03-05 16:30"] * 2


def test_parquet_and_gzipped_csv_say_the_same_as_csv(tmp_path):
    write(tmp_path / "bars.csv", bar(), bar("2025-03-05 11:30"))
    (tmp_path / "bars.csv.gz").write_bytes(gzip.compress((tmp_path / "bars.csv").read_bytes()))
    times = pa.array([datetime(2025, 3, 5, 15, 30, tzinfo=UTC), datetime(2025, 3, 5, 16, 30, tzinfo=UTC)])
    prices = {"open": [10, 10], "high": [12.0, 12.0], "low": [9.0, 9.0], "close": [11.0, 11.0], "volume": [500, 500]}
    symbol = pa.array(["A", "A"], pa.large_string()).dictionary_encode()
    pq.write_table(pa.table({"symbol": symbol, "time": times, **prices}), tmp_path / "bars.parquet")
    expected = read(tmp_path).drop_columns(["file"])
    assert read(tmp_path, path="bars.csv.gz").drop_columns(["file"]).equals(expected)
    assert read(tmp_path, path="bars.parquet", timezone=None).drop_columns(["file"]).equals(expected)


def test_columns_have_the_names_the_recipe_says(tmp_path):
    write(tmp_path / "bars.csv", f"{bar()},x", header="ticker,when,o,h,l,c,v,exchange")
    names = {"symbol": "ticker", "time": "when", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    assert read(tmp_path, columns=names, ignore=["exchange"])["close"].to_pylist() == [11.0]


def test_unknown_and_lacking_columns_are_named_with_the_way_out(tmp_path):
    write(tmp_path / "bars.csv", f"{bar()},x", header="symbol,when,open,high,low,close,volume,exchange")
    with pytest.raises(DataError, match=r"bars.csv lacks 'time' and has unknown columns 'when', 'exchange'.*`ignore`"):
        read(tmp_path)
    with pytest.raises(DataError, match="lacks 'name'"):  # a symbol column one asks for must be there
        read(tmp_path, columns={"time": "when", "symbol": "name"}, ignore=["exchange", "symbol"])


def test_a_file_without_a_symbol_column_is_named_after_its_symbol(tmp_path):
    for name in ("%5ENDX.csv", "BRK.B.csv"):
        write(tmp_path / name, "2025-03-05 10:30,10,12,9,11,500", header=HEADER.removeprefix("symbol,"))
    for found in ({"path": "."}, {"path": "*.csv"}, {"path": "", "paths": ["BRK.B.csv", "%5ENDX.csv"]}):
        assert sorted(read(tmp_path, **found)["symbol"].to_pylist()) == ["BRK.B", "^NDX"]


def test_no_file_is_read_twice_and_none_is_an_error(tmp_path):
    write(tmp_path / "bars.csv", bar())
    assert read(tmp_path, path="", paths=["bars.csv", "*.csv", str(tmp_path)]).num_rows == 1
    with pytest.raises(DataError, match=r"no file matches .*bar\.csv"):
        read(tmp_path, path="bar.csv")
    (tmp_path / "bars.xlsx").touch()
    with pytest.raises(ConfigError, match="neither CSV nor Parquet"):
        read(tmp_path, path="bars.xlsx")


def test_path_or_paths_but_not_both_and_the_stamp_must_be_said(tmp_path):
    with pytest.raises(ConfigError, match="either `path` or `paths`"):
        read(tmp_path, paths="x.csv")
    with pytest.raises(ConfigError, match="stamped"):
        read(tmp_path, stamped="open")
    with pytest.raises(ConfigError, match="no time zone 'Mars/Olympus'"):
        read(tmp_path, timezone="Mars/Olympus")


@pytest.mark.parametrize("content", ["", HEADER + "\n"])
def test_an_empty_file_is_an_empty_source(tmp_path, content):
    (tmp_path / "bars.csv").write_text(content)
    with pytest.raises(EmptySource, match=r"bars.csv"):
        read(tmp_path)


def test_an_empty_parquet_file_is_an_empty_source_too(tmp_path):
    write(tmp_path / "bars.csv", bar())
    empty = pa.table({n: pa.array([], pa.timestamp("s") if n == "time" else pa.string()) for n in HEADER.split(",")})
    pq.write_table(empty, tmp_path / "none.parquet")
    with pytest.raises(EmptySource, match=r"none\.parquet has no records"):
        read(tmp_path, path="none.parquet")
    assert read(tmp_path, path="", paths=["bars.csv", "none.parquet"]).num_rows == 1  # one of several is passed over


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEADER}\n{bar()}\nA,2025-03-05 11:30,10\n", r"bars.csv cannot be read.*Row #3: Expected 7 columns, got 3"),
        (f"{HEADER},close\n{bar()},1\n", "more than one column called close"),
        (f"{HEADER}\n{bar('yesterday')}\n", "'time' of bars.csv reads 'yesterday'"),
        (f"{HEADER}\n{bar('1741188600')}\n", "reads '1741188600'; write times as ISO 8601"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named(tmp_path, content, message):
    (tmp_path / "bars.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_what_is_no_parquet_is_named(tmp_path):
    (tmp_path / "bars.parquet").write_text("PAR0")
    with pytest.raises(DataError, match=r"bars.parquet cannot be read"):
        read(tmp_path, path="bars.parquet")


def test_a_bad_cell_costs_its_row_not_the_file(tmp_path):
    cells = ["A,2025-03-05 10:30,1O,12,9,11,500", "A,2025-13-45 10:30,10,12,9,11,500", "A,2025-03-05 12:30,10,,9,11,5"]
    write(tmp_path / "bars.csv", bar(), *cells, "A,2025-03-05 13:30,10,12,9,NA,5", "A,2025-03-05 14:30,10,inf,9,11,5")
    screened = screen(read(tmp_path), Session())
    assert screened.kept.num_rows == 1
    reasons = zip(screened.rejected["row"].to_pylist(), screened.rejected["reason"].to_pylist(), strict=True)
    assert list(reasons) == [
        (2, "not_finite"),
        (3, "missing_value"),
        (4, "missing_value"),
        (5, "missing_value"),
        (6, "not_finite"),
    ]


def test_volume_is_required_unless_the_recipe_says_there_is_none(tmp_path):
    write(tmp_path / "bars.csv", "A,2025-03-05 10:30,10,12,9,11,", "A,2025-03-05 11:30,10,12,9,11,7")
    assert read(tmp_path)["volume"].to_pylist() == [None, 7.0]
    assert read(tmp_path, volume="absent")["volume"].to_pylist() == [0.0, 7.0]
    write(tmp_path / "bars.csv", "A,2025-03-05 10:30,10,12,9,11", header=HEADER.removesuffix(",volume"))
    assert read(tmp_path, volume="absent")["volume"].to_pylist() == [0.0]
    with pytest.raises(DataError, match="lacks 'volume'"):
        read(tmp_path)


# --- time ---------------------------------------------------------------------------------------


def test_times_without_a_zone_need_one(tmp_path):
    write(tmp_path / "bars.csv", bar())
    with pytest.raises(ConfigError, match=r"'time' of bars.csv names no time zone; say `timezone`"):
        read(tmp_path, timezone=None)


@pytest.mark.parametrize("time", ["2025-03-05T10:30:00-05:00", "2025-03-05 10:30-0500", "2025-03-05 10:30:00.000-05"])
def test_times_with_an_offset_may_agree_with_the_recipe_and_need_not_be_helped(tmp_path, time):
    write(tmp_path / "bars.csv", bar(time))
    assert closes(read(tmp_path)) == closes(read(tmp_path, timezone=None)) == ["2025-03-05 16:30"]


def test_a_zone_in_the_file_that_is_not_the_recipes_is_an_error(tmp_path):
    write(tmp_path / "bars.csv", bar("2025-03-05T15:30:00Z"))
    with pytest.raises(
        ConfigError, match=r"bars.csv names its own time zone, which is not the recipe's America/New_York"
    ):
        read(tmp_path)
    utc = pa.array([datetime(2025, 3, 5, 15, 30, tzinfo=UTC)])
    row = {"symbol": ["A"], "time": utc, "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [1.0]}
    pq.write_table(pa.table(row), tmp_path / "bars.parquet")
    with pytest.raises(ConfigError, match=r"\(zone UTC\) names its own time zone"):
        read(tmp_path, path="bars.parquet")
    assert closes(read(tmp_path, path="bars.parquet", timezone="UTC")) == ["2025-03-05 16:30"]


def test_numbers_are_no_times(tmp_path):
    row = {n: [1] for n in HEADER.split(",")} | {"symbol": ["A"]}
    pq.write_table(pa.table(row), tmp_path / "bars.parquet")
    with pytest.raises(DataError, match="holds int64; times are timestamps"):
        read(tmp_path, path="bars.parquet")


def test_a_wall_time_that_occurs_twice_is_read_as_the_later(tmp_path):
    times = pa.array(["2025-11-02 01:30:00", "2025-03-09 02:30:00"])  # repeated; skipped
    utc = to_utc(times, NEW_YORK, "time").cast(pa.timestamp("s", tz="UTC")).to_pylist()
    assert [t.strftime("%H:%M") for t in utc] == ["06:30", "07:00"]


@pytest.mark.parametrize(
    ("start", "close"),
    [
        ("2025-03-05 09:30", "2025-03-05 15:30"),
        ("2025-03-05 15:30", "2025-03-05 21:00"),  # the last half hour closes with the session
        ("2025-07-02 15:30", "2025-07-02 20:00"),  # in summer an hour earlier in UTC
        ("2025-03-05 16:00", "2025-03-05 22:00"),  # after the close: an hour, and no earlier than it began
        ("2025-07-03 12:30", "2025-07-03 17:30"),  # early close at 13:00: later than known, not earlier
    ],
)
def test_a_bar_stamped_with_its_start_closes_an_interval_later_or_with_the_session(tmp_path, start, close):
    write(tmp_path / "bars.csv", bar(start))
    assert closes(read(tmp_path)) == [close]


def test_a_bar_stamped_with_its_close_stays(tmp_path):
    write(tmp_path / "bars.csv", bar("2025-03-05 16:00"))
    assert closes(read(tmp_path, stamped="close")) == ["2025-03-05 21:00"]


@pytest.mark.parametrize("day", ["2025-03-09", "2025-11-02", "2025-07-02"])  # on the days the clocks change, too
def test_a_daily_bar_closes_with_its_session(tmp_path, day):
    write(tmp_path / "bars.csv", bar(day))
    (close,) = closes(read(tmp_path, interval_ns=24 * HOUR))
    assert close == f"{day} {'21:00' if day == '2025-11-02' else '20:00'}"


# --- size ---------------------------------------------------------------------------------------


def test_large_files_come_in_pieces_and_keep_counting(tmp_path, monkeypatch):
    lines = [bar(f"2025-03-{3 + n % 5:02} 10:{n % 60:02}", symbol=f"S{n}") for n in range(40_000)]
    write(tmp_path / "bars.csv", *lines)
    monkeypatch.setattr(files, "BATCH", 1000)
    texts = {n: [line.split(",")[k] for line in lines[:2500]] for k, n in enumerate(HEADER.split(","))}
    pq.write_table(pa.table(texts), tmp_path / "bars.parquet")
    context = SourceContext(root=tmp_path, session=Session(), interval_ns=HOUR)
    for path, rows in (("bars.csv", 40_000), ("bars.parquet", 2500)):
        options = checked("ohlcv", OHLCV.options, {"path": path, "timezone": NEW_YORK, "stamped": "start"})
        tables = list(OHLCV.read(options, context))
        assert len(tables) > 1
        assert pa.concat_tables(tables)["row"].to_pylist() == list(range(1, rows + 1))


# --- real files -----------------------------------------------------------------------------------


def test_real_hourly_bars_need_no_quarantine(market_data):
    raw = read(market_data, path="bars/ndx_1h.parquet", timezone=None, columns={"time": "timestamp"})
    screened = screen_rows(raw, Session())
    assert (screened.kept.num_rows, screened.rejected.num_rows, screened.unsorted) == (3091, 0, 0)
    assert closes(screened.kept.slice(screened.kept.num_rows - 1)) == ["2025-09-30 20:00"]  # the last half hour


def test_real_bars_of_another_market_need_their_zone(market_data):
    nse = Session(timezone="Asia/Kolkata", opens="09:15", closes="15:30")
    options = {
        "path": "bars/eternal_5min.csv",
        "columns": {"symbol": "ticker", "time": "datetime"},
        "ignore": ["interval"],
        "session": nse,
        "interval_ns": HOUR // 12,
    }
    screened = screen(read(market_data, timezone="Asia/Kolkata", **options), nse)
    assert (screened.kept.num_rows, screened.rejected.num_rows) == (4275, 0)
    assert closes(screened.kept.slice(0, 1)) == ["2025-05-02 03:50"]
    with pytest.raises(DataError, match=r"of 4,275 rows are outside the session"):
        screen(read(market_data, timezone="UTC", **options), nse)


def test_rows_without_any_time_condemn_a_file_only_at_its_start():
    footer = pa.array(["-- end of file --"])
    with pytest.raises(DataError, match="reads '-- end of file --'; write times as ISO 8601"):
        to_utc(footer, NEW_YORK, "time")
    assert to_utc(footer, NEW_YORK, "time", strict=False).null_count == 1
