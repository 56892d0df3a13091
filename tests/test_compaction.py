"""Parts are appended without writing what is there, merged without losing a row, and cleared away when out of use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.errors import ConfigError, DataError
from data.lake import Lake
from data.lake.compaction import compact
from data.lake.manifest import decode, encode
from data.lake.slices import PARTS
from data.lake.stats import lake_stats
from data.lake.vacuum import vacuum

ROOT = Path(__file__).resolve().parents[1]
DAY = "1970-01-01"
OLD_MANIFEST = b"""{
 "entries": {
  "A": {
   "digest": "ab",
   "first": 1,
   "last": 2,
   "note": {},
   "partition": "A",
   "path": "bars/1h/symbol=A/ab.parquet",
   "rows": 2
  }
 },
 "schema": 1
}
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def ticks(*rows: tuple[int, int, float]) -> pa.Table:
    """Rows of (ts_event, seq, price)."""
    ts, seq, price = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "ts_event": pa.array(ts, pa.int64()).cast(pa.timestamp("ns", "UTC")),
            "seq": pa.array(seq, pa.int64()),
            "price": pa.array(price, pa.float64()),
        }
    )


def append(lake: Lake, *tables: pa.Table, symbol: str = "A", date: str = DAY, **note: str) -> None:
    for table in tables:
        lake.commit("ticks", [lake.append("ticks", symbol, table, note, date=date)])


def prices(lake: Lake, partition: str = f"A/{DAY}") -> list[float]:
    return lake.read("ticks", partition)["price"].to_pylist()


def on_disk(lake: Lake) -> set[str]:
    return {file.name for file in lake.storage.files() if not file.name.endswith(("manifest.json", ".lock"))}


def named(lake: Lake) -> set[str]:
    return {entry.path for kind in lake.kinds() for entry in lake.entries(kind).values()}


def age(lake: Lake, hours: float) -> None:
    then = time.time() - hours * 3600
    for path in Path(lake.uri).rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def test_parts_come_in_the_order_they_were_appended(lake):
    append(lake, *(ticks((n, 0, float(n))) for n in range(12)))
    assert prices(lake) == [float(n) for n in range(12)]
    assert [entry.part for entry in lake.of("ticks", "A")] == list(range(12))
    assert [entry.first for entry in lake.entries("ticks").values()] == list(range(12))
    assert lake.partitions("ticks") == (f"A/{DAY}",)
    assert lake.symbols("ticks") == ("A",)


def test_an_append_writes_its_rows_only(lake):
    append(lake, ticks((1, 0, 1.0)))
    before = on_disk(lake)
    append(lake, ticks((2, 0, 2.0)))
    assert before < on_disk(lake)
    assert len(on_disk(lake)) == 2


def test_the_same_part_again_changes_nothing(lake):
    append(lake, ticks((1, 0, 1.0)), ticks((2, 0, 2.0)))
    version = lake.version("ticks")
    append(lake, ticks((1, 0, 1.0)))
    lake.commit("ticks", lake.entries("ticks").values())
    assert lake.version("ticks") == version


def test_a_whole_partition_takes_the_place_of_its_parts_and_of_no_others(lake):
    append(lake, ticks((1, 0, 1.0)), ticks((2, 0, 2.0)))
    append(lake, ticks((1, 0, 7.0)), ticks((2, 0, 8.0)), symbol="B")
    lake.commit("ticks", [lake.stage("ticks", "A", ticks((3, 0, 3.0)), date=DAY)])
    assert prices(lake) == [3.0]
    assert prices(lake, f"B/{DAY}") == [7.0, 8.0]
    append(lake, ticks((4, 0, 4.0)))
    assert prices(lake) == [3.0, 4.0]


def test_several_dates_of_a_symbol_and_their_parts_come_in_order(lake):
    for date in ("1970-01-03", "1970-01-01", "1970-01-02"):
        append(lake, ticks((2, 0, 2.0)), ticks((1, 0, 1.0)), date=date)
    got = [(entry.date, entry.part) for entry in lake.of("ticks", "A")]
    assert got == [(f"1970-01-0{day}", part) for day in (1, 2, 3) for part in (0, 1)]
    assert [entry.symbol for entry in lake.of("ticks", "A")] == ["A"] * 6


