"""The lake shows the old state or the new one, never anything between, and loses nobody's entries."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.errors import ConfigError, DataError, NotInLake
from data.lake import Entry, Lake
from data.lake.vacuum import vacuum

ROOT = Path(__file__).resolve().parents[1]
KIND = "bars/1h"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def table(*closes: float) -> pa.Table:
    ts = pa.array(range(100, 100 + len(closes)), pa.int64()).cast(pa.timestamp("ns", tz="UTC"))
    return pa.table({"ts_event": ts, "close": pa.array(closes, pa.float64())})


def put(lake: Lake, kind: str = KIND, **closes: float) -> str:
    return lake.commit(kind, [lake.stage(kind, name, table(close)) for name, close in closes.items()])


def files(lake: Lake) -> set[str]:
    return {str(p.relative_to(lake.uri)) for p in Path(lake.uri).rglob("*") if p.is_file()}


names = st.text(min_size=1, max_size=12).filter(lambda s: s.isprintable())
rows = st.lists(
    st.tuples(st.floats(), st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.text()), max_size=20
)


@settings(max_examples=40)
@given(partition=names, content=rows)
def test_what_is_committed_is_read_back_and_doing_it_again_changes_nothing(tmp_path_factory, partition, content):
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    columns = zip(*content, strict=True) if content else ([], [], [])
    schema = pa.schema([("x", pa.float64()), ("n", pa.int64()), ("s", pa.string())])
    made = pa.table([list(c) for c in columns], schema=schema)
    version = lake.commit(KIND, [lake.stage(KIND, partition, made)])
    got = lake.read(KIND, partition)
    assert got.schema == made.schema
    assert repr(got.to_pylist()) == repr(made.to_pylist())  # repr: NaN equals itself
    before = files(lake)
    assert lake.commit(KIND, [lake.stage(KIND, partition, made)]) == version == lake.version(KIND)
    assert files(lake) == before
    assert lake.partitions(KIND) == (partition,)


def test_staged_tables_are_invisible_until_committed(lake):
    entry = lake.stage(KIND, "A", table(1.0))
    assert lake.entries(KIND) == {}
    assert lake.version(KIND) == ""
    assert lake.kinds() == ()
    lake.commit(KIND, [entry])
    assert lake.entries(KIND) == {"A": entry}


def test_an_entry_describes_its_file(lake):
    entry = lake.stage(KIND, "^NDX", table(1.0, 2.0, 3.0), {"definition": "abc"})
    path = Path(lake.uri, entry.path)
    assert entry.path == f"bars/1h/symbol=%5ENDX/{entry.digest}.parquet"
    assert entry.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (entry.rows, entry.first, entry.last, entry.note) == (3, 100, 102, {"definition": "abc"})


def test_the_same_rows_in_other_chunks_are_the_same_content(lake):
    whole = table(1.0, 2.0, 3.0)
    cut = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert lake.stage(KIND, "A", cut).digest == lake.stage(KIND, "A", whole).digest


def test_the_version_changes_if_and_only_if_the_content_does(lake):
    first = put(lake, A=1.0, B=2.0)
    assert put(lake, A=1.0) == first
    second = put(lake, A=3.0)
    assert second != first
    assert put(lake, A=1.0) == first
    assert lake.commit(KIND, []) == first
    renoted = lake.stage(KIND, "A", table(1.0), {"definition": "other"})
    assert lake.commit(KIND, [renoted]) != first


def test_commit_merges_and_replace_does_not(lake):
    put(lake, A=1.0)
    put(lake, B=2.0)
    assert lake.partitions(KIND) == ("A", "B")
    lake.commit(KIND, [lake.stage(KIND, "C", table(3.0))], replace=True)
    assert lake.partitions(KIND) == ("C",)


def test_kinds_do_not_touch_each_other(lake):
    bars = put(lake, A=1.0)
    put(lake, "weights/a b", weights=1.0)
    put(lake, "bars", A=2.0)
    assert lake.kinds() == ("bars", "bars/1h", "weights/a b")
    assert lake.version(KIND) == bars


def test_a_reader_of_an_older_manifest_still_reads_its_file(lake):
    put(lake, A=1.0)
    held = lake.entries(KIND)["A"]
    put(lake, A=2.0)
    assert lake.read_entry(held)["close"].to_pylist() == [1.0]
    assert lake.read(KIND, "A", columns=["close"])["close"].to_pylist() == [2.0]


def test_what_is_not_there_is_named_with_what_is(lake):
    with pytest.raises(NotInLake, match="has no bars/1h; it has: nothing yet"):
        lake.read(KIND, "A")
    put(lake, A=1.0, B=2.0)
    with pytest.raises(NotInLake, match="has no 'C' in bars/1h; it has: A, B"):
        lake.read(KIND, "C")
    with pytest.raises(NotInLake, match="has no bars/5min; it has: bars/1h"):
        lake.read("bars/5min", "A")
    with pytest.raises(DataError, match="has no column volume"):
        lake.read(KIND, "A", columns=["volume"])
    Path(lake.uri, lake.entries(KIND)["A"].path).unlink()
    with pytest.raises(NotInLake, match="is gone"):
        lake.read(KIND, "A")


@pytest.mark.parametrize("kind", ["", "/bars", "bars//1h", "../bars", "bars/..", "bars/symbol=A"])
def test_a_kind_cannot_leave_the_lake_or_hide_in_another(lake, kind):
    with pytest.raises(ConfigError, match="cannot be a kind"):
        lake.stage(kind, "A", table(1.0))


def test_only_what_was_staged_can_be_committed(lake):
    version = put(lake, A=1.0)
    elsewhere = lake.stage("bars/5min", "A", table(2.0))
    absent = Entry(partition="B", path="bars/1h/symbol=B/00.parquet", rows=1, first=0, last=0, digest="00")
    for entry in (elsewhere, absent):
        with pytest.raises(DataError, match="stage it there"):
            lake.commit(KIND, [lake.stage(KIND, "C", table(3.0)), entry])
    assert lake.version(KIND) == version


def test_a_lake_crosses_processes_as_its_address(lake):
    put(lake, A=1.0)
    copy = pickle.loads(pickle.dumps(lake))
    assert copy.uri == lake.uri
    assert copy.read(KIND, "A") == lake.read(KIND, "A")


def test_a_relative_directory_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Lake("lake").uri == str(tmp_path / "lake")


def test_other_tools_read_the_files_the_manifest_names(lake):
    for symbol in ("^NDX", "BRK/B"):
        bars = table(1.0, 2.0).append_column("symbol", pa.array([symbol] * 2))
        lake.commit(KIND, [lake.stage(KIND, symbol, bars)])
    paths = [f"{lake.uri}/{entry.path}" for entry in lake.entries(KIND).values()]
    found = duckdb.read_parquet(paths).aggregate("symbol, sum(close)").order("symbol").fetchall()
    assert found == [("BRK/B", 3.0), ("^NDX", 3.0)]
    assert ds.dataset(paths).to_table()["symbol"].unique().to_pylist() == ["BRK/B", "^NDX"]
    assert pq.read_table(paths[1])["symbol"].to_pylist() == ["^NDX", "^NDX"]


def test_an_object_store_is_a_lake_too():
    lake = Lake(f"fsspec+memory://{uuid.uuid4().hex}")
    version = put(lake, **{"BRK/B": 1.0})
    put(lake, "weights/qqq", weights=2.0)
    assert lake.kinds() == ("bars/1h", "weights/qqq")
    assert lake.read(KIND, "BRK/B") == table(1.0)
    assert put(lake, **{"BRK/B": 1.0}) == version
    assert pickle.loads(pickle.dumps(lake)).version(KIND) == version


def test_threads_that_commit_at_once_all_keep_their_entries(lake):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put(Lake(lake.uri), **{f"S{n}": float(n)}), range(40)))
    assert len(lake.partitions(KIND)) == 40


COMMITTER = """
import sys
sys.path.insert(0, sys.argv[2])
import pyarrow as pa
from data.lake import Lake
lake = Lake(sys.argv[1])
for n in range(25):
    lake.commit("bars/1h", [lake.stage("bars/1h", f"{sys.argv[3]}{n}", pa.table({"x": [n]}))])
