"""A lake that stands still: what others do meanwhile is not seen, and what is done through it is not lost."""

from __future__ import annotations

import pickle
from operator import methodcaller
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bellwether.errors import NotInLake
from data.lake import Lake
from data.lake.compaction import compact
from data.lake.pinned import PinnedLake
from data.lake.slices import read_slice, slices
from data.lake.vacuum import vacuum

DAY = "1970-01-01"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path))
    append(made, 1)
    append(made, 2)
    return made


def table(*ts: int) -> pa.Table:
    columns = {"ts_event": pa.array(ts, pa.timestamp("ns", "UTC")), "seq": pa.array(ts, pa.int64())}
    return pa.table(columns)


def append(lake: Lake, *ts: int, symbol: str = "A") -> None:
    lake.commit("ticks", [lake.append("ticks", symbol, table(*ts), date=DAY)])


def seen(lake: Lake) -> list[int]:
    (part,) = slices(lake.entries("ticks").values())["A"]
    return read_slice(lake, part, ("ts_event", "seq"))["seq"].to_pylist()


@pytest.mark.parametrize(
    "look",
    [
        methodcaller("entries", "ticks"),
        methodcaller("parts", "ticks"),
        methodcaller("of", "ticks", "A"),
        methodcaller("symbols", "ticks"),
        methodcaller("partitions", "ticks"),
        methodcaller("version", "ticks"),
        methodcaller("read", "ticks", f"A/{DAY}"),
        methodcaller("entries", "bars/1h"),
    ],
    ids=str,
)
def test_a_kind_stays_as_it_is_when_it_is_first_looked_at(lake: Lake, look: Any) -> None:
    pinned, before = PinnedLake(lake.uri), look(lake)
    assert look(pinned) == before
    append(lake, 3)
    append(lake, 4, symbol="B")
    lake.commit("bars/1h", [lake.stage("bars/1h", "A", table(1))])
    assert look(pinned) == before != look(lake)


def test_all_ways_to_look_at_a_kind_agree_with_the_first(lake: Lake) -> None:
    pinned = PinnedLake(lake.uri)
    version = pinned.version("ticks")
    append(lake, 3)
    assert seen(pinned) == [1, 2]
    assert version == pinned.version("ticks") != lake.version("ticks")


def test_compaction_and_replacement_take_nothing_from_who_reads(lake: Lake) -> None:
    pinned = PinnedLake(lake.uri)
    pinned.entries("ticks")
    compact(lake, "ticks")
    lake.commit("ticks", [lake.stage("ticks", "A", table(9), date=DAY)], replace=True)
    vacuum(lake, dry_run=False)
    assert (seen(pinned), seen(lake)) == ([1, 2], [9])


def test_after_the_grace_period_of_a_vacuum_it_says_what_is_gone(lake: Lake) -> None:
    pinned = PinnedLake(lake.uri)
    first, _ = pinned.entries("ticks").values()
    compact(lake, "ticks")
    vacuum(lake, grace_s=0.0, dry_run=False)
    with pytest.raises(NotInLake, match=f"{first.path}, which is gone"):
        seen(pinned)


def test_a_vacuum_of_it_leaves_what_others_have_committed_since(lake: Lake) -> None:
    pinned = PinnedLake(lake.uri)
    pinned.entries("ticks")
    append(lake, 3)
    assert vacuum(pinned, grace_s=0.0, dry_run=False).files == {}
    assert seen(lake) == [1, 2, 3]


def test_what_is_committed_through_it_is_seen_and_takes_nothing_from_others(lake: Lake) -> None:
    pinned = PinnedLake(lake.uri)
    assert seen(pinned) == [1, 2]
    append(lake, 3)
    append(pinned, 4)
    assert seen(pinned) == seen(lake) == [1, 2, 3, 4]
    append(lake, 5)
    assert seen(pinned) == [1, 2, 3, 4]


def test_what_is_refused_changes_nothing_of_what_it_shows(lake: Lake) -> None:
    pinned = PinnedLake(lake.uri)
    version = pinned.version("ticks")
    append(lake, 3)

    def wrong(parts: Any) -> None:
        parts.clear()
        raise KeyError("ticks")

    with pytest.raises(KeyError):
        pinned.update("ticks", wrong)
    assert pinned.version("ticks") == version


def test_another_process_sees_what_it_saw(lake: Lake) -> None:
    pinned = PinnedLake(lake.uri)
    pinned.entries("ticks")
    append(lake, 3)
    assert seen(pickle.loads(pickle.dumps(pinned))) == [1, 2]
