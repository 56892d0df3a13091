"""Feature tables: what one holds, and what it is a function of. The job on the cluster and everyone else agree here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Session
from bellwether.errors import ConfigError, NotInLake
from data.arrow import pc
from data.features import feature_kind, features_of
from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints
from data.features.calendar import CLOCK, SessionClock, session_pieces
from data.features.compiled import source_of
from data.lake import Lake
from data.lake.slices import Slice, read_slice, slices
from data.records import record_kind
from data.weights.table import NO_WEIGHTS, load_weights, weights_kind

Slices = Mapping[str, tuple[Slice, ...]]

CHUNK = 262_144
"""Events that are scanned at a time."""


def component_slices(recipe: Recipe, lake: Lake) -> dict[str, tuple[Slice, ...]]:
    """The records of each component, in the universe's order.

    Raises
    ------
    ConfigError
        The feature set reads records of another kind than the recipe's.
    NotInLake
        Components have no records; they are named.
    """
    reads = feature_kind(recipe.features.kind).record
    if reads != recipe.record:
        raise ConfigError(f"feature set {recipe.features.kind!r} reads {reads}; the recipe's record is {recipe.record}")
    found = slices(lake.entries(recipe.kind).values())
    if missing := [s for s in recipe.universe.symbols if s not in found]:
        raise NotInLake(
            f"{recipe.kind} has no {recipe.record} of {', '.join(missing)}, components of {recipe.universe.name}: "
            f"run `bellwether ingest {recipe.name}`, or take them out of the universe; "
            f"it has {', '.join(sorted(found)) or 'nothing yet'}"
        )
    return {s: found[s] for s in recipe.universe.symbols}


def runs(recipe: Recipe, parts: Sequence[Slice]) -> Iterator[tuple[Slice, ...]]:
    """Cut a symbol's slices into runs that are scanned apart, each from an empty state.

    A set that starts anew with each session has a run a slice: the slice, after those in which the session began that
    goes on in it, as one does over midnight UTC. Any other set is one run, and gives features of all its slices.
    """
    if not feature_kind(recipe.features.kind).by_session:
        yield tuple(parts)
        return
    clock, lead = SessionClock(recipe.session), 0
    for k, part in enumerate(parts):
        if k and not _same_session(clock, parts[k - 1].last, part.first):
            lead = k
        elif k and not _same_session(clock, parts[k - 1].first, part.first):
            lead = k - 1
        yield tuple(parts[lead : k + 1])


def given(recipe: Recipe, run: Sequence[Slice]) -> tuple[Slice, ...]:
    """Return the slices of a run whose features it gives; the others it is scanned after."""
    return tuple(run[-1:] if feature_kind(recipe.features.kind).by_session else run)


def _same_session(clock: SessionClock, before: int, after: int) -> bool:
    sessions = clock.at(np.array([before, after]))[:, CLOCK.index("session")]
    return bool(sessions[0] == sessions[1])


def feature_notes(recipe: Recipe, lake: Lake, records: Slices) -> dict[str, dict[str, str]]:
    """What the features of each slice are a function of, by partition; equal notes mean equal features.

    ``definition`` is the feature set's, ``source`` a digest of the slice's records and of those of its run before,
    and ``context`` a digest of the session, of the exchange's hours in the slice's years, and of what the market is
    made of: its definition, the weights and the records of all components.
    """
    definition, market = features_of(recipe.features).definition, _market_note(recipe, lake, records)
    notes = {}
    for parts in records.values():
        for run in runs(recipe, parts):
            wanted, source = given(recipe, run), ""
            for part in run:
                source = _hash((source, part.digest)) if source else part.digest
                if part in wanted:
                    context = _hash((market, _hours(recipe.session, part)))
                    notes[part.partition] = {"definition": definition, "source": source, "context": context}
    return notes


def _market_note(recipe: Recipe, lake: Lake, records: Slices) -> str:
    market = feature_kind(recipe.features.kind).market
    if market is None:
        return recipe.session.model_dump_json()
    everyone = [(s, [part.digest for part in parts]) for s, parts in records.items()]
    weights = lake.version(weights_kind(recipe.universe)) if recipe.universe.weights else ""
    index = [part.digest for part in _index(recipe, lake)] if market.index else []
    code = market.definition(len(records)), source_of(_series)
    return _hash((recipe.session.model_dump_json(), *code, weights, everyone, index))


def _hours(session: Session, part: Slice) -> str:
    """Digest of the exchange's hours in the years of a slice: a library that learns of a holiday changes it."""
    first, last = (int(str(np.datetime64(ts, "ns"))[:4]) for ts in (part.first, part.last))
    return _hours_of(session, first, last)