def test_replacing_a_kind_by_its_own_entries_changes_nothing(lake):
    append(lake, ticks((1, 0, 1.0)), ticks((2, 0, 2.0)))
    version = lake.version("ticks")
    assert lake.commit("ticks", lake.entries("ticks").values(), replace=True) == version


@pytest.mark.parametrize("date", ["2012-6-1", "20120601", "../x", "today"])
def test_what_is_no_date_is_refused(lake, date):
    with pytest.raises(ConfigError, match="is no date"):
        lake.append("ticks", "A", ticks((1, 0, 1.0)), date=date)


@pytest.mark.parametrize("symbol", ["", "A/part=1"])
def test_a_symbol_cannot_be_taken_for_a_part(lake, symbol):
    with pytest.raises(ConfigError, match="cannot be a symbol"):
        lake.stage("ticks", symbol, ticks((1, 0, 1.0)))


def test_manifests_from_before_there_were_dates_and_parts_are_read():
    entry = decode(OLD_MANIFEST)["A"]
    assert (entry.symbol, entry.date, entry.part, entry.rows) == ("A", "", 0, 2)
    assert decode(encode({"A": entry})) == {"A": entry}


@settings(max_examples=40)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.floats()), max_size=6),
        min_size=2,
        max_size=6,
        unique_by=repr,  # a part that is there already is not appended again
    )
)
def test_compaction_keeps_every_row_and_sorts_them_stably(tmp_path_factory, batches):
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    append(lake, *(ticks(*batch) for batch in batches))
    before = lake.read("ticks", f"A/{DAY}")
    compact(lake, "ticks")
    rows = zip(*(before[name].cast("int64").to_pylist() for name in ("ts_event", "seq")), strict=True)
    order = [n for n, _ in sorted(enumerate(rows), key=lambda row: row[1])]
    assert len(lake.of("ticks", "A")) == 1
    assert bits(lake.read("ticks", f"A/{DAY}")) == [bits(before)[n] for n in order]
    version, files = lake.version("ticks"), on_disk(lake)
    assert compact(lake, "ticks").parts == 0
    assert (lake.version("ticks"), on_disk(lake)) == (version, files)


def bits(table: pa.Table) -> list[tuple[int, int, bytes]]:
    price = table["price"].to_numpy().tobytes()
    ts, seq = (table[name].cast("int64").to_pylist() for name in ("ts_event", "seq"))
    return [(t, s, price[8 * n : 8 * n + 8]) for n, (t, s) in enumerate(zip(ts, seq, strict=True))]


def test_compaction_makes_one_file_of_each_partition_in_one_commit(lake, monkeypatch):
    for symbol in "AB":
        append(lake, ticks((2, 0, 2.0)), ticks((1, 0, 1.0)), symbol=symbol, source="x", offset=symbol)
    append(lake, ticks((5, 0, 5.0)), symbol="C")
    written: list[str] = []
    write = type(lake.storage).write
    monkeypatch.setattr(
        type(lake.storage), "write", lambda self, name, content: (written.append(name), write(self, name, content))[1]
    )
    done = compact(lake, "ticks")
    assert (done.partitions, done.parts, done.rows, done.overtaken) == ((f"A/{DAY}", f"B/{DAY}"), 4, 4, ())
    assert prices(lake) == prices(lake, f"B/{DAY}") == [1.0, 2.0]
    note = dict(lake.entries("ticks")[f"B/{DAY}"].note)
    assert note == {"source": "x", "offset": "B", PARTS: note[PARTS]}
    assert len([name for name in written if name.endswith("manifest.json")]) == 1


def test_kinds_that_are_no_records_are_sorted_by_time_where_they_have_one(lake):
    for kind, table in (("features/x", ticks((2, 0, 2.0))), ("weights/x", pa.table({"n": [2]}))):
        lake.commit(kind, [lake.append(kind, "A", table)])
        lake.commit(kind, [lake.append(kind, "A", table.slice(0, 0))])
    lake.commit("features/x", [lake.append("features/x", "A", ticks((1, 0, 1.0)))])
    assert compact(lake, "features/x").parts == 3
    assert lake.read("features/x", "A")["price"].to_pylist() == [1.0, 2.0]
    assert compact(lake, "weights/x").parts == 2
    assert lake.read("weights/x", "A")["n"].to_pylist() == [2]


