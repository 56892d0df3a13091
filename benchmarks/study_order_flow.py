"""How much of the mid's moves over ten seconds order flow explains: Cont, Kukanov and Stoikov's regression, by symbol.

python -m benchmarks.study_order_flow ../shared/data/lobster      (LOBSTER files: a folder, a glob or a zip)
python -m benchmarks.study_order_flow --lake DIR [--symbols AMZN GOOG]

R² of a regression in each half hour of 10-second windows, mean over them, and of one over all windows; 95 % circular
block bootstraps over windows. Published means over 50 stocks: 65 % for order flow, 32 % for trades.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from bellwether.config.sections import Session
from bellwether.validation.bootstrap import Interval
from data.arrow import pc
from data.lake import Lake
from data.lake.slices import read_slice, slices
from data.sources import source
from data.sources.base import SourceContext
from data.studies.order_flow import QUOTE, Explained, order_flow_study

COLUMNS = ("symbol", "ts_event", *QUOTE, "trade_qty", "trade_side")


def of_files(path: str) -> Iterator[tuple[str, pa.Table]]:
    """Books of each symbol in LOBSTER files."""
    lobster, context = source("lobster"), SourceContext(root=Path(), session=Session(), interval_ns=0, record="books")
    books = pa.concat_tables(t.select(COLUMNS) for t in lobster.read(lobster.options(path=path), context))
    for symbol in sorted(pc.unique(books["symbol"]).to_pylist()):
        yield symbol, books.filter(pc.equal(books["symbol"], symbol))


def of_lake(uri: str, symbols: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """Books of each symbol in a lake, or of those named."""
    lake = Lake(uri)
    for symbol, parts in sorted(slices(lake.entries("books").values()).items()):
        if not symbols or symbol in symbols:
            yield symbol, pa.concat_tables(read_slice(lake, part, ("ts_event", "seq"), COLUMNS) for part in parts)


def percent(found: Interval) -> str:
    """A share with its interval."""
    return f"{found.value:5.0%} [{found.low:.0%}, {found.high:.0%}]"


def line(symbol: str, windows: int, what: str, found: Explained) -> str:
    """A row of the table."""
    return f"| {symbol} | {windows:,} | {what} | {percent(found.mean)} | {percent(found.whole)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", help="LOBSTER files")
    parser.add_argument("--lake", help="a lake that holds books")
    parser.add_argument("--symbols", nargs="*", default=[])
    parser.add_argument("--tick", type=float, default=0.01)
    options = parser.parse_args()
    if (options.path is None) == (options.lake is None):
        parser.error("give either the path of LOBSTER files or --lake")
    found = of_lake(options.lake, options.symbols) if options.lake else of_files(options.path)
    print("| symbol | windows | regressor | R², mean of half hours | R², whole |\n|---|---|---|---|---|")
    for symbol, books in found:
        study = order_flow_study(books, tick=options.tick)
        print(line(symbol, study.windows, "order flow", study.order_flow))
        print(line(symbol, study.windows, "trades", study.trade_flow))


if __name__ == "__main__":
    main()
