"""Ask the lake in SQL: ``python -m pipelines.sql QUERY``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator

import pyarrow as pa
from rich.markup import escape

from data.arrow import Column, pc
from data.lake import Lake
from data.lake.sql import queried
from pipelines.console import console, grid, say

WIDE, TALL = 8, 5
"""Columns a table has at most, and rows that are shown one below the other where there are more."""


def run(lake: Lake, query: str, *, as_csv: bool = False, rows: int = 40) -> None:
    """Print what a query finds: a table of the first rows, or all of it as CSV with a head."""
    with queried(lake, query) as found:
        if as_csv:
            _write(found)
        else:
            _show(found, rows)


def _write(found: pa.RecordBatchReader) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(found.schema.names)
    for batch in found:
        writer.writerows(_rows(batch))


def _show(found: pa.RecordBatchReader, rows: int) -> None:
    """Print rows as a table; of more than `WIDE` columns, one below the other."""
    if len(found.schema) > WIDE:
        _show_down(found, min(rows, TALL))
        return
    table = grid()
    for field in found.schema:
        right = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
        table.add_column(escape(field.name), justify="right" if right else "left")
    seen = 0
    for batch in found:
        for row in _rows(batch.slice(0, max(0, rows - seen))):
            table.add_row(*(escape(value) for value in row))
        seen += batch.num_rows
    console.print(table)
    say(
        f"{seen:,} row{'' if seen == 1 else 's'}"
        if seen <= rows
        else f"the first {rows:,} of {seen:,} rows; --rows shows more, --csv all"
    )


def _show_down(found: pa.RecordBatchReader, rows: int) -> None:
    seen = 0
    for batch in found:
        for row in _rows(batch.slice(0, max(0, rows - seen))):
            table = grid(f"row {seen + 1:,}")
            table.add_column("column")
            table.add_column("value")
            for name, value in zip(found.schema.names, row, strict=True):
                table.add_row(escape(name), escape(value))
            console.print(table)
            seen += 1
    say(f"{seen:,} row{'' if seen == 1 else 's'} of {len(found.schema)} columns, one below the other; --csv prints all")


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[str, ...]]:
    return zip(*(_texts(column) for column in batch.columns), strict=True)


def _texts(column: Column) -> list[str]:
    """Return values as text: times with all their digits, nothing for null."""
    try:
        texts = pc.cast(column, pa.string()).to_pylist()
    except pa.ArrowNotImplementedError:  # lists, structs
        texts = [None if value is None else str(value) for value in column.to_pylist()]
    return ["" if text is None else text for text in texts]


if __name__ == "__main__":
    from pipelines.cli import main

    main(["sql", *sys.argv[1:]])