"""


def test_processes_that_commit_at_once_all_keep_their_entries(lake):
    started = [subprocess.Popen([sys.executable, "-c", COMMITTER, lake.uri, str(ROOT), name]) for name in "ABC"]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert len(lake.partitions(KIND)) == 75


# A child is killed before its k-th line of the lake's code, for every k before which the disk is another than one line
# earlier, and once it is let through: between two such lines a kill leaves what it left at the first.
KILLED_AT_EVERY_STEP = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import pyarrow as pa
from data.lake import compaction
from data.lake import lake as module
from data.lake import storage
from data.lake import vacuum as cleaning
from data.lake import Lake

lake, operation = Lake(sys.argv[1]), sys.argv[3]
os.fsync = lambda handle: None  # against a power cut; what a killed process has written is there
CODE = {module.__file__, storage.__file__, compaction.__file__, cleaning.__file__}
DATES = ("2024-01-02", "2024-01-03", "2024-01-04")

def at_each_line(visit):
    seen = 0
    def trace(frame, event, arg):
        nonlocal seen
        if frame.f_code.co_filename not in CODE:
            return None
        if event == "line":
            seen += 1
            visit(seen)
        return trace
    sys.settrace(trace)

def killed_at(step):
    at_each_line(lambda seen: seen == step and os.kill(os.getpid(), signal.SIGKILL))

def disk():
    paths = sorted(str(path) for path in Path(sys.argv[1]).rglob("*"))
    return [(path, os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in paths if os.path.exists(path)]

def steps():
    # the lines that matter, found out by a child that lives
    prepare(1000)
    here, there = os.pipe()
    child = os.fork()
    if not child:
        found, last = [1], disk()
        def visit(seen):
            nonlocal last
            now = disk()
            if now != last:
                found.append(seen)
            last = now
        at_each_line(visit)
        globals()[operation](1000)
        sys.settrace(None)
        os.write(there, json.dumps(found).encode())
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as told:
        found = json.load(told)
    assert os.waitpid(child, 0)[1] == 0
    return found

def table(value):
    return pa.table({"ts_event": pa.array([value], pa.timestamp("ns", "UTC")), "x": [value]})

def commit(value):
    lake.commit("ticks", [lake.stage("ticks", name, table(value)) for name in "AB"])

def dates(value):
    lake.commit("ticks", [lake.stage("ticks", "A", table(value), date=date) for date in DATES])

def append(value):
    lake.commit("ticks", [lake.append("ticks", name, table(value)) for name in "AB"])

def compact(value):
    compaction.compact(lake, "ticks")

def vacuum(value):
    cleaning.vacuum(lake, grace_s=0, dry_run=False)

def prepare(step):
    if operation != "dates":
        commit(-step)
    if operation == "compact":
        append(-step - 1)
    if operation == "vacuum":
        vacuum(step)
        commit(-step - 1)

def state():
    # every file that is named is read
    return {
        name: [(entry.rows, lake.read_entry(entry)["x"].to_pylist()) for entry in parts]
        for name, parts in lake.parts("ticks").items()
    }

def as_if_done(before, value):
    one = [(1, [value])]
    if operation == "commit":
        return {"A": one, "B": one}
    if operation == "dates":
        return {f"A/{date}": one for date in DATES}
    if operation == "append":
        return {name: before.get(name, []) + one for name in "AB"}
    if operation == "compact":
        return {name: [(2, sorted(x for _, values in parts for x in values))] for name, parts in before.items()}
    return before

lake.stage("ticks", "warm", table(0))  # or every child would import what a first write needs
for step in (*steps(), 2000):
    prepare(step)
    before = state()
    child = os.fork()
    if not child:
        killed_at(step)
        globals()[operation](step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    after = state()
    assert after in (before, as_if_done(before, step)), (step, before, after)
    assert status == (0 if step == 2000 else signal.SIGKILL)
    print("old" if after == before else "new")
assert after == as_if_done(before, step)
globals()[operation](step + 1)  # the dead ones hold no lock
print(len(state()))
"""


@pytest.mark.chaos
@pytest.mark.parametrize("operation", ["commit", "dates", "append", "compact", "vacuum"])
def test_killed_at_any_step_the_lake_holds_the_old_state_or_the_new(lake, operation):
    command = [sys.executable, "-W", "ignore", "-c", KILLED_AT_EVERY_STEP, lake.uri, str(ROOT), operation]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    *seen, partitions = done.stdout.split()
    assert len(seen) > 3
    assert set(seen) == ({"old"} if operation == "vacuum" else {"old", "new"})
    assert int(partitions) == (3 if operation == "dates" else 2)
    assert lake.kinds() == ("ticks",)
    assert vacuum(lake, grace_s=0, dry_run=False).files.keys() <= {"ticks"}
    tables = {name for name in files(lake) if not name.endswith(("/manifest.json", "/.lock"))}
    assert tables == {entry.path for entry in lake.entries("ticks").values()}
