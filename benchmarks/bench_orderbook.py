"""How fast order books are rebuilt: the kernel alone and from Arrow table to Arrow table, one core.

    python -m benchmarks.bench_orderbook --data ../shared/data

LOBSTER: the AMZN and GOOG days of 2012-06-21, 5 levels, repeated; a row of 5 levels a side is written after each
message. Binance: the capture of 2024-08-08, one snapshot and its depth updates, 10 levels a side.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pyarrow as pa

from bellwether.config.sections import Session
from data.orderbook.known import known_shares
from data.orderbook.replay import Replay, actions, times
from data.orderbook.scan import scan
from data.orderbook.state import new_book, resized, tallied
from data.records import DELTAS
from data.sources.base import Source, SourceContext
from data.sources.binance import BINANCE, BinanceOptions
from data.sources.files import Files
from data.sources.lobster import LOBSTER, LobsterOptions

ORDER = [(name, "ascending") for name in ("ts_event", "seq", "part")]


def deltas(source: Source, options: Files, root: Path) -> pa.Table:
    """All deltas of a source, in order."""
    context = SourceContext(root=root, session=Session(), interval_ns=0, record="deltas")
    return pa.concat_tables(source.read(options, context)).select(DELTAS.names).cast(DELTAS).sort_by(ORDER)


def seconds(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and best of some runs after one that compiles."""
    call()
    took = []
    for _ in range(repeats):
        started = perf_counter()
        call()
        took.append(perf_counter() - started)
    return median(took), min(took)


def kernel(table: pa.Table, levels: int, depth: int, whole: bool) -> Callable[[], object]:
    """The compiled scan on arrays that are there already; a fresh book each time."""
    n = table.num_rows
    book = resized(new_book(depth, whole), n + 1 if depth == 0 else 64)
    value = np.stack([table[name].to_numpy() for name in ("price", "qty")])
    action, side, time = actions(table), table["side"].to_numpy(), times(table)
    stamp, out = np.empty((n, 3), np.int64), np.empty((n, 4 * levels + 3))
    fresh = [array.copy() for array in book[1:]]

    def run() -> None:
        for array, start in zip(book[1:], fresh, strict=True):
            array[:] = start
        scan(action, side, value, time, book, levels, stamp, out)

    return run


def report(name: str, table: pa.Table, levels: int, depth: int, whole: bool, repeats: int) -> None:
    """Print how fast the books of these deltas are rebuilt."""

    def rebuild() -> pa.Table:
        replay = Replay(new_book(depth, whole), name, levels)
        return pa.concat_tables([replay.feed(table), replay.finish()])

    messages = len(set(zip(table["ts_event"].cast(pa.int64()).to_pylist(), table["seq"].to_pylist(), strict=True)))
    print(f"{name}: {table.num_rows:,} deltas in {messages:,} messages, {levels} levels a side")
    for what, call in (("kernel", kernel(table, levels, depth, whole)), ("Arrow to Arrow", rebuild)):
        middle, best = seconds(call, repeats)
        rate = f"{table.num_rows / middle / 1e6:6.2f} M deltas/s (best {table.num_rows / best / 1e6:.2f})"
        print(f"  {what:<16}{rate}   {middle / messages * 1e9:8.0f} ns a message")


def shares(name: str, table: pa.Table) -> None:
    """Print how often each of the first levels is known."""
    replay = Replay(new_book(depth=5), name, 5)
    books = pa.concat_tables([replay.feed(table), replay.finish()])
    print(f"{name}: {tallied(replay.book)}")
    for known in known_shares(books, 5):
        print(f"  {known.side} {known.level}: price known {known.price:6.1%}, quantity too {known.quantity:6.1%}")


def repeated(table: pa.Table, times: int) -> pa.Table:
    """The day several times over, a day apart: each begins with its own ``clear``."""
    ts = table["ts_event"].cast(pa.int64()).to_numpy()
    days = [pa.array(ts + k * 86_400_000_000_000).cast(DELTAS.field(1).type) for k in range(times)]
    return pa.concat_tables([table.set_column(1, DELTAS.field(1), day) for day in days]).combine_chunks()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    for symbol in ("AMZN", "GOOG"):
        options = LobsterOptions(path=f"lobster/{symbol}_2012-06-21_34200000_57600000_message_5.csv.gz")
        day = deltas(LOBSTER, options, given.data)
        shares(symbol, day)
        report(f"{symbol} × {given.times}", repeated(day, given.times), 5, 5, False, given.repeats)
    capture = deltas(BINANCE, BinanceOptions(path="binance/usdm_btcusdt_20240808.gz"), given.data)
    for whole in (False, True):
        report(f"BTCUSDT, whole={whole}", capture, 10, 0, whole, given.repeats)


if __name__ == "__main__":
    main()
