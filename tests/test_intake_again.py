"""Files taken in again, corrected, damaged, or while someone else writes: nothing is lost, nothing counted twice."""

from __future__ import annotations

import gzip
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bellwether.config.sections import Part, Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.intake.batch import SOURCE, no_progress
from data.intake.take import Intake, judged, take
from data.lake import Lake
from data.records import TICKS

HEADER = "symbol,ts_event,seq,price,volume"
BOOKS = "symbol,timestamp,best_bid,best_ask,bid_volume,ask_volume"


class Files:
    """A folder of files, and a lake."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root / "files", Lake(str(root / "lake"))
        self.root.mkdir()

    def write(self, name: str, *lines: str, header: str = HEADER) -> str:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text("\n".join([header, *lines]) + "\n")
        return name

    def intake(self, *paths: str, kind: str = "tick-files", record: str = "ticks", **more: Any) -> Intake:
        options = {"paths": paths, "timezone": "UTC", **more.pop("options", {})}
        part = Part(kind=kind, options=options)
        return Intake(source=part, record=record, session=Session(), root=self.root, **more)

    def take(self, *paths: str, **more: Any):
        return take(self.intake(*paths, **more), self.lake)

    def rows(self, kind: str, *columns: str) -> list[tuple[Any, ...]]:
        tables = (self.lake.read(kind, name, columns) for name in self.lake.partitions(kind))
        return [tuple(row.values()) for table in tables for row in table.to_pylist()]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def tick(second: int, seq: object = 1, price: float = 10.0, symbol: str = "A", day: int = 2) -> str:
    return f"{symbol},2025-01-{day:02} 15:00:{second:02},{seq},{price},5"


# --- someone else writes ---------------------------------------------------------------------------------


def test_what_another_ingest_wrote_meanwhile_is_not_lost(files):
    files.write("a.csv", tick(0), tick(0, symbol="B"))
    files.write("b.csv", tick(1, 2))
    with judged(files.intake("a.csv"), files.lake, no_progress, time.time_ns()) as batch:
        files.take("b.csv")
        before = files.lake.version("ticks")
        with pytest.raises(DataError, match=r"ticks of 1 partition, such as A/2025-01-02, changed meanwhile.*run it"):
            batch.write(files.lake, no_progress)
    assert files.lake.version("ticks") == before
    assert files.take("a.csv").added == 2
    assert [seq for (seq,) in files.rows("ticks", "seq")] == [1, 2, 1]


def test_what_a_stream_appended_meanwhile_is_not_lost(files):
    files.take(files.write("a.csv", tick(0)))
    files.write("b.csv", tick(1, 2), tick(1, 2, day=3))
    more = files.lake.read("ticks", "A/2025-01-02").to_pylist()
    more = pa.Table.from_pylist([row | {"seq": 7} for row in more], TICKS)
    with judged(files.intake("b.csv"), files.lake, no_progress, time.time_ns()) as batch:
        files.lake.commit("ticks", [files.lake.append("ticks", "A", more, {SOURCE: "tick-files"}, date="2025-01-02")])
        with pytest.raises(DataError, match="changed meanwhile"):
            batch.write(files.lake, no_progress)
    assert files.lake.partitions("ticks") == ("A/2025-01-02",)
    assert len(files.lake.parts("ticks")["A/2025-01-02"]) == 2


def test_other_dates_may_be_written_meanwhile_but_not_by_another_source(files):
    files.write("a.csv", tick(0))
    files.write("b.csv", tick(0, day=3))
    with judged(files.intake("a.csv"), files.lake, no_progress, time.time_ns()) as batch:
        files.take("b.csv")
        batch.write(files.lake, no_progress)
    assert files.lake.partitions("ticks") == ("A/2025-01-02", "A/2025-01-03")
    files.write("c.csv", tick(0, day=6))
    with judged(files.intake("c.csv"), files.lake, no_progress, time.time_ns()) as batch:
        other = [files.lake.stage("ticks", "A", TICKS.empty_table(), {SOURCE: "binance"}, date="2025-01-07")]
        files.lake.commit("ticks", other)
        with pytest.raises(DataError, match="from another source, binance"):
            batch.write(files.lake, no_progress)


# --- what is revised -------------------------------------------------------------------------------------


def test_a_batch_that_only_revises_is_written(files):
    files.take(files.write("a.csv", tick(0), tick(1)))
    report = files.take(files.write("a.csv", tick(0, price=12.0), tick(1)))
    assert (report.added, report.revised, report.unchanged) == (0, 1, 1)
    assert files.rows("ticks", "price") == [(12.0,), (10.0,)]


def test_a_tick_without_a_quote_leaves_the_quote_that_is_known(files):
    header = f"{HEADER},bid,ask,side"
    files.take(files.write("a.csv", f"{tick(0)},9,11,buy", f"{tick(1)},9,,", header=header))
    assert files.take(files.write("b.csv", tick(0))).unchanged == 1
    report = files.take(files.write("b.csv", f"{tick(0, price=10.5)},,,", f"{tick(1)},,12,sell", header=header))
    assert (report.revised, report.unchanged) == (2, 0)
    told = files.rows("ticks", "price", "bid", "ask", "side")
    assert told == [(10.5, 9.0, 11.0, 1), (10.0, None, 12.0, -1)]  # a quote is revised as a whole
    assert files.take("b.csv").unchanged == 2


def test_books_once_an_interval_are_one_a_time(files):
    at = "A,2025-01-02 10:00:00,10,11,5"
    books = {"kind": "book-files", "record": "books", "interval": "5min"}
    assert files.take(files.write("a.csv", f"{at},5", f"{at},7", header=BOOKS), **books).quarantined == {
        "conflicting_duplicate": 1
    }
    assert files.take(files.write("a.csv", f"{at},6", header=BOOKS), **books).revised == 1
    assert files.rows("books/5min", "seq", "ask_qty_1") == [(0, 6.0)]
    numbered = files.write("b.csv", f"{at},8,7", f"{at},6,8", header=f"{BOOKS},seq")
    assert files.take(numbered, **books).quarantined == {"conflicting_duplicate": 1}
    assert files.rows("books/5min", "seq", "ask_qty_1") == [(7, 8.0)]


def test_books_after_every_change_are_not_taken_for_sampled_ones(files):
    for kind in ("lobster", "binance", "simulator"):
        intake = Intake(source=Part(kind=kind), record="books", interval="5min", session=Session(), root=files.root)
        with pytest.raises(ConfigError, match=f"source '{kind}' has the book after every change.*kind: snapshots"):
            intake.opened()


# --- numbers of the feed ---------------------------------------------------------------------------------


def test_a_record_whose_number_cannot_be_read_gets_none_here(files):
    files.write("a.csv", tick(0, "+5"), tick(0, "x", 11.0), tick(0, "", 12.0), tick(0, "9223372036854775808", 13.0))
    report = files.take("a.csv")
    assert (report.kept, report.quarantined) == (1, {"missing_value": 3})
    assert files.rows("quarantine/ticks", "seq", "price") == [(None, 11.0), (None, 12.0), (None, 13.0)]
    assert files.take(files.write("b.csv", tick(0, 6, 14.0))).added == 1
    assert files.rows("ticks", "seq", "price") == [(5, 10.0), (6, 14.0)]


def test_numbers_of_nineteen_digits_are_numbers(files):
    files.take(files.write("a.csv", tick(0, 1723161256298000000), tick(0, 1723161256298000001)))
    assert files.take(files.write("a.csv", tick(0, 1723161256298000001, 11.0))).revised == 1
    assert files.rows("ticks", "seq", "price") == [(1723161256298000000, 10.0), (1723161256298000001, 11.0)]


@pytest.mark.parametrize(
    ("kind", "cells", "expected"),
    [
        (pa.float64(), [5.0, 1e6, 2.0**53, 7.5, None], [5, 1_000_000]),
        (pa.uint64(), [5, 2**63 - 1, 2**63, None], [5, 2**63 - 1]),
        (pa.uint8(), [5, None], [5]),
        (pa.decimal128(20, 0), [5, None], [5]),
        (pa.null(), [None], []),
    ],
)
def test_numbers_in_parquet_are_whole_numbers_or_none(files, kind, cells, expected):
    n = len(cells)
    stamps = pa.array([1735830000 * 10**9] * n).cast(pa.timestamp("ns", tz="UTC"))
    table = pa.table({"ts_event": stamps, "seq": pa.array(cells, kind), "price": [10.0] * n, "volume": [5.0] * n})
    pq.write_table(table, files.root / "A.parquet")
    report = files.take("A.parquet")
    assert sum(report.quarantined.values()) == n - len(expected)
    assert [seq for (seq,) in files.rows("ticks", "seq")] == expected


# --- quarantine ------------------------------------------------------------------------------------------


def test_a_rejected_row_is_in_quarantine_once_however_often_it_comes(files):
    files.write("d/1.csv", tick(0, price=-1.0), tick(1, 2, 10.0), tick(1, 2, 10.0))
    files.write("d/2.csv", tick(0, price=-2.0, day=3), tick(0, price=-2.0, day=3), tick(5, 5, -3.0, symbol="B"))
    for paths in (["d/1.csv"], ["d/2.csv"], ["d"], ["d/1.csv", "d/2.csv"], ["d/1.csv"]):
        files.take(*paths)
    rows = files.rows("quarantine/ticks", "symbol", "file", "row", "reason")
    assert rows == [
        ("A", "d/1.csv", 1, "non_positive_price"),
        ("A", "d/1.csv", 3, "duplicate"),
        ("A", "d/2.csv", 1, "non_positive_price"),
        ("A", "d/2.csv", 2, "non_positive_price"),
        ("B", "d/2.csv", 3, "non_positive_price"),
    ]
    before = files.lake.version("quarantine/ticks")
    files.take("d")
    assert files.lake.version("quarantine/ticks") == before


def test_rows_that_another_ingest_rejected_meanwhile_are_not_lost(files, monkeypatch):
    files.write("a.csv", tick(0, price=-1.0), tick(1))
    files.write("b.csv", tick(2, price=-1.0))
    stage, others = Lake.stage, ["b.csv"]

    def meanwhile(lake: Lake, kind: str, *arguments: Any, **more: Any) -> Any:
        if others and kind.startswith("quarantine/"):
            files.take(others.pop())
        return stage(lake, kind, *arguments, **more)

    monkeypatch.setattr(Lake, "stage", meanwhile)
    with pytest.raises(DataError, match="quarantine/ticks of 1 partition, such as A/2025-01-02, changed meanwhile"):
        files.take("a.csv")
    assert files.lake.partitions("ticks") == ()
    files.take("a.csv")
    assert files.rows("quarantine/ticks", "file") == [("a.csv",), ("b.csv",)]


def test_files_of_one_name_are_told_apart_below_the_root_only(files, tmp_path):
    names = [files.write(f"{day}/A.csv", tick(0, price=-1.0)) for day in ("mon", "tue")]
    files.take("*/A.csv")
    assert files.rows("quarantine/ticks", "file", "row") == [(name, 1) for name in names]
    (tmp_path / "B.csv").write_text(f"{HEADER}\n{tick(0, price=-1.0, symbol='B')}\n")
    files.take(str(tmp_path / "B.csv"))
    assert files.rows("quarantine/ticks", "file")[-1] == ("B.csv",)


def test_a_symbol_the_lake_cannot_keep_is_rejected_and_the_others_stay(files):
    names = ("贵" * 40, "X/part=3", "__HIVE_DEFAULT_PARTITION__")
    report = files.take(files.write("a.csv", tick(0), *(tick(0, symbol=name) for name in names)))
    assert (report.symbols, report.quarantined) == (("A",), {"unusable_symbol": 3})
    assert files.rows("quarantine/ticks", "symbol") == [(name,) for name in names]
    with pytest.raises(ConfigError, match="cannot be a symbol: it is empty, too long"):
        files.lake.stage("ticks", "贵" * 40, TICKS.empty_table())


# --- files that are damaged or empty ---------------------------------------------------------------------


def damaged(folder: Path) -> Sequence[str]:
    """Files of which a part is missing or wrong."""
    lines = "".join(f"{tick(n % 60, n)}\n" for n in range(50_000))
    packed = gzip.compress(f"{HEADER}\n{lines}".encode())
    (folder / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "wrong.csv.gz").write_bytes(b"not packed at all")
    pq.write_table(pa.table({name: list(range(50_000)) for name in HEADER.split(",")}), folder / "whole.parquet")
    content = bytearray((folder / "whole.parquet").read_bytes())
    content[:400] = b"PAR1" + b"\xff" * 396
    (folder / "wrong.parquet").write_bytes(content)
    return "cut.csv.gz", "wrong.csv.gz", "wrong.parquet"


def test_a_damaged_file_is_named(files):
    for name in damaged(files.root):
        with pytest.raises(DataError, match=f"{name} cannot be read: "):
            files.take(name)
    assert files.lake.kinds() == ()


def test_a_file_without_records_is_passed_over_if_another_has_some(files, caplog):
    files.write("d/a.csv", tick(0))
    files.write("d/b.csv")
    files.write("e/b.csv")
    assert files.take("d").kept == 1
    assert "b.csv has no records; the other files were read" in caplog.text
    with pytest.raises(EmptySource, match=r"b\.csv has no records"):
        files.take("e")