@lru_cache(maxsize=256)
def _hours_of(session: Session, first: int, last: int) -> str:
    return hashlib.sha256(session_pieces(session, first, last).tobytes()).hexdigest()


def universe_context(recipe: Recipe, lake: Lake, records: Slices) -> Any:
    """Return what the set's market scan makes of ``records`` of the components and of the index; None if it has none.

    Holds the columns it reads of the whole universe while it does.
    """
    market = feature_kind(recipe.features.kind).market
    if market is None:
        return None
    index = _index(recipe, lake) if market.index else ()
    everyone = {**records, **({recipe.universe.index: index} if index else {})}
    order = record_kind(recipe.record).order
    series = {}
    for symbol, parts in everyone.items():
        tables = [read_slice(lake, part, order, ["ts_event", *market.columns]) for part in parts]
        series[symbol] = _series(pa.concat_tables(tables), market.columns)
    weights = load_weights(lake, recipe.universe) if recipe.universe.weights else NO_WEIGHTS
    return market.scan(series, weights, recipe.universe)


def _index(recipe: Recipe, lake: Lake) -> tuple[Slice, ...]:
    """The index's own records, where the lake has them: bars of its components may be all there is."""
    return slices(lake.of(recipe.kind, recipe.universe.index)).get(recipe.universe.index, ())


def _series(table: pa.Table, columns: Sequence[str]) -> tuple[Ints, Floats]:
    ts: Ints = table["ts_event"].cast(pa.int64()).to_numpy()
    values = [pc.fill_null(table[name], np.nan).to_numpy() for name in columns]
    return ts, np.column_stack(values)


def feature_table(
    recipe: Recipe, records: pa.Table, *, symbol: str, market: Any, state: NDArray[np.void] | None = None
) -> pa.Table:
    """``ts_event`` and the outputs of the recipe's set for records of one symbol: float64, NaN in the warm-up.

    Parameters
    ----------
    recipe : Recipe
        Names the set, its options and the session.
    records : pyarrow.Table
        Of the recipe's record kind, in the lake's order.
    symbol : str
        Whose they are.
    market : object
        What `universe_context` returned.
    state : structured array, optional
        Where the scan before ended; advanced in place. A fresh one if left out.
    """
    kind, fs = feature_kind(recipe.features.kind), features_of(recipe.features)
    context = InputContext(symbol=symbol, session=recipe.session, market=market)
    return scanned(kind, fs, records, context, fs.start() if state is None else state)


def scanned(
    kind: FeatureKind, fs: FeatureSet, records: pa.Table, context: InputContext, state: NDArray[np.void]
) -> pa.Table:
    """Scan records of one symbol from ``state``, which is advanced in place."""
    ts, blocks = [], []
    for some in _chunks(kind, records):
        at, x = kind.inputs(fs, some, context)
        ts.append(at)
        blocks.append(np.ascontiguousarray(fs.scan(x, state).T))
    stamps = pa.chunked_array([pa.array(at, pa.int64()) for at in ts]).cast(pa.timestamp("ns", tz="UTC"))
    columns = [pa.chunked_array([pa.array(block[k]) for block in blocks]) for k in range(len(fs.outputs))]
    return pa.table([stamps, *columns], names=["ts_event", *fs.outputs])


def _chunks(kind: FeatureKind, records: pa.Table) -> Iterator[pa.Table]:
    """Events a chunk at a time, which bounds what the inputs take; of intervals there are few, and some share a row."""
    step = CHUNK if record_kind(kind.record).dated else max(records.num_rows, 1)
    for first in range(0, max(records.num_rows, 1), step):
        yield records.slice(first, step)


def whole_rows(table: pa.Table) -> int:
    """Count the rows of a feature table that lack no feature."""
    whole = np.ones(table.num_rows, bool)
    for column in table.columns[1:]:
        whole &= np.isfinite(column.to_numpy())
    return int(whole.sum())


def _hash(parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
