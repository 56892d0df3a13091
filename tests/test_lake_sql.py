"""DuckDB sees exactly what the manifests name, under names a person would try; it changes nothing."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from bellwether.errors import ConfigError, DataError, NotInLake
from data.lake import Lake
from data.lake.sql import connected, queried
from data.lake.views import write_views
from pipelines import cli

SECOND = 1_000_000_000
JAN_2 = 1_704_153_600 * SECOND
ODD = ("^NDX", "BRK/B", "O'R", "a=b", "%41", "NULL", "null", " x ", "ü", '"q"', "7")


def rows(symbol: str | None, *ts: int) -> pa.Table:
    columns = {"symbol": pa.array([symbol] * len(ts), pa.string())} if symbol else {}
    times = pa.array(ts, pa.int64()).cast(pa.timestamp("ns", "UTC"))
    return pa.table(columns | {"ts_event": times, "price": pa.array([float(n) for n in range(len(ts))])})


def fill(lake: Lake) -> Lake:
    """A lake with something of every shape, and files that are in use no more."""
    put = lake.commit
    put("ticks", [lake.stage("ticks", "A", rows("A", *[JAN_2] * 99), date="2024-01-02")])
    put("ticks", [lake.stage("ticks", "A", rows("A", JAN_2, JAN_2 + 1), date="2024-01-02")])
    put("ticks", [lake.append("ticks", "A", rows("A", JAN_2 + 2), date="2024-01-02")])
    put("ticks", [lake.stage("ticks", s, rows(s, JAN_2 + 86400 * SECOND), date="2024-01-03") for s in ("A", *ODD)])
    lake.stage("ticks", "Z", rows("Z", 1), date="1970-01-01")
    for interval in ("1h", "5min"):
        put(f"bars/{interval}", [lake.stage(f"bars/{interval}", s, rows(s, JAN_2)) for s in ("A", "BRK/B")])
    put("books/5min", [lake.stage("books/5min", "A", rows("A", JAN_2), date="2024-01-02")])
    put("features/qqq/1h/hourly-ab", [lake.stage("features/qqq/1h/hourly-ab", "BRK/B", rows(None, JAN_2))])
    weights = pa.table({"symbol": ["A", "B"], "weight": [0.5, 0.5]})
    put("weights/qqq", [lake.stage("weights/qqq", "weights", weights)])
    put("quarantine/ticks", [lake.stage("quarantine/ticks", "ab12", rows("A", JAN_2))])
    return lake


@pytest.fixture(params=["", "file://", "fsspec+memory://", "mock://"])
def lake(request, tmp_path) -> Lake:
    if request.param in ("", "file://"):
        return fill(Lake(f"{request.param}{tmp_path / 'lake'}"))
    return fill(Lake(f"{request.param}{uuid.uuid4().hex}/x"))


@pytest.fixture
def local(tmp_path) -> Lake:
    return fill(Lake(str(tmp_path / "lake")))


def ask(lake: Lake, query: str, *values: object) -> list[tuple[object, ...]]:
    with queried(lake, query, list(values) or None) as found:
        table = found.read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_a_view_has_what_the_manifest_names_and_nothing_else(lake):
    found = dict(ask(lake, "select symbol, count(*) from ticks group by symbol"))
    assert found == {"A": 4, **dict.fromkeys(ODD, 1)}


@pytest.mark.parametrize("symbol", ODD)
def test_symbols_are_found_by_their_names_whatever_is_in_them(local, symbol):
    assert ask(local, "select symbol, price from ticks where symbol = ?", symbol) == [(symbol, 0.0)]


def test_dates_are_utc_and_times_keep_their_nanoseconds(lake):
    got = ask(lake, "select date, epoch_ns(ts_event) from ticks where symbol = 'A' order by ts_event")
    day, next_day = date(2024, 1, 2), date(2024, 1, 3)
    assert got == [(day, JAN_2), (day, JAN_2 + 1), (day, JAN_2 + 2), (next_day, JAN_2 + 86400 * SECOND)]
    assert ask(lake, "select count(*) from ticks where date = '2024-01-02'") == [(3,)]
    assert ask(lake, "select distinct date from bars_1h") == [(day,)]


def test_times_can_be_reckoned_with(lake):
    query = """
        select
            date_trunc('hour', ts_event) as hour,
            time_bucket(interval 5 minutes, ts_event),
            max(ts_event + interval 1 day)
        from ticks where ts_event >= '2024-01-03' and symbol = 'A' group by all
    """
    midnight = datetime(2024, 1, 3)
    assert ask(lake, query) == [(midnight, midnight, datetime(2024, 1, 4))]


def test_times_are_the_same_in_every_zone(local):
    with connected(local) as connection:
        for zone in ("UTC", "America/New_York"):
            connection.execute(f"set TimeZone = '{zone}'")
            got = connection.execute("select distinct date, ts_event::varchar from bars").fetchall()
            assert got == [(date(2024, 1, 2), "2024-01-02 00:00:00")]


def test_intervals_are_one_view_and_a_view_each(lake):
    got = ask(lake, "select symbol, interval from bars order by all")
    assert got == [("A", "1h"), ("A", "5min"), ("BRK/B", "1h"), ("BRK/B", "5min")]
    assert ask(lake, "select count(*) from bars_5min") == ask(lake, 'select count(*) from "bars/5min"') == [(2,)]


def test_sampled_books_are_not_mixed_with_events(lake):
    assert ask(lake, "select count(*) from books_5min") == [(1,)]
    with pytest.raises(ConfigError, match=r"books does not exist.*The lake has: bars, bars_1h, bars_5min, books_5min"):
        ask(lake, "from books")


def test_features_get_the_symbol_their_files_lack_and_weights_keep_theirs(lake):
    assert ask(lake, "select symbol, date from features_qqq_1h_hourly_ab") == [("BRK/B", date(2024, 1, 2))]
    assert ask(lake, "from weights_qqq") == [("A", 0.5), ("B", 0.5)]
    assert ask(lake, "select symbol from quarantine_ticks") == [("A",)]


def test_the_entries_are_a_table_too(lake):
    got = ask(lake, "select date, part, rows, epoch_ns(last) from entries where kind = 'ticks' and symbol = 'A'")
    day, next_day = date(2024, 1, 2), date(2024, 1, 3)
    later = JAN_2 + 86400 * SECOND
    assert got == [(day, 0, 2, JAN_2 + 1), (day, 1, 1, JAN_2 + 2), (next_day, 0, 1, later)]


def test_kinds_whose_plain_names_are_the_same_are_reached_by_their_own(tmp_path):
    lake = Lake(str(tmp_path))
    for n, kind in enumerate(("features/a-b", "features/a_b")):
        lake.commit(kind, [lake.stage(kind, "A", pa.table({"n": [n]}))])
    assert ask(lake, 'select a.n, b.n from "features/a-b" a, "features/a_b" b') == [(0, 1)]
    with pytest.raises(ConfigError, match="features_a_b does not exist"):
        ask(lake, "from features_a_b")


def test_views_hold_still_while_others_commit(local):
    with connected(local) as connection:
        before = connection.execute("select count(*) from ticks").fetchall()
        local.commit("ticks", [local.stage("ticks", "N", rows("N", *range(50)), date="1970-01-01")])
        assert connection.execute("select count(*) from ticks").fetchall() == before
    assert ask(local, "select count(*) from ticks") == [(before[0][0] + 50,)]


def test_values_are_bound_not_pasted(local):
    assert ask(local, "select count(*) from ticks where symbol = ?", "' or true --") == [(0,)]


@pytest.mark.parametrize(
    "query",
    [
        "copy ticks to '{file}'",
        "with x as (copy (select 1) to '{file}') from x",
        "explain analyze copy (select 1) to '{file}'",
        "select 1; copy (select 1) to '{file}'",
        "from query('with x as (copy (select 1) to ''{file}'') from x')",
        "create table t as from ticks",
        "attach '{file}' as t",
        "set threads = 1",
        "",
    ],
)
def test_nothing_but_one_select_is_run(local, tmp_path, query):
    file = tmp_path / "out"
    with pytest.raises(ConfigError):
        ask(local, query.format(file=file))
    assert not file.exists()


@pytest.mark.parametrize(
    "query", ["show tables", "describe ticks", "summarize ticks", "values (1)", "from ticks limit 0"]
)
def test_all_that_only_reads_is_run(local, query):
    ask(local, query)


def test_what_is_wrong_is_said_in_one_line(local):
    for query, error, match in (
        ("selec 1", ConfigError, r'^Parser Error: syntax error at or near "selec"$'),
        ("select nothing from ticks", ConfigError, r'^Binder Error: Referenced column "nothing" not found'),
        ("select cast(symbol as int) from ticks where symbol = 'A'", DataError, "^Conversion Error: Could not convert"),
    ):
        with pytest.raises(error, match=match) as caught:
            ask(local, query)
        assert "\n" not in str(caught.value)
    with pytest.raises(NotInLake, match="is empty; ingest something first"):
        ask(Lake(f"{local.uri}/none"), "select 1")


def test_any_duckdb_opens_the_file_of_views(local, tmp_path):
    path = tmp_path / "new" / "lake.duckdb"
    assert {"ticks", "bars", "bars_1h", "bars/1h", "weights_qqq", "entries"} <= set(write_views(local, path))
    with duckdb.connect(str(path), read_only=True) as held:
        before = held.execute("select count(*) from ticks").fetchall()
        assert before == ask(local, "select count(*) from ticks")
        local.commit("ticks", [local.append("ticks", "A", rows("A", JAN_2 + 9), date="2024-01-02")])
        assert held.execute("select count(*) from ticks").fetchall() == before  # the lake as it was
        write_views(local, path)  # while it is open
    with duckdb.connect(str(path), read_only=True) as fresh:
        assert fresh.execute("select count(*) from ticks").fetchall() == [(before[0][0] + 1,)]
        assert fresh.execute("select count(*), max(symbol) from bars where symbol = 'BRK/B'").fetchall() == [
            (2, "BRK/B")
        ]
    assert [file.name for file in path.parent.iterdir()] == ["lake.duckdb"]


def test_views_of_an_object_store_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no local directory"):
        write_views(fill(Lake(f"fsspec+memory://{uuid.uuid4().hex}")), tmp_path / "x.duckdb")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    told = capsys.readouterr()
    return int(stop.value.code or 0), told.out, told.err


@pytest.mark.parametrize("command", ["stats", "compact", "vacuum", "views"])
def test_every_lake_command_has_help_with_an_example(command, capsys):
    code, out, _ = run(capsys, "lake", command, "--help")
    assert (code, f"bellwether lake {command}" in out.split("Example")[1]) == (0, True)


def test_the_command_prints_a_table_or_csv(local, capsys):
    query = "select symbol, ts_event, price, null as no, [1, 2] as list from ticks where symbol in ('A', '\"q\"')"
    code, out, _ = run(capsys, "sql", query + " order by all", "--csv", "--lake", local.uri)
    head, *lines = csv.reader(io.StringIO(out))
    assert (code, head) == (0, ["symbol", "ts_event", "price", "no", "list"])
    assert len(lines) == 5
    assert lines[0] == ['"q"', "2024-01-03 00:00:00.000000000", "0", "", "[1, 2]"]
    assert lines[2][1] == "2024-01-02 00:00:00.000000001"
    code, out, _ = run(
        capsys, "sql", "select symbol, count(*) as n from ticks group by 1 order by 2 desc", "--lake", local.uri
    )
    assert (code, out.split()[:4]) == (0, ["symbol", "n", "─" * 9, "A"])
    assert f"{len(ODD) + 1} rows" in out
    _, out, _ = run(capsys, "sql", "from ticks", "--rows", "2", "--lake", local.uri)
    assert f"the first 2 of {len(ODD) + 4} rows" in out


def test_the_command_says_what_is_wrong(local, capsys, home):
    code, _, err = run(capsys, "sql", "from tickz", "--lake", local.uri)
    assert code == 2
    assert err.startswith("error: Catalog Error: Table with name tickz does not exist!")
    code, _, err = run(capsys, "sql", "from ticks")
    assert (code, "is empty; ingest something first" in err) == (1, True)
    code, _, err = run(capsys, "lake", "compact", "tickz", "--lake", local.uri)
    assert (code, "has no tickz; it has: bars/1h" in err) == (1, True)
    code, _, err = run(capsys, "lake", "stats")
    assert (code, "is empty; ingest something first" in err) == (1, True)


def test_the_lake_is_looked_after_from_the_command_line(local, capsys, tmp_path):
    _, out, _ = run(capsys, "lake", "stats", "--lake", local.uri)
    (counts, times) = [line.split() for line in out.splitlines() if line.strip().startswith("ticks")]
    assert counts[1:5] == [str(len(ODD) + 1), str(len(ODD) + 2), str(len(ODD) + 3), str(len(ODD) + 4)]
    assert times[1:4] == ["2024-01-02", "2024-01-03", "0"]
    _, out, _ = run(capsys, "lake", "compact", "ticks", "--lake", local.uri)
    assert "ticks: 2 files made 1, 3 rows" in out
    before = len(list(Path(local.uri).rglob("*.parquet")))
    _, out, _ = run(capsys, "lake", "vacuum", "--lake", local.uri)
    assert "nothing has been out of use for 24 hours" in out
    _, out, _ = run(capsys, "lake", "vacuum", "ticks", "--hours", "0", "--lake", local.uri)
    assert "ticks: 4 files would go" in out
    assert len(list(Path(local.uri).rglob("*.parquet"))) == before
    _, out, _ = run(capsys, "lake", "vacuum", "--hours", "0", "--remove", "--lake", local.uri)
    assert "ticks: 4 files removed" in out
    assert len(list(Path(local.uri).rglob("*.parquet"))) == before - 4
    code, out, _ = run(capsys, "lake", "views", str(tmp_path / "x.duckdb"), "--lake", local.uri)
    assert (code, "bars, bars_1h" in out, (tmp_path / "x.duckdb").is_file()) == (0, True, True)


def test_views_never_take_the_place_of_a_file_that_is_none_of_theirs(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    lake.commit("notes", [lake.stage("notes", "A", pa.table({"a": [1]}))])
    mine = tmp_path / "mine.csv"
    mine.write_text("a,b\n")
    with pytest.raises(ConfigError, match="is there and is no DuckDB file"):
        write_views(lake, mine)
    assert mine.read_text() == "a,b\n"
    views = tmp_path / "views.duckdb"
    assert write_views(lake, views) == write_views(lake, views)