def test_parts_that_differ_in_columns_are_not_merged(lake):
    append(lake, ticks((1, 0, 1.0)), ticks((2, 0, 2.0)).drop_columns(["seq"]))
    version = lake.version("ticks")
    with pytest.raises(DataError, match="parts of A/1970-01-01 in ticks differ"):
        compact(lake, "ticks")
    assert lake.version("ticks") == version


@pytest.mark.parametrize("meanwhile", ["append", "replace"])
def test_what_another_process_does_while_parts_are_merged_is_not_lost(lake, monkeypatch, meanwhile):
    append(lake, ticks((2, 0, 2.0)), ticks((1, 0, 1.0)))
    update = Lake.update

    def late(self, kind, change):
        monkeypatch.setattr(Lake, "update", update)
        entry = (lake.append if meanwhile == "append" else lake.stage)("ticks", "A", ticks((0, 0, 9.0)), date=DAY)
        Lake(lake.uri).commit("ticks", [entry])
        return update(self, kind, change)

    monkeypatch.setattr(Lake, "update", late)
    done = compact(lake, "ticks")
    if meanwhile == "append":
        assert (done.parts, prices(lake)) == (2, [1.0, 2.0, 9.0])
        compact(lake, "ticks")
        assert prices(lake) == [9.0, 1.0, 2.0]
    else:
        assert (done.parts, done.overtaken, prices(lake)) == (0, (f"A/{DAY}",), [9.0])


APPENDER = """
import sys
sys.path.insert(0, sys.argv[2])
import pyarrow as pa
from data.lake import Lake
lake = Lake(sys.argv[1])
for n in range(60):
    table = pa.table({"ts_event": pa.array([n], pa.timestamp("ns", "UTC")), "seq": [n], "price": [float(n)]})
    lake.commit("ticks", [lake.append("ticks", "A", table, date="1970-01-01")])
"""


def test_nothing_is_lost_while_one_process_appends_and_this_one_compacts_vacuums_and_reads(lake):
    merged, longest = 0, 0
    with subprocess.Popen([sys.executable, "-c", APPENDER, lake.uri, str(ROOT)]) as appending:
        while appending.poll() is None:
            merged += compact(lake, "ticks").parts
            vacuum(lake, grace_s=5.0, dry_run=False)
            if lake.partitions("ticks"):
                rows = lake.read("ticks", f"A/{DAY}").num_rows
                assert rows >= longest
                longest = rows
    assert appending.returncode == 0
    assert merged > 2
    compact(lake, "ticks")
    assert prices(lake) == [float(n) for n in range(60)]


def test_a_vacuum_removes_what_is_old_and_no_manifest_names(lake):
    append(lake, ticks((1, 0, 1.0)), ticks((2, 0, 2.0)))
    lake.commit("bars/1h", [lake.stage("bars/1h", "A", ticks((1, 0, 1.0)))])
    lake.commit("bars", [lake.stage("bars", "A", ticks((1, 0, 1.0)))])
    compact(lake, "ticks")
    lake.stage("bars/1h", "A", ticks((3, 0, 3.0)))
    lake.stage("books", "A", ticks((4, 0, 4.0)), date=DAY)
    draft = Path(lake.uri, "bars/1h", f".manifest.json.{'a' * 32}.tmp")
    draft.write_bytes(b"half")
    mine = Path(lake.uri, "bars/1h/symbol=A/mine.parquet")
    mine.write_bytes(b"not a lake's")
    age(lake, 25)
    dry = vacuum(lake)
    assert {kind: len(files) for kind, files in dry.files.items()} == {"bars/1h": 2, "books": 1, "ticks": 2}
    assert dry.size == sum(Path(lake.uri, name).stat().st_size for files in dry.files.values() for name in files)
    assert draft.exists()
    assert vacuum(lake, "ticks", dry_run=False).files == {"ticks": dry.files["ticks"]}
    assert vacuum(lake, dry_run=False).files == {kind: dry.files[kind] for kind in ("bars/1h", "books")}
    assert not draft.exists()
    assert on_disk(lake) == named(lake) | {"bars/1h/symbol=A/mine.parquet"}
    assert vacuum(lake, grace_s=0).files == {}


