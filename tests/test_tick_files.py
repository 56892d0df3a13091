"""Files of ticks, in the forms they come in."""

from __future__ import annotations

import gzip
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.options import checked
from data.records import record_kind
from data.sources import columns as columns_module
from data.sources import files
from data.sources.base import SourceContext
from data.sources.tick_files import TICK_FILES

HEADER = "symbol,tick_generated_at,ws_received_at,price,volume,bid,ask,bid_qty1,ask_qty1,source"
TICK = "AAA,2025-08-09 06:46:11.774699,2025-08-09 06:46:11.853071,100.5,1000,100.49,100.51,500,400,feed"


def read(root: Path, path: str = "ticks.csv", **options: Any) -> pa.Table:
    context = SourceContext(root=root, session=Session(), interval_ns=0, record="ticks")
    given = {"path": path, "timezone": "UTC"} | options
    return pa.concat_tables(TICK_FILES.read(checked("tick-files", TICK_FILES.options, given), context))


def write(path: Path, *lines: str, header: str = HEADER) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def test_a_csv_file_is_read_with_where_each_row_is_from(tmp_path):
    write(tmp_path / "ticks.csv", TICK, TICK.replace("AAA", "BBB"))
    table = read(tmp_path)
    assert table.schema == record_kind("ticks").raw
    first, second = table.to_pylist()
    assert (first["price"], first["volume"], first["bid"], first["ask"]) == (100.5, 1000.0, 100.49, 100.51)
    assert (first["bid_qty"], first["ask_qty"], first["source"]) == (500.0, 400.0, "feed")
    assert (first["seq"], first["side"]) == (None, 0)
    stamps = (
        table.select(["ts_event", "ts_recv"])
        .slice(0, 1)
        .cast(pa.schema([(name, pa.timestamp("us", tz="UTC")) for name in ("ts_event", "ts_recv")]))
    )
    assert stamps.to_pylist() == [
        {
            "ts_event": datetime(2025, 8, 9, 6, 46, 11, 774699, UTC),
            "ts_recv": datetime(2025, 8, 9, 6, 46, 11, 853071, UTC),
        }
    ]
    assert [(r["symbol"], r["file"], r["row"]) for r in (first, second)] == [
        ("AAA", "ticks.csv", 1),
        ("BBB", "ticks.csv", 2),
    ]


def test_the_file_of_ticks_is_read_as_it_is(market_data):
    path = market_data / "ticks" / "ticks_2601.parquet"
    table, original = read(market_data, "ticks/ticks_2601.parquet"), pq.read_table(path)
    assert table.num_rows == original.num_rows == 2601
    for ours, theirs in {"symbol": "symbol", "price": "price", "bid": "bid", "ask": "ask", "source": "source"}.items():
        assert table[ours].to_pylist() == original[theirs].to_pylist()
    for ours, theirs in {"volume": "volume", "bid_qty": "bid_qty1", "ask_qty": "ask_qty1"}.items():
        assert table[ours].to_pylist() == [float(cell) for cell in original[theirs].to_pylist()]
    for ours, theirs in {"ts_event": "tick_generated_at", "ts_recv": "ws_received_at"}.items():
        assert table[ours].cast(pa.int64()).to_pylist() == [
            1000 * us for us in original[theirs].cast(pa.int64()).to_pylist()
        ]
    assert table["row"].to_pylist() == list(range(1, 2602))
    assert table["seq"].null_count == 2601
    with pytest.raises(ConfigError, match="names no time zone"):
        read(market_data, "ticks/ticks_2601.parquet", timezone=None)


def test_gzipped_csv_and_parquet_say_the_same_as_csv(tmp_path):
    write(tmp_path / "ticks.csv", TICK, TICK)
    (tmp_path / "ticks.csv.gz").write_bytes(gzip.compress((tmp_path / "ticks.csv").read_bytes()))
    names = dict(zip(HEADER.split(","), zip(*(TICK.split(","),) * 2, strict=True), strict=True))
    kinds = {"price": pa.float32(), "volume": pa.int32(), "symbol": pa.large_string()}
    cells = {n: [float(c) for c in v] if n in ("price", "volume") else v for n, v in names.items()}
    pq.write_table(pa.table({n: pa.array(v, kinds.get(n)) for n, v in cells.items()}), tmp_path / "ticks.parquet")
    expected = read(tmp_path).drop_columns(["file"])
    assert read(tmp_path, "ticks.csv.gz").drop_columns(["file"]).equals(expected)
    assert read(tmp_path, "ticks.parquet").drop_columns(["file"]).equals(expected)


def test_three_columns_are_enough_and_the_file_names_the_symbol(tmp_path):
    write(tmp_path / "%5ENDX.csv", "2025-08-09T06:46:11Z,2.5,10", header="ts_event,price,volume")
    (row,) = read(tmp_path, "%5ENDX.csv", timezone=None).to_pylist()
    assert (row["symbol"], row["price"], row["side"]) == ("^NDX", 2.5, 0)
    assert all(row[name] is None for name in ("ts_recv", "seq", "bid", "ask", "bid_qty", "ask_qty", "source"))


