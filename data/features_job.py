"""The Ray Data job: features of every component of a universe, one task a symbol, or a session of it.

Names travel, rows do not: an item is the address of records; its task reads them, runs the one function, stages the
tables and returns their manifest rows. The driver commits once, so readers see all of it or none.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError
from data.features import features_of
from data.features.market import features_kind
from data.features.tables import (
    Slices,
    component_slices,
    feature_notes,
    feature_table,
    given,
    runs,
    universe_context,
    whole_rows,
)
from data.lake import Entry, Lake
from data.lake.slices import Slice, read_slice, slices
from data.records import record_kind

HUSHED = {"ray.data": logging.WARNING, "ray.data._internal.progress": logging.ERROR}
"""What of Ray Data's log reaches a person: warnings, but not that its own progress bars are off."""

SMALL_CLUSTER = 8
"""CPUs up to which Ray Data's resource reservation costs more than it protects."""

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")

Progress = Callable[[str, int, int], None]
Cluster = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class FeaturesReport:
    """What a run did: where the features are, rows it wrote, and how many of those lack none; partitions it wrote and
    those that were up to date.
    """

    kind: str
    rows: int
    whole: int
    computed: tuple[str, ...]
    skipped: tuple[str, ...]
    seconds: float


def build_features(
    recipe: Recipe, lake: Lake, progress: Progress | None = None, cluster: Cluster = nullcontext
) -> FeaturesReport:
    """Bring the features of a recipe's universe up to date in the lake.

    A partition (a symbol, or a symbol's date) is computed again when its records, those it remembers, the feature
    definition, or what the market is made of has changed. Each table has ``ts_event`` and the set's outputs as
    float64, NaN in the warm-up. The manifest holds the universe's partitions and no others.

    A task is a run of partitions that share a state: a symbol, or one session of it where the set starts anew with
    each session. A worker that is lost costs the tasks it had; Ray runs those again.

    Parameters
    ----------
    recipe : Recipe
        Names the universe, the records, the session and the feature set.
    lake : Lake
        Holds the records and, if the set needs them, the weights; reachable from every node.
    progress : callable, optional
        Called in the driver with a partition, its rows and the number of partitions to do, as each is done.
    cluster : callable
        Its context has Ray running; entered if there is work. By default Ray runs already.

    Raises
    ------
    NotInLake
        Components have no records; they are named.
    DataError
        The features of a partition cannot be computed; it is named, and nothing is committed.
    """
    started = perf_counter()
    records = component_slices(recipe, lake)
    notes = feature_notes(recipe, lake, records)
    kind = features_kind(recipe)
    there = lake.entries(kind)
    done = {p: there[p] for p, note in notes.items() if p in there and dict(there[p].note) == note}
    items = [item for parts in records.values() for item in _items(recipe, parts, notes, done)]
    staged, whole = list[Entry](), 0
    if items:
        with cluster():
            staged, whole = _compute(recipe, lake, records, items, progress)
    lake.commit(kind, [*done.values(), *staged], replace=True)
    return FeaturesReport(
        kind=kind,
        rows=sum(entry.rows for entry in staged),
        whole=whole,
        computed=tuple(partition for partition in notes if partition not in done),
        skipped=tuple(done),
        seconds=perf_counter() - started,
    )


@dataclass(frozen=True, kw_only=True)
class _Item:
    """A task: partitions that share a state, in order, and the notes of those whose features are wanted."""

    parts: tuple[Slice, ...]
    notes: Mapping[str, Mapping[str, str]]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def wire(self) -> dict[str, str]:
        """The item as names: what travels to a worker."""
        parts = [[_to_json(entry) for entry in part.entries] for part in self.parts]
        return {"symbol": self.parts[0].symbol, "parts": json.dumps(parts), "notes": json.dumps(self.notes)}


def _items(
    recipe: Recipe, parts: Sequence[Slice], notes: Mapping[str, dict[str, str]], done: Mapping[str, Entry]
) -> Iterator[_Item]:
    for run in runs(recipe, parts):
        wanted = [part.partition for part in given(recipe, run) if part.partition not in done]
        if wanted:
            last = max(k for k, part in enumerate(run) if part.partition in wanted)
            yield _Item(parts=run[: last + 1], notes={partition: notes[partition] for partition in wanted})