def test_a_vacuum_leaves_a_day_to_readers_of_what_was_just_replaced_and_to_writers(lake):
    append(lake, ticks((1, 0, 1.0)))
    held = lake.entries("ticks")[f"A/{DAY}"]
    age(lake, 1000)
    lake.commit("ticks", [lake.stage("ticks", "A", ticks((2, 0, 2.0)), date=DAY)])
    assert vacuum(lake, dry_run=False).files == {}  # written long ago, but named until now
    assert lake.read_entry(held)["price"].to_pylist() == [1.0]
    age(lake, 1000)
    again = lake.append("ticks", "A", ticks((1, 0, 1.0)), date=DAY)  # there already: staging makes it young again
    assert vacuum(lake, dry_run=False).files == {}
    lake.commit("ticks", [again])
    assert prices(lake) == [2.0, 1.0]


def test_what_is_staged_again_while_a_vacuum_looks_is_kept(lake, monkeypatch):
    entry = lake.stage("ticks", "A", ticks((1, 0, 1.0)), date=DAY)
    age(lake, 1000)
    lock = Lake.lock

    def late(self, kind):
        monkeypatch.setattr(Lake, "lock", lock)
        lake.commit("ticks", [entry])
        return lock(self, kind)

    monkeypatch.setattr(Lake, "lock", late)
    assert vacuum(lake, dry_run=False).files == {}
    assert prices(lake) == [1.0]


@pytest.mark.parametrize(("uri", "dated"), [("mock://lake/x", True), ("fsspec+memory://vacuum", False)])
def test_of_other_storage_a_vacuum_takes_what_is_older_than_its_manifest_and_nothing_of_unknown_age(uri, dated):
    lake = Lake(uri)
    append(lake, ticks((1, 0, 1.0)), ticks((3, 0, 3.0)))
    assert compact(lake, "ticks").parts == 2
    files = {file.name: file.changed for file in lake.storage.files()}
    assert all((changed is not None) == dated for changed in files.values())
    append(lake, ticks((5, 0, 5.0)))
    manifest = max(file.changed or 0.0 for file in lake.storage.files() if file.name.endswith("manifest.json"))
    assert vacuum(lake, grace_s=10, now=manifest + 9.999, dry_run=False).files == {}
    gone = vacuum(lake, grace_s=10, now=manifest + 10.001, dry_run=False).files
    assert len(gone.get("ticks", ())) == (2 if dated else 0)
    assert prices(lake) == [1.0, 3.0, 5.0]


def test_statistics_say_what_there_is(lake):
    for day in (1, 2, 4):
        append(lake, ticks((1, 0, 1.0)), date=f"1970-01-0{day}")
    for day in (1, 2, 3, 4):
        append(lake, ticks((1, 0, 1.0), (5, 0, 1.0)), symbol="B", date=f"1970-01-0{day}")
    append(lake, ticks((9, 0, 1.0)), symbol="B", date="1970-01-04")
    rejected = ticks((1, 0, -1.0))
    for name, reasons in (("x", {"duplicate": "2", "not_finite": "1"}), ("y", {"duplicate": "3"})):
        lake.commit("quarantine/ticks", [lake.stage("quarantine/ticks", name, rejected, reasons)])
    lake.stage("ticks", "C", ticks((1, 0, 1.0)), date=DAY)
    age(lake, 25)
    lake.stage("ticks", "D", ticks((1, 0, 1.0)), date=DAY)
    told = {stats.kind: stats for stats in lake_stats(lake)}
    assert list(told) == ["quarantine/ticks", "ticks"]
    stats = told["ticks"]
    assert (stats.symbols, stats.partitions, stats.parts, stats.rows) == (2, 7, 8, 12)
    assert (stats.first, stats.last, stats.holes) == (1, 9, 1)
    assert stats.size == sum(Path(lake.uri, entry.path).stat().st_size for entry in lake.entries("ticks").values())
    assert stats.quarantined == {"duplicate": 5, "not_finite": 1}
    assert stats.unused == 2
    assert stats.unused_size == 2 * stats.freed_size == 2 * vacuum(lake).size > 0
