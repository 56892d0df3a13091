"""Made order books: a random walk of the mid, in the lake and as a client sends them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from benchmarks.installation import FIRST_OPEN
from data.lake import Lake
from data.records import BOOKS, TIME

Ints = NDArray[np.int64]

MINUTE, DAY = 60_000_000_000, 86_400_000_000_000


def session_days(sessions: int) -> Ints:
    """Openings of so many weekdays."""
    k = np.arange(sessions)
    opens: Ints = FIRST_OPEN + (k // 5 * 7 + k % 5) * DAY
    return opens


def grid(sessions: int) -> Ints:
    """Ends of the five minutes of so many sessions."""
    return (session_days(sessions)[:, None] + 5 * MINUTE * np.arange(1, 79)).ravel()


def events(sessions: int, each: int, seed: int = 0) -> Ints:
    """Times of changes, every few seconds."""
    gaps = np.random.default_rng(seed).integers(1_000_000_000, 9_000_000_000, (sessions, each))
    return (session_days(sessions)[:, None] + np.cumsum(gaps, axis=1)).ravel()


def books(symbol: str, ts: Ints, seed: int, trades: bool = False) -> pa.Table:
    """A random walk of the mid with three known levels a side; the first rows do not depend on how many there are."""
    rng, n = np.random.default_rng(seed), len(ts)
    steps = rng.normal(size=(n, 10))
    mid = np.round(100.0 * np.exp(np.cumsum(2e-4 * steps[:, 0])), 2)
    columns: dict[str, Any] = {name: pa.nulls(n, BOOKS.field(name).type) for name in BOOKS.names}
    columns |= {"symbol": [symbol] * n, "ts_event": pa.array(ts).cast(TIME), "seq": np.arange(1, n + 1)}
    for level in range(1, 4):
        for k, (side, sign) in enumerate((("bid", -1), ("ask", 1))):
            columns[f"{side}_px_{level}"] = np.round(mid + sign * 0.01 * level, 2)
            columns[f"{side}_qty_{level}"] = np.round(100.0 * np.exp(0.5 * steps[:, 1 + k + level]))
    traded = trades & (steps[:, 8] > 0.5)
    columns["trade_px"] = pa.array(mid, mask=~traded)
    columns["trade_qty"] = pa.array(np.round(50.0 * np.exp(0.3 * steps[:, 9])), mask=~traded)
    columns["trade_side"] = np.where(traded, np.sign(steps[:, 9]), 0).astype(np.int8)
    return pa.table([pa.array(columns[f.name], f.type) for f in BOOKS], schema=BOOKS)


def put(lake: Lake, recipe: Recipe, table: pa.Table, *, append: bool = False) -> None:
    """Put books of one symbol into the lake: as the whole of their dates, or as a further part of them."""
    days = table["ts_event"].cast(pa.int64()).to_numpy() // DAY
    symbol, stage = table["symbol"][0].as_py(), lake.append if append else lake.stage
    entries = []
    for day in np.unique(days):
        date = str(np.datetime64(int(day), "D"))
        entries.append(stage(recipe.kind, symbol, table.filter(pa.array(days == day)), date=date))
    lake.commit(recipe.kind, entries)


def bodies(table: pa.Table, changes: bool = False) -> list[dict[str, Any]]:
    """Books of the lake as a client sends them."""
    found = []
    for row in table.to_pylist():
        ts = int(row["ts_event"].value) if hasattr(row["ts_event"], "value") else row["ts_event"]
        sides = {
            f"{side}s": [[row[f"{side}_px_{k}"], row[f"{side}_qty_{k}"]] for k in range(1, 11)]
            for side in ("bid", "ask")
        }
        trade = {name: row[name] for name in ("trade_px", "trade_qty", "trade_side")} if changes else {}
        found.append({"ts_event": ts} | sides | trade)
    return found