def _compute(
    recipe: Recipe, lake: Lake, records: Slices, items: Sequence[_Item], progress: Progress | None
) -> tuple[list[Entry], int]:
    import ray

    market = ray.put(universe_context(recipe, lake, records))
    todo = sum(len(item.notes) for item in items)
    largest_first = [item.wire() for item in sorted(items, key=lambda item: -item.rows)]
    staged, failed, whole = list[Entry](), [], 0
    for row in _run(largest_first, {"recipe": recipe, "lake": lake, "market": [market]}):
        if row["error"]:
            failed.append(row)
            continue
        whole += row["whole"]
        for text in json.loads(row["entries"]):
            staged.append(_from_json(text))
            if progress:
                progress(staged[-1].partition, staged[-1].rows, todo)
    if failed:
        raise _failure(failed)
    return staged, whole


def _run(items: Sequence[Mapping[str, str]], arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One task an item; results as they come."""
    import ray.data

    with ray.data.DataContext.current(_quiet(ray.data.DataContext.get_current().copy())), _hushed():
        data = ray.data.from_items([dict(item) for item in items], override_num_blocks=len(items))
        yield from data.map(partial(run_task, **arguments), num_cpus=1).iter_rows()


def _quiet(context: Any) -> Any:
    """Without Ray Data's own bars; without resource reservation where it would leave CPUs idle."""
    import ray

    context.enable_progress_bars = False
    context.print_on_execution_start = False
    if ray.cluster_resources().get("CPU", 0) <= SMALL_CLUSTER:  # type: ignore[no-untyped-call]
        context.op_resource_reservation_enabled = False
    return context


@contextmanager
def _hushed() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in HUSHED}
    for name, level in HUSHED.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def run_task(item: dict[str, Any], recipe: Recipe, lake: Lake, market: list[Any]) -> dict[str, Any]:
    """Read a run, compute, stage; return the manifest rows, or why there are none. Runs in a worker."""
    import ray

    row: dict[str, Any] = {"symbol": item["symbol"], "entries": "[]", "whole": 0, "error": "", "trace": ""}
    with _one_thread():
        try:
            staged, whole = _stage_run(item, recipe, lake, ray.get(market[0]))
        except Exception as error:  # noqa: BLE001 - the driver raises it, with the symbol's name
            return row | {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    return row | {"entries": json.dumps([_to_json(entry) for entry in staged]), "whole": whole}


def _stage_run(item: Mapping[str, str], recipe: Recipe, lake: Lake, market: Any) -> tuple[list[Entry], int]:
    """Scan the partitions of a run one after the other, so that memory holds one, and stage those that are wanted.

    Returns their entries, and how many of their rows lack no feature.
    """
    notes, symbol, order = json.loads(item["notes"]), item["symbol"], record_kind(recipe.record).order
    state, staged, whole = features_of(recipe.features).start(), list[Entry](), 0
    for part in slices(_from_json(text) for texts in json.loads(item["parts"]) for text in texts)[symbol]:
        table = feature_table(recipe, read_slice(lake, part, order), symbol=symbol, market=market, state=state)
        if part.partition in notes:
            note, whole = notes[part.partition], whole + whole_rows(table)
            staged.append(lake.stage(features_kind(recipe), symbol, table, note, date=part.date))
    return staged, whole


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread a task: Ray already runs one task a CPU. The worker gets its own setting back."""
    before, pool = {name: os.environ.get(name) for name in THREADS}, pa.cpu_count()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    pa.set_cpu_count(1)
    try:
        yield
    finally:
        pa.set_cpu_count(pool)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _failure(rows: Sequence[Mapping[str, str]]) -> DataError:
    error = DataError(
        "features failed, nothing is committed: " + "; ".join(f"{r['symbol']}: {r['error']}" for r in rows)
    )
    error.add_note(rows[0]["trace"])
    return error


def _to_json(entry: Entry) -> str:
    return json.dumps({**vars(entry), "note": dict(entry.note)})


def _from_json(text: str) -> Entry:
    return Entry(**json.loads(text))
