"""Columns as NumPy sees them: numbers to judge, and codes to compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrow import Column, pc

Ints = NDArray[np.int64]
NOTHING = -(2**63)
"""The code of null, where the column holds numbers or times."""
MIX = np.uint64(0x9E3779B97F4A7C15)
"""Spreads bits: 2⁶⁴ over the golden ratio, odd (Knuth, The Art of Computer Programming 3, section 6.4)."""


class RawColumns(Mapping[str, NDArray[Any]]):
    """Columns of a table, converted when first asked for: what `data.records.base.Columns` says a rule sees.

    >>> columns = RawColumns(pa.table({"bid": [1.5, None], "side": pa.array([1, None], pa.int8())}))
    >>> columns["bid"].tolist(), columns["side"].tolist()
    ([1.5, nan], [1.0, nan])
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._done: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._done:
            self._done[name] = _seen(self._table[name])
        return self._done[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return self._table.num_columns


def codes(column: Column) -> Ints:
    """Return a whole number a cell: equal if and only if the cells are, and of text and whole numbers in their order.

    Null is equal to null; NaN is null, and -0.0 is 0.0. Codes of text compare within the column only.

    >>> codes(pa.array(["b", None, "a", "b"])).tolist()
    [1, -1, 0, 1]
    """
    if pa.types.is_floating(column.type):
        plain = pc.fill_null(column, np.nan).to_numpy() + 0.0
        bits: Ints = np.where(np.isnan(plain), np.nan, plain).astype(np.float64).view(np.int64)
        return bits
    if pa.types.is_string(column.type):
        return _ranks(column)
    whole: Ints = pc.fill_null(column.cast(pa.int64()), NOTHING).to_numpy()
    return whole


def rows_alike(columns: Sequence[Ints], one: Ints, other: Ints) -> NDArray[np.bool_]:
    """Tell for each pair of row numbers whether the rows' codes agree in every column."""
    alike = np.ones(len(one), bool)
    for column in columns:
        alike &= column[one] == column[other]
    return alike


def row_hashes(columns: Iterable[Ints], n: int) -> Ints:
    """Return a number a row, equal where rows agree in every column, and hardly ever where they do not."""
    mixed = np.zeros(n, np.uint64)
    for column in columns:
        mixed = (mixed ^ column.view(np.uint64)) * MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed.view(np.int64)


def repeats(keys: Sequence[Ints], among: Ints) -> tuple[Ints, Ints]:
    """Return the rows of ``among``, row numbers in the order they came, that have the keys of an earlier one, and that.

    >>> [rows.tolist() for rows in repeats([np.array([5, 7, 5, 5])], np.arange(4))]
    [[2, 3], [0, 0]]
    """
    order = among[sort(key[among] for key in keys)]
    new = np.ones(len(order), bool)
    if len(order):
        new[1:] = np.logical_or.reduce([np.diff(key[order]) != 0 for key in keys])
    first = order[new][np.cumsum(new) - 1]
    return order[~new], first[~new]


def sort(keys: Iterable[Ints]) -> Ints:
    """Return what sorts rows by the first key, then the next; equal rows stay in the order they came."""
    order: Ints = np.lexsort(list(keys)[::-1])
    return order


def _seen(column: Column) -> NDArray[Any]:
    seen: NDArray[Any]
    if pa.types.is_timestamp(column.type):
        seen = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
    elif pa.types.is_string(column.type):
        seen = column.to_numpy()
    else:
        seen = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return seen


def _ranks(column: Column) -> Ints:
    names = column.combine_chunks().dictionary_encode() if isinstance(column, pa.ChunkedArray) else None
    names = column.dictionary_encode() if names is None else names
    rank = np.empty(len(names.dictionary), np.int64)
    rank[pc.sort_indices(names.dictionary).to_numpy()] = np.arange(len(rank))
    indices = pc.fill_null(names.indices.cast(pa.int64()), -1).to_numpy()
    return np.where(indices < 0, -1, rank[np.maximum(indices, 0)]) if len(rank) else indices