def test_columns_have_the_names_the_recipe_says(tmp_path):
    write(tmp_path / "t.csv", "7,2025-08-09 06:46,2.5,10,buy,x", header="n,when,px,qty,who,venue")
    names = {"seq": "n", "ts_event": "when", "price": "px", "volume": "qty", "side": "who"}
    (row,) = read(tmp_path, "t.csv", columns=names, ignore=["venue"]).to_pylist()
    assert (row["seq"], row["price"], row["volume"], row["side"]) == (7, 2.5, 10.0, 1)
    with pytest.raises(ConfigError, match=r"columns\.prize"):
        read(tmp_path, "t.csv", columns={"prize": "px"})


def test_columns_of_feeds_that_are_not_read_may_be_there(tmp_path):
    extra = "id,spread,ws_processed_at,consumer_processed_at,bid_qty2,ask_qty2"
    write(tmp_path / "ticks.csv", f"{TICK},a,0.02,x,x,1,1", header=f"{HEADER},{extra}")
    assert read(tmp_path).num_rows == 1


def test_unknown_and_lacking_columns_are_named_with_the_way_out(tmp_path):
    write(tmp_path / "ticks.csv", TICK, header=HEADER.replace("price", "px"))
    with pytest.raises(DataError, match=r"ticks.csv lacks 'price' and has unknown columns 'px'.*`columns`.*`ignore`"):
        read(tmp_path)
    with pytest.raises(DataError, match="lacks 'aggressor'"):  # what one asks for must be there
        read(tmp_path, columns={"price": "px", "side": "aggressor"})


def test_bad_cells_cost_their_cell_only(tmp_path):
    bad = "AAA,soon,never,1OO,x,,NA,-,2,feed"
    write(tmp_path / "ticks.csv", TICK, bad, TICK)
    rows = read(tmp_path).to_pylist()
    assert [r["price"] for r in (rows[0], rows[2])] == [100.5, 100.5]
    row = rows[1]
    assert (row["ts_event"], row["ts_recv"], row["bid"], row["ask"], row["row"]) == (None, None, None, None, 2)
    assert math.isnan(row["price"])
    assert math.isnan(row["volume"])
    assert math.isnan(row["bid_qty"])
    assert row["ask_qty"] == 2.0


def test_who_started_a_trade(tmp_path):
    cells = {"buy": 1, "B": 1, "1": 1, "sell": -1, "S": -1, "-1": -1, "0": 0, "": 0, "NA": 0, "both": None}
    write(tmp_path / "ticks.csv", *(f"{TICK},{cell}" for cell in cells), header=f"{HEADER},side")
    assert read(tmp_path)["side"].to_pylist() == list(cells.values())
    numbers = pa.array([1.0, -1.0, 0.0, None, 2.0])
    assert columns_module.sides(numbers).to_pylist() == [1, -1, 0, 0, None]
    assert columns_module.sides(pa.array([1, -1, 0], pa.int8())).to_pylist() == [1, -1, 0]


@settings(max_examples=200)
@given(st.lists(st.one_of(st.none(), st.integers(-(10**20), 10**20), st.text(max_size=6), st.floats()), max_size=6))
@example([2**63 - 1, 2**63, "-9223372036854775808", "+7", "+-7", "007", "1723161256298000001"])
def test_whole_numbers_are_what_python_says_they_are(cells):
    def expected(cell: object) -> int | None:
        word = str(cell).strip() if cell is not None else ""
        digits = word.removeprefix("-") if word.startswith("-") else word.removeprefix("+")
        whole, _, rest = digits.partition(".")
        plain = whole.isascii() and whole.isdigit() and int(whole) < 2**63
        tail = rest.isascii() and set(rest) == {"0"} if "." in digits else True
        return int(whole) * (-1 if word.startswith("-") else 1) if plain and tail else None

    words = [None if cell is None else str(cell) for cell in cells]
    assert columns_module.integers(pa.array(words, pa.string())).to_pylist() == [expected(cell) for cell in cells]


def test_large_files_come_in_pieces_and_keep_counting(tmp_path, monkeypatch):
    write(tmp_path / "ticks.csv", *[TICK] * 30_000)
    context = SourceContext(root=tmp_path, session=Session(), interval_ns=0, record="ticks")
    options = checked("tick-files", TICK_FILES.options, {"path": "ticks.csv", "timezone": "UTC"})
    pieces = list(TICK_FILES.read(options, context))
    assert len(pieces) > 1
    assert pa.concat_tables(pieces)["row"].to_pylist() == list(range(1, 30_001))
    pq.write_table(pa.concat_tables(pieces).drop_columns(["file", "row", "seq"]), tmp_path / "ticks.parquet")
    monkeypatch.setattr(files, "BATCH", 7_000)
    again = list(TICK_FILES.read(options.model_copy(update={"path": "ticks.parquet"}), context))
    assert [t.num_rows for t in again] == [7_000] * 4 + [2_000]
    assert pa.concat_tables(again).drop_columns(["file"]).equals(pa.concat_tables(pieces).drop_columns(["file"]))


def test_an_empty_file_is_an_empty_source(tmp_path):
    write(tmp_path / "ticks.csv")
    with pytest.raises(EmptySource, match=r"ticks\.csv has no records"):
        read(tmp_path)
