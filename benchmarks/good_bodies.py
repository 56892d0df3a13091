"""Bodies that reach the models of the apps in `benchmarks.asgi_apps`, by app and route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Bodies = dict[str, Any]


def index_signal() -> Bodies:
    """Bars that are in the lake, and the next one."""
    from benchmarks.installation import bars, session_closes

    rows = bars("S001", session_closes(31), 1).drop_columns(["symbol"]).to_pylist()
    found = [row | {"ts_event": row["ts_event"].isoformat()} for row in rows]
    known, new = ({"symbol": "S001", "interval": "1h", "bars": part} for part in (found[:210], found[210:211]))
    return {"/predict": known, "/predict/batch": _batch(known), "/bars": new, "/bars/batch": _batch(new)}


def ticks() -> Bodies:
    """A trade after those in the lake."""
    from bellwether.trading_time import iso
    from benchmarks.tick_installation import FIRST_OPEN, SECOND
    from data.wall import DAY

    tick = {
        "ts_event": iso(FIRST_OPEN + DAY + 600 * SECOND),
        "price": 100.0,
        "volume": 10.0,
        "bid": 99.99,
        "ask": 100.01,
    }
    one = {"symbol": "S000", "tick_data": tick, "models": ["direction_5"], "durable": False}
    return {"/predict": one, "/predict/batch": _batch(one), "/ticks": {"ticks": [tick | {"symbol": "S000"}]}}


def forecast() -> Bodies:
    """Snapshots that are in the lake."""
    from benchmarks.books import bodies, books, grid

    one = {"symbol": "A", "snapshots": bodies(books("A", grid(1)[:60], 0))}
    return {"/predict": one, "/predict/batch": _batch(one)}


def strategy() -> Bodies:
    """Changes of the book that are in the lake."""
    from benchmarks.books import bodies, books, events

    one = {"symbol": "A", "books": bodies(books("A", events(1, 250)[:60], 0, True), changes=True)}
    return {"/predict": one, "/predict/batch": _batch(one)}


GOOD: dict[str, Callable[[], Bodies]] = {
    "forecast": forecast,
    "index_signal": index_signal,
    "strategy": strategy,
    "ticks": ticks,
}
"""Those whose documented examples are about another market, or too short."""


def _batch(one: Any) -> Any:
    return {"items": [one, one]}
