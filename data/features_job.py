"""The Ray Data job: features of every component of a universe, one task a symbol.

Names travel, rows do not: an item is the address of a symbol's bars; its task reads them, runs the one function,
stages the table and returns the manifest row. The driver commits once, so readers see all of it or none.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError
from data.features import features_of
from data.features.market import features_kind
from data.features.tables import component_bars, feature_notes, feature_table, universe_context
from data.lake import Entry, Lake

HUSHED = {"ray.data": logging.WARNING, "ray.data._internal.progress": logging.ERROR}
"""What of Ray Data's log reaches a person: warnings, but not that its own progress bars are off."""

SMALL_CLUSTER = 8
"""CPUs up to which Ray Data's resource reservation costs more than it protects."""

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")

Progress = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class FeaturesReport:
    """What a run did: where the features are, rows it wrote, symbols it computed and symbols that were up to date."""

    kind: str
    rows: int
    computed: tuple[str, ...]
    skipped: tuple[str, ...]
    seconds: float


def build_features(recipe: Recipe, lake: Lake, progress: Progress | None = None) -> FeaturesReport:
    """Bring the features of a recipe's universe up to date in the lake. Ray must be running, if there is work.

    A symbol is computed again when its bars, the feature definition, or what the basket is made of (the other
    components' bars, the weights, the session) has changed. Each table has ``ts_event`` and the set's outputs as
    float64, one row a bar, NaN in the warm-up. The manifest holds the universe's symbols and no others.

    Parameters
    ----------
    recipe : Recipe
        Names the universe, the interval, the session and the feature set.
    lake : Lake
        Holds the bars and the weights; reachable from every node.
    progress : callable, optional
        Called in the driver with the symbol and its rows as each is done.

    Raises
    ------
    NotInLake
        Components have no bars; they are named.
    DataError
        The features of a symbol cannot be computed; it is named, and nothing is committed.
    """
    started = perf_counter()
    bars = component_bars(recipe, lake)
    notes = feature_notes(recipe, lake, bars)
    kind = features_kind(recipe)
    there = lake.entries(kind)
    done = {s: there[s] for s in bars if s in there and dict(there[s].note) == notes[s]}
    todo = {s: entry for s, entry in bars.items() if s not in done}
    staged = _compute(recipe, lake, bars, todo, notes, progress) if todo else []
    lake.commit(kind, [*done.values(), *staged], replace=True)
    return FeaturesReport(
        kind=kind,
        rows=sum(entry.rows for entry in staged),
        computed=tuple(todo),
        skipped=tuple(done),
        seconds=perf_counter() - started,
    )


def _compute(
    recipe: Recipe,
    lake: Lake,
    bars: Mapping[str, Entry],
    todo: Mapping[str, Entry],
    notes: Mapping[str, Any],
    progress: Progress | None,
) -> list[Entry]:
    import ray

    context = ray.put(universe_context(recipe, lake, bars))
    largest_first = sorted(todo.values(), key=lambda entry: -entry.rows)
    items = [{"bars": _to_json(entry), "note": json.dumps(notes[entry.partition])} for entry in largest_first]
    staged, failed = [], []
    for row in _run(items, {"recipe": recipe, "lake": lake, "context": [context]}):
        if row["error"]:
            failed.append(row)
            continue
        staged.append(_from_json(row["entry"]))
        if progress:
            progress(row["symbol"], staged[-1].rows)
    if failed:
        raise _failure(failed)
    return staged


def _run(items: Sequence[Mapping[str, str]], arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One task an item; results as they come."""
    import ray.data

    with ray.data.DataContext.current(_quiet(ray.data.DataContext.get_current().copy())), _hushed():
        data = ray.data.from_items([dict(item) for item in items], override_num_blocks=len(items))
        yield from data.map(partial(symbol_task, **arguments), num_cpus=1).iter_rows()


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


def symbol_task(item: dict[str, Any], recipe: Recipe, lake: Lake, context: list[Any]) -> dict[str, Any]:
    """Read one symbol's bars, compute, stage; return the manifest row, or why there is none. Runs in a worker."""
    import ray

    bars = _from_json(item["bars"])
    row = {"symbol": bars.partition, "entry": "", "error": "", "trace": ""}
    with _one_thread():
        try:
            table = feature_table(features_of(recipe.features), recipe, lake.read_entry(bars), ray.get(context[0]))
            staged = lake.stage(features_kind(recipe), bars.partition, table, json.loads(item["note"]))
        except Exception as error:  # noqa: BLE001 - the driver raises it, with the symbol's name
            return row | {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    return row | {"entry": _to_json(staged)}


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
