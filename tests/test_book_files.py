"""Files of order-book snapshots."""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.options import checked
from data.records import record_kind
from data.sources.base import SourceContext
from data.sources.book_files import BOOK_FILES

HEADER = "timestamp,best_bid,best_ask,bid_volume,ask_volume"
BOOK = "2025-10-09 19:12:23.105600,1.42,1.45,126,128"
FIVE_MINUTES = 300_000_000_000


def read(root: Path, path: str = "books.csv", interval_ns: int = 0, **options: Any) -> pa.Table:
    context = SourceContext(root=root, session=Session(), interval_ns=interval_ns, record="books")
    given = {"path": path, "timezone": "UTC"} | options
    return pa.concat_tables(BOOK_FILES.read(checked("book-files", BOOK_FILES.options, given), context))


def write(path: Path, *lines: str, header: str = HEADER) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def test_the_best_prices_are_the_first_level_and_the_others_are_unknown(tmp_path):
    write(tmp_path / "books.csv", BOOK, BOOK)
    table = read(tmp_path)
    assert table.schema == record_kind("books").raw
    first, second = table.to_pylist()
    known = {
        "symbol": "books",
        "ts_event": first["ts_event"],
        "bid_px_1": 1.42,
        "ask_px_1": 1.45,
        "bid_qty_1": 126.0,
        "ask_qty_1": 128.0,
        "trade_side": 0,
        "file": "books.csv",
        "row": 1,
    }
    assert {name: cell for name, cell in first.items() if cell is not None} == known
    assert second["row"] == 2
    assert read(tmp_path, interval_ns=FIVE_MINUTES).equals(table)


def test_the_file_of_snapshots_is_read_as_it_is(market_data):
    table = read(market_data, "books/compute_price_5min.csv")
    with (market_data / "books" / "compute_price_5min.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert table.num_rows == len(lines) == 8641
    names = {"bid_px_1": "best_bid", "ask_px_1": "best_ask", "bid_qty_1": "bid_volume", "ask_qty_1": "ask_volume"}
    for ours, theirs in names.items():
        assert table[ours].to_pylist() == [float(line[theirs]) for line in lines]
    microseconds = table["ts_event"].cast(pa.timestamp("us", tz="UTC")).to_pylist()
    assert microseconds == [datetime.fromisoformat(line["timestamp"]).replace(tzinfo=UTC) for line in lines]
    assert set(table["symbol"].to_pylist()) == {"compute_price_5min"}
    with pytest.raises(ConfigError, match="names no time zone"):
        read(market_data, "books/compute_price_5min.csv", timezone=None)


def test_levels_and_trades_have_the_names_the_recipe_says(tmp_path):
    header = "sym,t,B1,A1,b1,a1,B2,b2,px,qty,who"
    write(tmp_path / "deep.csv", "XYZ,2025-10-09 19:12Z,10,11,1,2,9,5,11,1,buy", header=header)
    columns = {"symbol": "sym", "ts_event": "t", "bid_px_1": "B1", "ask_px_1": "A1", "bid_qty_1": "b1"}
    columns |= {"ask_qty_1": "a1", "bid_px_2": "B2", "bid_qty_2": "b2"}
    columns |= {"trade_px": "px", "trade_qty": "qty", "trade_side": "who"}
    (row,) = read(tmp_path, "deep.csv", columns=columns, timezone=None).to_pylist()
    assert (row["symbol"], row["bid_px_2"], row["bid_qty_2"], row["ask_px_2"], row["ask_qty_2"]) == (
        "XYZ",
        9.0,
        5.0,
        None,
        None,
    )
    assert (row["trade_px"], row["trade_qty"], row["trade_side"]) == (11.0, 1.0, 1)


def test_our_own_names_need_no_mapping(tmp_path):
    names = [f"{side}_{what}_{level}" for level in (1, 2, 10) for side in ("bid", "ask") for what in ("px", "qty")]
    write(
        tmp_path / "books.csv",
        "A,2025-10-09 19:12,7," + ",".join("5" * 12),
        header="symbol,ts_event,seq," + ",".join(names),
    )
    (row,) = read(tmp_path).to_pylist()
    assert row["seq"] == 7
    assert [row[name] for name in names] == [5.0] * 12
    assert row["bid_px_3"] is None
    pq.write_table(read(tmp_path).drop_columns(["file", "row"]), tmp_path / "books.parquet")
    assert read(tmp_path, "books.parquet").drop_columns(["file"]).equals(read(tmp_path).drop_columns(["file"]))


def test_an_empty_level_and_bad_cells(tmp_path):
    write(tmp_path / "books.csv", "2025-10-09 19:12,,1.5,0,3", "soon,1.4,x,1,", BOOK)
    empty, bad, good = read(tmp_path).to_pylist()
    assert (empty["bid_px_1"], empty["bid_qty_1"]) == (None, 0.0)
    assert (bad["ts_event"], bad["bid_px_1"], bad["ask_qty_1"], bad["row"]) == (None, 1.4, None, 2)
    assert math.isnan(bad["ask_px_1"])
    assert good["ask_px_1"] == 1.45


def test_wrong_columns_are_named_with_the_way_out(tmp_path):
    write(tmp_path / "books.csv", BOOK + ",9", header=HEADER + ",bid_px_2")
    with pytest.raises(DataError, match="has one of 'bid_px_2', 'bid_qty_2': name both"):
        read(tmp_path)
    assert read(tmp_path, ignore=["bid_px_2"])["bid_px_2"].null_count == 1
    write(tmp_path / "books.csv", BOOK, header=HEADER.replace("ask_volume", "size"))
    with pytest.raises(DataError, match=r"books.csv lacks 'ask_volume' and has unknown columns 'size'"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="no column of ours is called 'bid_px_11'"):
        read(tmp_path, columns={"bid_px_11": "size"})


def test_large_files_come_in_pieces_and_keep_counting(tmp_path):
    write(tmp_path / "books.csv", *[BOOK] * 40_000)
    context = SourceContext(root=tmp_path, session=Session(), interval_ns=0, record="books")
    options = checked("book-files", BOOK_FILES.options, {"path": "books.csv", "timezone": "UTC"})
    pieces = list(BOOK_FILES.read(options, context))
    assert len(pieces) > 1
    assert pa.concat_tables(pieces)["row"].to_pylist() == list(range(1, 40_001))


def test_an_empty_file_is_an_empty_source(tmp_path):
    write(tmp_path / "books.csv")
    with pytest.raises(EmptySource, match=r"books\.csv has no records"):
        read(tmp_path)
