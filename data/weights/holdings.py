"""Weights from the holdings that Invesco publishes of its QQQ fund."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pydantic import Field

from bellwether.config.frozen import Frozen
from bellwether.errors import DataError
from data.arrow import Column, pc
from data.records import TIME
from data.sources.files import batches, find, names_of, numbers, text
from data.weights.base import CASH, WeightSource, fractions

TICKER, WEIGHT, DATE, SHARES = "Holding Ticker", "Weight", "Date", "Class of Shares"
DAY_NS = 86_400 * 1_000_000_000


class HoldingsOptions(Frozen):
    """Which files there are, and when they are known.

    Parameters
    ----------
    paths : str, or tuple of str
        Files, globs or folders of holdings as published: CSV with a date (MM/DD/YYYY), tickers padded with
        blanks, numbers with thousands separators, percentages, and perhaps a line of cash.
    lag_days : int
        The holdings of a day are known this many days later at 00:00 UTC. With 0 they would be used on the very
        day whose close they describe: a look into the future of that day.
    """

    paths: str | tuple[str, ...]
    lag_days: int = Field(default=1, ge=0)


def read(options: HoldingsOptions, root: Path) -> pa.Table:
    """Return the weights of every file, cash under `data.weights.base.CASH`.

    Raises
    ------
    DataError
        No file matches, one lacks a column, or its weights are unusable (see `data.weights.base.fractions`).
    """
    paths = (options.paths,) if isinstance(options.paths, str) else options.paths
    files = find(root, paths)
    return fractions(pa.concat_tables(_read(path, options.lag_days) for path in files))


def _read(path: Path, lag_days: int) -> pa.Table:
    present = names_of(path)
    if lacking := [name for name in (TICKER, WEIGHT, DATE) if name not in present]:
        raise DataError(f"{path.name} lacks {', '.join(lacking)}; it is not a holdings file as Invesco publishes them")
    columns = [name for name in (TICKER, WEIGHT, DATE, SHARES) if name in present]
    rows = pa.Table.from_batches(batches(path, columns)).combine_chunks()
    found = {name: rows[name].combine_chunks() for name in columns}
    weight = numbers(pc.replace_substring_regex(found[WEIGHT].cast(pa.string()), "[,%]", ""))
    known = _dates(found[DATE], path) + lag_days * DAY_NS
    table = pa.table({"effective": pa.array(known).cast(TIME), "symbol": _symbols(found), "weight": weight})
    cash = pc.equal(table["symbol"], CASH)
    if not pc.any(cash).as_py():
        return table
    lines = table.filter(cash)
    total = lines.slice(0, 1).set_column(2, "weight", pa.array([pc.sum(lines["weight"]).as_py()], pa.float64()))
    return pa.concat_tables([table.filter(pc.invert(cash)), total])


def _dates(column: Column, path: Path) -> Column:
    """Return dates as nanoseconds."""
    days = pc.strptime(text(column), format="%m/%d/%Y", unit="ns", error_is_null=True)
    if days.null_count:
        row = days.is_null().index(True).as_py()
        raise DataError(f"{path.name} has the date {column[row].as_py()!r} in record {row + 1}; expected MM/DD/YYYY")
    if len(days.unique()) > 1:
        raise DataError(f"{path.name} has {len(days.unique())} dates; the holdings of a day are one file")
    return days.cast(pa.int64()).to_numpy()


def _symbols(found: dict[str, Column]) -> Column:
    """Return tickers; a line without one, or of a class that is money, is cash."""
    ticker = text(found[TICKER])
    cash = pc.fill_null(pc.match_substring_regex(ticker, "^-+$"), True)
    if SHARES in found:
        money = pc.match_substring(text(found[SHARES]), "cash", ignore_case=True)
        currency = pc.match_substring(text(found[SHARES]), "currency", ignore_case=True)
        cash = pc.or_(cash, pc.fill_null(pc.or_(money, currency), False))
    return pc.if_else(cash, CASH, ticker)


QQQ_HOLDINGS = WeightSource(kind="qqq_holdings", options=HoldingsOptions, read=read)
