"""Weights from a table of effective_date, symbol and weight."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from bellwether.config.frozen import Frozen
from bellwether.errors import DataError
from data.sources.files import batches, find, names_of, numbers, text
from data.sources.times import to_utc
from data.weights.base import WeightSource, fractions

COLUMNS = ["effective_date", "symbol", "weight"]


class PlainOptions(Frozen):
    """Which files there are.

    Parameters
    ----------
    paths : str, or tuple of str
        CSV or Parquet files, globs or folders with the columns effective_date, symbol and weight. A date says from
        when its weights are known: a later date than the truth costs little, an earlier one looks ahead.
    timezone : str or None
        Zone of dates that name none: a date begins at its midnight there. None for times that name their zone.
    """

    paths: str | tuple[str, ...]
    timezone: str | None = "UTC"


def read(options: PlainOptions, root: Path) -> pa.Table:
    """Return the weights of every file.

    Raises
    ------
    DataError
        No file matches, one has other columns, or its weights are unusable (see `data.weights.base.fractions`).
    """
    paths = (options.paths,) if isinstance(options.paths, str) else options.paths
    return fractions(pa.concat_tables(_read(path, options.timezone) for path in find(root, paths)))


def _read(path: Path, zone: str | None) -> pa.Table:
    present = names_of(path)
    if sorted(present) != sorted(COLUMNS):
        raise DataError(f"{path.name} has the columns {', '.join(present)}; weights have {', '.join(COLUMNS)}")
    rows = pa.Table.from_batches(batches(path, COLUMNS)).combine_chunks()
    date, symbol, weight = (rows[name].combine_chunks() for name in COLUMNS)
    effective = to_utc(date, zone, f"effective_date of {path.name}")
    return pa.table({"effective": effective, "symbol": text(symbol), "weight": numbers(weight)})


PLAIN = WeightSource(kind="plain", options=PlainOptions, read=read)
